using Strata.Containers;
using Strata.Rootless;
using Xunit;

namespace Strata.Tests.Rootless;

public sealed class UserIdsTests
{
    [Fact]
    public void Users_without_groups_are_as_good_as_neither()
    {
        Assert.Equal("0 1001 1;1 100000 65536,0 1002 1;1 200000 65536", UserIds.Of("me", 1001, 1002, "me:100000:65536\n", "me:200000:65536\n").Words);
        Assert.Equal("0 1001 1,0 1002 1", UserIds.Of("me", 1001, 1002, "me:100000:65536\n", "").Words);
    }

    [Fact]
    public void Who_has_no_subordinate_ids_is_told_the_command_that_gives_them()
    {
        var told = new List<string>();
        UserIds.Of("me", 1001, 1001, "", "").TellMissing(told.Add);
        Assert.Contains("usermod --add-subuids 100000-165535 --add-subgids 100000-165535 me", Assert.Single(told), StringComparison.Ordinal);
        UserIds.Of("me", 1001, 1001, "me:1:2", "me:1:2").TellMissing(told.Add);
        Assert.Single(told);
    }

    [Fact]
    public void A_users_container_has_no_cgroup_and_binds_what_only_root_mounts()
    {
        var host = new HostLimits(1024, [], ulong.MaxValue, []) { IsRootless = true, HasTerminalGroup = false };
        RuntimeSpecDocument spec = RuntimeSpec.Create("/r", "h", new ProcessSpec(["x"], [], "/", ResolvedUser.Root), new IsolationOptions(), [], "/strata/x", host);
        Assert.Null(spec.Linux.CgroupsPath);
        Assert.Null(spec.Linux.Resources!.Pids);
        Assert.DoesNotContain(spec.Mounts, m => m.Destination == "/sys/fs/cgroup");
        Assert.Contains("rbind", spec.Mounts.Single(m => m.Destination == "/sys").Options);
        Assert.DoesNotContain("gid=5", spec.Mounts.Single(m => m.Destination == "/dev/pts").Options);
        RuntimeSpecDocument own = RuntimeSpec.Create("/r", "h", new ProcessSpec(["x"], [], "/", ResolvedUser.Root), new IsolationOptions { Network = NetworkMode.None }, [], "/strata/x", host);
        Assert.Equal("sysfs", own.Mounts.Single(m => m.Destination == "/sys").Type);
    }

    [Fact]
    public void A_limit_that_nobody_would_keep_is_refused_by_its_name()
    {
        (string Option, IsolationOptions Isolation)[] limits =
        [
            ("--memory", new IsolationOptions { MemoryLimit = 1 << 20 }), ("--cpus", new IsolationOptions { MilliCpus = 500 }), ("--cpu-shares", new IsolationOptions { CpuShares = 2 }),
            ("--cpuset-cpus", new IsolationOptions { CpusetCpus = "0" }), ("--blkio-weight", new IsolationOptions { BlkioWeight = 10 }),
            ("--pids-limit", new IsolationOptions { PidsLimit = 10 }), ("--cgroup-parent", new IsolationOptions { CgroupParent = "/x" }),
        ];
        foreach ((string option, IsolationOptions isolation) in limits)
        {
            StrataException e = Assert.Throws<StrataException>(() => UserLimits.Check(isolation));
            Assert.Equal(ErrorKind.Unsupported, e.Kind);
            Assert.StartsWith(option + ": ", e.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void What_is_no_limit_of_a_cgroup_passes() => Assert.NotNull(UserLimits.Check(new IsolationOptions { OomScoreAdj = 5, PidsLimit = null }));
}
