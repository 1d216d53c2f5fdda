using System.Text;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Containers;

/// <summary>The program itself, as a person runs it.</summary>
public sealed class CommandLineTests(ContainerStoreFixture store) : IClassFixture<ContainerStoreFixture>
{
    private static readonly string s_program = StrataBinary.Path;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private ChildStart Strata(params string[] arguments) => new()
    {
        Program = s_program,
        Arguments = ["--root", Path.Combine(store.Folder, "store"), .. arguments],
    };

    private Task<ChildResult> RunAsync(params string[] arguments) => ChildProcess.RunAsync(WithEnvironment(Strata(arguments)), cancellationToken: Cancel).AsTask();

    private static ChildStart WithEnvironment(ChildStart start) => start with
    {
        Environment = [.. ((string[])["PATH", "HOME", "DOTNET_ROOT"]).Select(n => $"{n}={Environment.GetEnvironmentVariable(n)}").Where(e => !e.EndsWith('='))],
    };

    [Theory]
    [InlineData(0, "", "box", "true")]
    [InlineData(3, "", "box", "sh", "-c", "exit 3")]
    [InlineData(127, "strata: run: exec \"foo\": executable file not found in $PATH", "box", "foo")]
    [InlineData(126, "strata: run: exec \"/etc\": permission denied: not an executable file", "box", "/etc")]
    [InlineData(125, "strata: run: No such image: nosuch:latest", "--pull=never", "nosuch", "x")]
    [InlineData(137, "Killed", "box", "sh", "-c", "sh -c 'kill -9 $$'; exit $?")]
    public async Task The_exit_code_and_the_line_say_what_happened(int code, string error, params string[] arguments)
    {
        ChildResult result = await RunAsync(["run", "--rm", "--network", "none", .. arguments]);
        Assert.Equal((code, error), (result.ExitCode, result.ErrorText.Split('\n')[0]));
        store.AssertNothingLeft();
    }

    [Theory]
    [InlineData("images", "/dev/full", 1, "strata: write standard output: No space left on device (ENOSPC)")]
    [InlineData("--help", "/dev/full", 1, "strata: write standard output: No space left on device (ENOSPC)")]
    [InlineData("images", "/dev/null", 0, "")]
    public async Task An_answer_that_cannot_be_written_is_no_success(string words, string output, int code, string error)
    {
        ChildResult result = await ChildProcess.RunAsync(Shell($"{Line(words)} > {output}"), cancellationToken: Cancel);
        Assert.Equal((code, error), (result.ExitCode, result.ErrorText.TrimEnd()));
    }

    [Theory]
    [InlineData("inspect nothing", 1)]
    [InlineData("run nothing --pull=never", 125)]
    [InlineData("nosuchcommand", 2)]
    [InlineData("images --nosuchoption", 2)]
    public async Task A_failure_that_cannot_be_told_is_still_one(string words, int code)
    {
        foreach (string output in (string[])["/dev/full", "&-"])
        {
            ChildResult result = await ChildProcess.RunAsync(Shell($"{Line(words)} 2> {output}".Replace("> &-", ">&-", StringComparison.Ordinal)), cancellationToken: Cancel);
            Assert.Equal((code, ""), (result.ExitCode, result.OutputText));
        }
    }

    [Fact]
    public async Task Streams_go_through_pipes()
    {
        string input = Path.Combine(store.Folder, "input");
        await File.WriteAllTextAsync(input, string.Concat(Enumerable.Range(0, 100_000).Select(i => $"{i}\n")), Cancel);
        ChildResult result = await ChildProcess.RunAsync(Shell($"{Line("run --rm -i --network none box md5sum")} < {input}; md5sum < {input}"), cancellationToken: Cancel);
        string[] sums = result.OutputText.Split('\n');
        Assert.Equal(sums[1], sums[0]);
        // An end of its own: a container that outlives a killed test run must not fill the disk with its log.
        Assert.Equal("1", (await ChildProcess.RunAsync(Shell($"{Line("run --rm --network none box sh -c 'yes 1 | head -c 100000000'")} | head -n 1"), cancellationToken: Cancel)).OutputText);
        store.AssertNothingLeft();
    }

    private string Line(string words) => $"{s_program} --root {Path.Combine(store.Folder, "store")} {words}";

