using Strata.Content;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;
using Xunit;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>Which snapshotter a store is used with, and that what two of them made is never mixed.</summary>
public sealed class SnapshotterChoiceTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-choice").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => FileSystems.RemoveTree(_folder);

    [Fact]
    public void Erofs_is_chosen_where_it_mounts_and_the_answer_is_kept()
    {
        var layout = new StoreLayout(_folder);
        var told = new List<string>();
        SnapshotterChoice first = SnapshotterChoice.Make(layout, asked: null, told.Add), again = SnapshotterChoice.Make(layout, asked: null, told.Add);
        Assert.Equal((ErofsSnapshotter.OwnName, "EROFS mounts here out of files"), (first.Snapshotter.Name, first.Reason));
        Assert.Equal(first.Reason, again.Reason);
        Assert.Empty(told);
        string record = Path.Combine(layout.Snapshots, "snapshotter.json");
        File.WriteAllText(record, File.ReadAllText(record).Replace("EROFS mounts here out of files", "as it was found", StringComparison.Ordinal));
        Assert.Equal("as it was found", SnapshotterChoice.Make(layout).Reason);
        File.WriteAllText(record, File.ReadAllText(record).Replace(Host.KernelRelease, "another kernel", StringComparison.Ordinal));
        Assert.Equal("EROFS mounts here out of files", SnapshotterChoice.Make(layout).Reason); // found out anew
    }

    [Fact]
    public void One_that_is_asked_for_is_taken_and_one_that_is_not_there_refused()
    {
        var layout = new StoreLayout(_folder);
        Assert.Equal(UnionSnapshotter.OwnName, SnapshotterChoice.Make(layout, "union").Snapshotter.Name);
        StrataException e = Assert.Throws<StrataException>(() => SnapshotterChoice.Make(layout, "btrfs"));
        Assert.Equal((ErrorKind.Invalid, "snapshotter btrfs: there are erofs, overlay and union"), (e.Kind, e.Message));
    }

    [Fact]
    public async Task What_another_snapshotter_made_is_unpacked_again_or_refused_and_never_mixed()
    {
        using var store = new SnapshotStore(l => OverlaySnapshotter.Open(l));
        ISnapshotter union = UnionSnapshotter.Open(store.Layout);
        (Descriptor Layer, Digest DiffId)[] layers = [store.Layer(TarItem.File("a"), TarItem.File("b")), store.Layer(TarItem.Whiteout("a"))];
        CommittedSnapshot byOverlay = (await store.Snapshots.ApplyStackAsync(layers, store, Token))!;
        Assert.Null(await union.TryGetAsync([.. layers.Select(l => l.DiffId)], Token));
        CommittedSnapshot byUnion = (await union.ApplyStackAsync(layers, store, Token))!;
        Assert.Equal((4, byOverlay.ChainId), (store.Opened, byUnion.ChainId));
        Assert.NotEqual(byOverlay.Tree, byUnion.Tree);
        ActiveSnapshot active = await store.ChangeAsync(byOverlay, "touch n", "c");
        ActiveSnapshot seen = (await union.TryOpenActiveAsync("c", Token))!;
        Func<Task>[] uses =
        [
            async () => await union.GetChangesAsync(seen, Token), () => Task.FromResult(union.GetMounts(seen, _folder)), () => Task.FromResult(union.OpenStack(seen)), async () => await union.PrepareAsync("d", byOverlay, cancellationToken: Token),
            async () => await union.CommitAsync(seen, Digest.Of("x"u8), Token), async () => await union.WriteChangesAsync(seen, Stream.Null, cancellationToken: Token), () => Task.FromResult(union.GetDirectories(byOverlay)),
            async () => await union.ApplyAsync(byOverlay, layers[0].Layer, layers[0].DiffId, store, Token), async () => await union.WhereAsync(seen, "n", Token), () => Task.FromResult(union.GetAnswers(seen, "n")),
        ];
        foreach (Func<Task> use in uses)
        {
            StrataException e = await Assert.ThrowsAsync<StrataException>(use);
            Assert.Equal(ErrorKind.Conflict, e.Kind);
            Assert.Contains("it was made by the overlay snapshotter, and this is union", e.Message, StringComparison.Ordinal);
        }
        // Removing needs no look inside; and takes nothing of the other's.
        Assert.Equal(2, union.List().Committed.Count);
        await union.RemoveAsync(seen, Token);
        await union.RemoveAsync(byOverlay, Token);
        Assert.Equal(0, await store.Snapshots.SweepAsync(cancellationToken: Token));
        Assert.Equal(byUnion.ChainId, Assert.Single(store.Snapshots.List().Committed).ChainId);
        Assert.NotNull(await union.TryGetAsync([.. layers.Select(l => l.DiffId)], Token));
    }

    [Fact]
    public async Task A_stack_that_was_mounted_goes_with_its_snapshot()
    {
        using var store = new SnapshotStore(l => UnionSnapshotter.Open(l));
        CommittedSnapshot top = await store.StackAsync([TarItem.File("a"), TarItem.File("b")], [TarItem.Whiteout("a")]);
        Assert.Equal(["/b"], store.Paths(top));
        Assert.Contains(Directory.GetDirectories(store.Layout.Trees), d => d.EndsWith(".merged.union", StringComparison.Ordinal));
        Assert.Equal(0, await store.Snapshots.SweepAsync(cancellationToken: Token));
        await store.Snapshots.RemoveAsync(top, Token);
        Assert.Empty(Directory.GetDirectories(store.Layout.Trees));
    }

    [Fact]
    public void Build_run_diff_commit_and_mount_work_in_a_store_on_an_overlayfs()
    {
        using var seeds = new SeedStore(); // its own: the shared one is used by others meanwhile
        string place = Path.Combine(_folder, "m");
        foreach (string directory in (string[])["l", "u", "w", "m"])
        {
            Directory.CreateDirectory(Path.Combine(_folder, directory));
        }
        Mounts.RunInPrivateNamespace(() =>
        {
            Mounts.Mount(new MountSpec("overlay", "o", place, ["lowerdir=" + Path.Combine(_folder, "l"), "upperdir=" + Path.Combine(_folder, "u"), "workdir=" + Path.Combine(_folder, "w")]));
            RunMainFlow(seeds, Path.Combine(place, "store"), "union (overlayfs cannot be mounted");
            return 0;
        });
    }

    [Fact]
    public void Build_run_diff_commit_and_mount_work_by_overlay_alone()
    {
        using var seeds = new SeedStore();
        string root = Path.Combine(_folder, "store");
        SeedStore.RunIn(root, null, "--snapshotter", "overlay", "images").Ok();
        File.WriteAllText(Path.Combine(root, "settings.json"), """{"snapshotter":"overlay"}""");
        RunMainFlow(seeds, root, "overlay (named in settings.json)");
        Assert.DoesNotContain(Directory.GetDirectories(Path.Combine(root, "trees")), d => Path.HasExtension(d));
    }

    private static void RunMainFlow(SeedStore seeds, string root, string snapshotter)
    {
        Outcome Strata(params string[] arguments) => SeedStore.RunIn(root, null, arguments);
        seeds.Run("save", "-o", Path.Combine(seeds.Folder, "box.tar"), seeds.Busybox).Ok();
        Assert.Contains(snapshotter, Strata("info").Ok().Out, StringComparison.Ordinal);
        Strata("load", "-i", Path.Combine(seeds.Folder, "box.tar")).Ok();
        string context = seeds.Context(("file", "copied\n"), ("Dockerfile", $"FROM {seeds.Busybox} AS one\nRUN echo built >/built && rm /etc/motd\nFROM one\nCOPY file /file\nCOPY --from=one /built /again\nRUN mkdir -p /d && rm -r /usr/share/doc\n"));
        Strata("build", "-t", "app", context).Ok();
        Assert.Equal("built\ncopied\nbuilt\ngone\n", Strata("run", "--rm", "app", "sh", "-c", "cat /built /file /again; test -e /etc/motd || test -e /usr/share/doc || echo gone").Ok().Out);
        Strata("run", "--name", "c", "app", "sh", "-c", "echo new >/d/n; rm /built; chmod 600 /etc/passwd").Ok();
        Assert.Equal(["D /built", "C /d", "A /d/n", "C /etc", "C /etc/passwd"], Strata("diff", "c").Ok().Lines.Order(StringComparer.Ordinal).OrderBy(l => l[2..], StringComparer.Ordinal));
        Strata("commit", "c", "made").Ok();
        string mounted = Strata("mount", "made").Ok().Out.Trim();
        Assert.Equal("new\n", File.ReadAllText(Path.Combine(mounted, "d/n")));
        Assert.False(File.Exists(Path.Combine(mounted, "built")));
        Strata("umount", "made").Ok();
        Strata("verify", "made").Ok();
        Assert.Contains("answers a read", Strata("where", "made", "/d/n").Ok().Out, StringComparison.Ordinal);
        Assert.Contains("Exited (0)", Strata("ps", "-a").Ok().Out, StringComparison.Ordinal);
        Strata("rm", "c").Ok();
        Strata("rmi", "-f", "made", "app").Ok();
        Strata("system", "prune", "-f").Ok();
        Assert.Contains("0 problems", Strata("system", "check").Ok().Out, StringComparison.Ordinal);
    }
}
