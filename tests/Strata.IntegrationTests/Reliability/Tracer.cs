using System.Text.RegularExpressions;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;

namespace Strata.IntegrationTests.Reliability;

/// <summary>How a command under strace ended.</summary>
/// <param name="Outcome">Its exit code and what it said.</param>
/// <param name="Touched">Whether the injection happened at all.</param>
/// <param name="Calls">The calls it happened to, as strace shows them.</param>
internal sealed record Traced(Outcome Outcome, bool Touched, IReadOnlyList<string> Calls);

/// <summary>strace(1) as an instrument: kills at the k-th call of one kind, or makes that call fail. It counts for each thread.</summary>
internal static partial class Tracer
{
    /// <summary>Whether it is here.</summary>
    internal static bool IsInstalled => ChildProcess.FindProgram("strace") is not null;

    /// <summary>Whether a call, as strace shows it, is about what is below a folder and can change it: what is opened only to be read does not.</summary>
    internal static bool Changes(string folder, string line)
        => line.Contains(folder, StringComparison.Ordinal) && !line.Contains(".strace", StringComparison.Ordinal)
            && (!line.Contains("O_", StringComparison.Ordinal) || line.Contains("O_CREAT", StringComparison.Ordinal));

    /// <summary>SIGKILL at the k-th call.</summary>
    internal static async Task<Traced> KillAsync(string root, CrashCommand command, string call, int k)
    {
        (Outcome outcome, string[] log) = await TraceAsync(root, command, call, $"inject={call}:signal=KILL:when={k}");
        return new Traced(outcome, outcome.Code == 137 || log.Any(l => l.Contains("killed by SIGKILL", StringComparison.Ordinal)), []);
    }

    /// <summary>An error in place of the k-th call.</summary>
    internal static async Task<Traced> FailAsync(string root, CrashCommand command, string call, string error, int k)
    {
        (Outcome outcome, string[] log) = await TraceAsync(root, command, call, $"inject={call}:error={error}:when={k}");
        string[] calls = [.. log.Where(l => l.Contains("(INJECTED)", StringComparison.Ordinal))];
        return new Traced(outcome, calls.Length > 0, calls);
    }

    /// <summary>The calls of these kinds when nothing disturbs: kind, and which of its thread's it is; of those whose line <paramref name="counts"/>.</summary>
    internal static async Task<IReadOnlyCollection<(string Call, int K)>> FindCallsAsync(string root, CrashCommand command, IEnumerable<string> calls, Func<string, bool> counts)
    {
        string kinds = string.Join(',', calls);
        (Outcome outcome, string[] log) = await TraceAsync(root, command, kinds, $"trace={kinds}");
        outcome.Ok();
        var seen = new Dictionary<(string Thread, string Call), int>();
        var found = new SortedSet<(string, int)>();
        foreach (Match match in log.Select(l => CallLine().Match(l)).Where(m => m.Success))
        {
            (string, string Call) at = (match.Groups[1].Value, match.Groups[2].Value);
            int k = seen[at] = seen.GetValueOrDefault(at) + 1;
            if (counts(match.Groups[3].Value))
            {
                found.Add((at.Call, k));
            }
        }
        return found;
    }

    private static async Task<(Outcome Outcome, string[] Log)> TraceAsync(string root, CrashCommand command, string call, string expression)
    {
        // A signal is not delivered from the stops that the filter makes.
        string[] options = expression.Contains(":signal=", StringComparison.Ordinal) ? [] : ["--seccomp-bpf"];
        string log = root + ".strace";
        try
        {
            Outcome outcome = await Programs.RunAsync("strace", [], ["-f", "-y", "-q", .. options, "-o", log, "-e", $"trace={call}", "-e", expression, "--", SeedStore.Binary, "--root", root, .. command.Arguments]);
            return (outcome, File.Exists(log) ? await File.ReadAllLinesAsync(log) : []);
        }
        finally
        {
            File.Delete(log);
        }
    }

    [GeneratedRegex(@"^(\d+)\s+([a-z0-9_]+)\((.*)$")]
    private static partial Regex CallLine();
}
