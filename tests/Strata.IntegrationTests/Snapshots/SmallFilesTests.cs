using System.Globalization;
using System.Text;
using Strata.IntegrationTests.Seeds;
using Strata.Layers;
using Strata.Linux;
using Strata.Snapshots;
using Xunit;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>Small files are made by threads beside the one that reads the archive. What is there in the end is what one thread would have made, entry by entry.</summary>
public sealed class SmallFilesTests : IDisposable
{
    private const int Scripts = 40, Entries = 700; // several batches, each with the same few names again and again
    private static readonly string[] s_names = ["a", "b", "c", "d"];
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-small-").FullName;

    public void Dispose() => FileSystems.RemoveTree(_folder);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Of_a_name_that_comes_again_the_last_entry_counts(bool isLayer)
    {
        for (int seed = 1; seed <= Scripts; seed++)
        {
            string target = Path.Combine(_folder, seed.ToString(CultureInfo.InvariantCulture));
            Directory.CreateDirectory(target);
            using (var tar = new MemoryStream())
            using (RootedDirectory root = RootedDirectory.Open(target))
            {
                SortedDictionary<string, string> expected = WriteScript(new Random(seed), tar);
                using var reader = new LayerReader(tar);
                if (isLayer)
                {
                    Assert.NotNull(LayerExtractor.TryExtractTree(reader, new DirectoryTarget(root), WhiteoutForm.Overlay, below: null, TestContext.Current.CancellationToken));
                }
                else
                {
                    LayerExtractor.Extract(reader, root, new ExtractOptions(), TestContext.Current.CancellationToken);
                }
                Assert.Equal(expected.Select(e => $"seed {seed}: {e.Key} {e.Value}"), See(root, "").Order(StringComparer.Ordinal).Select(l => $"seed {seed}: {l}"));
            }
            FileSystems.RemoveTree(target);
        }
    }

    [Fact]
    public void Modes_owners_and_times_are_the_archives_whatever_the_umask()
    {
        int before = Host.SetUmask(0b111_111);
        try
        {
            using var tar = new MemoryStream();
            var writer = new LayerWriter(tar);
            for (int i = 0; i < 512; i++)
            {
                // All modes of the owner's and the group's bits, set-user-ID and set-group-ID among them.
                writer.Write(new FileEntry($"d{i % 7}/f{i}", new EntryMetadata((i & 0xFF) << 4 | (i & 7), (uint)(i % 3), (uint)(i % 5), new FileTime(1_000_000 + i, 5)), 3), new MemoryStream("abc"u8.ToArray()));
            }
            writer.Finish();
            tar.Position = 0;
            using RootedDirectory root = RootedDirectory.Open(_folder);
            using (var reader = new LayerReader(tar))
            {
                LayerExtractor.Extract(reader, root, new ExtractOptions(), TestContext.Current.CancellationToken);
            }
            for (int i = 0; i < 512; i++)
            {
                FileStatus status = root.TryGetStatus($"d{i % 7}/f{i}")!.Value;
                Assert.Equal(((i & 0xFF) << 4 | (i & 7), (uint)(i % 3), (uint)(i % 5), new FileTime(1_000_000 + i, 5), 3L), (status.Mode, status.Uid, status.Gid, status.Modified, status.Size));
            }
        }
        finally
        {
            Host.SetUmask(before);
        }
    }

