using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>The executable on a store whose layers are tars with an index.</summary>
public sealed class ErofsStoreTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-erofs-store").FullName;
    private readonly SeedStore _seeds = new();

    private string Root => Path.Combine(_folder, "store");

    public void Dispose()
    {
        _seeds.Dispose();
        FileSystems.RemoveTree(_folder);
    }

    [Fact]
    public void Build_run_diff_commit_mount_export_save_and_check_work()
    {
        Load();
        string context = _seeds.Context(("file", "copied\n"), ("Dockerfile", $"FROM {_seeds.Busybox} AS one\nRUN echo built >/built && rm /etc/motd\nFROM one\nCOPY file /file\nCOPY --from=one /built /again\nRUN mkdir -p /d && rm -r /usr/share/doc\n"));
        Strata("build", "-t", "app", context).Ok();
        Assert.Equal("built\ncopied\nbuilt\ngone\n", Strata("run", "--rm", "--network", "none", "app", "sh", "-c", "cat /built /file /again; test -e /etc/motd || test -e /usr/share/doc || echo gone").Ok().Out);
        Strata("run", "--network", "none", "--name", "c", "app", "sh", "-c", "echo new >/d/n; rm /built; chmod 600 /etc/passwd").Ok();
        Assert.Equal(["D /built", "C /d", "A /d/n", "C /etc", "C /etc/passwd"], Strata("diff", "c").Ok().Lines.Order(StringComparer.Ordinal).OrderBy(l => l[2..], StringComparer.Ordinal));
        Strata("commit", "c", "made").Ok();
        string mounted = Strata("mount", "made").Ok().Out.Trim();
        Assert.Equal("new\n", File.ReadAllText(Path.Combine(mounted, "d/n")));
        Assert.False(File.Exists(Path.Combine(mounted, "built")));
        Strata("umount", "made").Ok();
        Assert.DoesNotContain(Mounts.ReadTable(), m => m.Target.StartsWith(_folder, StringComparison.Ordinal));
        string exported = Path.Combine(_folder, "c.tar"), saved = Path.Combine(_folder, "made.tar");
        Strata("export", "-o", exported, "c").Ok();
        Assert.Equal("new", SeedStore.Exec("tar", null, "-xOf", exported, "d/n").Ok().Out.Trim());
        Strata("save", "-o", saved, "made").Ok();
        Strata("verify", "made").Ok();
        Assert.Contains("answers a read", Strata("where", "made", "/d/n").Ok().Out, StringComparison.Ordinal);
        Assert.DoesNotContain(Directory.GetDirectories(Path.Combine(Root, "trees")), d => !d.EndsWith(".erofs", StringComparison.Ordinal));
        Strata("rm", "c").Ok();
        Strata("rmi", "-f", "made", "app").Ok();
        Strata("system", "prune", "-af").Ok();
        Assert.Empty(Directory.GetDirectories(Path.Combine(Root, "trees")));
        Assert.Contains("0 problems", Strata("system", "check", "--deep").Ok().Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Migrating_converts_images_and_leaves_what_containers_stand_on()
    {
        string box = _seeds.Busybox, archive = Path.Combine(_folder, "box.tar");
        _seeds.Run("save", "-o", archive, box).Ok();
        SeedStore.Exec(SeedStore.Binary, null, "--root", Root, "--snapshotter", "overlay", "load", "-i", archive).Ok();
        Assert.Equal([""], Endings());
        Assert.Contains("are erofs's; 1 file systems of other snapshotters were removed", Strata("system", "migrate").Ok().Out, StringComparison.Ordinal);
        Assert.Equal([".erofs"], Endings());
        Strata("run", "--network", "none", "--name", "c", box, "true").Ok();
        Outcome back = SeedStore.Exec(SeedStore.Binary, null, "--root", Root, "--snapshotter", "overlay", "system", "migrate").Ok();
        Assert.Contains("1 stay, because containers stand on them", back.Err, StringComparison.Ordinal);
        Assert.Equal(["", ".erofs"], Endings());
        Strata("start", "-a", "c").Ok();
        Strata("rm", "c").Ok();
        SeedStore.Exec(SeedStore.Binary, null, "--root", Root, "--snapshotter", "overlay", "system", "migrate").Ok();
        Assert.Equal([""], Endings());
        Assert.Contains("0 problems", Strata("system", "check", "--deep").Ok().Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Info_says_why_it_is_not_used()
    {
        Load();
        Assert.Contains("EROFS:        not used (it mounts here: strata --snapshotter erofs takes it)", SeedStore.Exec(SeedStore.Binary, null, "--root", Root, "--snapshotter", "overlay", "info").Ok().Out, StringComparison.Ordinal);
        Assert.Contains("Snapshotter:  erofs (asked for)", Strata("info").Ok().Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("layer.tar")]
    [InlineData("layer.erofs")]
    public void A_flipped_bit_is_found_by_check_and_healed_by_a_load(string name)
    {
        Load();
        Strata("run", "--rm", "--network", "none", _seeds.Busybox, "true").Ok();
        string file = Directory.GetFiles(Path.Combine(Root, "trees"), name, SearchOption.AllDirectories)[0];
        byte[] bytes = File.ReadAllBytes(file);
        bytes[bytes.Length / 2] ^= 0x10;
        File.WriteAllBytes(file, bytes);
        Outcome check = Strata("system", "check", "--deep");
        Assert.NotEqual(0, check.Code);
        Assert.Contains(name == "layer.tar" ? "its plain tar on disk is not its diff ID any more" : "the index over its files was changed on disk", check.Out + check.Err, StringComparison.Ordinal);
        Load();
        Assert.Contains("0 problems", Strata("system", "check", "--deep").Ok().Out, StringComparison.Ordinal);
        Strata("run", "--rm", "--network", "none", _seeds.Busybox, "true").Ok();
        bytes[bytes.Length / 2] ^= 0x10;
        Assert.Equal(bytes, File.ReadAllBytes(file));
    }

    [Theory]
    [InlineData("layer.tar", false)]
    [InlineData("layer.erofs", false)]
    [InlineData("layer.tar", true)]
    public async Task A_plain_pull_heals_a_flipped_bit(string name, bool alsoBlob)
    {
        CancellationToken token = TestContext.Current.CancellationToken;
        string origin = Path.Combine(_folder, "origin");
        Load();
        await using RegistryProcess registry = await RegistryProcess.StartAsync(origin, token);
        string image = $"{registry.Address}/box:1";
        Strata("tag", _seeds.Busybox, image).Ok();
        Strata("push", image).Ok();
        Strata("run", "--network", "none", "--name", "c", image, "true").Ok();
        string tree = Directory.GetDirectories(Path.Combine(Root, "trees")).Single();
        string blob = Directory.GetFiles(Path.Combine(Root, "blobs"), "*", SearchOption.AllDirectories).MaxBy(f => new FileInfo(f).Length)!;
        byte[] index = await File.ReadAllBytesAsync(Path.Combine(tree, "layer.erofs"), token);
        foreach (string file in alsoBlob ? [Path.Combine(tree, name), blob] : new[] { Path.Combine(tree, name) })
        {
            byte[] bytes = await File.ReadAllBytesAsync(file, token);
            bytes[bytes.Length / 2] ^= 0x10;
            await File.WriteAllBytesAsync(file, bytes, token);
        }
        Assert.NotEqual(0, Strata("system", "check", "--deep").Code);
        Strata("pull", image).Ok();
        Assert.Contains("0 problems", Strata("system", "check", "--deep").Ok().Out, StringComparison.Ordinal);
        Assert.Equal(index, await File.ReadAllBytesAsync(Path.Combine(tree, "layer.erofs"), token));
        Strata("start", "-a", "c").Ok();
    }

    [Fact]
    public void A_disk_that_is_full_in_the_middle_ends_it_and_leaves_nothing()
    {
        _seeds.Run("save", "-o", Path.Combine(_folder, "box.tar"), _seeds.Busybox).Ok();
        long size = new FileInfo(Path.Combine(_folder, "box.tar")).Length;
        string image = Path.Combine(_folder, "disk.img"), place = Path.Combine(_folder, "disk");
        Directory.CreateDirectory(place);
        SeedStore.Exec("truncate", null, "-s", "32M", image).Ok();
        SeedStore.Exec("mkfs.ext4", null, "-q", "-m", "0", "-O", "^has_journal", image).Ok();
        Mounts.RunInPrivateNamespace(() =>
        {
            SeedStore.Exec("mount", null, "-o", "loop", image, place).Ok();
            string root = Path.Combine(place, "store"), archive = Path.Combine(_folder, "box.tar");
            Outcome Run(params string[] arguments) => SeedStore.Exec(SeedStore.Binary, null, ["--root", root, "--snapshotter", "erofs", .. arguments]);
            Run("images").Ok();
            long free = FileSystems.GetSpace(place).FreeBytes;
            string filler = Path.Combine(place, "filler");
            SeedStore.Exec("fallocate", null, "-l", $"{free - size - (size / 2) - (1 << 20)}", filler).Ok(); // room for the blob, and for half of the tar
            Outcome full = Run("load", "-i", archive);
            if (full.Code == 0)
            {
                full = Run("run", "--rm", "--network", "none", _seeds.Busybox, "true");
            }
            Assert.NotEqual(0, full.Code);
            Assert.Contains("space", full.Err, StringComparison.OrdinalIgnoreCase);
            Assert.Empty(Directory.Exists(Path.Combine(root, "trees")) ? Directory.GetDirectories(Path.Combine(root, "trees")) : []);
            File.Delete(filler);
            Run("load", "-i", archive).Ok();
            Run("run", "--rm", "--network", "none", _seeds.Busybox, "true").Ok();
            Assert.Contains("0 problems", Run("system", "check", "--deep").Ok().Out, StringComparison.Ordinal);
            Mounts.Unmount(place, detach: true);
            return 0;
        });
    }

    private string[] Endings() => [.. Directory.GetDirectories(Path.Combine(Root, "trees")).Select(d => Path.GetExtension(d)).Distinct().Order(StringComparer.Ordinal)];

    private Outcome Strata(params string[] arguments) => SeedStore.Exec(SeedStore.Binary, null, ["--root", Root, "--snapshotter", "erofs", .. arguments]);

    private void Load()
    {
        string archive = Path.Combine(_folder, "box.tar");
        if (!File.Exists(archive))
        {
            _seeds.Run("save", "-o", archive, _seeds.Busybox).Ok();
        }
        Strata("load", "-i", archive).Ok();
    }
}
