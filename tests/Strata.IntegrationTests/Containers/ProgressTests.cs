using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Containers;

/// <summary>What long work shows: on a real terminal (script(1) makes one), and elsewhere.</summary>
public sealed class ProgressTests(ContainerStoreFixture store) : IClassFixture<ContainerStoreFixture>
{
    private static readonly string s_program = StrataBinary.Path;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private string Strata => $"{s_program} --root {store.Folder}/store";

    // An archive that takes two seconds to come.
    private string SlowArchive => $"(head -c 20000 {store.Folder}/box.tar; sleep 2; tail -c +20001 {store.Folder}/box.tar)";

    private async Task<string> RunAsync(string command, bool terminal = true, int columns = 80)
    {
        string script = Path.Combine(store.Folder, "script.sh");
        await File.WriteAllTextAsync(script, $"export TERM=xterm\n{(terminal ? $"stty rows 20 cols {columns}\n" : "")}{Strata} save -o {store.Folder}/box.tar box 2>/dev/null\n{command}\n", Cancel);
        ChildResult result = await ChildProcess.RunAsync(new ChildStart
        {
            Program = "/bin/sh",
            Arguments = ["-c", terminal ? $"script -qec 'sh {script}' /dev/null" : $"sh {script} 2>&1 | cat"],
            Environment = [.. ((string[])["PATH", "HOME", "DOTNET_ROOT"]).Select(n => $"{n}={Environment.GetEnvironmentVariable(n)}").Where(e => !e.EndsWith('='))],
        }, cancellationToken: Cancel);
        return result.OutputText.Replace("\e[?1h\e=", "", StringComparison.Ordinal); // the base library's first words to any terminal
    }

    [Theory]
    [InlineData(80)]
    [InlineData(24)]
    public async Task On_a_terminal_a_line_tells_how_far_it_is_and_is_gone_at_the_end(int columns)
    {
        string output = await RunAsync($"{SlowArchive} | {Strata} load", columns: columns);
        string[] frames = [.. output.Split("\e[K")[..^1].Select(f => f.Replace("\e[J", "", StringComparison.Ordinal).Replace("\e[1A", "", StringComparison.Ordinal).Trim('\r', '\n'))];
        Assert.InRange(frames.Length, 5, 60); // about a second of ten frames a second: the first second shows nothing
        Assert.All(frames, f => Assert.InRange(f.Length, 1, columns - 1));
        Assert.Contains("Load", output, StringComparison.Ordinal);
        Assert.EndsWith("\r\e[1A\e[JLoaded image: box:latest", output.TrimEnd(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Quiet_shows_nothing() => Assert.Equal("", await RunAsync($"{SlowArchive} | {Strata} load -q"));

    [Fact]
    public async Task Without_a_terminal_there_are_plain_lines_only() => Assert.Equal("Loaded image: box:latest", (await RunAsync($"{SlowArchive} | {Strata} load", terminal: false)).TrimEnd());

    [Fact]
    public async Task A_build_shows_the_step_that_runs_and_leaves_a_line_for_each()
    {
        string folder = Path.Combine(store.Folder, "build");
        Directory.CreateDirectory(folder);
        await File.WriteAllTextAsync(Path.Combine(folder, "Dockerfile"), "FROM box\nRUN echo said; sleep 2\n", Cancel);
        string output = await RunAsync($"{Strata} build --network none -t built {folder}");
        Assert.Contains("   | said\e[K", output, StringComparison.Ordinal);
        Assert.Matches(@"#\d+ \[2/2\] RUN echo said; sleep 2 \d\.\ds\r\n", output);
        Assert.Contains("Successfully tagged built:latest", output, StringComparison.Ordinal);
        output = await RunAsync($"{Strata} build --network none -t built {folder}");
        Assert.Contains("RUN echo said; sleep 2 CACHED\r\n", output, StringComparison.Ordinal);
        Assert.DoesNotContain("\e[", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_failed_step_s_output_stays()
    {
        string folder = Path.Combine(store.Folder, "fails");
        Directory.CreateDirectory(folder);
        await File.WriteAllTextAsync(Path.Combine(folder, "Dockerfile"), "FROM box\nRUN echo the reason; exit 3\n", Cancel);
        string output = await RunAsync($"{Strata} build --network none {folder}");
        Assert.Contains("the reason\r\n", output, StringComparison.Ordinal);
        Assert.Contains("exited with 3", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_document_that_names_its_interpreter_is_run_by_it()
    {
        string folder = Path.Combine(store.Folder, "program");
        Directory.CreateDirectory(folder);
        await File.WriteAllTextAsync(Path.Combine(folder, "Dockerfile"), "FROM box\nENV X=env\nUSER app\nRUN <<EOF\n#!/bin/awk -f\nBEGIN { print \"awk says \" ENVIRON[\"X\"] }\nEOF\nRUN test ! -e /dev/pipes\n", Cancel);
        Assert.Contains("awk says env", await RunAsync($"{Strata} build --network none {folder} ", terminal: false), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Analysis_comes_as_JSON_and_disk_usage_in_columns()
    {
        using var analysis = System.Text.Json.JsonDocument.Parse(await RunAsync($"{Strata} analyze --format json box", terminal: false));
        Assert.Equal(("box", 0L, 0), (analysis.RootElement.GetProperty("Image").GetString(), analysis.RootElement.GetProperty("WastedBytes").GetInt64(), analysis.RootElement.GetProperty("Files").GetArrayLength()));
        string usage = await RunAsync($"{Strata} system df", terminal: false);
        Assert.Matches(@"^TYPE +TOTAL +ACTIVE +SIZE +RECLAIMABLE\nImages +\d+ +0 +[\d.]+.B +[\d.]+.B \(\d+%\)\nContainers ", usage);
    }
}
