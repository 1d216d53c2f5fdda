using System.Globalization;
using System.Text.Json;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Seeds;

/// <summary>Rows B9 to B11 of the checklist: one copy of a layer on disk, one in memory. Each in a store of its own: others would be counted.</summary>
public sealed class SharingSeeds
{
    private const int MiB = 1 << 20;

    [Fact]
    public void B9_several_images_from_one_base_are_one_copy_of_it_on_disk()
    {
        const int Images = 5, DeltaMiB = 3;
        using var store = new SeedStore();
        store.Build("b9base", $"FROM {store.Busybox}\nRUN dd if=/dev/urandom of=/base bs=1M count=40\n").Ok();
        long before = FileSystems.GetDiskUsage(store.Root);
        long blobs = 0;
        for (int i = 0; i < Images; i++)
        {
            store.Build($"b9:{i}", $"FROM b9base\nRUN dd if=/dev/urandom of=/delta{i} bs=1M count={DeltaMiB}\n").Ok();
            Assert.Equal(store.Layers("b9base"), store.Layers($"b9:{i}")[..^1]);
            blobs += TopBlobBytes(store, $"b9:{i}");
        }
        long after = FileSystems.GetDiskUsage(store.Root), deltas = (Images * DeltaMiB * (long)MiB) + blobs;
        // What a manifest, a config, a name, records and a directory take is a few blocks of 4 KiB each.
        Assert.InRange(after - before, deltas, (long)(deltas * 1.01) + (Images * 80 * 1024));

        using JsonDocument usage = JsonDocument.Parse(store.Run("system", "df", "--format", "json").Ok().Out);
        Assert.InRange(usage.RootElement.GetProperty("TotalBytes").GetInt64(), after, after + MiB); // df itself holds a lease for a moment
        long unique = 0, shared = 0;
        string[] rows = [.. store.Run("system", "df", "-v").Ok().Lines.SkipWhile(l => !l.StartsWith("REPOSITORY", StringComparison.Ordinal)).Skip(1).TakeWhile(l => !l.EndsWith("space usage:", StringComparison.Ordinal))];
        Assert.Equal(Images + 2, rows.Length);
        foreach (string row in rows)
        {
            string[] cells = row.Split("   ", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            unique += Bytes(cells[^2]);
            shared = Math.Max(shared, Bytes(cells[^3]));
        }
        // One of the images shares all that any of them share: that once, and what each has alone, is the store.
        Assert.InRange(unique + shared, (long)(after * 0.99) - (128 * 1024), (long)(after * 1.01));
    }

    [Fact]
    public void B10_two_containers_read_one_copy_in_memory()
    {
        using var store = new SeedStore();
        store.Build("b10", $"FROM {store.Busybox}\nRUN dd if=/dev/urandom of=/big bs=1M count=64\n").Ok();
        SeedStore.Exec("sync", null).Ok();
        File.WriteAllText("/proc/sys/vm/drop_caches", "1");
        long first = ReadFromDisk(), second = ReadFromDisk();
        Assert.InRange(first, 60L * MiB, long.MaxValue);
        Assert.InRange(second, 0, 2L * MiB);

        long ReadFromDisk()
        {
            // Of the shell and the children it has waited for.
            string read = store.Run("run", "--rm", "b10", "sh", "-c", "cat /big >/dev/null; grep ^read_bytes /proc/$$/io").Ok().Out;
            return long.Parse(read.Split(' ')[1], CultureInfo.InvariantCulture);
        }
    }

    [Fact]
    public void B11_containers_share_the_same_files_while_they_run()
    {
        using var store = new SeedStore();
        store.Build("b11", $"FROM {store.Busybox}\nRUN echo b11-shared >/shared\n").Ok();
        string[] names = ["b11a", "b11b"];
        try
        {
            foreach (string name in names)
            {
                store.Run("create", "--name", name, "b11", "sleep", "100").Ok();
                store.Run("start", name).Ok();
            }
            string pids = store.Run("inspect", "-f", "{{.State.Pid}}", "b11a", "b11b").Ok().Out;
            ulong[] seen = [.. pids.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(pid => FileSystems.TryGetStatus($"/proc/{pid}/root/shared")!.Value.Inode)];
            Assert.Equal(seen[0], seen[1]); // overlayfs shows the inode of the file that answers
            AssertSameLayers(store, pids);

            using JsonDocument sharing = JsonDocument.Parse("[" + string.Join(',', store.Run("sharing", "--format", "json").Ok().Lines) + "]");
            JsonElement[] layers = [.. sharing.RootElement.EnumerateArray()];
            Assert.Equal(store.Layers("b11").Order(StringComparer.Ordinal), layers.Select(l => l.GetProperty("Layer").GetString()!).Order(StringComparer.Ordinal));
            Assert.All(layers, l => Assert.Equal(names, l.GetProperty("Containers").EnumerateArray().Select(c => c.GetString()!).Order(StringComparer.Ordinal)));
            Assert.Equal(["b11:latest", "box:1"], layers.Single(l => l.GetProperty("Images").GetArrayLength() == 2).GetProperty("Images").EnumerateArray().Select(i => i.GetString()!).Order(StringComparer.Ordinal));
            Assert.Contains("a copy for each image would take", store.Run("sharing").Ok().Out, StringComparison.Ordinal);
        }
        finally
        {
            store.Run(["rm", "-f", .. names]).Ok();
        }
    }

    // Of an unpacked layer both read the same file; of one that is mounted, the same mounted file system, which their monitors see.
    private static void AssertSameLayers(SeedStore store, string pids)
    {
        string trees = Path.Combine(store.Root, "trees");
        if (store.Run("info").Ok().Out.Contains("Snapshotter:  overlay", StringComparison.Ordinal))
        {
            Assert.Single(Directory.GetFiles(trees, "shared", SearchOption.AllDirectories));
            return;
        }
        string[] monitors = [.. pids.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(pid => File.ReadLines($"/proc/{pid}/status").First(l => l.StartsWith("PPid:", StringComparison.Ordinal))[5..].Trim())];
        foreach (string layer in Directory.GetDirectories(trees).Select(d => Path.Combine(d, "fs")))
        {
            ulong[] devices = [.. monitors.Select(m => FileSystems.TryGetStatus($"/proc/{m}/root{layer}")!.Value.Device)];
            Assert.Equal(devices[0], devices[1]);
            Assert.NotEqual(FileSystems.TryGetStatus(layer)!.Value.Device, devices[0]);
        }
    }

    // On disk, of the layer that the image has on top, where the store keeps it as it was made.
    private static long TopBlobBytes(SeedStore store, string image)
    {
        using JsonDocument manifest = JsonDocument.Parse(File.ReadAllText(BlobPath(store, store.Inspect(image, "{{.Descriptor.Digest}}"))));
        string digest = manifest.RootElement.GetProperty("layers").EnumerateArray().Last().GetProperty("digest").GetString()!;
        return FileSystems.GetDiskUsage(BlobPath(store, digest));
    }

    private static string BlobPath(SeedStore store, string digest) => Path.Combine(store.Root, "blobs", "sha256", digest[7..9], digest[7..]);

    private static long Bytes(string human)
    {
        string[] units = ["B", "kB", "MB", "GB"];
        string unit = human.TrimStart("0123456789.".ToCharArray());
        return (long)(double.Parse(human[..^unit.Length], CultureInfo.InvariantCulture) * Math.Pow(1000, Array.IndexOf(units, unit)));
    }
}
