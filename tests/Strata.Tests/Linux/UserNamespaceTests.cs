using Strata.Linux;
using Xunit;

namespace Strata.Tests.Linux;

public sealed class UserNamespaceTests
{
    private const string Map = "         0       1001          1\n         1     100000      65536\n";

    [Fact]
    public void The_variable_counts_only_where_the_kernels_map_says_the_same()
    {
        UserNamespace inside = Assert.IsType<UserNamespace>(UserNamespace.TryRead("1001:1002:/run/user/1001/strata", effectiveUser: 0, Map, Map));
        Assert.Equal((1001u, 1002u, "/run/user/1001/strata", true), (inside.OwnerUid, inside.OwnerGid, inside.RuntimeRoot, inside.HasSubordinates));
        Assert.Equal("1001:1002:/run/user/1001/strata", inside.Value);
    }

    [Theory]
    [InlineData("1001:1001:/run", 0u, "         0          0 4294967295\n")] // root that has it by accident
    [InlineData("1001:1001:/run", 0u, "0 1005 1\n")] // another user's
    [InlineData("1001:1001:/run", 1001u, "         0          0 4294967295\n")] // not entered yet
    [InlineData("0:0:/run", 0u, "0 0 4294967295\n")]
    [InlineData("1001:1001", 0u, Map)]
    [InlineData("1001:1001:run", 0u, Map)]
    [InlineData("x:1001:/run", 0u, Map)]
    public void Anything_else_is_no_namespace_of_ours(string value, uint effectiveUser, string map) => Assert.Null(UserNamespace.TryRead(value, effectiveUser, map, map));

    [Fact]
    public void An_owner_that_is_not_there_is_named_with_those_that_are()
    {
        UserNamespace inside = UserNamespace.TryRead("1001:1001:/run", 0, Map, "0 1001 1\n")!;
        Assert.Null(inside.Explain(65536, 0));
        Assert.Equal("user 65537 is beyond the ids that this user's containers have (0, 1-65536)", inside.Explain(65537, 0));
        Assert.Equal("group 5 is beyond the ids that this user's containers have (0)", inside.Explain(5, 5));
    }

    [Fact]
    public void Subordinate_ids_are_read_by_name_and_number_and_what_is_no_line_is_left_out()
    {
        const string Text = "other:1:2\nme:100000:65536\n# me:1:1\nme:x:1\nme:5:0\n1001:300000:10\nme:1:2:3\nme:4294967295:2\n";
        Assert.Equal([(100000u, 65536u), (300000u, 10u)], SubordinateIds.Parse(Text, "me", 1001));
        Assert.Equal([(300000u, 10u)], SubordinateIds.Parse(Text, null, 1001));
    }

    [Fact]
    public void A_map_has_the_user_as_root_and_takes_no_id_twice()
    {
        Assert.Equal(["0 1001 1", "1 100000 65536", "65537 300000 10"], SubordinateIds.ToMap(1001, [(100000, 65536), (300000, 10)]).Select(r => r.ToString()));
        Assert.Equal(["0 1001 1"], SubordinateIds.ToMap(1001, [(1000, 5)]).Select(r => r.ToString()));
    }

    [Fact]
    public void A_name_is_found_by_its_number() => Assert.Equal("me", SubordinateIds.NameOf("root:x:0:0::/root:/bin/sh\nme:x:1001:1001::/home/me:/bin/sh\n", 1001));

    [Fact]
    public void A_runtime_directory_is_the_users_alone_or_none()
    {
        using var folder = new TempFolder();
        uint user = Host.EffectiveUserId;
        string own = folder.File("own"), open = folder.File("open"), link = folder.File("link");
        Directory.CreateDirectory(own, (UnixFileMode)0b111_000_000);
        Directory.CreateDirectory(open, (UnixFileMode)0b111_101_101);
        File.CreateSymbolicLink(link, own);
        string last = folder.File($"strata-{user}"), temporary = Path.GetDirectoryName(last)!;

        Assert.Equal(Path.Combine(own, "strata"), UserPlaces.Find(user, own, temporary));
        if (!Directory.Exists($"/run/user/{user}"))
        {
            Assert.Equal(last, UserPlaces.Find(user, open, temporary));
            Assert.Equal(last, UserPlaces.Find(user, link, temporary));
            Directory.CreateDirectory(last, (UnixFileMode)0b111_000_000);
            Assert.Equal(last, UserPlaces.Find(user, null, temporary));
            File.SetUnixFileMode(last, (UnixFileMode)0b111_000_001);
            Assert.Equal(Errno.EPERM, Assert.Throws<LinuxException>(() => UserPlaces.Find(user, null, temporary)).Errno);
        }
    }
}
