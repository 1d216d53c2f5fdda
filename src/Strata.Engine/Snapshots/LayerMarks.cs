using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>
/// What a layer deletes, as a list beside its files (in tree.json), for stores on file systems where overlayfs' own whiteouts cannot be made: an
/// overlayfs, for one, refuses character device 0:0.
/// </summary>
internal sealed class LayerMarks
{
    private readonly HashSet<string> _whiteouts, _opaques;
    private readonly ILookup<string, string> _names;

    internal LayerMarks(IEnumerable<string> whiteouts, IEnumerable<string> opaques)
    {
        (_whiteouts, _opaques) = (new(whiteouts, StringComparer.Ordinal), new(opaques, StringComparer.Ordinal));
        _names = _whiteouts.ToLookup(p => p[..Math.Max(0, p.LastIndexOf('/'))], p => p[(p.LastIndexOf('/') + 1)..], StringComparer.Ordinal);
    }

    internal bool IsEmpty => _whiteouts.Count == 0 && _opaques.Count == 0;

    internal bool IsWhiteout(string path) => _whiteouts.Contains(path);

    internal bool IsOpaque(string path) => _opaques.Contains(path);

    /// <summary>The deleted names of a directory.</summary>
    internal IEnumerable<string> WhiteoutsIn(string directory) => _names[directory];

    /// <summary>Of the tree whose files these are; null where it deletes nothing.</summary>
    internal static LayerMarks? TryRead(string files)
    {
        string record = Path.Combine(Path.GetDirectoryName(files)!, "tree.json");
        return AtomicFile.TryRead(record, int.MaxValue) is { } json ? SnapshotRecords.Parse(json, TreeRecord.Read, record).Marks : null;
    }

    internal static LayerMarks Read(JsonFields o) => new(o.Bytes("whiteouts").Select(p => LinuxPath.Decode(p)), o.Bytes("opaques").Select(p => LinuxPath.Decode(p)));

    internal static void Write(JsonFieldsWriter writer, LayerMarks marks)
    {
        writer.Field("whiteouts", TreeRecord.Encode([.. marks._whiteouts]));
        writer.Field("opaques", TreeRecord.Encode([.. marks._opaques]));
    }
}
