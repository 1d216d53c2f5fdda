using System.Globalization;
using System.Security.Cryptography;
using Strata.IntegrationTests.Snapshots;
using Strata.Layers;
using Strata.Linux;
using Strata.Snapshots;
using Xunit;

namespace Strata.IntegrationTests.Layers;

/// <summary>
/// Archives that want out: names with dots, absolute ones, links to where others write, hard links to what they may not read, planted attributes of
/// overlayfs, devices. Whatever they say, nothing outside the layer's folder changes, and nothing from outside is in it.
/// </summary>
public sealed class HostileArchiveTests : IDisposable
{
    private const string Secret = "what nobody may read";
    private const int BatchSize = 100;
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-hostile-").FullName;

    private static int Count => Environment.GetEnvironmentVariable("STRATA_LONG") == "1" ? 2_000 : 200;

    private string Outside => _folder + "/outside";

    public void Dispose() => FileSystems.RemoveTree(_folder);

    [Fact]
    public async Task Nothing_outside_a_layer_changes_when_it_is_applied()
    {
        MakeOutside();
        SortedDictionary<string, string> before = Photograph(Outside);
        int applied = 0, refused = 0;
        for (int first = 0; first < Count; first += BatchSize)
        {
            using var store = new SnapshotStore(layout => OverlaySnapshotter.Open(layout));
            CommittedSnapshot lower = await store.ApplyAsync(null, LowerItems());
            List<string> lowerBefore = store.See(lower);
            for (int seed = first; seed < first + BatchSize; seed++)
            {
                byte[] tar = Hostile(seed);
                foreach (CommittedSnapshot? parent in (CommittedSnapshot?[])[null, lower])
                {
                    try
                    {
                        (Oci.Descriptor layer, Oci.Digest diffId) = store.Layer(tar);
                        CommittedSnapshot snapshot = await store.Snapshots.ApplyAsync(parent, layer, diffId, store, TestContext.Current.CancellationToken);
                        AssertNothingLeaked(seed, store.InMount(snapshot, Photograph));
                        applied++;
                    }
                    catch (StrataException)
                    {
                        refused++;
                    }
                    catch (LinuxException)
                    {
                        refused++;
                    }
                    AssertSame(seed, before, Photograph(Outside));
                }
            }
            Assert.Equal(lowerBefore, store.See(lower));
        }
        Assert.True(applied > Count / 4 && refused > Count / 10, $"{applied} applied, {refused} refused: the generator has lost its balance");
    }

    [Fact]
    public void Nothing_outside_a_directory_changes_when_an_archive_is_extracted_into_it()
    {
        MakeOutside();
        SortedDictionary<string, string> before = Photograph(Outside);
        int extracted = 0, refused = 0;
        for (int seed = 0; seed < Count; seed++)
        {
            string target = $"{_folder}/target{seed}";
            Directory.CreateDirectory(target);
            using (RootedDirectory root = RootedDirectory.Open(target))
            {
                Prepare(root);
                using var blob = new MemoryStream(Hostile(seed));
                using var reader = new LayerReader(blob);
                try
                {
                    LayerExtractor.Extract(reader, root, new ExtractOptions { Prefix = seed % 3 == 0 ? "app" : "" }, TestContext.Current.CancellationToken);
                    extracted++;
                }
                catch (StrataException)
                {
                    refused++;
                }
                catch (LinuxException)
                {
                    refused++;
                }
            }
            AssertNothingLeaked(seed, Photograph(target));
            AssertSame(seed, before, Photograph(Outside));
            FileSystems.RemoveTree(target);
        }
        Assert.True(extracted > Count / 4 && refused > Count / 10, $"{extracted} extracted, {refused} refused: the generator has lost its balance");
    }

    private void MakeOutside()
    {
        Directory.CreateDirectory(Outside + "/sub");
        File.WriteAllText(Outside + "/secret", Secret);
        File.WriteAllText(Outside + "/sub/file", "a file");
        File.CreateSymbolicLink(Outside + "/link", "secret");
    }

    // What a layer below, or a directory that is copied into, may have: ways out.
    private TarItem[] LowerItems() =>
    [
        TarItem.Directory("d"), TarItem.File("d/own", "own"), TarItem.File("secret", "inside"), TarItem.SymbolicLink("abs", Outside), TarItem.SymbolicLink("root", "/"),
        TarItem.SymbolicLink("up", "../../../../../../../../../.." + Outside), TarItem.SymbolicLink("d/up", "../../../../../../../../../../../.." + Outside),
    ];

    private void Prepare(RootedDirectory root)
    {
        foreach (TarItem item in LowerItems())
        {
            switch (item.Entry)
            {
                case DirectoryEntry directory:
                    root.CreateDirectory(directory.Path, directory.Metadata.Mode);
                    break;
                case SymbolicLinkEntry link:
                    root.CreateSymbolicLink(link.Path, link.Target);
                    break;
                default:
                    using (var file = new FileStream(root.CreateFile(item.Entry.Path, 0b110_100_100), FileAccess.Write))
                    {
                        file.Write(item.Content);
                    }
                    break;
            }
        }
    }

