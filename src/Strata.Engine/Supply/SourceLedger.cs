using System.Collections.Immutable;

namespace Strata.Supply;

/// <summary>What a build takes from outside while it runs: written down, and compared with a lock file where there is one. For any number of threads.</summary>
/// <param name="locked">What it must be; null where anything may come.</param>
/// <param name="lockName">The lock file's name, for messages.</param>
public sealed class SourceLedger(SourceLock? locked, string lockName)
{
    private readonly Lock _lock = new();
    private readonly List<LockedSource> _seen = [];

    /// <summary>All that was taken so far, ordered as a lock file is.</summary>
    public ImmutableArray<LockedSource> Sources
    {
        get
        {
            lock (_lock)
            {
                return [.. _seen.OrderBy(s => s.Kind).ThenBy(s => s.Name, StringComparer.Ordinal).ThenBy(s => s.Platform, StringComparer.Ordinal)];
            }
        }
    }

    /// <summary>Notes a source. The same again is no news.</summary>
    /// <exception cref="StrataException">Conflict: the lock file has another digest for it. NotFound: it has none.</exception>
    public void Note(LockedSource source)
    {
        ArgumentNullException.ThrowIfNull(source);
        Check(source);
        lock (_lock)
        {
            if (!_seen.Contains(source))
            {
                _seen.Add(source);
            }
        }
    }

    private void Check(LockedSource source)
    {
        if (locked is null)
        {
            return;
        }
        string what = $"{SourceLock.WordOf(source.Kind)} {source.Name}{(source.Platform is null ? "" : $" ({source.Platform})")}";
        LockedSource? known = locked.Sources.FirstOrDefault(s => s.Kind == source.Kind && s.Name == source.Name && s.Platform == source.Platform);
        if (known is null)
        {
            throw new StrataException(ErrorKind.NotFound, $"{lockName}: it has no {what}, which is {source.Digest} now") { Hint = "strata build --lock takes it in" };
        }
        if (known.Digest != source.Digest)
        {
            throw new StrataException(ErrorKind.Conflict, $"{lockName}: {what} is {source.Digest} now, not {known.Digest}") { Hint = "strata build --lock takes the new one; to keep the old, name it by its digest" };
        }
    }
}
