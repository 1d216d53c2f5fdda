using System.Globalization;
using System.Text.Json;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Seeds;

/// <summary>Rows B of the checklist: layered storage and the union file system.</summary>
public sealed class LayeredStorageSeeds(SeedStore store)
{
    private const string DeletedLater = "WORKDIR /home\nRUN dd if=/dev/zero of=50M.file bs=1M count=50\nRUN rm -rf 50M.file\n";

    [Fact]
    public void B1_an_image_is_a_set_of_layers_each_an_object_of_its_own()
    {
        store.Build("b1", $"FROM {store.Busybox}\nRUN echo 1 >/one\n").Ok();
        Assert.Equal(2, store.Layers("b1").Distinct().Count());
        using JsonDocument manifest = JsonDocument.Parse(File.ReadAllText(BlobOf(store.Inspect("b1", "{{.Descriptor.Digest}}"))));
        string[] blobs = [.. manifest.RootElement.GetProperty("layers").EnumerateArray().Select(l => l.GetProperty("digest").GetString()!)];
        Assert.Equal(2, blobs.Length);
        Assert.All(blobs, b => Assert.True(File.Exists(BlobOf(b)), b));
    }

    [Fact]
    public void B2_a_finished_layer_never_changes()
    {
        string Dockerfile(string third) => $"FROM {store.Busybox}\nRUN echo b2 >/one\nRUN echo 2 >/two\nRUN echo {third} >/three\n";
        store.Build("b2", Dockerfile("3")).Ok();
        string[] before = store.Layers("b2");
        ulong[] inodes = [.. TreeInodes()];
        store.Build("b2", Dockerfile("changed")).Ok();
        string[] after = store.Layers("b2");
        Assert.Equal(before[..3], after[..3]);
        Assert.NotEqual(before[3], after[3]);
        Assert.Subset(TreeInodes().ToHashSet(), inodes.ToHashSet());
    }

