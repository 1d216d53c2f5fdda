using System.Globalization;
using Strata.IntegrationTests.Reliability;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>strata system dedupe: files that several layers have, once on disk, and every layer as it was.</summary>
public sealed class DedupeTests : IDisposable
{
    private readonly SeedStore _seeds = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-dedupe-").FullName;

    private string Root => Path.Combine(_folder, "store");

    private string Trees => Path.Combine(Root, "trees");

    public void Dispose()
    {
        _seeds.Dispose();
        FileSystems.RemoveTree(_folder);
    }

    [Theory]
    [InlineData("1")]
    [InlineData("16KiB")]
    public void Layers_of_random_files_look_as_before_take_less_and_are_what_their_digests_say(string minimum)
    {
        string[] images = MakeImages(3, new Random(7));
        Dictionary<string, List<string>> mounted = images.ToDictionary(i => i, Look), read = images.ToDictionary(i => i, ReadWithoutMount);
        long before = FileSystems.GetDiskUsage(Root);
        string expected = Strata("system", "dedupe", "--min-size", minimum, "--dry-run").Ok().Out;
        Assert.Contains("would be given back", expected, StringComparison.Ordinal);
        Assert.Equal(before, FileSystems.GetDiskUsage(Root));

        Assert.Contains("given back", Strata("system", "dedupe", "--min-size", minimum).Ok().Out, StringComparison.Ordinal);
        long after = FileSystems.GetDiskUsage(Root);
        Assert.InRange(after, before / 4, before * 9 / 10);
        Assert.Equal(images.Select(i => mounted[i]), images.Select(Look));
        Assert.Equal(images.Select(i => read[i]), images.Select(ReadWithoutMount));
        Assert.Contains("0 problems", Strata("system", "check", "--deep").Ok().Out, StringComparison.Ordinal);
        Assert.All(images, i => Strata("verify", i).Ok());
        Assert.Contains(" are kept once: ", Strata("sharing").Ok().Out, StringComparison.Ordinal);
        Assert.Contains("no files to share that are not shared", Strata("system", "dedupe", "--min-size", minimum).Ok().Out, StringComparison.Ordinal);
        Assert.Equal(after, FileSystems.GetDiskUsage(Root));
    }

    [Fact]
    public void Pools_go_with_the_last_layer_that_has_them_and_what_goes_is_counted_exactly()
    {
        string[] images = MakeImages(3, new Random(8));
        Strata("system", "dedupe", "--min-size", "4KiB").Ok();
        List<string> last = Look(images[2]);
        Assert.NotEmpty(Pools());
        Strata("rmi", images[0], images[1]).Ok();
        Assert.Equal(last, Look(images[2]));
        Assert.NotEmpty(Pools());
        Assert.Contains("0 problems", Strata("system", "check", "--deep").Ok().Out, StringComparison.Ordinal);
        long before = FileSystems.GetDiskUsage(Root);
        string planned = Strata("system", "prune", "-af", "--dry-run").Ok().Out.Split(' ')[^1].Trim(), done = Strata("system", "prune", "-af").Ok().Out.Split(' ')[^1].Trim();
        Assert.Equal(planned, done);
        long after = FileSystems.GetDiskUsage(Root);
        Assert.InRange(after, 0, before / 20);
        // Said with three digits; a pool that were counted for each layer that has it would be a third too much.
        Assert.InRange(before - after, BytesOf(done) * 98 / 100, (BytesOf(done) * 102 / 100) + (64 << 10));
        Assert.Empty(Directory.GetDirectories(Trees));
    }

    private static long BytesOf(string human)
    {
        string unit = human.TrimStart("0123456789.".ToCharArray());
        long factor = unit switch { "B" => 1, "kB" => 1_000, "MB" => 1_000_000, "GB" => 1_000_000_000, _ => throw new FormatException(human) };
        return (long)(double.Parse(human[..^unit.Length], System.Globalization.CultureInfo.InvariantCulture) * factor);
    }

    /// <summary>An index has slots for two pools: with a third, all of it goes into one.</summary>
    [Fact]
    public void Layers_that_would_need_more_pools_than_an_index_has_slots_get_one_anew()
    {
        byte[][] contents = [.. Enumerable.Range(0, 4).Select(i => Noise(100 + i, 70_000))];
        Build("base", [.. contents.Select((c, i) => ($"f{i}", c))]);
        List<string> expected = Look("base");
        for (int i = 0; i < contents.Length; i++)
        {
            Build($"other{i}", [("mine", contents[i]), ("alone", Noise(200 + i, 50_000))]);
            Assert.Contains("given back", Strata("system", "dedupe").Ok().Out, StringComparison.Ordinal);
            Assert.InRange(Pools().Select(p => p.Inode).Distinct().Count(), 1, 2);
            Assert.Equal(expected, Look("base"));
            Assert.Contains("0 problems", Strata("system", "check", "--deep").Ok().Out, StringComparison.Ordinal);
        }
        Assert.Contains("8 files of 5 layers are kept once", Strata("sharing").Ok().Out, StringComparison.Ordinal);
    }

