using System.Text.Json;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>A layer's files on disk, as the records of snapshots name them.</summary>
/// <param name="Name">The folder below trees/.</param>
/// <param name="DiffId">The layer.</param>
/// <param name="Files">Its fs/.</param>
internal sealed record CheckedTree(string Name, Digest DiffId, string Files);

/// <summary>
/// Looks whether the records of snapshots and of trees are as they were written, and takes away what is not. All of it is made from blobs: what was
/// taken away is unpacked again when somebody needs it.
/// </summary>
internal sealed class SnapshotCheck(StoreLayout layout)
{
    private const string Advice = "strata system check --deep --repair unpacks it again, and so does strata load of the image";
    private readonly Dictionary<string, CheckedTree> _trees = new(StringComparer.Ordinal);

    /// <summary>What was found.</summary>
    internal List<StoreProblem> Problems { get; } = [];

    /// <summary>Paths of records that are damaged.</summary>
    internal List<string> DamagedRecords { get; } = [];

    /// <summary>Names of trees whose record is damaged, or that are not there.</summary>
    internal HashSet<string> DamagedTrees { get; } = new(StringComparer.Ordinal);

    /// <summary>The stacks that have a record, whole or not, and whose they are.</summary>
    internal HashSet<(Digest Chain, string Snapshotter)> Stacks { get; } = [];

    /// <summary>The trees that have a record, to be compared with their layers.</summary>
    internal IEnumerable<CheckedTree> Trees => _trees.Values;

    /// <summary>Reads all records, or those of some chains.</summary>
    internal void Read(IReadOnlySet<Digest>? chains = null)
    {
        foreach (string path in Directory.Exists(layout.Snapshots) ? Directory.GetFiles(layout.Snapshots, "*.json") : [])
        {
            if (SnapshotRecords.TryParseName(path, out Digest chain, out string snapshotter) && (chains is null || chains.Contains(chain)))
            {
                Stacks.Add((chain, snapshotter));
                ReadRecord(path, chain);
            }
        }
    }

    /// <summary>Adds what a comparison with the layer has found.</summary>
    internal void Add(CheckedTree tree, IReadOnlyCollection<StoreProblem> problems)
    {
        if (problems.Count > 0 && Directory.Exists(tree.Files))
        {
            DamagedTrees.Add(tree.Name);
            Problems.AddRange(problems);
        }
    }

    /// <summary>Takes damaged records and trees away; not those of <paramref name="used"/>, which somebody reads right now.</summary>
    internal async ValueTask RemoveAsync(IReadOnlySet<string> used, CancellationToken cancellationToken)
    {
        using FileLock names = await FileLock.AcquireAsync(Path.Combine(layout.Trees, ".lock"), exclusive: true, cancellationToken).ConfigureAwait(false);
        DamagedRecords.ForEach(r => AtomicFile.Delete(r));
        foreach (string tree in DamagedTrees.Where(t => !used.Contains(t)))
        {
            TrashFolder.Remove(layout, Path.Combine(layout.Trees, tree));
        }
    }

    private void ReadRecord(string path, Digest chain)
    {
        if (AtomicFile.TryRead(path, int.MaxValue) is not { } json)
        {
            return; // it was removed meanwhile
        }
        StackRecord record;
        try
        {
            record = StackRecord.Read(SealedRecord.Parse(SnapshotRecords.PlaceOf(path), json));
            if (!SealedRecord.IsSealed(json) || ChainId.Of([.. record.Layers.Select(l => l.DiffId)]) != chain)
            {
                throw new JsonException("it is not what was written here");
            }
        }
        catch (JsonException e)
        {
            DamagedRecords.Add(path);
            Problems.Add(new StoreProblem($"snapshot {chain}", $"its record is damaged: {e.Message}", Advice));
            return;
        }
        foreach (StackLayer layer in record.Layers.Where(l => !_trees.ContainsKey(l.Tree) && !DamagedTrees.Contains(l.Tree)))
        {
            if (FindProblem(layer) is not { } problem)
            {
                _trees.Add(layer.Tree, new CheckedTree(layer.Tree, layer.DiffId, Path.Combine(layout.Trees, layer.Tree, "fs")));
            }
            else if (File.Exists(path))
            {
                DamagedTrees.Add(layer.Tree);
                Problems.Add(new StoreProblem($"layer {layer.DiffId}", problem, Advice));
            }
        }
    }

    private string? FindProblem(StackLayer layer)
    {
        string record = Path.Combine(layout.Trees, layer.Tree, "tree.json");
        if (!Directory.Exists(Path.Combine(layout.Trees, layer.Tree, "fs")))
        {
            return "its files are not here";
        }
        try
        {
            return AtomicFile.TryRead(record, int.MaxValue) is not { } json ? "the record of its files is not here"
                : TreeRecord.Read(SealedRecord.Parse(layer.Tree, json)).ContentBytes != layer.Bytes || !SealedRecord.IsSealed(json) ? "the record of its files is not what was written here" : null;
        }
        catch (JsonException e)
        {
            return $"the record of its files is damaged: {e.Message}";
        }
    }
}
