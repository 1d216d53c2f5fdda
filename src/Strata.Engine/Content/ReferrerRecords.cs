using System.Text.Json;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Content;

/// <summary>
/// Which documents there are about a manifest: a small file each, below the manifest's digest. They live as long as it does: a collector that keeps the
/// manifest keeps them, and sweeps the records of one that is gone.
/// </summary>
internal static class ReferrerRecords
{
    /// <summary>Notes an artifact about a manifest.</summary>
    internal static void Put(StoreLayout layout, Digest subject, Descriptor artifact)
        => AtomicFile.Write(Path.Combine(FolderOf(layout, subject), NameOf(artifact.Digest)), JsonFieldsWriter.Serialize(artifact, DocumentFields.Write));

    /// <summary>What there is, by digest; empty where there is nothing.</summary>
    /// <exception cref="StrataException">Corrupt: a record cannot be read.</exception>
    internal static IReadOnlyList<Descriptor> List(StoreLayout layout, Digest subject)
    {
        string folder = FolderOf(layout, subject);
        if (FileSystems.TryGetStatus(folder) is null)
        {
            return [];
        }
        var found = new List<Descriptor>();
        foreach (string path in Directory.EnumerateFiles(folder).Where(f => !Path.GetFileName(f).StartsWith(AtomicFile.TemporaryPrefix, StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            try
            {
                if (AtomicFile.TryRead(path) is { } record) // else its image has gone meanwhile
                {
                    found.Add(DocumentFields.ReadDescriptor(JsonFields.Parse(record)));
                }
            }
            catch (JsonException e)
            {
                throw new StrataException(ErrorKind.Corrupt, $"{path}: {e.Message}", e) { Hint = "remove the file; strata build --sbom or --provenance makes the document again" };
            }
        }
        return found;
    }

    /// <summary>Removes the records of manifests that are not here; returns their bytes. Only in a turn in which nobody publishes a blob.</summary>
    internal static long Sweep(ContentStore store)
    {
        long bytes = 0;
        foreach (string folder in Directory.Exists(store.Layout.Referrers) ? Directory.GetDirectories(store.Layout.Referrers) : [])
        {
            if (Digest.TryParse(Path.GetFileName(folder).Replace('-', ':'), null, out Digest subject) && store.TryGetSize(subject) is null)
            {
                bytes += Directory.GetFiles(folder).Sum(FileSystems.GetDiskUsage);
                FileSystems.RemoveTree(folder);
            }
        }
        return bytes;
    }

    private static string FolderOf(StoreLayout layout, Digest subject) => Path.Combine(layout.Referrers, NameOf(subject));

    private static string NameOf(Digest digest) => digest.ToString().Replace(':', '-');
}
