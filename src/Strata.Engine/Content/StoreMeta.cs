using System.Collections.Immutable;
using System.Text.Json;
using Strata.Oci;

namespace Strata.Content;

/// <summary>What kind of store a directory is: format version, and features that a program must know to read or to write it.</summary>
internal sealed record StoreMeta(int Version, ImmutableArray<string> Compatible, ImmutableArray<string> ReadOnlyCompatible, ImmutableArray<string> Incompatible)
{
    private const int CurrentVersion = 1;
    // What almost every store holds, so that opening one parses nothing.
    private static ReadOnlySpan<byte> Current => """{"version":1,"compatible":[],"readOnlyCompatible":[],"incompatible":[]}"""u8;

    /// <summary>Checks a store's meta.json, or makes a store.</summary>
    internal static void OpenOrCreate(StoreLayout layout)
    {
        byte[]? found = AtomicFile.TryRead(layout.Meta);
        if (found is null)
        {
            Create(layout);
            return;
        }
        if (!found.AsSpan().SequenceEqual(Current))
        {
            Check(layout, found);
        }
    }

    private static void Check(StoreLayout layout, byte[] found)
    {
        StoreMeta meta;
        try
        {
            meta = Read(JsonFields.Parse(found));
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Corrupt, $"{layout.Meta}: not readable: {e.Message}", e);
        }
        if (meta.Version > CurrentVersion || meta.Incompatible.Length > 0 || meta.ReadOnlyCompatible.Length > 0)
        {
            string what = meta.Version > CurrentVersion ? $"format version {meta.Version}" : string.Join(", ", meta.Incompatible.AddRange(meta.ReadOnlyCompatible));
            throw new StrataException(ErrorKind.Unsupported, $"store {layout.Root}: needs a newer strata: {what}");
        }
    }

    private static StoreMeta Read(JsonFields o) => new(o.Int32("version"), o.Strings("compatible"), o.Strings("readOnlyCompatible"), o.Strings("incompatible"));

    private static void Create(StoreLayout layout)
    {
        if (File.Exists(layout.Root))
        {
            throw new StrataException(ErrorKind.Invalid, $"store {layout.Root}: a file, not a directory");
        }
        // A store that another process is making at this moment has some of these already.
        string[] own = ["meta.json", "blobs", "images", "snapshots", "trees", "active", "containers", "cache", "volumes", "networks", "leases", "ingest", "trash", "settings.json"];
        if (Directory.Exists(layout.Root)
            && Directory.EnumerateFileSystemEntries(layout.Root).Select(e => Path.GetFileName(e)!).FirstOrDefault(e => !own.Contains(e) && e != "lost+found" && !e.StartsWith(AtomicFile.TemporaryPrefix, StringComparison.Ordinal)) is { } strange)
        {
            throw new StrataException(ErrorKind.Invalid, $"store {layout.Root}: holds {strange} and no meta.json, so it is something else") { Hint = "name an empty directory with --root" };
        }
        TrashFolder.Create(layout);
        AtomicFile.Write(layout.Meta, Current);
    }
}
