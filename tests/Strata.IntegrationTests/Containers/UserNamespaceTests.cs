using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Containers;

/// <summary>Containers whose root is nobody on the host (--userns auto), by the program itself.</summary>
public sealed class UserNamespaceTests(ContainerStoreFixture store) : IClassFixture<ContainerStoreFixture>
{
    private const string Machine = "/run/strata.users";
    private readonly StrataProgram _strata = new(store);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private async Task<int> StartAsync(string name, params string[] options)
    {
        await _strata.OkAsync(["run", "-d", "--name", name, "--userns", "auto", .. options, "box", "sleep", "1000"]);
        return int.Parse((await _strata.OkAsync("inspect", "-f", "{{.State.Pid}}", name)).OutputText, System.Globalization.CultureInfo.InvariantCulture);
    }

    private Task<ChildResult> RemoveAsync(params string[] names) => _strata.OkAsync(["rm", "-f", "-v", .. names]);

    private async Task<string> ExecAsync(string name, string script) => (await _strata.OkAsync("exec", name, "sh", "-c", script)).OutputText;

    private static IdRange RangeOf(int pid) => Assert.Single(IdRange.ParseMap(File.ReadAllText($"/proc/{pid}/uid_map")));

    [Fact]
    public async Task Root_inside_is_nobody_outside_and_each_container_is_somebody_else()
    {
        int one = await StartAsync("one", "--network", "none"), two = await StartAsync("two", "--network", "none");
        IdRange first = RangeOf(one), second = RangeOf(two);
        Assert.Equal((0u, 65536u, 65536u), (first.Inside, first.Count, second.Count));
        Assert.True(first.Outside >= 65536 && second.Outside >= 65536);
        Assert.True(first.Outside + 65536ul <= second.Outside || second.Outside + 65536ul <= first.Outside, $"{first} and {second} overlap");
        Assert.Equal(first.Outside, FileSystems.TryGetStatus($"/proc/{one}")!.Value.Uid);
        Assert.Equal("uid=0(root) gid=0(root)", await ExecAsync("one", "id"));
        Assert.Equal("0 0", await ExecAsync("one", "stat -c '%u %g' /"));
        Assert.Equal("auto", (await _strata.OkAsync("inspect", "-f", "{{.HostConfig.UsernsMode}}", "one")).OutputText);
        // What the host's root alone may: nothing of it, however many capabilities the container's root has.
        Assert.NotEqual(0, (await _strata.RunAsync("exec", "--privileged", "one", "sh", "-c", "echo 1 >/proc/sysrq-trigger")).ExitCode);
        await RemoveAsync("one", "two");
        Assert.False(Directory.Exists(Path.Combine(Machine, first.Outside.ToString(System.Globalization.CultureInfo.InvariantCulture))));
    }

    [Fact]
    public async Task Files_have_the_owners_that_the_image_says_and_none_is_shifted_on_the_disk()
    {
        string script = "touch /made; chown 1000:1001 /made; echo more >>/etc/plain; rm /etc/junk; mkdir /dir; chmod 2750 /dir; cat /proc/self/uid_map >/dev/null; stat -c '%u %g' /made /etc/plain /home/app /dir | tr '\\n' ' '";
        Assert.Equal("1000 1001 0 0 0 0 0 0", (await _strata.OkAsync("run", "--name", "writer", "--network", "none", "--userns", "auto", "box", "sh", "-c", script)).OutputText);
        Assert.Equal("A /dir\nA /made\nC /etc\nC /etc/plain\nD /etc/junk", string.Join('\n', (await _strata.OkAsync("diff", "writer")).OutputText.Split('\n').Order(StringComparer.Ordinal)));
        await _strata.OkAsync("commit", "writer", "shifted");
        // Who has the host's users reads the same owners from the image that was made.
        Assert.Equal("1000 1001 0 0 2750", (await _strata.OkAsync("run", "--rm", "--network", "none", "shifted", "sh", "-c", "echo $(stat -c '%u %g' /made /etc/plain) $(stat -c %a /dir)")).OutputText);
        // Another start has another block, or the same: the files are its own again.
        await _strata.OkAsync("start", "-a", "writer");
        await _strata.OkAsync("rm", "writer");
        await _strata.OkAsync("rmi", "shifted");
    }

