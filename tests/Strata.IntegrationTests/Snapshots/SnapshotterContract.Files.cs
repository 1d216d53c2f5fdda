using System.Security.Cryptography;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;
using Xunit;
using static Strata.IntegrationTests.Snapshots.TarItem;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>Big files, holes, and what only few programs do.</summary>
public abstract partial class SnapshotterContract
{
    private const long Gigabyte = 1L << 30;

    [Fact]
    public async Task One_byte_of_a_sparse_gigabyte_costs_what_it_holds()
    {
        ActiveSnapshot first = await _store.ChangeAsync(null, "truncate -s 1G big; touch -d @1 big");
        CommittedSnapshot image = await CommitBigAsync(first);
        ActiveSnapshot active = await _store.ChangeAsync(image, "printf z | dd of=big bs=1 seek=536870912 conv=notrunc status=none; touch -d @1 big");
        Assert.Equal(["C /big"], await _store.ChangesAsync(active));
        CommittedSnapshot changed = await CommitBigAsync(active);
        Assert.Equal((Gigabyte, (byte)'z'), SizeAndMiddle(changed));
        Assert.Equal((Gigabyte, (byte)0), SizeAndMiddle(image));
        Assert.InRange(FileSystems.GetDiskUsage(_store.Layout.Root), 0, 4 << 20);
    }

    [Fact]
    public async Task Long_zeros_of_a_layer_are_holes_on_disk()
    {
        byte[] content = new byte[8 << 20];
        content[3 << 20] = content[^1] = 1;
        CommittedSnapshot image = await _store.ApplyAsync(null, File("ends"), File("sparse", content), File("zeros", new byte[1 << 20]));
        _store.InMount(image, path =>
        {
            Assert.True(content.AsSpan().SequenceEqual(System.IO.File.ReadAllBytes(Path.Combine(path, "sparse"))));
            Assert.Equal(1 << 20, new FileInfo(Path.Combine(path, "zeros")).Length);
            return 0;
        });
        Assert.InRange(_store.Snapshots.GetDiskUsage(image), 0, 2 << 20);
    }

    [Fact]
    public async Task Holes_that_an_archive_tells_of_are_holes_on_disk()
    {
        string folder = Path.Combine(_store.Folder, "tar");
        System.IO.Directory.CreateDirectory(folder);
        ChildResult tar = ChildProcess.Run(new ChildStart
        {
            Program = "/bin/sh",
            Arguments = ["-ec", "truncate -s 1G hole; printf x | dd of=hole bs=1 seek=70000 conv=notrunc status=none; truncate -s 300000 all; for i in $(seq 0 99); do head -c 4096 /dev/urandom | dd of=many bs=4096 seek=$((i * 5)) conv=notrunc status=none; done; tar --sparse --format=gnu -cf ../gnu.tar hole all many"],
            WorkingDirectory = folder,
        });
        Assert.True(tar.ExitCode == 0, tar.ErrorText);
        (Descriptor layer, Digest diffId) = _store.Layer(System.IO.File.ReadAllBytes(Path.Combine(_store.Folder, "gnu.tar")));
        CommittedSnapshot image = await _store.Snapshots.ApplyAsync(null, layer, diffId, _store, Token);
        _store.InMount(image, path =>
        {
            Assert.Equal((Gigabyte, 300_000), (new FileInfo(Path.Combine(path, "hole")).Length, new FileInfo(Path.Combine(path, "all")).Length));
            using FileStream hole = System.IO.File.OpenRead(Path.Combine(path, "hole"));
            hole.Position = 70_000;
            Assert.Equal(('x', 0), (hole.ReadByte(), hole.ReadByte()));
            Assert.Equal(SHA256.HashData(System.IO.File.ReadAllBytes(Path.Combine(folder, "many"))), SHA256.HashData(System.IO.File.ReadAllBytes(Path.Combine(path, "many"))));
            return 0;
        });
        Assert.InRange(_store.Snapshots.GetDiskUsage(image), 400 << 10, 500 << 10);
    }

    public static TheoryData<string, string> Quiet => new()
    {
        { "chmod 711 d/sub", "+d|+d/sub" },
        { "chown 7:8 d/a", "+d|+d/a" },
        { "chown -h 7:8 l", "+l" },
        { "chmod 640 null", "+null" },
        { "setfattr -n trusted.note -v 1 d/sub", "+d|+d/sub" },
        { "setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 f", "+f" },
        { "setfattr -x user.old d/b", "+d|+d/b" },
        { "touch -d @7.000000007 d/sub", "+d|+d/sub" },
        { "t=$(stat -c %.9Y d/a); printf b > d/a; touch -d @$t d/a", "+d|+d/a" }, // same size, same time
        { "rm d/b; ln d/a d/b", "+d|+d/a|~d/b" },
        { "mknod d/sub/wh c 0 0 || true; rm -f d/sub/wh; touch -d @1600000000.000000005 d/sub", "" },
    };

