using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Containers;

/// <summary>The program itself, on the store of a fixture.</summary>
internal sealed class StrataProgram(ContainerStoreFixture store)
{
    /// <summary>Where it is.</summary>
    internal static readonly string Path = StrataBinary.Path;

    /// <summary>How it is started with some words.</summary>
    internal ChildStart Start(params string[] words) => new()
    {
        Program = Path,
        Arguments = ["--root", System.IO.Path.Combine(store.Folder, "store"), .. words],
        Environment = [.. ((string[])["PATH", "HOME", "DOTNET_ROOT"]).Select(n => $"{n}={Environment.GetEnvironmentVariable(n)}").Where(e => !e.EndsWith('='))],
    };

    internal async Task<ChildResult> RunAsync(params string[] words)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(60));
        return await ChildProcess.RunAsync(Start(words), cancellationToken: limit.Token);
    }

    /// <summary>Runs it and expects 0.</summary>
    internal async Task<ChildResult> OkAsync(params string[] words)
    {
        ChildResult result = await RunAsync(words);
        Assert.True(result.ExitCode == 0, $"strata {string.Join(' ', words)}: {result.ExitCode}\n{result.OutputText}\n{result.ErrorText}");
        return result;
    }

    /// <summary>A line for a shell.</summary>
    internal string Line(string words) => $"{Path} --root {System.IO.Path.Combine(store.Folder, "store")} {words}";

    /// <summary>Runs a line of shell.</summary>
    internal async Task<ChildResult> ShellAsync(string script)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(60));
        return await ChildProcess.RunAsync(Start() with { Program = "/bin/sh", Arguments = ["-c", script] }, cancellationToken: limit.Token);
    }
}
