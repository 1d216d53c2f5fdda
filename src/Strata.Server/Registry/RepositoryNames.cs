using System.Collections.Concurrent;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>
/// The names of repositories as they were read last, for as long as their folders say that nothing has changed: other programs change the same store. A
/// list whose repository changed a moment ago is used and not kept: a second change in the same tick of the clock would not show.
/// </summary>
internal sealed class RepositoryNames(ImageStore images, TimeProvider time)
{
    private const int MostNames = 100_000;
    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(100); // the kernel's are 10 ms at most

    private readonly ConcurrentDictionary<string, (RepositoryStamp Stamp, IReadOnlyList<NamedImage> Names)> _known = new(StringComparer.Ordinal);
    private int _names;

    /// <summary>All names of a repository, ordered.</summary>
    public IReadOnlyList<NamedImage> List(ImageReference repository)
    {
        RepositoryStamp stamp = images.GetStamp(repository); // before the names: a change between is seen next time
        if (_known.TryGetValue(repository.Repository, out (RepositoryStamp Stamp, IReadOnlyList<NamedImage> Names) known) && known.Stamp == stamp)
        {
            return known.Names;
        }
        IReadOnlyList<NamedImage> names = images.List(repository);
        if (stamp.IsOlderThan(FileTime.From(time.GetUtcNow() - s_tick)))
        {
            if (Interlocked.Add(ref _names, names.Count) > MostNames)
            {
                _known.Clear();
                Interlocked.Exchange(ref _names, names.Count);
            }
            _known[repository.Repository] = (stamp, names);
        }
        return names;
    }
}
