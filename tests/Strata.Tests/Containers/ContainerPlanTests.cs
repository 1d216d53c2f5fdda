using System.Collections.Immutable;
using Strata.Containers;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Containers;

public sealed class ContainerPlanTests
{
    private static readonly Digest s_digest = Digest.Of([1]);

    private static ContainerRecord Resolve(ContainerOptions options, ContainerConfig? config = null)
    {
        var image = new ImageConfig { Architecture = "amd64", Os = "linux", RootFs = new RootFs("layers", []), Config = config };
        return ContainerPlan.Resolve(options, image, new Descriptor(MediaTypes.OciManifest, s_digest, 1), s_digest, new string('a', 64), "name", DateTimeOffset.UnixEpoch);
    }

    private static ImmutableArray<string>? Words(string? text) => text is null ? null : [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries)];

    [Theory] // image entrypoint, image cmd, --entrypoint, command -> arguments
    [InlineData(null, "sh", null, "", "sh")]
    [InlineData(null, "sh", null, "ls -l", "ls -l")]
    [InlineData("init", "a b", null, "", "init a b")]
    [InlineData("init", "a b", null, "c", "init c")]
    [InlineData("init", "a b", "sh", "", "sh")]
    [InlineData("init", "a b", "sh", "-c x", "sh -c x")]
    [InlineData("init", "a b", "", "c", "c")]
    public void Entrypoint_and_command_follow_dockers_table(string? entrypoint, string? cmd, string? option, string command, string expected)
    {
        ContainerRecord record = Resolve(new ContainerOptions { Image = "i", Entrypoint = Words(option), Command = Words(command)!.Value },
            new ContainerConfig { Entrypoint = Words(entrypoint), Cmd = Words(cmd) });
        Assert.Equal(expected, string.Join(' ', record.Arguments));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    public void No_command_at_all_is_an_error(string? entrypoint)
        => Assert.Contains("no command specified", Assert.Throws<StrataException>(() => Resolve(new ContainerOptions { Image = "i", Entrypoint = Words(entrypoint) }, entrypoint is null ? null : new ContainerConfig { Entrypoint = ["x"], Cmd = ["y"] })).Message, StringComparison.Ordinal);

    [Fact]
    public void Options_win_over_the_image_and_the_image_over_defaults()
    {
        ContainerRecord record = Resolve(new ContainerOptions { Image = "i", Command = ["x"], Environment = ["A=3", "C=4"], Hostname = "box", Terminal = true, Labels = ImmutableSortedDictionary<string, string>.Empty.Add("l", "2") },
            new ContainerConfig { Env = ["PATH=/bin", "A=1", "B=2"], User = "app", WorkingDir = "srv", Labels = ImmutableSortedDictionary<string, string>.Empty.Add("l", "1").Add("m", "1"), StopSignal = "SIGQUIT" });
        Assert.Equal(["PATH=/bin", "HOSTNAME=box", "TERM=xterm", "A=3", "B=2", "C=4"], record.Environment);
        Assert.Equal(("app", "/srv", 3), (record.User, record.WorkingDirectory, record.StopSignal));
        Assert.Equal(["2", "1"], record.Labels.Values);
        Assert.Equal(["PATH=/bin", "A=3", "B=2", "C=4"], record.Config.Env!.Value);
    }

    [Theory]
    [InlineData("AWS_SECRET")]
    [InlineData("*")]
    [InlineData("=x")]
    [InlineData("A=\0")]
    public void An_environment_of_an_image_that_is_not_name_value_is_refused(string entry)
        => Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => Resolve(new ContainerOptions { Image = "i", Command = ["x"] }, new ContainerConfig { Env = [entry] })).Kind);

    [Fact]
    public void Declared_volumes_are_anonymous_unless_something_is_mounted_there()
    {
        ImmutableSortedDictionary<string, EmptyObject> volumes = Words("/data /cache/ /other")!.Value.ToImmutableSortedDictionary(v => v, _ => new EmptyObject());
        ContainerRecord record = Resolve(new ContainerOptions { Image = "i", Command = ["x"], Volumes = ["named:/data"], Tmpfs = ["/other"] }, new ContainerConfig { Volumes = volumes });
        Assert.Equal(["/data", "/other", "/cache"], record.Mounts.Select(m => m.Target));
        Assert.Equal([false, false, true], record.Mounts.Select(m => m.Anonymous));
    }

    [Theory]
    [InlineData("/../../x")]
    [InlineData("relative")]
    [InlineData("/")]
    public void A_declared_volume_outside_is_refused(string path)
        => Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => Resolve(new ContainerOptions { Image = "i", Command = ["x"] },
            new ContainerConfig { Volumes = ImmutableSortedDictionary<string, EmptyObject>.Empty.Add(path, new EmptyObject()) })).Kind);

    [Theory]
    [InlineData("v:/a", "v", "/a", "")]
    [InlineData("v:/a:ro", "v", "/a", "ro")]
    [InlineData("v:/a/./b//c:rw,Z,nocopy", "v", "/a/b/c", "")]
    [InlineData("/tmp:/a:ro,rslave", "/tmp", "/a", "ro,rslave")]
    public void Volumes_are_read(string text, string source, string target, string options)
    {
        ContainerMount mount = ContainerMounts.ParseVolume(text);
        Assert.Equal((source, target, options), (mount.Source, mount.Target, string.Join(',', mount.Options)));
        Assert.Equal(source[0] == '/' ? ContainerMountKind.Bind : ContainerMountKind.Volume, mount.Kind);
        Assert.Equal(mount.Kind == ContainerMountKind.Volume && !text.Contains("nocopy", StringComparison.Ordinal), mount.CopyUp);
    }

    [Theory]
    [InlineData("v:a")]
    [InlineData("v:/a/../b")]
    [InlineData("v:/")]
    [InlineData(":/a")]
    [InlineData("v:/a:maybe")]
    [InlineData("a:/b:ro:x")]
    [InlineData("-v:/a")]
    [InlineData("/no/such/place:/a")]
    public void A_volume_that_means_nothing_is_refused(string text) => Assert.Throws<StrataException>(() => ContainerMounts.ParseVolume(text));

    [Theory]
    [InlineData("6.1", "6.18.44-amd64", true)]
    [InlineData("6.18.44", "6.18.44-amd64", true)]
    [InlineData("6.18.45", "6.18.44-amd64", false)]
    [InlineData("7", "6.18.44", false)]
    [InlineData("5", "6.18.44", true)]
    public void An_image_can_ask_for_a_kernel(string minimum, string running, bool fits)
    {
        void Check() => ContainerPlan.CheckKernel("img", new Dictionary<string, string> { [ContainerPlan.MinimumKernelLabel] = minimum }, running);
        if (fits)
        {
            Check();
            return;
        }
        StrataException refused = Assert.Throws<StrataException>(Check);
        Assert.Equal(ErrorKind.Unsupported, refused.Kind);
        Assert.Contains(minimum, refused.Message, StringComparison.Ordinal);
        Assert.Contains(running, refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("9", 9)]
    [InlineData("KILL", 9)]
    [InlineData("sigterm", 15)]
    [InlineData("SIGRTMIN+3", 37)]
    [InlineData("RTMAX-1", 63)]
    public void Signals_have_names(string text, int number) => Assert.Equal(number, Signals.Parse(text));

    [Theory]
    [InlineData("0")]
    [InlineData("65")]
    [InlineData("SIG")]
    [InlineData("-1")]
    [InlineData("STOPP")]
    public void Other_signals_are_refused(string text) => Assert.Throws<StrataException>(() => Signals.Parse(text));

    [Theory]
    [InlineData("CMD [\"a\", \"b c\"]", "Cmd", "a|b c")]
    [InlineData("CMD a b", "Cmd", "/bin/sh|-c|a b")]
    [InlineData("entrypoint [\"x\"]", "Entrypoint", "x")]
    [InlineData("ENV A=1 B=\"two words\" C=it\\ is", "Env", "A=1|B=two words|C=it is")]
    [InlineData("ENV A the rest of it", "Env", "A=the rest of it")]
    [InlineData("EXPOSE 80 53/udp", "ExposedPorts", "53/udp|80/tcp")]
    [InlineData("LABEL a=b 'c d'=e", "Labels", "a|c d")]
    [InlineData("VOLUME [\"/a\", \"/b\"]", "Volumes", "/a|/b")]
    [InlineData("USER app", "User", "app")]
    [InlineData("WORKDIR sub", "WorkingDir", "/srv/sub")]
    [InlineData("ONBUILD RUN x", "OnBuild", "RUN x")]
    public void A_change_changes_one_thing(string instruction, string field, string expected)
    {
        ContainerConfig changed = ConfigChange.Apply(new ContainerConfig { WorkingDir = "/srv" }, instruction);
        IEnumerable<string> value = field switch
        {
            "Cmd" => changed.Cmd!.Value,
            "Entrypoint" => changed.Entrypoint!.Value,
            "Env" => changed.Env!.Value,
            "ExposedPorts" => changed.ExposedPorts!.Keys,
            "Labels" => changed.Labels!.Keys,
            "Volumes" => changed.Volumes!.Keys,
            "User" => [changed.User!],
            "WorkingDir" => [changed.WorkingDir!],
            _ => changed.OnBuild!.Value,
        };
        Assert.Equal(expected, string.Join('|', value));
    }

    [Theory]
    [InlineData("RUN x")]
    [InlineData("CMD")]
    [InlineData("ENV A")]
    [InlineData("ENV A=\"open")]
    [InlineData("EXPOSE 0")]
    [InlineData("EXPOSE 80/icmp")]
    [InlineData("VOLUME ../x")]
    public void Other_changes_are_refused(string instruction)
        => Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => ConfigChange.Apply(new ContainerConfig(), instruction)).Kind);

    [Theory]
    [InlineData("executable file `foo` not found in $PATH: No such file or directory", "foo", 127, "exec \"foo\": executable file not found in $PATH")]
    [InlineData("open executable: Permission denied", "/etc/x", 126, "exec \"/etc/x\": permission denied: not an executable file")]
    [InlineData("container_linux.go:380: starting container process caused: exec: \"foo\": executable file not found in $PATH", "foo", 127, "exec \"foo\": executable file not found in $PATH")]
    [InlineData("mount `x` to `y`: No space left on device", "foo", 125, "mount `x` to `y`: No space left on device")]
    public void What_the_runtime_says_becomes_a_code_and_a_line(string said, string program, int code, string message)
    {
        ContainerStartException failure = ContainerStartException.FromRuntime(said, program);
        Assert.Equal((code, message), (failure.ExitCode, failure.Message));
    }
}
