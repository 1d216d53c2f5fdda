using System.Text;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;

namespace Strata.IntegrationTests.Reliability;

/// <summary>Runs programs with an environment of their own and a limit to their time: a trial that hangs is a trial that failed.</summary>
internal static class Programs
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    private static readonly string[] s_environment =
        ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "SOURCE_DATE_EPOCH=1700000000"];

    /// <summary>The executable on some store.</summary>
    internal static Task<Outcome> StrataAsync(string root, params string[] arguments) => RunAsync(SeedStore.Binary, [], ["--root", root, .. arguments]);

    /// <summary>Any program; <paramref name="environment"/> comes on top of a plain one.</summary>
    internal static async Task<Outcome> RunAsync(string program, IEnumerable<string> environment, params string[] arguments)
    {
        using var limit = new CancellationTokenSource(s_limit);
        string command = $"{Path.GetFileName(program)} {string.Join(' ', arguments)}";
        try
        {
            ChildResult result = await ChildProcess.RunAsync(Start(program, environment, arguments), 16 << 20, limit.Token);
            return new Outcome(command, result.ExitCode, Encoding.UTF8.GetString(result.Output), Encoding.UTF8.GetString(result.Error));
        }
        catch (OperationCanceledException)
        {
            return new Outcome(command, -1, "", $"still running after {s_limit.TotalSeconds} s");
        }
    }

    /// <summary>What starts the executable on some store, to be killed.</summary>
    internal static ChildStart Start(string root, params string[] arguments) => Start(SeedStore.Binary, [], ["--root", root, .. arguments]);

    /// <summary>The processes whose command line names a path.</summary>
    internal static List<int> Naming(string path)
    {
        var found = new List<int>();
        foreach (string folder in Directory.GetDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(folder), out int id) && id != Environment.ProcessId && CommandLine(folder).Contains(path, StringComparison.Ordinal))
            {
                found.Add(id);
            }
        }
        return found;
    }

    private static string CommandLine(string folder)
    {
        try
        {
            return File.ReadAllText(Path.Combine(folder, "cmdline"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return ""; // it has ended
        }
    }

    internal static ChildStart Start(string program, IEnumerable<string> environment, string[] arguments) => new()
    {
        Program = ChildProcess.FindProgram(program) ?? throw new InvalidOperationException($"{program} is not installed"),
        Arguments = arguments,
        Environment = [.. s_environment, .. environment],
    };
}
