using Strata.Build;
using Strata.Dockerfiles;
using Xunit;

namespace Strata.Tests.Build;

/// <summary>RUN's mounts as planned (Dockerfile reference, "RUN --mount").</summary>
public sealed class RunMountPlanTests
{
    private static RunStep Plan(string text, BuildOptions? options = null)
        => Assert.IsType<RunStep>(BuildPlanner.Plan(Dockerfile.Parse("FROM scratch\n" + text), new Dictionary<BaseName, BaseImage>(), options ?? new BuildOptions()).Result);

    private static CacheKey KeyOf(string text) => CacheKey.Of(Plan(text), []);

    [Theory]
    [InlineData("type=cache,target=/c", MountKind.Cache, "/c", "/c", false)]
    [InlineData("type=cache,target=c//d/", MountKind.Cache, "/w/c/d", "c/d", false)]
    [InlineData("type=cache,target=/c,id=x,ro", MountKind.Cache, "/c", "x", true)]
    [InlineData("target=a", MountKind.Bind, "/w/a", null, true)]
    [InlineData("type=bind,dst=/a,rw", MountKind.Bind, "/a", null, false)]
    [InlineData("type=tmpfs,destination=/t", MountKind.Tmpfs, "/t", null, false)]
    [InlineData("type=secret,id=a/key", MountKind.Secret, "/run/secrets/key", "a/key", true)]
    [InlineData("type=secret,target=/x/key", MountKind.Secret, "/x/key", "key", true)]
    [InlineData("type=secret,id=key,env=KEY", MountKind.Secret, "", "key", true)]
    [InlineData("type=secret,id=key,env=KEY,target=/k", MountKind.Secret, "/k", "key", true)]
    [InlineData("type=ssh", MountKind.Ssh, "/run/buildkit/ssh_agent.0", "default", true)]
    [InlineData("type=ssh,id=git,target=/s", MountKind.Ssh, "/s", "git", true)]
    [InlineData("type=cache,target=/$N,id=$N", MountKind.Cache, "/one", "one", false)]
    public void A_mount_has_its_target_and_its_name(string written, MountKind kind, string target, string? id, bool isReadOnly)
    {
        StepMount mount = Assert.Single(Plan($"ENV N=one\nWORKDIR /w\nRUN --mount={written} true\n").Mounts);
        Assert.Equal((kind, target, id, isReadOnly), (mount.Options.Kind, mount.Target, mount.Options.Id, mount.Options.ReadOnly));
    }

    [Theory]
    [InlineData("type=cache", "no target")]
    [InlineData("type=tmpfs", "no target")]
    [InlineData("type=cache,target=/", "invalid mount target")]
    [InlineData("target=/..", "invalid mount target")]
    [InlineData("type=secret", "one of source, target required")]
    [InlineData("type=cache,target=/c,sharing=some", "unsupported sharing value")]
    [InlineData("type=bind,target=/c,size=1", "unexpected key 'size'")]
    public void A_mount_that_cannot_be_is_told_with_its_line(string written, string message)
    {
        DockerfileException failure = Assert.Throws<DockerfileException>(() => Plan($"RUN --mount={written} true\n"));
        Assert.Contains(message, failure.Message, StringComparison.Ordinal);
        Assert.Equal(2, failure.Span.FirstLine);
    }

    [Fact]
    public void What_a_step_mounts_from_is_an_input()
    {
        BuildStep result = BuildPlanner.Plan(Dockerfile.Parse("FROM scratch AS a\nWORKDIR /a\nFROM scratch\nRUN --mount=from=a,target=/a --mount=target=/c --mount=type=cache,from=0,target=/d true\n"),
            new Dictionary<BaseName, BaseImage>(), new BuildOptions()).Result;
        Assert.Equal(3, result.Inputs.Length);
        Assert.All(result.Inputs[1..], i => Assert.IsType<DirectoryStep>(i));
        Assert.True(Assert.IsType<RunStep>(result).Mounts[1].IsOfContext);
    }

    [Theory]
    [InlineData("RUN true\n", "RUN --mount=target=/a true\n", false)]
    [InlineData("RUN --mount=target=/a true\n", "RUN --mount=target=/b true\n", false)]
    [InlineData("RUN --mount=target=/a true\n", "RUN --mount=target=/a,rw true\n", false)]
    [InlineData("RUN --mount=type=cache,target=/a true\n", "RUN --mount=type=cache,target=/a,id=x true\n", false)]
    [InlineData("RUN --mount=type=cache,target=/a true\n", "RUN --mount=type=cache,target=/a,sharing=locked true\n", true)]
    [InlineData("RUN --mount=type=secret,id=a true\n", "RUN --mount=type=secret,id=a,required=true true\n", true)]
    public void A_key_has_what_a_process_can_see_of_its_mounts(string one, string other, bool equal) => Assert.Equal(equal, KeyOf(one) == KeyOf(other));

    [Fact]
    public void Rights_are_for_those_who_are_allowed_them()
    {
        Assert.Throws<DockerfileException>(() => Plan("RUN --security=insecure true\n"));
        Assert.True(Plan("RUN --security=insecure true\n", new BuildOptions { Allowed = ["security.insecure"] }).Insecure);
        Assert.False(Plan("RUN --network=host true\n").NoNetwork);
        Assert.True(Plan("RUN --network=none true\n").NoNetwork);
        Assert.Throws<DockerfileException>(() => Plan("RUN --network=host true\n", new BuildOptions { NoNetwork = true }));
    }

    [Theory]
    [InlineData("nofile=1024", "RLIMIT_NOFILE=1024:1024")]
    [InlineData("nproc=5:10", "RLIMIT_NPROC=5:10")]
    [InlineData("core=-1", "RLIMIT_CORE=18446744073709551615:18446744073709551615")]
    [InlineData("files=1", null)]
    [InlineData("nofile", null)]
    [InlineData("nofile=x", null)]
    [InlineData("nofile=5:4", null)]
    public void A_limit_is_read_as_docker_reads_it(string text, string? expected)
    {
        if (expected is null)
        {
            Assert.Throws<FormatException>(() => RunLimit.Parse(text));
        }
        else
        {
            Assert.Equal(expected, RunLimit.Parse(text).ToString());
        }
    }

    [Theory]
    [InlineData("id=a,src=/f", "a", "/f", null)]
    [InlineData("type=file,id=a,source=/f", "a", "/f", null)]
    [InlineData("id=a,env=V", "a", null, "V")]
    [InlineData("type=env,id=PATH", "PATH", null, "PATH")]
    [InlineData("id=PATH", "PATH", null, "PATH")]
    public void A_secret_is_a_file_or_a_variable(string text, string id, string? file, string? variable)
        => Assert.Equal((id, new SecretSource(file, variable)), SecretSource.Parse(text));

    [Theory]
    [InlineData("src=/f")]
    [InlineData("a")]
    [InlineData("id=a,type=socket")]
    [InlineData("id=a,mode=1")]
    public void A_secret_that_cannot_be_understood_is_told(string text) => Assert.Throws<FormatException>(() => SecretSource.Parse(text));
}