    /// <summary>A running container has the layer's old files mounted, one that starts meanwhile the new ones.</summary>
    [Fact]
    public void Running_containers_read_on_and_new_ones_start()
    {
        string context = Context("box", [("data", Noise(1, 3_000_000))], $"FROM {LoadBusybox()}\nCOPY data /data\n"), other = Context("second", [("data", Noise(1, 3_000_000))], $"FROM {_seeds.Busybox}\nCOPY data /again\n");
        Strata("build", "-q", "-t", "one", context).Ok();
        Strata("build", "-q", "-t", "two", other).Ok();
        Strata("run", "-d", "--network", "none", "--name", "c", "one", "sleep", "300").Ok();
        string sum = Strata("exec", "c", "sha256sum", "/data").Ok().Out.Split(' ')[0];
        Strata("system", "dedupe").Ok();
        SeedStore.Exec("sh", null, "-c", "sync; echo 3 >/proc/sys/vm/drop_caches").Ok();
        Assert.StartsWith(sum, Strata("exec", "c", "sha256sum", "/data").Ok().Out, StringComparison.Ordinal);
        Assert.StartsWith(sum, Strata("run", "--rm", "--network", "none", "one", "sha256sum", "/data").Ok().Out, StringComparison.Ordinal);
        Assert.StartsWith(sum, Strata("run", "--rm", "--network", "none", "two", "sha256sum", "/again").Ok().Out, StringComparison.Ordinal);
        Strata("restart", "-t", "0", "c").Ok();
        Assert.StartsWith(sum, Strata("exec", "c", "sha256sum", "/data").Ok().Out, StringComparison.Ordinal);
        Strata("rm", "-f", "c").Ok();
        Strata("build", "-q", "-t", "three", Context("third", [("x", [1])], "FROM one\nCOPY x /x\nRUN sha256sum /data >/sum\n")).Ok();
        Assert.StartsWith(sum, Strata("run", "--rm", "--network", "none", "three", "cat", "/sum").Ok().Out, StringComparison.Ordinal);
    }

    /// <summary>What one layer has read of a pool is not read from the disk again for another.</summary>
    [Fact]
    public void What_one_layer_has_read_is_in_memory_for_the_others()
    {
        byte[] data = Noise(5, 24_000_000);
        Build("one", [("data", data)]);
        Build("two", [("there", data)]);
        Strata("system", "dedupe").Ok();
        SeedStore.Exec("sh", null, "-c", "sync; echo 3 >/proc/sys/vm/drop_caches").Ok();
        (string pool, _) = Pools()[0];
        Assert.InRange(Files.TryGetCachedBytes(pool)!.Value, 0, data.Length / 10);
        Read("one", "data");
        Assert.InRange(Files.TryGetCachedBytes(pool)!.Value, data.Length * 9L / 10, data.Length * 11L / 10);
        long before = ReadFromDisk();
        Read("two", "there");
        Assert.InRange(ReadFromDisk() - before, 0, data.Length / 4);

        void Read(string image, string path)
        {
            string mounted = Strata("mount", image).Ok().Out.Trim();
            try
            {
                Assert.Equal(data.Length, File.ReadAllBytes(Path.Combine(mounted, path)).Length);
            }
            finally
            {
                Strata("umount", image).Ok();
            }
        }
    }

    [Theory]
    [InlineData("layer.pool-1", "its plain tar on disk is not its diff ID any more", 2)]
    [InlineData("layer.rest", "its plain tar on disk is not its diff ID any more", 1)]
    [InlineData("layer.pieces", "it was changed on disk", 1)]
    [InlineData("layer.erofs", "the index over its files was changed on disk", 1)]
    public void A_flipped_bit_is_found_in_each_layer_that_has_it_and_healed(string name, string problem, int layers)
    {
        byte[] data = Noise(9, 90_000);
        Build("one", [("data", data), ("mine", Noise(10, 20_000))]);
        Build("two", [("there", data), ("other", Noise(11, 20_000))]);
        Strata("system", "dedupe").Ok();
        List<string> one = Look("one"), two = Look("two");
        string file = Directory.GetFiles(Trees, name, SearchOption.AllDirectories).Order(StringComparer.Ordinal).First();
        using (FileStream open = File.Open(file, FileMode.Open))
        {
            long at = name == "layer.rest" ? 100 : open.Length / 2; // of the rest, the header of its first file: holes are nobody's
            open.Position = at;
            int old = open.ReadByte();
            open.Position = at;
            open.WriteByte((byte)(old ^ 0x10));
        }
        Outcome check = Strata("system", "check", "--deep");
        Assert.NotEqual(0, check.Code);
        Assert.Equal(layers, (check.Out + check.Err).Split('\n').Count(l => l.Contains(problem, StringComparison.Ordinal)));
        Strata("system", "check", "--deep", "--repair");
        Assert.Contains("0 problems", Strata("system", "check", "--deep").Ok().Out, StringComparison.Ordinal);
        Assert.Equal([one, two], [Look("one"), Look("two")]);
        Assert.Contains("given back", Strata("system", "dedupe").Ok().Out, StringComparison.Ordinal);
        Assert.Equal([one, two], [Look("one"), Look("two")]);
    }

