using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using Strata.Layers;
using Strata.Linux;
using Strata.Snapshots;
using Xunit;

namespace Strata.Tests.Snapshots;

/// <summary>An index over a tar, written and read by our own code; what the kernel says of it is the integration tests' question.</summary>
public sealed class ErofsIndexTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void All_kinds_of_entries_come_back_as_they_were()
    {
        var capability = KeyValuePair.Create("security.capability", ImmutableArray.Create<byte>(1, 0, 0, 2));
        var note = KeyValuePair.Create("user.note", ImmutableArray.Create<byte>([.. "n"u8]));
        LayerEntry[] entries =
        [
            new DirectoryEntry("", new EntryMetadata(0b111_000_000, 1, 2, new FileTime(-5, 7))),
            new DirectoryEntry("d", new EntryMetadata(0b001_111_111_111, 70_000, 3, new FileTime(5_000_000_000, 999_999_999), [note])),
            new FileEntry("d/\udcff\udcfe", new EntryMetadata(0b110_111_101_101, 0, 0, new FileTime(1, 2), [capability, note]), 5),
            new HardLinkEntry("d/second", new EntryMetadata(0, 0, 0, default), "d/\udcff\udcfe"),
            new SymbolicLinkEntry("link", new EntryMetadata(0b111_111_111, 4, 5, new FileTime(3, 4)), "ziel/ünï"),
            new SymbolicLinkEntry("longlink", new EntryMetadata(0b111_111_111, 4, 5, new FileTime(3, 4)), new string('t', 4_000)),
            new DeviceEntry("char", new EntryMetadata(0b110_000_000, 0, 0, new FileTime(3, 4)), FileKind.CharacterDevice, 0xFFF, 0xFFFFF),
            new DeviceEntry("block", new EntryMetadata(0b110_000_000, 0, 0, new FileTime(3, 4)), FileKind.BlockDevice, 8, 257),
            new DeviceEntry("fifo", new EntryMetadata(0b110_000_000, 0, 0, new FileTime(3, 4)), FileKind.Fifo, 0, 0),
            new FileEntry("empty", new EntryMetadata(0b110_000_000, 0, 0, new FileTime(3, 4)), 0),
            new WhiteoutEntry("d/gone"), new OpaqueEntry("d"), new WhiteoutEntry("alsogone"),
        ];
        using ErofsImage image = MakeIndex(entries);
        Assert.Equal(["alsogone", "block", "char", "d", "empty", "fifo", "link", "longlink"], image.GetNames(""));
        Assert.Equal(["second", "\udcff\udcfe"], image.GetNames("d"));
        FileStatus root = image.TryGetStatus("")!.Value, d = image.TryGetStatus("d")!.Value, file = image.TryGetStatus("d/\udcff\udcfe")!.Value;
        Assert.Equal((FileKind.Directory, 0b111_000_000, 1u, 2u, new FileTime(-5, 7), 3u), (root.Kind, root.Mode, root.Uid, root.Gid, root.Modified, root.LinkCount));
        Assert.Equal((0b001_111_111_111, 70_000u, 3u, new FileTime(5_000_000_000, 999_999_999), 2u), (d.Mode, d.Uid, d.Gid, d.Modified, d.LinkCount));
        Assert.Equal((FileKind.Regular, 0b110_111_101_101, 5L, 2u), (file.Kind, file.Mode, file.Size, file.LinkCount));
        Assert.Equal(file, image.TryGetStatus("d/second"));
        Assert.Equal(["security.capability=01000002", "user.note=6e"], image.GetXattrs("d/second").Select(x => $"{x.Key}={Convert.ToHexStringLower(x.Value)}"));
        Assert.Equal("y"u8.ToArray(), image.TryGetXattr("d", "trusted.overlay.opaque"));
        Assert.Equal(("ziel/ünï", new string('t', 4_000)), (image.ReadLink("link"), image.ReadLink("longlink")));
        Assert.Equal(((FileKind, uint, uint))(FileKind.CharacterDevice, 0xFFF, 0xFFFFF), DeviceOf(image, "char"));
        Assert.Equal(((FileKind, uint, uint))(FileKind.BlockDevice, 8, 257), DeviceOf(image, "block"));
        Assert.Equal(((FileKind, uint, uint))(FileKind.CharacterDevice, 0, 0), DeviceOf(image, "alsogone"));
        Assert.Equal("/////", ReadAll(image, "d/second"));
        Assert.Equal("", ReadAll(image, "empty"));
        Assert.Null(image.TryGetStatus("d/nothing"));
        Assert.Null(image.TryGetStatus("empty/below"));
    }

    [Fact]
    public void An_entry_that_comes_twice_counts_once_and_the_last_time()
    {
        EntryMetadata looks = new(0b110_100_100, 0, 0, new FileTime(3, 4));
        using ErofsImage image = MakeIndex([new FileEntry("a", looks, 1), new DirectoryEntry("b", looks), new FileEntry("b/x", looks, 2), new FileEntry("a", looks, 3), new FileEntry("b", looks, 4)]);
        Assert.Equal(["a", "b"], image.GetNames(""));
        Assert.Equal((3L, 4L, 3L), (image.TryGetStatus("a")!.Value.Size, image.TryGetStatus("b")!.Value.Size, image.InodeCount));
    }

    [Fact]
    [SuppressMessage("Security", "CA5394", Justification = "which bit is flipped is no secret")]
    public void A_damaged_index_is_refused_or_read_and_never_anything_else()
    {
        EntryMetadata looks = new(0b110_100_100, 0, 0, new FileTime(3, 4), [KeyValuePair.Create("user.a", ImmutableArray.Create<byte>(1, 2, 3))]);
        List<LayerEntry> entries = [new DirectoryEntry("d", looks), new DirectoryEntry("d/e", looks), new SymbolicLinkEntry("l", looks, "d/e")];
        entries.AddRange(Enumerable.Range(0, 60).Select(i => new FileEntry($"d/e/file-{i}", looks, i * 100)));
        using (MakeIndex([.. entries]))
        {
        }
        byte[] index = File.ReadAllBytes(_folder.File("index"));
        var random = new Random(7);
        int refused = 0;
        for (int i = 0; i < 1_500; i++)
        {
            byte[] damaged = [.. index];
            damaged[random.Next(ErofsFormat.SuperOffset, damaged.Length)] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(_folder.File("damaged"), i % 50 == 0 ? damaged[..random.Next(damaged.Length)] : damaged);
            try
            {
                using ErofsImage image = ErofsImage.Open(_folder.File("damaged"), _ => _folder.File("tar"));
                Walk(image, "", 0);
            }
            catch (Exception e) when (e is StrataException { Kind: ErrorKind.Corrupt } or LinuxException or EndOfStreamException)
            {
                refused++;
            }
        }
        Assert.InRange(refused, 100, 1_499);
    }

    private static void Walk(ErofsImage image, string directory, int depth)
    {
        foreach (string name in depth > 10 ? [] : image.GetNames(directory))
        {
            string path = directory.Length == 0 ? name : directory + "/" + name;
            switch (image.TryGetStatus(path)?.Kind)
            {
                case FileKind.Directory:
                    Walk(image, path, depth + 1);
                    break;
                case FileKind.Regular:
                    using (Stream content = image.OpenFile(path))
                    {
                        content.ReadAtLeast(new byte[100_000], 100_000, throwOnEndOfStream: false);
                    }
                    break;
                case FileKind.SymbolicLink:
                    image.ReadLink(path);
                    break;
            }
            image.GetXattrs(path);
        }
    }

    private static (FileKind, uint, uint) DeviceOf(ErofsImage image, string path) => image.TryGetStatus(path) is { } status ? (status.Kind, status.DeviceMajor, status.DeviceMinor) : default;

    private static string ReadAll(ErofsImage image, string path)
    {
        using var reader = new StreamReader(image.OpenFile(path));
        return reader.ReadToEnd();
    }

    private Microsoft.Win32.SafeHandles.SafeFileHandle Open(string name) => File.OpenHandle(_folder.File(name), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite);

    // Files are filled with slashes.
    private ErofsImage MakeIndex(IReadOnlyList<LayerEntry> entries)
    {
        using (FileStream tar = File.Create(_folder.File("tar")))
        using (var writer = new LayerWriter(tar))
        {
            foreach (LayerEntry entry in entries)
            {
                writer.Write(entry, new MemoryStream(Encoding.ASCII.GetBytes(new string('/', entry is FileEntry file ? (int)file.Size : 0))));
            }
            writer.Finish();
        }
        using FileStream blob = File.OpenRead(_folder.File("tar"));
        using var reader = new LayerReader(blob);
        using (Microsoft.Win32.SafeHandles.SafeFileHandle index = Open("index"))
        {
            var tree = new ErofsTree(index);
            Assert.NotNull(LayerExtractor.TryExtractTree(reader, tree, WhiteoutForm.Overlay, below: null, TestContext.Current.CancellationToken));
            ErofsWriter.Write(tree, index, reader.DiffId, reader.PlainSize);
        }
        return ErofsImage.Open(_folder.File("index"), _ => _folder.File("tar"));
    }
}
