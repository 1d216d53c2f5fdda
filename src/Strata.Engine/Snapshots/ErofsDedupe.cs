using System.Collections.Immutable;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>
/// Keeps files that several layers have once: their bytes go into a pool, a file with a name in the folder of each of those layers, and each layer's index points
/// there. What is left of its tar has holes where the pool's bytes belong, so its digest can be proved as before; with the last layer the pool is gone.
/// A layer's folder is made anew beside the old one, proved, synced, and exchanged with it in one step: who has the old one mounted keeps its files.
/// </summary>
internal sealed class ErofsDedupe(StoreLayout layout)
{
    private const int Alignment = 4096; // of a pool's pieces, so that they share no page; and what a hole saves
    private readonly List<Layer> _layers = [];
    private readonly Dictionary<Digest, Content> _contents = [];
    private string? _newPool; // by its path while it is made
    private ErofsPool? _newRecord;

    /// <summary>Files that have found a place in a pool, and those of layers that had one before.</summary>
    internal int NewFiles { get; private set; }

    /// <summary>The layers that were, or would be, changed.</summary>
    internal int NewLayers { get; private set; }

    /// <summary>What the disk gets back, as far as one can tell before: whole blocks of files, less the pool's.</summary>
    internal long ExpectedBytes { get; private set; }

    /// <summary>Finds what several layers have. Only files whose size another one has are hashed, and those in pools are known.</summary>
    /// <param name="trees">The names of the trees in use, and their layers.</param>
    /// <param name="minimumBytes">Smaller files stay where they are.</param>
    /// <param name="cancellationToken">Ends it.</param>
    internal void Find(IReadOnlyDictionary<string, Digest> trees, long minimumBytes, CancellationToken cancellationToken)
    {
        foreach ((string name, Digest diffId) in trees.OrderBy(t => t.Key, StringComparer.Ordinal))
        {
            if (TryRead(name, diffId, minimumBytes) is { } layer)
            {
                _layers.Add(layer);
            }
        }
        HashSet<long> sizes = [.. _layers.SelectMany(l => l.Files).Where(f => f.Device == ErofsFormat.TarDevice).GroupBy(f => f.Size).Where(g => g.Skip(1).Any()).Select(g => g.Key)];
        foreach (Layer layer in _layers)
        {
            foreach (ErofsPiece piece in layer.Pieces)
            {
                _contents.TryAdd(piece.Content, new Content(piece.Content, piece.Length) { Pool = layer.Pools[piece.Pool - 1], PoolOffset = piece.PoolOffset, Source = ErofsTrees.PoolOf(layer.Folder, piece.Pool), SourceOffset = piece.PoolOffset });
                sizes.Add(piece.Length);
            }
        }
        try
        {
            Parallel.ForEach(_layers, new ParallelOptions { CancellationToken = cancellationToken }, layer => layer.Hash(sizes, cancellationToken));
        }
        catch (AggregateException e)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
        foreach (IGrouping<Digest, (Layer Layer, ErofsFile File, Digest Digest)> same in _layers.SelectMany(l => l.Hashed.Select(h => (Layer: l, h.File, h.Digest))).GroupBy(h => h.Digest).ToList())
        {
            (Layer Layer, ErofsFile File, Digest Digest)[] places = [.. same];
            if (!_contents.TryGetValue(same.Key, out Content? content))
            {
                if (places.Length < 2)
                {
                    continue;
                }
                content = new Content(same.Key, places[0].File.Size) { Source = places[0].Layer.RestPath, SourceOffset = places[0].File.Place };
                _contents.Add(same.Key, content);
            }
            foreach ((Layer layer, ErofsFile file, _) in places)
            {
                layer.ToShare.Add((file, content));
            }
        }
        long replaced = ChoosePools();
        Layer[] changed = [.. _layers.Where(l => l.IsChanged)];
        (NewLayers, NewFiles) = (changed.Length, changed.Sum(l => l.ToShare.Count));
        ExpectedBytes = changed.Sum(l => l.ToShare.Sum(s => s.File.Size / Alignment * Alignment)) - _contents.Values.Where(c => c.Pool is null && c.IsNew).Sum(c => ErofsFormat.RoundUp(c.Length, Alignment)) + replaced;
    }

