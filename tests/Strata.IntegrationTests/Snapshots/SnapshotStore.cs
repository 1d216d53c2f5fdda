using System.Collections.Immutable;
using System.Text;
using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;
using Xunit;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>A store for one test, with layers that are made on the spot. Mounts live in a namespace that goes with its thread: none can stay.</summary>
internal sealed class SnapshotStore : IContentSource, IDisposable
{
    private readonly Dictionary<Digest, byte[]> _blobs = [];
    private int _opened;

    public SnapshotStore(Func<StoreLayout, ISnapshotter> open, string? place = null)
    {
        Folder = place is null ? Directory.CreateTempSubdirectory("strata-snap").FullName : Directory.CreateDirectory(Path.Combine(place, "strata-snap" + Guid.NewGuid().ToString("n"))).FullName;
        Layout = new StoreLayout(Path.Combine(Folder, "store"));
        Snapshots = open(Layout);
    }

    public string Folder { get; }

    public StoreLayout Layout { get; }

    public ISnapshotter Snapshots { get; }

    /// <summary>How many blobs were asked for.</summary>
    public int Opened => _opened;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask<Stream> OpenAsync(Descriptor descriptor, CancellationToken cancellationToken = default)
    {
        Interlocked.Increment(ref _opened);
        return ValueTask.FromResult<Stream>(new MemoryStream(_blobs[descriptor.Digest], writable: false));
    }

    /// <summary>Makes a layer of entries.</summary>
    public (Descriptor Layer, Digest DiffId) Layer(params TarItem[] items)
    {
        using var tar = new MemoryStream();
        using (var writer = new LayerWriter(tar))
        {
            foreach (TarItem item in items)
            {
                writer.Write(item.Entry, new MemoryStream(item.Content));
            }
            writer.Finish();
        }
        return Layer(tar.ToArray());
    }

    /// <summary>Takes a tar as a layer.</summary>
    public (Descriptor Layer, Digest DiffId) Layer(byte[] tar)
    {
        var digest = Digest.Of(tar);
        _blobs[digest] = tar;
        return (new Descriptor(MediaTypes.OciLayer, digest, tar.Length), digest);
    }

    public async Task<CommittedSnapshot> ApplyAsync(CommittedSnapshot? parent, params TarItem[] items)
    {
        (Descriptor layer, Digest diffId) = Layer(items);
        return await Snapshots.ApplyAsync(parent, layer, diffId, this, Token);
    }

    public async Task<CommittedSnapshot> StackAsync(params TarItem[][] layers)
        => (await Snapshots.ApplyStackAsync([.. layers.Select(l => Layer(l))], this, Token))!;

    /// <summary>Does something in the mounted snapshot, and takes the mount away again.</summary>
    public T InMount<T>(Snapshot snapshot, Func<string, T> action)
    {
        string target = Path.Combine(Folder, "mnt");
        Directory.CreateDirectory(target);
        return Mounts.RunInPrivateNamespace(() =>
        {
            foreach (MountSpec mount in Snapshots.GetMounts(snapshot, target))
            {
                Mounts.Mount(mount);
            }
            try
            {
                return action(target);
            }
            finally
            {
                // Detached: a child that is being started by another test may have our files open until it executes its program.
                Mounts.Unmount(target, detach: true);
            }
        });
    }

    /// <summary>What the mounted snapshot shows; the union in user space must show the same.</summary>
    public List<string> See(Snapshot snapshot, bool directoryTimes = true)
    {
        List<string> mounted = InMount(snapshot, root => SeenTree.OfDirectory(root, directoryTimes));
        if (snapshot is CommittedSnapshot or ActiveSnapshot { HasInit: false })
        {
            using LayerStack stack = Snapshots.OpenStack(snapshot);
            Assert.Equal(mounted, SeenTree.OfStack(stack, directoryTimes));
        }
        return mounted;
    }

    /// <summary>The paths the mounted snapshot shows.</summary>
    public List<string> Paths(Snapshot snapshot) => [.. See(snapshot).Skip(1).Select(l => l.Split(' ')[0])];

    public string Read(Snapshot snapshot, string path) => InMount(snapshot, root =>
    {
        using RootedDirectory directory = RootedDirectory.Open(root);
        using var file = new StreamReader(new FileStream(directory.OpenFile(path, follow: true), FileAccess.Read));
        return file.ReadToEnd();
    });

    /// <summary>Prepares, changes by a shell script with the root as current directory, and gives the snapshot.</summary>
    public async Task<ActiveSnapshot> ChangeAsync(CommittedSnapshot? parent, string script, string? key = null)
    {
        ActiveSnapshot active = await Snapshots.PrepareAsync(key ?? "c" + Guid.NewGuid().ToString("n"), parent, cancellationToken: Token);
        Shell(active, script);
        return active;
    }

