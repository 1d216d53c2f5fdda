using System.Globalization;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;
using Xunit;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>
/// Trees that were made at random, packed by GNU tar: through the kernel's mount of our index, through our own reader and as GNU tar extracts them
/// they are the same. STRATA_LONG=1: 10,000 trees; STRATA_SEED: another row of them.
/// </summary>
public sealed class ErofsTreesTests : IDisposable
{
    private const int Trees = 150, LongTrees = 10_000, OperationsAtMost = 60;
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-erofs").FullName;
    private readonly string _fast = Directory.Exists("/dev/shm") ? Directory.CreateDirectory("/dev/shm/strata-erofs" + Guid.NewGuid().ToString("n")).FullName : Directory.CreateTempSubdirectory("strata-erofs").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        FileSystems.RemoveTree(_folder);
        FileSystems.RemoveTree(_fast);
    }

    [Fact]
    public void The_kernels_mount_our_reader_and_GNU_tar_give_the_same_tree()
    {
        int seed = int.TryParse(Environment.GetEnvironmentVariable("STRATA_SEED"), CultureInfo.InvariantCulture, out int given) ? given : 20_261_122;
        int count = Environment.GetEnvironmentVariable("STRATA_LONG") == "1" ? LongTrees : Trees;
        int files = 0, odd = 0;
        for (int i = 0; i < count; i++)
        {
            try
            {
                (int seen, bool isOdd) = Compare(seed + i, sparse: i % 2 == 0);
                files += seen;
                odd += isOdd ? 1 : 0;
            }
            catch (Exception e) when (e is Xunit.Sdk.IAssertionException or IOException or StrataException)
            {
                throw new InvalidOperationException($"STRATA_SEED={seed + i}: {e.Message}", e);
            }
        }
        TestContext.Current.TestOutputHelper?.WriteLine($"{count} trees from seed {seed}: {files} files, {odd} trees with files of several names");
        Assert.InRange(files, count * 5, int.MaxValue); // the dice do fall on something
        Assert.NotEqual(0, odd);
    }

    [Fact]
    public void Large_folders_long_links_many_attributes_and_large_files_are_the_same()
    {
        string source = Path.Combine(_folder, "source");
        Directory.CreateDirectory(source);
        Shell("mkdir many deep; for i in $(seq 1 3000); do echo $i >many/$i-name-of-a-file; done; for i in $(seq 1 600); do ln many/1-name-of-a-file deep/link$i; done;"
            + " ln -s $(printf 'x%.0s' $(seq 1 4000)) long; ln -s $(printf 'y%.0s' $(seq 1 470)) half; ln -s $(printf 'z%.0s' $(seq 1 300)) short;"
            + " touch attributes same1 same2; for i in $(seq 1 40); do setfattr -n user.a$i -v $(printf 'v%.0s' $(seq 1 $((i * 3)))) attributes; done;"
            + " for f in same1 same2 many; do setfattr -n user.same -v $(printf 's%.0s' $(seq 1 700)) $f; done; chown 100000:70000 same1; touch -d '1950-01-01 00:00:00.123456789' same2; touch -d '2200-01-01' many;"
            + " truncate -s 300M holes; echo end >>holes; printf data | dd of=holes bs=1 seek=250000001 conv=notrunc status=none; mknod fifo p; mknod dev c 4095 1048575; mknod blk b 8 1; mkdir ./-; touch ./! '..x' ./-/-; chmod 7777 same1", source);
        string tar = Pack(source, sparse: true);
        string extracted = Extract(tar);
        AssertSame(tar, extracted);
    }

    [Fact]
    public void A_file_of_more_than_4_GB_without_holes_is_read_where_it_lies()
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("STRATA_LONG") == "1", "STRATA_LONG=1: 4.5 GB are hashed twice");
        // The tar has a hole where the file's zeros are: it costs no disk, and its plain bytes are 4.5 GB all the same.
        const long Size = (4L << 30) + (512L << 20) + 5;
        string tar = Path.Combine(_folder, "large.tar");
        using (var file = new FileStream(tar, FileMode.CreateNew))
        {
            Shell($"truncate -s {Size} large; printf tail | dd of=large bs=1 seek={Size - 4} conv=notrunc status=none; tar --format=posix -cf - large | head -c 1536 >head", _folder);
            file.Write(File.ReadAllBytes(Path.Combine(_folder, "head")));
            long start = file.Position;
            file.Position = start + Size - 4;
            file.Write("tail"u8);
            file.SetLength(start + ((Size + 511) / 512 * 512) + 1024);
        }
        string layer = MakeIndex(tar);
        using ErofsImage image = ErofsTrees.OpenImage(layer);
        Assert.Equal(Size, image.TryGetStatus("large")!.Value.Size);
        using Stream content = image.OpenFile("large");
        content.Position = Size - 6;
        byte[] end = new byte[6];
        content.ReadExactly(end);
        Assert.Equal("\0\0tail"u8.ToArray(), end);
        string seen = InMount(layer, root => ChildProcess.Run(new ChildStart { Program = "/bin/bash", Arguments = ["-ec", "stat -c %s large; tail -c 6 large | tr '\\0' 0; head -c 100 large | tr -d '\\0' | wc -c"], WorkingDirectory = root }).OutputText);
        Assert.Equal($"{Size}\n00tail0", seen);
    }

    private (int Files, bool IsOdd) Compare(int seed, bool sparse)
    {
        string source = Path.Combine(_fast, "source");
        Directory.CreateDirectory(source);
        using (RootedDirectory root = RootedDirectory.Open(source))
        {
            var script = new FileScript(new Random(seed));
            for (int i = 0; i < 10 + (seed % OperationsAtMost); i++)
            {
                script.Next(root, [])?.Run(root);
            }
        }
        string tar = Pack(source, sparse), extracted = Extract(tar);
        (int, bool) result = AssertSame(tar, extracted);
        FileSystems.RemoveTree(source);
        FileSystems.RemoveTree(extracted);
        File.Delete(tar);
        return result;
    }

    private (int Files, bool IsOdd) AssertSame(string tar, string extracted)
    {
        List<string> expected = WithLinks(extracted);
        string layer = MakeIndex(tar);
        try
        {
            using (var stack = new LayerStack([Path.Combine(layer, "fs")], 0, readMarks: null, p => ErofsTrees.OpenImage(Path.GetDirectoryName(p)!)))
            {
                List<LayerNode> nodes = [stack.TryFind("")!, .. stack.Walk()];
                Assert.Equal(expected, [.. SeenTree.OfStack(stack).Zip(nodes, (line, node) => $"{line} {node.Status.LinkCount}")]);
            }
            Assert.Equal(expected, InMount(layer, WithLinks));
        }
        finally
        {
            FileSystems.RemoveTree(layer);
        }
        return (expected.Count, expected.Any(l => l.Contains(" = ", StringComparison.Ordinal)));
    }

    private static List<string> WithLinks(string root)
    {
        using RootedDirectory directory = RootedDirectory.Open(root);
        IEnumerable<uint> links = [directory.TryGetStatus("")!.Value.LinkCount, .. FileScript.Walk(directory, "").Select(n => n.Status.LinkCount)];
        return [.. SeenTree.OfDirectory(root).Zip(links, (line, count) => $"{line} {count}")];
    }

    private static T InMount<T>(string layer, Func<string, T> action) => Mounts.RunInPrivateNamespace(() =>
    {
        string target = Path.Combine(layer, "fs");
        Mounts.Mount(ErofsSnapshotter.MountOf(layer, target, ErofsTrees.CheckHead(layer, "tree")));
        return action(target);
    });

    private string MakeIndex(string tar)
    {
        using var blob = new PlainTarStream(tar);
        var diffId = Digest.FromSha256(System.Security.Cryptography.SHA256.HashData(blob));
        blob.Position = 0;
        return new ErofsTrees(new StoreLayout(Path.Combine(_folder, "store")), "").Unpack("tree", blob, diffId, below: null, Token)!.Folder;
    }

    private string Pack(string source, bool sparse)
    {
        string tar = Path.Combine(_folder, "tree.tar");
        Shell($"tar --format=posix --xattrs --xattrs-include='*' {(sparse ? "--sparse" : "")} --numeric-owner -cf {tar} . 2>/dev/null || tar --format=posix --xattrs --xattrs-include='*' --numeric-owner -cf {tar} .", source);
        return tar;
    }

    private string Extract(string tar)
    {
        string target = Path.Combine(_fast, "extracted");
        Directory.CreateDirectory(target);
        Shell($"tar --xattrs --xattrs-include='*' --numeric-owner --same-owner -p -xf {tar}", target);
        return target;
    }

    private static void Shell(string script, string folder)
    {
        ChildResult shell = ChildProcess.Run(new ChildStart { Program = "/bin/bash", Arguments = ["-ec", script], WorkingDirectory = folder });
        Assert.True(shell.ExitCode == 0, $"{script}: {shell.ErrorText}");
    }
}