    /// <summary>Makes the pool and the layers' new folders, and exchanges them for the old.</summary>
    /// <exception cref="StrataException">Corrupt: a layer is not what it was; nothing was changed.</exception>
    internal async ValueTask ApplyAsync(CancellationToken cancellationToken)
    {
        Layer[] changed = [.. _layers.Where(l => l.IsChanged)];
        if (changed.Length == 0)
        {
            return;
        }
        try
        {
            WritePool(cancellationToken);
            foreach (Layer layer in changed)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Stage(layer, cancellationToken);
            }
            using FileLock names = await FileLock.AcquireAsync(Path.Combine(layout.Trees, ".lock"), exclusive: true, cancellationToken).ConfigureAwait(false);
            foreach (Layer layer in changed)
            {
                // Another one meanwhile, or none: a pull has made it anew, or it was removed.
                if (AtomicFile.TryRead(Path.Combine(layer.Folder, "tree.json"), int.MaxValue) is { } json && json.AsSpan().SequenceEqual(layer.Json))
                {
                    Fail.Point("dedupe.before-exchange");
                    Durability.Exchange(layer.Staged!, layer.Folder);
                }
            }
            Durability.SyncDirectory(layout.Trees);
            Fail.Point("dedupe.after-exchange");
        }
        finally
        {
            foreach (string path in changed.Select(l => l.Staged).Append(_newPool).OfType<string>())
            {
                FileSystems.RemoveTree(path);
            }
        }
    }

    // A layer's index has slots for a few pools only. Where one would need more, all that is in pools goes into one new pool; returns how long those are that go.
    private long ChoosePools()
    {
        bool isFresh = _layers.Exists(l => l.ToShare.Count > 0 && l.PoolsNeeded().Count() > ErofsFormat.MaxPools);
        foreach (Layer layer in _layers)
        {
            layer.IsChanged = layer.ToShare.Count > 0 || (isFresh && !layer.Pieces.IsEmpty);
        }
        foreach (Content content in _contents.Values.Where(c => isFresh))
        {
            content.Pool = null;
        }
        foreach (Layer layer in _layers.Where(l => l.IsChanged))
        {
            layer.ToShare.ForEach(s => s.Content.IsNew = true);
            foreach (ErofsPiece piece in isFresh ? layer.Pieces : [])
            {
                _contents[piece.Content].IsNew = true;
            }
        }
        return isFresh ? _layers.SelectMany(l => l.Pools).Distinct().Sum(p => p.Bytes) : 0;
    }

    private Layer? TryRead(string name, Digest diffId, long minimumBytes)
    {
        string folder = Path.Combine(layout.Trees, name);
        try
        {
            if (AtomicFile.TryRead(Path.Combine(folder, "tree.json"), int.MaxValue) is not { } json || SnapshotRecords.Parse(json, TreeRecord.Read, $"tree {name}", place: name) is not { Erofs: { } erofs } record)
            {
                return null;
            }
            ErofsTrees.CheckHead(folder, name); // one that was cut is not worked with
            ImmutableArray<ErofsPiece> pieces = erofs.Shared is { } shared ? ErofsPieces.Read(Path.Combine(folder, ErofsTrees.PiecesName), shared.Pieces) : [];
            using ErofsImage image = ErofsTrees.OpenImage(folder);
            return new Layer(name, folder, diffId, json, record, pieces, image.ListFiles(minimumBytes));
        }
        catch (Exception e) when (e is StrataException { Kind: ErrorKind.Corrupt } or LinuxException { Errno: Errno.ENOENT } or FileNotFoundException or DirectoryNotFoundException)
        {
            return null; // it is going, or system check --deep will tell
        }
    }

    // What goes into the new pool is hashed once more as it is copied: what it is taken from may have been damaged long ago.
    private void WritePool(CancellationToken cancellationToken)
    {
        Content[] contents = [.. _contents.Values.Where(c => c.IsNew && c.Pool is null)];
        if (contents.Length == 0)
        {
            return;
        }
        _newPool = layout.NewIngestPath("pool");
        using SafeFileHandle pool = File.OpenHandle(_newPool, FileMode.CreateNew, FileAccess.Write);
        using IncrementalHash ids = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        long end = 0;
        foreach (Content content in contents)
        {
            cancellationToken.ThrowIfCancellationRequested();
            content.PoolOffset = end;
            using (SafeFileHandle source = File.OpenHandle(content.Source!))
            using (IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256))
            {
                long at = end;
                ErofsPieces.Pass(source, content.SourceOffset, content.Length, bytes =>
                {
                    hash.AppendData(bytes);
                    RandomAccess.Write(pool, bytes, at);
                    at += bytes.Length;
                });
                if (Digest.FromSha256(hash.GetHashAndReset()) != content.Digest)
                {
                    throw new StrataException(ErrorKind.Corrupt, $"{content.Source}: it was changed on disk") { Hint = ErofsTrees.Advice };
                }
            }
            ids.AppendData(System.Text.Encoding.ASCII.GetBytes(content.Digest.ToString()));
            end = ErofsFormat.RoundUp(end + content.Length, Alignment);
        }
        Files.SetLength(pool, end, _newPool);
        Durability.SyncFile(pool, _newPool);
        _newRecord = new ErofsPool(Digest.FromSha256(ids.GetHashAndReset()), end);
        foreach (Content content in contents)
        {
            content.Pool = _newRecord;
        }
    }

    private void Stage(Layer layer, CancellationToken cancellationToken)
    {
        string staging = layout.NewIngestPath("tree");
        Directory.CreateDirectory(Path.Combine(staging, "fs"));
        layer.Staged = staging;
        ErofsPool[] pools = [.. layer.Pieces.Select(p => _contents[p.Content].Pool!).Concat(layer.ToShare.Select(s => s.Content.Pool!)).Distinct()];
        int NumberOf(Digest content) => Array.IndexOf(pools, _contents[content].Pool) + 1;
        ErofsPiece PieceOf(long tarOffset, Digest content) => new(tarOffset, _contents[content].Length, NumberOf(content), _contents[content].PoolOffset, content);
        ImmutableArray<ErofsPiece> pieces = [.. layer.Pieces.Select(p => PieceOf(p.TarOffset, p.Content)).Concat(layer.ToShare.Select(s => PieceOf(s.File.Place, s.Content.Digest))).OrderBy(p => p.TarOffset)];

        using RootedDirectory root = RootedDirectory.Open("/");
        for (int i = 0; i < pools.Length; i++)
        {
            int before = Array.IndexOf(layer.Pools, pools[i]);
            string source = pools[i] == _newRecord ? _newPool! : before >= 0 ? ErofsTrees.PoolOf(layer.Folder, before + 1) : SourceOf(pools[i]);
            root.CreateHardLink(ErofsTrees.PoolOf(staging, i + 1), source);
        }
        CopyRest(layer, pieces, Path.Combine(staging, ErofsTrees.RestName), cancellationToken);
        byte[] list = ErofsPieces.Serialize(pieces);
        AtomicFile.Write(Path.Combine(staging, ErofsTrees.PiecesName), list, durable: false);
        Dictionary<(int, long), Digest> byPlace = [];
        foreach (ErofsPiece piece in layer.Pieces)
        {
            byPlace[(piece.Pool, piece.PoolOffset)] = piece.Content;
        }
        IEnumerable<(ErofsFile File, Digest Content)> moved = layer.ToShare.Select(s => (s.File, s.Content.Digest))
            .Concat(layer.InPools.Select(f => (f, byPlace[(f.Device - ErofsFormat.TarDevice, f.Place)])));
        ErofsRecord old = layer.Record.Erofs!;
        string index = Path.Combine(staging, ErofsTrees.IndexName);
        byte[] head = WriteIndex(Path.Combine(layer.Folder, ErofsTrees.IndexName), index, moved.Select(m => (m.File, ErofsFormat.TarDevice + NumberOf(m.Content), _contents[m.Content].PoolOffset)),
            [(layer.DiffId, old.TarBytes), .. pools.Select(p => (p.Id, p.Bytes))]);
        ErofsRecord record = old with { Head = Digest.Of(head), IndexChecksum = ErofsFormat.ChecksumOf(index), Shared = new ErofsShared(Digest.Of(list), [.. pools]) };
        LayerTrees.WriteRecord(staging, layer.Name, layer.Record with { Erofs = record });
        if (ErofsTrees.HashTar(staging, record) != layer.DiffId)
        {
            throw new StrataException(ErrorKind.Corrupt, $"layer {layer.DiffId}: its files are not what was written here") { Hint = ErofsTrees.Advice };
        }
        foreach (string name in (string[])[ErofsTrees.RestName, ErofsTrees.IndexName, ErofsTrees.PiecesName, "tree.json"])
        {
            Durability.SyncFile(Path.Combine(staging, name));
        }
        Durability.SyncDirectory(staging);
    }

    private string SourceOf(ErofsPool pool)
        => _layers.Where(l => l.Pools.Contains(pool)).Select(l => ErofsTrees.PoolOf(l.Folder, Array.IndexOf(l.Pools, pool) + 1)).First();

    // A file of its own, not the old one with holes punched: that one may be mounted.
    private static void CopyRest(Layer layer, ImmutableArray<ErofsPiece> pieces, string path, CancellationToken cancellationToken)
    {
        using SafeFileHandle from = File.OpenHandle(layer.RestPath), to = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
        long at = 0, length = layer.Record.Erofs!.TarBytes;
        foreach ((long next, long end) in pieces.Select(p => (p.TarOffset, p.TarOffset + p.Length)).Append((length, length)))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (next < at)
            {
                throw new StrataException(ErrorKind.Corrupt, $"layer {layer.DiffId}: two files lie at one place of its tar") { Hint = ErofsTrees.Advice };
            }
            ErofsPieces.Pass(from, at, next - at, bytes =>
            {
                RandomAccess.Write(to, bytes, at);
                at += bytes.Length;
            });
            at = end;
        }
        Files.SetLength(to, length, path);
    }

    private static byte[] WriteIndex(string from, string to, IEnumerable<(ErofsFile File, int Device, long Place)> moved, IReadOnlyList<(Digest, long)> devices)
    {
        File.Copy(from, to);
        using SafeFileHandle index = File.OpenHandle(to, FileMode.Open, FileAccess.ReadWrite);
        foreach ((ErofsFile file, int device, long place) in moved)
        {
            long chunks = ((file.Size - 1) >> file.ChunkBits) + 1;
            byte[] table = new byte[chunks * ErofsFormat.ChunkBytes];
            for (int i = 0; i < chunks; i++)
            {
                Span<byte> chunk = table.AsSpan(i * ErofsFormat.ChunkBytes, ErofsFormat.ChunkBytes);
                ErofsFormat.Write16(chunk, 2, device);
                ErofsFormat.Write32(chunk, 4, (uint)((place + ((long)i << file.ChunkBits)) / ErofsFormat.BlockBytes));
            }
            RandomAccess.Write(index, table, file.Chunks);
        }
        byte[] head = new byte[ErofsFormat.HeadBytes];
        RandomAccess.Read(index, head, 0);
        ErofsFormat.WriteDevices(head.AsSpan(ErofsFormat.SuperOffset), devices);
        RandomAccess.Write(index, head, 0);
        return head;
    }

    /// <summary>Bytes that several layers have.</summary>
    private sealed class Content(Digest digest, long length)
    {
        internal Digest Digest => digest;
        internal long Length => length;
        internal ErofsPool? Pool; // null: in none yet
        internal long PoolOffset;
        internal string? Source; // a file that has them
        internal long SourceOffset;
        internal bool IsNew; // somebody gets a piece of it now
    }

    private sealed class Layer(string name, string folder, Digest diffId, byte[] json, TreeRecord record, ImmutableArray<ErofsPiece> pieces, List<ErofsFile> files)
    {
        internal string Name => name;
        internal string Folder => folder;
        internal Digest DiffId => diffId;
        internal byte[] Json => json;
        internal TreeRecord Record => record;
        internal ImmutableArray<ErofsPiece> Pieces => pieces;
        internal List<ErofsFile> Files => files;
        internal ErofsPool[] Pools { get; } = [.. record.Erofs!.Shared?.Pools ?? []];
        internal string RestPath { get; } = ErofsTrees.DevicesOf(folder, record.Erofs!)[0];
        internal List<(ErofsFile File, Digest Digest)> Hashed { get; } = [];
        internal List<(ErofsFile File, Content Content)> ToShare { get; } = [];
        internal bool IsChanged { get; set; }
        internal string? Staged { get; set; }

        internal IEnumerable<ErofsFile> InPools => files.Where(f => f.Device > ErofsFormat.TarDevice);

        internal IEnumerable<ErofsPool?> PoolsNeeded() => Pools.Concat(ToShare.Select(s => s.Content.Pool)).Distinct();

        internal void Hash(HashSet<long> sizes, CancellationToken cancellationToken)
        {
            using SafeFileHandle tar = File.OpenHandle(RestPath);
            using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            foreach (ErofsFile file in files.Where(f => f.Device == ErofsFormat.TarDevice && sizes.Contains(f.Size)).OrderBy(f => f.Place))
            {
                cancellationToken.ThrowIfCancellationRequested();
                ErofsPieces.Pass(tar, file.Place, file.Size, bytes => hash.AppendData(bytes));
                Hashed.Add((file, Digest.FromSha256(hash.GetHashAndReset())));
            }
        }
    }
}
