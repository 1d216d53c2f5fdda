using System.Collections.Concurrent;
using Xunit;

namespace Strata.IntegrationTests.Reliability;

/// <summary>Counts trials and keeps what was wrong with each, so that a run ends with figures and every fault with the way to see it again.</summary>
internal sealed class TrialLog(string what)
{
    private static readonly Lock s_file = new();
    private readonly ConcurrentQueue<string> _bad = new();
    private readonly ConcurrentDictionary<string, int> _kinds = new(StringComparer.Ordinal);
    private int _trials;

    /// <summary>Trials so far.</summary>
    internal int Trials => _trials;

    /// <summary>Adds a trial.</summary>
    internal void Add(string trial, string kind, IReadOnlyCollection<string> faults)
    {
        Interlocked.Increment(ref _trials);
        _kinds.AddOrUpdate(kind, 1, (_, n) => n + 1);
        if (faults.Count > 0)
        {
            _bad.Enqueue($"{trial}: {string.Join("; ", faults)}");
            Note($"bad: {trial}: {string.Join("; ", faults)}");
        }
    }

    // A long run's figures outlive it, and a fault is told of when it is found.
    private static void Note(string line)
    {
        lock (s_file)
        {
            if (CrashScene.IsLong)
            {
                File.AppendAllText(Path.Combine(Path.GetTempPath(), "strata-reliability.log"), line + "\n");
            }
        }
    }

    /// <summary>Asserts that no trial was bad and that there were enough of them: an instrument that does nothing proves nothing.</summary>
    internal void AssertClean(int atLeast)
    {
        string summary = $"{what}: {_trials} trials, {_bad.Count} bad; seed {CrashScene.Seed}; {string.Join(", ", _kinds.OrderBy(k => k.Key, StringComparer.Ordinal).Select(k => $"{k.Key} {k.Value}"))}";
        TestContext.Current.TestOutputHelper?.WriteLine(summary);
        Note(summary);
        Assert.True(_bad.IsEmpty, $"{summary}\n{string.Join('\n', _bad.Take(20))}");
        Assert.True(_trials >= atLeast, $"{summary}: at least {atLeast} were wanted");
    }
}