    // Two to seven moves, one after another.
    private byte[] Hostile(int seed)
    {
        var random = new Random(seed);
        string[] places = ["x", "d", "d/x", "abs", "root", "up", "d/up", "app", "x/y"];
        string[] ways = [Outside, "/", "..", "../..", "../../../../../../../../../../../.." + Outside, Outside + "/sub", "x", "d", "abs", "root" + Outside, "up/sub", "/proc/self/root" + Outside];
        string[] names = ["secret", "evil", "sub", "sub/file", "sub/evil", Outside[1..] + "/secret", Outside[1..] + "/evil", "link", "."];
        string Place() => places[random.Next(places.Length)];
        string Way() => ways[random.Next(ways.Length)];
        string Below() => Place() + "/" + names[random.Next(names.Length)];
        string Escape() => random.Next(4) switch { 0 => "../../../../../../../../../../../.." + Outside + "/evil", 1 => "x/../../evil", 2 => Outside + "/evil", _ => "/" + Outside + "/secret" };
        var tar = new List<byte>();
        for (int i = random.Next(2, 8); i > 0; i--)
        {
            tar.AddRange(random.Next(26) switch
            {
                < 5 => Entry('2', Place(), link: Way()),
                < 10 => Entry('0', Below(), content: "evil"),
                < 13 => Entry('5', random.Next(2) == 0 ? Place() : Below(), mode: 0b111_111_111),
                < 15 => Entry('1', Place(), link: random.Next(3) == 0 ? Outside + "/secret" : Below()),
                15 => Entry('1', Below(), link: Below()),
                16 => Entry('0', Below().Insert(0, "x/.wh."), content: ""),
                17 => Entry('0', Place() + "/.wh.secret", content: ""),
                18 => Entry('0', Place() + "/.wh..wh..opq", content: ""),
                19 => Entry('0', Place(), content: "evil", mode: 0b100_111_101_101),
                20 => Entry(random.Next(2) == 0 ? '3' : '4', Place() + "/dev", major: random.Next(3), minor: random.Next(2)),
                21 => Entry('6', Below()),
                22 => [.. TarFuzz.Pax('x', [.. Planted(random)]), .. Entry('5', Place())],
                23 => [.. TarFuzz.Long('L', LinuxPath.Encode(Below())), .. Entry('0', "short", content: "evil")],
                24 when random.Next(3) == 0 => Entry(random.Next(2) == 0 ? '0' : '5', Escape()),
                _ => Entry('2', Below(), link: Way()),
            });
        }
        tar.AddRange(new byte[1024]);
        return [.. tar];
    }

    private static IEnumerable<byte[]> Planted(Random random)
    {
        string[] keys = ["trusted.overlay.redirect=/secret", "trusted.overlay.opaque=y", "user.overlay.opaque=y", "trusted.overlay.metacopy=", "user.plain=1"];
        yield return LinuxPath.Encode("SCHILY.xattr." + keys[random.Next(keys.Length)]);
        yield return LinuxPath.Encode("SCHILY.xattr.trusted.overlay.origin=x");
    }

    private static byte[] Entry(char type, string path, string link = "", string content = "", int mode = 0b110_110_110, int major = 0, int minor = 0)
    {
        byte[] name = LinuxPath.Encode(path), target = LinuxPath.Encode(link), bytes = LinuxPath.Encode(content);
        return
        [
            .. name.Length > 100 ? TarFuzz.Long('L', name) : [], .. target.Length > 100 ? TarFuzz.Long('K', target) : [],
            .. TarFuzz.Header(type, name, bytes.Length, target, mode: mode, uid: 12345, gid: 12345, time: 1, major: major, minor: minor), .. TarFuzz.Padded(bytes),
        ];
    }

    private void AssertNothingLeaked(int seed, SortedDictionary<string, string> tree)
    {
        foreach ((string path, string what) in tree)
        {
            Assert.False(what.Contains(Hash(LinuxPath.Encode(Secret)), StringComparison.Ordinal), $"seed {seed}: {path} has what lies outside {Outside}");
            Assert.False(what.Contains("overlay.redirect", StringComparison.Ordinal) || what.Contains("overlay.metacopy", StringComparison.Ordinal) || what.Contains("overlay.origin", StringComparison.Ordinal),
                $"seed {seed}: {path} has a planted attribute: {what}");
        }
    }

    private static void AssertSame(int seed, SortedDictionary<string, string> before, SortedDictionary<string, string> after)
        => Assert.True(before.SequenceEqual(after), $"seed {seed} changed what lies outside:\n{string.Join('\n', after.Except(before).Concat(before.Except(after)))}");

    // Everything statx says, change times and link counts too, with attributes and content.
    private static SortedDictionary<string, string> Photograph(string folder)
    {
        using RootedDirectory root = RootedDirectory.Open(folder);
        var seen = new SortedDictionary<string, string>(StringComparer.Ordinal);
        var rest = new Stack<string>([""]);
        while (rest.TryPop(out string? path))
        {
            FileStatus status = root.TryGetStatus(path)!.Value;
            string xattrs = string.Join(',', root.GetXattrs(path).Select(x => x.Key));
            string content = "";
            if (status.Kind == FileKind.Regular)
            {
                using var file = new FileStream(root.OpenFile(path), FileAccess.Read);
                byte[] bytes = new byte[file.Length];
                file.ReadExactly(bytes);
                content = Hash(bytes);
            }
            seen[path] = string.Create(CultureInfo.InvariantCulture, $"{status} {xattrs} {content}");
            if (status.Kind == FileKind.Directory)
            {
                foreach (string name in root.GetNames(path))
                {
                    rest.Push(path.Length == 0 ? name : path + "/" + name);
                }
            }
        }
        return seen;
    }

    private static string Hash(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}
