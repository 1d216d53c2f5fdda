using System.Collections.Concurrent;
using System.Globalization;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;
using Xunit;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>
/// Random scripts of file operations run through overlay, through union, every few also through EROFS (which wants a disk), and on a plain directory; what is committed is applied again in new stores, each
/// snapshotter's layers by the others, too: all trees are equal. STRATA_LONG=1: 10,000 scripts; STRATA_SEED: another row of them.
/// </summary>
public sealed class SnapshotPropertyTests
{
    private const string InMemory = "/dev/shm"; // what is synced there costs nothing
    private const int Scripts = 200, LongScripts = 10_000, Sessions = 3, OperationsAtMost = 16, OnDiskEvery = 40, ErofsEvery = 4;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Whatever_is_done_to_files_overlay_union_EROFS_and_a_plain_directory_end_up_the_same()
    {
        int seed = int.TryParse(Environment.GetEnvironmentVariable("STRATA_SEED"), CultureInfo.InvariantCulture, out int given) ? given : 20_261_121;
        int count = Environment.GetEnvironmentVariable("STRATA_LONG") == "1" ? LongScripts : Scripts;
        int operations = 0;
        var pools = new Dictionary<string, ConcurrentBag<Stores>> { [Path.GetTempPath()] = [], [InMemory] = [] };
        try
        {
            await Parallel.ForAsync(0, count, Token, async (i, _) =>
            {
                string place = i % OnDiskEvery == 0 || !Directory.Exists(InMemory) ? Path.GetTempPath() : InMemory;
                Stores stores = pools[place].TryTake(out Stores? free) ? free : new Stores(place);
                bool isClean = false;
                try
                {
                    Interlocked.Add(ref operations, await RunAsync(seed + i, stores, withErofs: i % ErofsEvery == 0));
                    isClean = true;
                }
                finally
                {
                    if (isClean)
                    {
                        pools[place].Add(stores);
                    }
                    else
                    {
                        stores.Dispose(); // what a failed script left is not for the next
                    }
                }
            });
        }
        finally
        {
            foreach (Stores stores in pools.Values.SelectMany(p => p))
            {
                stores.Dispose();
            }
        }
        TestContext.Current.TestOutputHelper?.WriteLine($"{count} scripts from seed {seed}: {operations} operations");
        Assert.InRange(operations, count * Sessions * OperationsAtMost / 4, int.MaxValue); // the dice do fall on something
    }

    private static async Task<int> RunAsync(int seed, Stores stores, bool withErofs)
    {
        string plain = Directory.CreateTempSubdirectory("strata-plain").FullName;
        (SnapshotStore overlay, SnapshotStore union, SnapshotStore erofs) = (stores.Overlay, stores.Union, stores.Erofs);
        var log = new List<string> { $"STRATA_SEED={seed}" };
        try
        {
            using RootedDirectory root = RootedDirectory.Open(plain);
            root.SetMode("", 0b111_101_101);
            var script = new FileScript(new Random(seed));
            List<byte[]> byOverlay = [], byUnion = [], byErofs = [];
            CommittedSnapshot? onOverlay = null, onUnion = null, onErofs = null;
            int total = 0;
            for (int session = 0; session < Sessions; session++)
            {
                List<FileOperation> done = MakeOn(root, script, log);
                total += done.Count;
                List<string> expected = Seen(SeenTree.OfDirectory(plain));
                onOverlay = await SessionAsync(overlay, onOverlay, done, byOverlay, expected);
                onUnion = await SessionAsync(union, onUnion, done, byUnion, expected);
                onErofs = withErofs ? await SessionAsync(erofs, onErofs, done, byErofs, expected) : null;
                RemoveSockets(root);
                log.Add("-- commit");
            }
            List<string> last = Seen(SeenTree.OfDirectory(plain));
            foreach ((List<byte[]> tars, SnapshotStore elsewhere) in ((List<byte[]>, SnapshotStore)[])[(byOverlay, stores.OtherOverlay), (byOverlay, stores.OtherUnion), (byUnion, stores.OtherOverlay), (byUnion, stores.OtherUnion),
                .. withErofs ? [(byErofs, stores.OtherOverlay), (byOverlay, stores.OtherErofs), (byUnion, stores.OtherErofs)] : Array.Empty<(List<byte[]>, SnapshotStore)>()])
            {
                CommittedSnapshot? top = await elsewhere.Snapshots.ApplyStackAsync([.. tars.Select(t => elsewhere.Layer(t))], elsewhere, Token);
                Assert.Equal(last, top is null ? [] : Seen(elsewhere.See(top)));
                await elsewhere.ClearAsync();
            }
            await overlay.ClearAsync();
            await union.ClearAsync();
            await erofs.ClearAsync();
            return total;
        }
        catch (Exception e) when (e is Xunit.Sdk.IAssertionException or IOException or StrataException)
        {
            throw new InvalidOperationException($"{string.Join('\n', log)}\n{e.Message}", e);
        }
        finally
        {
            FileSystems.RemoveTree(plain);
        }
    }