    [Fact]
    public void A_layer_that_was_cut_is_left_alone_and_told_of_by_check()
    {
        byte[] data = Noise(9, 90_000);
        Build("one", [("data", data)]);
        Build("two", [("there", data), ("more", Noise(10, 30_000))]);
        Build("three", [("again", data), ("other", Noise(11, 40_000))]);
        List<string> two = Look("two"), three = Look("three");
        string cut = Directory.GetFiles(Trees, "layer.tar", SearchOption.AllDirectories).MinBy(f => new FileInfo(f).Length)!;
        using (FileStream open = File.Open(cut, FileMode.Open))
        {
            open.SetLength(50_000);
        }
        Assert.Contains("2 files of 2 layers have one place now", Strata("system", "dedupe").Ok().Out, StringComparison.Ordinal);
        Assert.Equal([two, three], [Look("two"), Look("three")]);
        Assert.NotEqual(0, Strata("system", "check", "--deep").Code);
    }

    [Theory]
    [InlineData("dedupe.before-exchange", 1)]
    [InlineData("dedupe.before-exchange", 2)]
    [InlineData("dedupe.after-exchange", 1)]
    [InlineData("record.before-rename", 2)]
    public async Task Killed_in_the_middle_every_layer_is_whole_and_the_next_one_ends_it(string point, int n)
    {
        string[] images = MakeImages(2, new Random(12));
        List<List<string>> expected = [.. images.Select(Look)];
        Outcome killed = await Programs.RunAsync(SeedStore.Binary, [$"STRATA_FAILPOINT={point}:{n}"], "--root", Root, "--snapshotter", "erofs", "system", "dedupe", "--min-size", "1");
        Assert.NotEqual(0, killed.Code);
        Assert.Contains("0 problems", Strata("system", "check", "--deep").Ok().Out, StringComparison.Ordinal);
        Assert.Equal(expected, images.Select(Look));
        Strata("system", "dedupe", "--min-size", "1").Ok();
        Assert.Equal(expected, images.Select(Look));
        Strata("system", "prune", "-f").Ok();
        long left = FileSystems.GetDiskUsage(Path.Combine(Root, "ingest"));
        Assert.InRange(left, 0, 64 << 10);
    }