    [Fact]
    public void A_disk_that_is_full_in_the_middle_ends_it_and_leaves_nothing()
    {
        string disk = Path.Combine(_folder, "disk"), tar = Path.Combine(_folder, "layer.tar");
        Directory.CreateDirectory(disk);
        using (FileStream file = File.Create(tar))
        {
            var writer = new LayerWriter(file);
            for (int i = 0; i < 3000; i++)
            {
                writer.Write(new FileEntry($"f{i}", new EntryMetadata(0b110_100_100, 0, 0, new FileTime(0, 0)), 4096), new MemoryStream(Enumerable.Repeat((byte)'x', 4096).ToArray()));
            }
            writer.Finish();
        }
        SeedStore.Exec("mount", null, "-t", "tmpfs", "-o", "size=4m", "none", disk).Ok();
        try
        {
            Outcome outcome = SeedStore.Exec(SeedStore.Binary, null, "layer", "unpack", tar, disk + "/out");
            Assert.Equal(1, outcome.Code);
            Assert.Contains("No space left on device", outcome.Err, StringComparison.Ordinal);
            Assert.Equal("hint: nothing of it was left: make room, or name a folder on another disk", outcome.Err.TrimEnd().Split('\n')[^1]);
            Assert.Empty(Directory.EnumerateFileSystemEntries(disk));
        }
        finally
        {
            SeedStore.Exec("umount", null, disk).Ok();
        }
    }

    private static SortedDictionary<string, string> WriteScript(Random random, Stream tar)
    {
        var model = new SortedDictionary<string, string>(StringComparer.Ordinal);
        var writer = new LayerWriter(tar);
        var plain = new EntryMetadata(0b111_101_101, 0, 0, new FileTime(0, 0));
        for (int i = 0; i < Entries; i++)
        {
            string path = string.Join('/', Enumerable.Range(0, random.Next(1, 4)).Select(_ => s_names[random.Next(s_names.Length)]));
            if (Above(path).Any(a => model.TryGetValue(a, out string? what) && what.StartsWith("->", StringComparison.Ordinal)))
            {
                continue; // links on the way are other tests'
            }
            string[] files = [.. model.Where(e => e.Value.StartsWith('=') && !path.StartsWith(e.Key, StringComparison.Ordinal) && !e.Key.StartsWith(path, StringComparison.Ordinal)).Select(e => e.Key)];
            string what;
            switch (random.Next(10))
            {
                case 0:
                    writer.Write(new DirectoryEntry(path, plain));
                    what = "dir";
                    break;
                case 1:
                    writer.Write(new SymbolicLinkEntry(path, plain, $"nowhere{i}"));
                    what = $"->nowhere{i}";
                    break;
                case 2 when files.Length > 0:
                    string target = files[random.Next(files.Length)];
                    writer.Write(new HardLinkEntry(path, plain, target));
                    what = model[target];
                    break;
                default:
                    string text = i % 97 == 0 ? new string((char)('a' + (i % 26)), SmallFileWriter.MaxFileBytes + 1) : $"content {i}";
                    writer.Write(new FileEntry(path, plain, text.Length), new MemoryStream(Encoding.ASCII.GetBytes(text)));
                    what = "=" + text;
                    break;
            }
            foreach (string above in Above(path))
            {
                model[above] = "dir";
            }
            if (what != "dir")
            {
                foreach (string gone in model.Keys.Where(k => k.StartsWith(path + "/", StringComparison.Ordinal)).ToList())
                {
                    model.Remove(gone);
                }
            }
            model[path] = what;
        }
        writer.Finish();
        tar.Position = 0;
        return model;
    }

    private static IEnumerable<string> Above(string path)
    {
        for (int slash = path.IndexOf('/', StringComparison.Ordinal); slash > 0; slash = path.IndexOf('/', slash + 1))
        {
            yield return path[..slash];
        }
    }

    private static IEnumerable<string> See(RootedDirectory root, string directory)
    {
        foreach (string name in root.GetNames(directory))
        {
            string path = directory.Length == 0 ? name : directory + "/" + name;
            switch (root.TryGetStatus(path)!.Value.Kind)
            {
                case FileKind.Directory:
                    yield return path + " dir";
                    foreach (string line in See(root, path))
                    {
                        yield return line;
                    }
                    break;
                case FileKind.SymbolicLink:
                    yield return $"{path} ->{root.ReadLink(path)}";
                    break;
                default:
                    using (var file = new FileStream(root.OpenFile(path), FileAccess.Read))
                    using (var reader = new StreamReader(file))
                    {
                        yield return $"{path} ={reader.ReadToEnd()}";
                    }
                    break;
            }
        }
    }
}