    /// <summary>Changes of what is said about a file, and none of its bytes; and one of its bytes, and nothing that is said about it.</summary>
    [Theory]
    [MemberData(nameof(Quiet))]
    public async Task A_change_that_hardly_shows_is_in_the_layer(string script, string written)
    {
        TarItem[] items = [Directory("d"), File("d/a", "a"), File("d/b", "b", xattrs: [("user.old", [1])]), Directory("d/sub"), File("d/sub/c", "c"), File("f"), SymbolicLink("l", "d"), Device("null", FileKind.CharacterDevice, 1, 3)];
        CommittedSnapshot image = await _store.ApplyAsync(null, items);
        ActiveSnapshot active = await _store.ChangeAsync(image, script);
        (byte[] tar, List<LayerEntry> entries) = await _store.WriteAsync(active);
        string[] names = [.. entries.Select(e => e switch { WhiteoutEntry => "-", HardLinkEntry => "~", _ => "+" } + e.Path)];
        if (written.Length == 0)
        {
            Assert.All(names, n => Assert.Contains(n, (string[])["+d", "+d/sub"])); // overlay has them where something was in them for a moment
            return;
        }
        Assert.Equal(Split(written), names);
        List<string> seen = _store.See(active);
        CommittedSnapshot committed = await _store.Snapshots.CommitAsync(active, Digest.Of(tar), Token);
        Assert.Equal(seen.Skip(1), _store.See(committed).Skip(1));
        using var elsewhere = new SnapshotStore(Open);
        CommittedSnapshot there = (await elsewhere.Snapshots.ApplyStackAsync([elsewhere.Layer(items), elsewhere.Layer(tar)], elsewhere, Token))!;
        Assert.Equal(seen.Skip(1), elsewhere.See(there).Skip(1));
    }

    [Fact]
    public async Task Sockets_are_left_out_wherever_they_are()
    {
        CommittedSnapshot image = await _store.ApplyAsync(null, Directory("d"), File("d/was"));
        ActiveSnapshot active = await _store.ChangeAsync(image, "rm d/was; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"d/was\"); socket.socket(socket.AF_UNIX).bind(\"d/s\")'; echo 1 > d/n");
        (CommittedSnapshot committed, byte[] tar) = await _store.CommitAsync(active);
        Assert.Contains("/d/n", _store.Paths(committed));
        Assert.DoesNotContain("/d/s", _store.Paths(committed));
        using var elsewhere = new SnapshotStore(Open);
        CommittedSnapshot there = (await elsewhere.Snapshots.ApplyStackAsync([elsewhere.Layer(Directory("d"), File("d/was")), elsewhere.Layer(tar)], elsewhere, Token))!;
        Assert.Equal(_store.See(committed).Skip(1), elsewhere.See(there).Skip(1));
        Assert.DoesNotContain("/d/was", _store.Paths(committed));
    }

    [Fact]
    public async Task Layers_may_be_unpacked_in_any_order()
    {
        TarItem[][] layers =
        [
            [Directory("d", 0b111_000_000, 3, 4), File("d/a"), File("d/b"), File("f")], [Directory("d"), Whiteout("d/a"), File("d/c")], [File("d/x/y")], [Directory("d"), Opaque("d"), File("d/z")],
            [Whiteout("f"), File("g")], [HardLink("h", "d/z")],
        ];
        var expected = new Dictionary<string, List<string>>();
        var random = new Random(7);
        for (int i = 0; i < 12; i++)
        {
            int[] order = [.. Enumerable.Range(0, layers.Length).OrderBy(_ => random.Next())];
            order = [.. order.Where(n => n != 5), 5]; // the link needs its file
            if (order.AsSpan().IndexOf(3) > 0 && order.AsSpan().IndexOf(1) > order.AsSpan().IndexOf(3))
            {
                order = [.. order.SkipLast(1)]; // and nothing that takes it away before
            }
            using var fresh = new SnapshotStore(Open);
            CommittedSnapshot alone = await fresh.StackAsync([.. order.Select(n => layers[n])]);
            CommittedSnapshot beside = await _store.StackAsync([.. order.Select(n => layers[n])]);
            Assert.Equal(alone.ChainId, beside.ChainId);
            Assert.Equal(fresh.See(alone, directoryTimes: false), _store.See(beside, directoryTimes: false));
        }
    }

    // The tar is hashed on its way to nowhere: it has a gigabyte of zeros.
    private async Task<CommittedSnapshot> CommitBigAsync(ActiveSnapshot active)
    {
        using var hash = SHA256.Create();
        using (var tar = new CryptoStream(Stream.Null, hash, CryptoStreamMode.Write))
        {
            Assert.True(await _store.Snapshots.WriteChangesAsync(active, tar, cancellationToken: Token));
        }
        return await _store.Snapshots.CommitAsync(active, Digest.Parse("sha256:" + Convert.ToHexStringLower(hash.Hash!)), Token);
    }

    private (long Size, byte Middle) SizeAndMiddle(CommittedSnapshot snapshot) => _store.InMount(snapshot, path =>
    {
        using FileStream big = System.IO.File.OpenRead(Path.Combine(path, "big"));
        big.Position = big.Length / 2;
        return (big.Length, (byte)big.ReadByte());
    });
}