    /// <summary>Runs a shell script with the snapshot's root as current directory.</summary>
    public void Shell(ActiveSnapshot active, string script) => InMount(active, root =>
    {
        ChildResult shell = ChildProcess.Run(new ChildStart { Program = "/bin/bash", Arguments = ["-ec", script], WorkingDirectory = root });
        Assert.True(shell.ExitCode == 0, $"{script}: {shell.ErrorText}");
        return 0;
    });

    /// <summary>The changes as a tar, and what an archive reader says is in it.</summary>
    public async Task<(byte[] Tar, List<LayerEntry> Entries)> WriteAsync(ActiveSnapshot active, SnapshotDiffOptions? options = null)
    {
        using var tar = new MemoryStream();
        await Snapshots.WriteChangesAsync(active, tar, options, Token);
        var entries = new List<LayerEntry>();
        if (tar.Length > 0)
        {
            tar.Position = 0;
            using var reader = new LayerReader(tar);
            while (reader.Read() is { } entry)
            {
                entries.Add(entry);
            }
        }
        return (tar.ToArray(), entries);
    }

    /// <summary>Docker's letters and paths.</summary>
    public async Task<List<string>> ChangesAsync(ActiveSnapshot active)
        => [.. (await Snapshots.GetChangesAsync(active, Token)).Select(c => $"{c.Kind.ToString()[0] switch { 'M' => 'C', char k => k }} {c.Path}")];

    /// <summary>Writes the changes, freezes the snapshot, and returns what it became and its tar.</summary>
    public async Task<(CommittedSnapshot Snapshot, byte[] Tar)> CommitAsync(ActiveSnapshot active, SnapshotDiffOptions? options = null)
    {
        (byte[] tar, _) = await WriteAsync(active, options);
        return (await Snapshots.CommitAsync(active, Digest.Of(tar), Token), tar);
    }

    /// <summary>Removes all snapshots and forgets all layers: the store is as new.</summary>
    public async Task ClearAsync()
    {
        foreach (CommittedSnapshot snapshot in Snapshots.List().Committed.OrderByDescending(s => s.Stack.Count))
        {
            await Snapshots.RemoveAsync(snapshot, Token);
        }
        _blobs.Clear();
        Assert.DoesNotContain(((string[])[Layout.Trees, Layout.Active]).Where(Directory.Exists).SelectMany(Directory.GetFileSystemEntries), p => Path.GetFileName(p) != ".lock");
    }

    public void Dispose() => FileSystems.RemoveTree(Folder);
}

/// <summary>An entry with its content.</summary>
internal sealed record TarItem(LayerEntry Entry, byte[] Content)
{
    private static readonly FileTime s_time = new(1_600_000_000, 123_456_789);

    public static TarItem Directory(string path, int mode = 0b111_101_101, uint uid = 0, uint gid = 0, long time = 1_600_000_000)
        => new(new DirectoryEntry(path, new EntryMetadata(mode, uid, gid, new FileTime(time, 5))), []);

    public static TarItem File(string path, string content = "x", int mode = 0b110_100_100, uint uid = 0, uint gid = 0, params (string Name, byte[] Value)[] xattrs)
        => new(new FileEntry(path, Metadata(mode, uid, gid, xattrs), Encoding.UTF8.GetByteCount(content)), Encoding.UTF8.GetBytes(content));

    public static TarItem File(string path, byte[] content) => new(new FileEntry(path, Metadata(0b110_100_100, 0, 0, []), content.Length), content);

    public static TarItem SymbolicLink(string path, string target) => new(new SymbolicLinkEntry(path, Metadata(0b111_111_111, 0, 0, []), target), []);

    public static TarItem HardLink(string path, string target) => new(new HardLinkEntry(path, Metadata(0b110_100_100, 0, 0, []), target), []);

    public static TarItem Device(string path, FileKind kind, uint major = 0, uint minor = 0) => new(new DeviceEntry(path, Metadata(0b110_000_000, 0, 0, []), kind, major, minor), []);

    public static TarItem Whiteout(string path) => new(new WhiteoutEntry(path), []);

    public static TarItem Opaque(string path) => new(new OpaqueEntry(path), []);

    private static EntryMetadata Metadata(int mode, uint uid, uint gid, (string Name, byte[] Value)[] xattrs)
        => new(mode, uid, gid, s_time, [.. xattrs.Select(x => KeyValuePair.Create(x.Name, ImmutableArray.Create(x.Value)))]);
}