    [Fact]
    public void A_full_disk_leaves_all_as_it_was()
    {
        string image = Path.Combine(_folder, "disk.img"), place = Path.Combine(_folder, "disk");
        Directory.CreateDirectory(place);
        SeedStore.Exec("truncate", null, "-s", "24M", image).Ok();
        SeedStore.Exec("mkfs.ext4", null, "-q", "-m", "0", "-O", "^has_journal", image).Ok();
        string one = Context("one", [("data", Noise(1, 3_000_000))], "FROM scratch\nCOPY data /\n"), two = Context("two", [("again", Noise(1, 3_000_000))], "FROM scratch\nCOPY again /\n");
        Mounts.RunInPrivateNamespace(() =>
        {
            SeedStore.Exec("mount", null, "-o", "loop", image, place).Ok();
            Outcome Run(params string[] arguments) => SeedStore.Exec(SeedStore.Binary, null, ["--root", Path.Combine(place, "store"), "--snapshotter", "erofs", .. arguments]);
            Run("build", "-q", "-t", "one", one).Ok();
            Run("build", "-q", "-t", "two", two).Ok();
            string filler = Path.Combine(place, "filler");
            SeedStore.Exec("fallocate", null, "-l", (FileSystems.GetSpace(place).FreeBytes - (2 << 20)).ToString(CultureInfo.InvariantCulture), filler).Ok();
            Outcome full = Run("system", "dedupe");
            Assert.Equal(1, full.Code);
            Assert.Contains("space", full.Err, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain("   at ", full.Err, StringComparison.Ordinal);
            Assert.Contains("0 problems", Run("system", "check", "--deep").Ok().Out, StringComparison.Ordinal);
            File.Delete(filler);
            Run("system", "dedupe").Ok();
            Assert.Contains("0 problems", Run("system", "check", "--deep").Ok().Out, StringComparison.Ordinal);
            Mounts.Unmount(place, detach: true);
            return 0;
        });
    }

    [Theory]
    [InlineData("0")]
    [InlineData("-5")]
    [InlineData("many")]
    public void A_size_that_is_none_gets_one_line(string size)
    {
        Outcome refused = Strata("system", "dedupe", "--min-size", size);
        Assert.Equal(1, refused.Code);
        Assert.StartsWith("strata: ", Assert.Single(refused.Err.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        Assert.Contains($": --min-size {size}: a size above 0", refused.Err, StringComparison.Ordinal);
    }

    [Fact]
    public void A_store_without_layers_has_nothing_to_share()
        => Assert.Contains("0 layers: no files to share that are not shared", Strata("system", "dedupe").Ok().Out, StringComparison.Ordinal);

    // Each of three layers, with files of some of the same contents: of odd sizes, with hard links and attributes, in folders of their own.
    private string[] MakeImages(int count, Random random)
    {
        byte[][] contents = [.. Enumerable.Range(0, 24).Select(i => Noise(i, random.Next(1, i % 6 == 0 ? 1_500_000 : 60_000)))];
        var images = new List<string>();
        for (int image = 0; image < count; image++)
        {
            List<(string, byte[])> files = [];
            for (int i = 0; i < 60; i++)
            {
                files.Add(($"l{i % 3}/d{i % 5}/f{i}", i % 7 == 0 ? Noise(1_000 + (image * 100) + i, 5_000) : contents[random.Next(contents.Length)]));
            }
            string context = Context($"image{image}", files, "FROM scratch\nCOPY l0 /l0\nCOPY --chown=7:8 l1 /l1\nCOPY --chmod=600 l2 /l2\n");
            SeedStore.Exec("sh", null, "-c", $"cd {context}/l0 && ln d0/f0 d0/linked && ln -s f0 d0/named && setfattr -n user.note -v here d0/f0 && mkfifo d0/pipe").Ok();
            Strata("build", "-q", "-t", $"image{image}", context).Ok();
            images.Add($"image{image}");
        }
        return [.. images];
    }

    private void Build(string tag, IReadOnlyList<(string Name, byte[] Content)> files) => Strata("build", "-q", "-t", tag, Context(tag, files, "FROM scratch\nCOPY . /\n", ".dockerignore")).Ok();

    private string Context(string name, IReadOnlyList<(string Name, byte[] Content)> files, string dockerfile, string? ignore = null)
    {
        string context = Path.Combine(_folder, "context-" + name);
        foreach ((string file, byte[] content) in files)
        {
            string path = Path.Combine(context, file);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllBytes(path, content);
        }
        File.WriteAllText(Path.Combine(context, "Dockerfile"), dockerfile);
        if (ignore is not null)
        {
            File.WriteAllText(Path.Combine(context, ignore), "Dockerfile\n.dockerignore\n");
        }
        return context;
    }

    private string LoadBusybox()
    {
        string archive = Path.Combine(_folder, "box.tar");
        _seeds.Run("save", "-o", archive, _seeds.Busybox).Ok();
        Strata("load", "-i", archive).Ok();
        return _seeds.Busybox;
    }

    private List<string> Look(string image)
    {
        string mounted = Strata("mount", image).Ok().Out.Trim();
        try
        {
            return SeenTree.OfDirectory(mounted);
        }
        finally
        {
            Strata("umount", image).Ok();
        }
    }

    private List<string> ReadWithoutMount(string image)
    {
        Strata("create", "--name", "read", image, "x").Ok();
        string tar = Path.Combine(_folder, "read.tar");
        Strata("export", "-o", tar, "read").Ok();
        Strata("rm", "read").Ok();
        return [Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(tar)))];
    }

    private List<(string Path, ulong Inode)> Pools() => [.. Directory.GetFiles(Trees, "layer.pool-*", SearchOption.AllDirectories).Select(p => (p, FileSystems.TryGetStatus(p)!.Value.Inode))];

    private static byte[] Noise(int seed, int bytes)
    {
        byte[] noise = new byte[bytes];
        new Random(seed).NextBytes(noise);
        return noise;
    }

    private static long ReadFromDisk()
        => File.ReadLines("/proc/vmstat").Where(l => l.StartsWith("pgpgin ", StringComparison.Ordinal)).Select(l => long.Parse(l[7..], CultureInfo.InvariantCulture) * 1024).First();

    private Outcome Strata(params string[] arguments) => SeedStore.Exec(SeedStore.Binary, null, ["--root", Root, "--snapshotter", "erofs", .. arguments]);
}