    [Fact]
    public async Task Volumes_are_shared_with_containers_of_other_users_and_of_the_host()
    {
        await _strata.OkAsync("run", "--rm", "--network", "none", "--userns", "auto", "-v", "both:/var/data", "box", "sh", "-c", "cat /var/data/seed; touch /var/data/new; chown 1000 /var/data/new");
        string data = store.Engine.Volumes.PathOf("both");
        Assert.Equal((0u, 1000u), (FileSystems.TryGetStatus(Path.Combine(data, "seed"))!.Value.Uid, FileSystems.TryGetStatus(Path.Combine(data, "new"))!.Value.Uid));
        foreach (string users in (string[])["auto", "host"])
        {
            Assert.Equal("0 1000", (await _strata.OkAsync("run", "--rm", "--network", "none", "--userns", users, "-v", "both:/v", "box", "sh", "-c", "echo $(stat -c %u /v/seed /v/new)")).OutputText);
        }
        await _strata.OkAsync("volume", "rm", "both");
    }

    [Fact]
    public async Task A_directory_of_the_host_is_nobodys_unless_it_is_mapped()
    {
        string folder = Directory.CreateDirectory(Path.Combine(store.Folder, "hosts")).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "file"), "text", Cancel);
        File.SetUnixFileMode(Path.Combine(folder, "file"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        string[] run = ["run", "--rm", "--network", "none", "--userns", "auto"];
        ChildResult plain = await _strata.RunAsync([.. run, "-v", $"{folder}:/h", "box", "sh", "-c", "stat -c %u /h/file; cat /h/file"]);
        Assert.Equal((1, "65534"), (plain.ExitCode, plain.OutputText));
        Assert.Equal("0 text", (await _strata.OkAsync([.. run, "-v", $"{folder}:/h:idmap", "box", "sh", "-c", "echo $(stat -c %u /h/file) $(cat /h/file); echo x >/h/made"])).OutputText);
        Assert.Equal(0u, FileSystems.TryGetStatus(Path.Combine(folder, "made"))!.Value.Uid);
    }

    [Fact]
    public async Task Files_are_copied_both_ways_with_the_owners_that_the_container_sees()
    {
        string source = Path.Combine(store.Folder, "copied");
        await File.WriteAllTextAsync(source, "from the host", Cancel);
        await StartAsync("copy", "--network", "none", "-v", "/vol");
        await ExecAsync("copy", "touch /owned; chown 1000:1001 /owned");
        await _strata.OkAsync("cp", source, "copy:/in");
        await _strata.OkAsync("cp", source, "copy:/vol/in");
        Assert.Equal("0 0 0 0 from the host", await ExecAsync("copy", "echo $(stat -c '%u %g' /in /vol/in) $(cat /vol/in)"));
        Assert.Equal("1000/1001", (await _strata.ShellAsync(_strata.Line("cp copy:/owned - | tar -tv --numeric-owner -f - | awk '{print $2}'"))).OutputText);
        string target = Path.Combine(store.Folder, "back");
        await _strata.OkAsync("cp", "-a", "copy:/owned", target);
        Assert.Equal((1000u, 1001u), (FileSystems.TryGetStatus(target)!.Value.Uid, FileSystems.TryGetStatus(target)!.Value.Gid));
        await _strata.OkAsync("stop", "-t", "0", "copy");
        await _strata.OkAsync("cp", source, "copy:/stopped");
        await _strata.OkAsync("start", "copy");
        Assert.Equal("0 0 1000", await ExecAsync("copy", "echo $(stat -c '%u' /in /stopped /owned)"));
        await RemoveAsync("copy");
    }

    [Fact]
    public async Task Its_network_is_its_own_and_works()
    {
        await StartAsync("net");
        Assert.Contains("eth0", await ExecAsync("net", "ls /sys/class/net"), StringComparison.Ordinal);
        Assert.DoesNotContain("strata0", await ExecAsync("net", "ls /sys/class/net"), StringComparison.Ordinal);
        // Its root is root of the network namespace, too: it may change its own /etc/hosts, and parameters that are its own are set.
        Assert.Equal("ok", await ExecAsync("net", "echo 10.0.0.1 other >>/etc/hosts && grep -q other /etc/hosts && echo ok"));
        await RemoveAsync("net");
        Assert.Equal("1", (await _strata.OkAsync("run", "--rm", "--userns", "auto", "--sysctl", "net.ipv4.ip_forward=1", "box", "cat", "/proc/sys/net/ipv4/ip_forward")).OutputText);
        Assert.Contains("strata0", (await _strata.OkAsync("run", "--rm", "--userns", "auto", "--network", "host", "box", "ls", "/sys/class/net")).OutputText, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_cannot_be_shared_is_refused_by_its_name()
    {
        await StartAsync("shares", "--network", "none");
        foreach (string[] other in (string[][])[["--pid", "host"], ["--ipc", "host"], ["--cgroupns", "host"], ["--network", "container:shares"], ["--pid", "container:shares"]])
        {
            ChildResult refused = await _strata.RunAsync(["run", "--rm", "--userns", "auto", .. other, "box", "true"]);
            Assert.Equal(125, refused.ExitCode);
            Assert.Contains($"--userns auto and {other[0]}", refused.ErrorText, StringComparison.Ordinal);
        }
        ChildResult unknown = await _strata.RunAsync("run", "--rm", "--userns", "mine", "box", "true");
        Assert.Equal(125, unknown.ExitCode);
        Assert.Contains("--userns mine: there are host", unknown.ErrorText, StringComparison.Ordinal);
        await RemoveAsync("shares");
    }

    [Fact]
    public async Task Killed_with_all_its_helpers_it_leaves_its_ids_to_the_next()
    {
        int pid = await StartAsync("killed", "--network", "none");
        uint first = RangeOf(pid).Outside;
        string id = (await _strata.OkAsync("inspect", "-f", "{{.Id}}", "killed")).OutputText;
        await _strata.ShellAsync($"kill -9 {pid} $(pgrep -f {id[..32]}[{id[32]}]{id[33..]}); while [ -e /proc/{pid} ]; do sleep 0.02; done"); // the pattern does not find itself
        await _strata.OkAsync("start", "killed");
        Assert.Equal("0 0", await ExecAsync("killed", "stat -c '%u %g' /"));
        await RemoveAsync("killed");
        int next = await StartAsync("next", "--network", "none");
        Assert.True(RangeOf(next).Outside <= first, "the block of a container that is gone is free");
        await RemoveAsync("next");
    }

    [Theory]
    [InlineData("overlay")]
    [InlineData("union")]
    public async Task Layers_that_are_directories_are_mapped_too(string snapshotter)
    {
        string root = Path.Combine(store.Folder, "store-" + snapshotter), folder = Path.Combine(store.Folder, "context-" + snapshotter);
        Directory.CreateDirectory(folder);
        string line = $"{StrataProgram.Path} --root {root}", archive = Path.Combine(folder, "box.tar");
        ChildResult result = await _strata.ShellAsync($"{_strata.Line($"save -o {archive} box")} && {line} --snapshotter {snapshotter} load -i {archive} >/dev/null && "
            + $"{line} run --name w --network none --userns auto box sh -c 'echo x >>/etc/plain; chown 1000 /tmp; echo $(stat -c %u / /etc/plain /tmp)' && {line} diff w | sort | tr '\\n' ' ' && {line} rm w");
        Assert.True(result.ExitCode == 0, result.ErrorText);
        Assert.StartsWith("0 0 1000\nC /etc C /etc/plain C /tmp", result.OutputText, StringComparison.Ordinal);
    }
}
