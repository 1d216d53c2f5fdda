using Strata.Linux;
using Strata.Oci;

namespace Strata.Content;

/// <summary>What a registry asks of the names: one repository of many, without reading those of the others.</summary>
public sealed partial class ImageStore
{
    /// <summary>The names of one repository with what they hold, ordered by name.</summary>
    /// <exception cref="StrataException">Corrupt: a record is damaged.</exception>
    public IReadOnlyList<NamedImage> List(ImageReference repository)
    {
        var found = new List<NamedImage>();
        string folder = RepositoryFolder(repository), name = $"{repository.Registry}/{repository.Repository}";
        CollectNames(folder, name, Tags, (reference, record) => found.Add(new NamedImage(reference, record)), onDamaged: null);
        CollectNames(folder, name, Digests, (reference, record) => found.Add(new NamedImage(reference, record)), onDamaged: null);
        found.Sort((a, b) => string.CompareOrdinal(a.Reference.ToString(), b.Reference.ToString()));
        return found;
    }

    /// <summary>The tags of one repository, in no order. What they hold is not read.</summary>
    public IReadOnlyList<string> ListTags(ImageReference repository)
        => [.. (FileSystems.TryGetNames(Path.Combine(RepositoryFolder(repository), Tags)) ?? []).Where(ImageReference.IsTag)];

    /// <summary>The repositories of a registry that have a name, in no order. What the names hold is not read.</summary>
    public IReadOnlyList<string> ListRepositories(string registry)
    {
        ArgumentNullException.ThrowIfNull(registry);
        var found = new List<string>();
        CollectRepositories(Path.Combine(_layout.Images, registry), "", found);
        return found;
    }

    /// <summary>
    /// What a repository's folders say of their last change: while it is the same, no name of it came, went or moved on. A change in the same tick of the
    /// file system's clock as the one before cannot be seen: see <see cref="RepositoryStamp.IsOlderThan"/>.
    /// </summary>
    public RepositoryStamp GetStamp(ImageReference repository)
    {
        string folder = RepositoryFolder(repository);
        return new RepositoryStamp(FileSystems.TryGetStatus(Path.Combine(folder, Tags)), FileSystems.TryGetStatus(Path.Combine(folder, Digests)));
    }

    private string RepositoryFolder(ImageReference repository)
    {
        ArgumentNullException.ThrowIfNull(repository);
        return Path.Combine([_layout.Images, repository.Registry, .. repository.Repository.Split('/')]);
    }

    private static void CollectRepositories(string folder, string name, List<string> found)
    {
        bool hasName = false;
        foreach (string child in FileSystems.TryGetNames(folder) ?? [])
        {
            string path = Path.Combine(folder, child);
            if (child is Tags or Digests)
            {
                hasName = hasName || RecordsIn(path).Count > 0;
            }
            else
            {
                CollectRepositories(path, name.Length > 0 ? $"{name}/{child}" : child, found);
            }
        }
        if (hasName && ImageReference.IsRepository(name))
        {
            found.Add(name);
        }
    }
}

/// <summary>When the names of a repository changed last.</summary>
/// <param name="Tags">The folder of its tags; null: it has none.</param>
/// <param name="Digests">The folder of its digests; null: it has none.</param>
public readonly record struct RepositoryStamp(FileStatus? Tags, FileStatus? Digests)
{
    /// <summary>Whether the last change is so old that another one would show.</summary>
    public bool IsOlderThan(FileTime time)
        => (Tags is not { } tags || time.IsAfter(tags.Changed)) && (Digests is not { } digests || time.IsAfter(digests.Changed));
}