    // What goes is found out on the plain directory; it is done there already when it is done elsewhere.
    private static List<FileOperation> MakeOn(RootedDirectory root, FileScript script, List<string> log)
    {
        HashSet<ulong> frozen = [.. FileScript.Walk(root, "").Where(n => n.Status.Kind != FileKind.Directory && n.Status.LinkCount > 1).Select(n => n.Status.Inode)];
        var done = new List<FileOperation>();
        for (int i = 0; i < OperationsAtMost; i++)
        {
            if (script.Next(root, frozen) is { } operation)
            {
                log.Add(operation.ToString());
                operation.Run(root);
                done.Add(operation);
            }
        }
        return done;
    }

    // No layer has them; and that they go is no change.
    private static void RemoveSockets(RootedDirectory root)
    {
        foreach ((string path, _) in FileScript.Walk(root, "").Where(n => n.Status.Kind == FileKind.Socket).ToList())
        {
            string directory = FileOperation.ParentOf(path);
            FileTime time = root.TryGetStatus(directory)!.Value.Modified;
            root.Remove(path);
            root.SetTimes(directory, time);
        }
    }

    private static async Task<CommittedSnapshot?> SessionAsync(SnapshotStore store, CommittedSnapshot? parent, List<FileOperation> script, List<byte[]> tars, List<string> expected)
    {
        ActiveSnapshot active = await store.Snapshots.PrepareAsync("c", parent, cancellationToken: Token);
        Assert.Equal(expected, store.InMount(active, path =>
        {
            using RootedDirectory root = RootedDirectory.Open(path);
            script.ForEach(o => o.Run(root));
            return Seen(SeenTree.OfDirectory(path));
        }));
        (byte[] tar, _) = await store.WriteAsync(active);
        if (tar.Length == 0)
        {
            await store.Snapshots.RemoveAsync(active, Token);
            return parent;
        }
        tars.Add(tar);
        CommittedSnapshot committed = await store.Snapshots.CommitAsync(active, Digest.Of(tar), Token);
        Assert.Equal(WithoutSockets(expected), Seen(store.See(committed)));
        return committed;
    }

    // The root's time is nowhere written.
    private static List<string> Seen(List<string> lines) => [.. lines.Skip(1)];

    private static List<string> WithoutSockets(List<string> lines) => [.. lines.Where(l => !l.Contains(" Socket ", StringComparison.Ordinal))];

    /// <summary>Some to work in, and others to apply in what was committed. They are empty between scripts: a store stays open as long as the process, so there is not one for each script.</summary>
    private sealed class Stores(string place) : IDisposable
    {
        internal SnapshotStore Overlay { get; } = new(l => OverlaySnapshotter.Open(l), place);
        internal SnapshotStore Union { get; } = new(l => UnionSnapshotter.Open(l), place);
        internal SnapshotStore Erofs { get; } = new(l => ErofsSnapshotter.Open(l), Path.GetTempPath());
        internal SnapshotStore OtherErofs { get; } = new(l => ErofsSnapshotter.Open(l), Path.GetTempPath());
        internal SnapshotStore OtherOverlay { get; } = new(l => OverlaySnapshotter.Open(l), place);
        internal SnapshotStore OtherUnion { get; } = new(l => UnionSnapshotter.Open(l), place);

        public void Dispose()
        {
            Overlay.Dispose();
            Union.Dispose();
            OtherOverlay.Dispose();
            OtherUnion.Dispose();
            Erofs.Dispose();
            OtherErofs.Dispose();
        }
    }
}