    private static ChildStart Shell(string script) => WithEnvironment(new ChildStart { Program = "/bin/sh", Arguments = ["-c", script] });

    [Fact]
    public async Task A_terminal_is_passed_with_its_size_and_stays_as_it_was()
    {
        // script(1) makes a terminal; stty sets its size and tells its state before and after.
        string inner = Path.Combine(store.Folder, "inner.sh");
        await File.WriteAllTextAsync(inner, $"stty rows 35 cols 91; stty -a > {store.Folder}/before; {Line("run --rm -it --network none box sh -c 'stty size; tty; read x; echo got $x'")}; echo code $?; stty -a > {store.Folder}/after\n", Cancel);
        ChildResult result = await ChildProcess.RunAsync(Shell($"(sleep 3; echo typed) | script -qec 'sh {inner}' /dev/null"), cancellationToken: Cancel);
        Assert.Contains("35 91\r\n/dev/pts/0\r\n", result.OutputText, StringComparison.Ordinal);
        Assert.Contains("got typed\r\ncode 0", result.OutputText, StringComparison.Ordinal);
        Assert.Equal(await File.ReadAllTextAsync($"{store.Folder}/before", Cancel), await File.ReadAllTextAsync($"{store.Folder}/after", Cancel));
    }

    [Fact]
    public async Task Signals_to_the_program_go_to_the_container()
    {
        (SafeFileHandle read, SafeFileHandle write) = Pipes.Create();
        using var output = new StreamReader(new FileStream(read, FileAccess.Read, 0));
        ChildProcess child;
        using (write)
        {
            child = ChildProcess.Start(WithEnvironment(Strata("run", "--rm", "--network", "none", "box", "sh", "-c", "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.01; done"))
                with { Descriptors = new Dictionary<int, System.Runtime.InteropServices.SafeHandle> { [1] = write } });
        }
        using (child)
        {
            Assert.Equal("ready", await output.ReadLineAsync(Cancel));
            child.Kill(15);
            Assert.Equal("caught", await output.ReadLineAsync(Cancel));
            Assert.Equal(9, await child.WaitAsync(Cancel));
        }
        store.AssertNothingLeft();
    }

    [Fact]
    public async Task A_life_in_commands()
    {
        string file = Path.Combine(store.Folder, "cid");
        ChildResult created = await RunAsync("create", "--name", "life", "--cidfile", file, "--network", "none", "box", "sh", "-c", "echo out; echo err >&2; echo new > /new; exit 4");
        Assert.Equal(0, created.ExitCode);
        Assert.Equal(created.OutputText, await File.ReadAllTextAsync(file, Cancel));
        Assert.Equal("", (await RunAsync("ps", "-q")).OutputText);
        Assert.Equal("life created", (await RunAsync("ps", "-a", "--format", "{{.Names}} {{.State}}")).OutputText);
        Assert.Equal(4, (await RunAsync("start", "-a", "life")).ExitCode);
        Assert.StartsWith("Exited (4)", (await RunAsync("ps", "-a", "--format", "{{.Status}}")).OutputText, StringComparison.Ordinal);
        Assert.Equal("4", (await RunAsync("wait", "life")).OutputText);
        ChildResult logs = await RunAsync("logs", "life");
        Assert.Equal(("out", "err"), (logs.OutputText, logs.ErrorText));
        Assert.Equal("A /new", (await RunAsync("diff", "life")).OutputText);
        Assert.Matches("^sha256:[0-9a-f]{64}$", (await RunAsync("commit", "-m", "why", "life", "lived")).OutputText);
        Assert.Equal("new", (await RunAsync("run", "--rm", "--network", "none", "lived", "cat", "/new")).OutputText);
        Assert.Equal("new", (await ChildProcess.RunAsync(Shell($"{Line("export life")} | tar -xO new"), cancellationToken: Cancel)).OutputText);
        Assert.Equal("life", (await RunAsync("rm", "-v", "life")).OutputText);
        Assert.Equal(1, (await RunAsync("rm", "life")).ExitCode);
        Assert.Equal(0, (await RunAsync("rm", "-f", "life")).ExitCode);
        store.AssertNothingLeft();
    }

    [Fact]
    public async Task Warnings_are_one_line()
        => Assert.Single(Encoding.UTF8.GetString((await RunAsync("run", "--rm", "--privileged", "--network", "none", "box", "true")).Error).Trim().Split('\n'));
}