    [Fact]
    public void B3_several_directories_are_one_file_system()
    {
        store.Build("b3", $"FROM {store.Busybox}\nRUN echo lower >/same && mkdir /d && echo 1 >/d/a\nRUN echo upper >/same && echo 2 >/d/b\n").Ok();
        string mounted = store.Run("mount", "b3").Ok().Out.Trim();
        try
        {
            Assert.Equal("upper\n", File.ReadAllText(Path.Combine(mounted, "same")));
            Assert.Equal(["a", "b"], Directory.GetFiles(Path.Combine(mounted, "d")).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        }
        finally
        {
            store.Run("umount", "b3").Ok();
        }
    }

    [Fact]
    public void B4_a_change_is_a_commit_stacked_on_top()
    {
        string image = store.Busybox;
        store.Run("run", "--name", "b4c", image, "sh", "-c", "echo x >/f").Ok();
        store.Run("commit", "b4c", "b4").Ok();
        Assert.Equal(store.Layers(image).Length + 1, store.Layers("b4").Length);
        string[] entries = store.Run("layer", "ls", "b4", store.Layers("b4").Length.ToString(CultureInfo.InvariantCulture)).Ok().Lines;
        Assert.Equal(["f"], entries.Select(Name).Where(n => n.Length > 0));
        store.Run("rm", "b4c").Ok();
    }

    [Fact]
    public void B5_deleting_a_lower_file_only_marks_it_deleted()
    {
        store.Build("b5", $"FROM {store.Busybox}\n{DeletedLater}").Ok();
        string[] entries = store.Run("layer", "ls", "b5", store.Layers("b5").Length.ToString(CultureInfo.InvariantCulture)).Ok().Lines;
        Assert.Contains(entries, e => Name(e) == "home/.wh.50M.file");
        Assert.Equal("0B", store.Run("history", "--format", "{{.Size}}", "b5").Ok().Lines[0]);
    }

    [Fact]
    public void B6_the_deleted_file_follows_the_image_for_ever()
    {
        store.Build("b6", $"FROM {store.Busybox}\n{DeletedLater}").Ok();
        Assert.DoesNotContain("50M.file", store.Run("run", "--rm", "b6", "ls", "-A", "/home").Ok().Out, StringComparison.Ordinal);
        string[] below = store.Run("layer", "ls", "b6", (store.Layers("b6").Length - 1).ToString(CultureInfo.InvariantCulture)).Ok().Lines;
        Assert.Contains(below, e => Name(e) == "home/50M.file");
    }

    [Fact]
    public void B7_what_is_cleaned_too_late_is_found_in_the_file_and_in_the_image()
    {
        string context = store.Context(("Dockerfile", $"FROM {store.Busybox}\n{DeletedLater}"));
        Outcome lint = store.Run("lint", Path.Combine(context, "Dockerfile")).Answers(3);
        Assert.Matches(@"Dockerfile:[34]\b", lint.Out);
        store.Run("build", "-t", "b7", context).Ok();
        Outcome waste = store.Run("analyze", "b7").Ok();
        Assert.Contains("50M.file", waste.Out, StringComparison.Ordinal);
        Assert.Contains("52428800", waste.Out.Replace(",", "", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    [Fact]
    public void B8_an_image_built_before_is_the_base_of_a_new_one()
    {
        using var alone = new SeedStore();
        alone.Build("b8mine:1", $"FROM {alone.Busybox}\nRUN dd if=/dev/urandom of=/big bs=1M count=8\n").Ok();
        long before = FileSystems.GetDiskUsage(alone.Root);
        alone.Build("b8next", "FROM b8mine:1\nRUN echo small >/small\n").Ok();
        Assert.Equal(alone.Layers("b8mine:1"), alone.Layers("b8next")[..^1]);
        Assert.InRange(FileSystems.GetDiskUsage(alone.Root) - before, 1, 1_000_000);
    }

    [Fact]
    public void B13_layers_make_copies_and_migration_easy()
    {
        store.Build("b13", $"FROM {store.Busybox}\nRUN echo 1 >/one\n").Ok();
        string archive = Path.Combine(store.Folder, "b13.tar"), other = Path.Combine(store.Folder, "b13-store");
        store.Run("save", "-o", archive, "b13").Ok();
        Assert.Contains("b13:latest", SeedStore.RunIn(other, null, "load", "-i", archive).Ok().Out, StringComparison.Ordinal);
        Assert.Equal(store.Inspect("b13", "{{.Id}} {{.Descriptor.Digest}}"), SeedStore.RunIn(other, null, "inspect", "-f", "{{.Id}} {{.Descriptor.Digest}}", "b13").Ok().Out.Trim());

        string container = store.Run("create", "b13").Ok().Out.Trim(), flat = Path.Combine(store.Folder, "b13-flat.tar");
        store.Run("export", "-o", flat, container).Ok();
        store.Run("import", flat, "b13flat").Ok();
        Assert.Single(store.Layers("b13flat"));
        Assert.Equal("1\n", store.Run("run", "--rm", "b13flat", "/bin/cat", "/one").Ok().Out);
        store.Run("rm", container).Ok();
    }

    [Fact]
    public void B14_a_container_is_a_writable_layer_on_the_image_layers()
    {
        string container = store.Run("create", store.Busybox, "sh", "-c", "echo x >/written").Ok().Out.Trim();
        string[] committed = Directory.GetFiles(Path.Combine(store.Root, "snapshots"));
        string[] lowers = store.Inspect(container, "{{join .GraphDriver.Data.LowerDirs \",\"}}").Split(',');
        string upper = store.Inspect(container, "{{.GraphDriver.Data.UpperDir}}");
        Assert.NotEmpty(lowers);
        Assert.All(lowers, l => Assert.True(Directory.Exists(l), l));
        Assert.True(Directory.Exists(upper), upper);
        store.Run("start", "-a", container).Ok();
        Assert.Equal("x\n", File.ReadAllText(Path.Combine(upper, "written")));
        store.Run("rm", container).Ok();
        Assert.False(Directory.Exists(upper));
        Assert.Subset(Directory.GetFiles(Path.Combine(store.Root, "snapshots")).ToHashSet(), committed.ToHashSet());
        Assert.Equal("fine\n", store.Run("run", "--rm", store.Busybox, "echo", "fine").Ok().Out);
    }

    [Fact]
    public void B15_image_layers_are_read_only()
    {
        store.Build("b15", $"FROM {store.Busybox}\nRUN echo 1 >/one\n").Ok();
        string mounted = store.Run("mount", "--ro", "b15").Ok().Out.Trim();
        try
        {
            using RootedDirectory root = RootedDirectory.Open(mounted);
            LinuxException refused = Assert.Throws<LinuxException>(() => root.CreateFile("new", 0b110_100_100).Dispose());
            Assert.Equal(Errno.EROFS, refused.Errno);
        }
        finally
        {
            store.Run("umount", "b15").Ok();
        }
        store.Run("run", "--rm", "b15", "sh", "-c", "echo 2 >/one; rm /etc/motd").Ok();
        store.Run("verify", "b15").Ok();
    }

    private static string Name(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^1].Trim('/');

    private string BlobOf(string digest) => Path.Combine(store.Root, "blobs", "sha256", digest[7..9], digest[7..]);

    private IEnumerable<ulong> TreeInodes()
        => Directory.GetFiles(store.Root, "one", SearchOption.AllDirectories).Where(f => File.ReadAllText(f) == "b2\n").Select(f => FileSystems.TryGetStatus(f)!.Value.Inode);
}
