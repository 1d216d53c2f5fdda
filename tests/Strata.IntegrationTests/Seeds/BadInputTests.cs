using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Seeds;

/// <summary>What people get wrong every day: one clear line, the right exit code, the store as it was.</summary>
public sealed class BadInputTests(SeedStore store)
{
    [Fact]
    public void A_base_that_is_not_there_is_named()
    {
        string root = Path.Combine(store.Folder, "missing-base");
        string context = store.Context(("Dockerfile", "FROM 127.0.0.1:1/none/such:1\nRUN true\n"));
        Outcome failed = SeedStore.RunIn(root, null, "build", context).Fails(1);
        Assert.Contains("127.0.0.1:1/none/such:1", failed.Err, StringComparison.Ordinal);
        Assert.Contains("Dockerfile:1", failed.Err, StringComparison.Ordinal);
        SeedStore.RunIn(root, null, "system", "check").Ok();
    }

    [Fact]
    public void A_missing_crun_is_named_with_its_package()
    {
        using var alone = new SeedStore();
        Outcome failed = alone.Run("--runtime", "crun-that-is-not-there", "run", "--rm", alone.Busybox, "true").Fails(125);
        Assert.Contains("crun-that-is-not-there", failed.Err, StringComparison.Ordinal);
        Assert.Equal("", alone.Run("ps", "-aq").Ok().Out);
    }

    [Theory]
    [InlineData("Debian")]
    [InlineData("debian:")]
    [InlineData("-x")]
    [InlineData("a//b")]
    [InlineData("debian@sha256:123")]
    [InlineData("sha256:../../../etc/x")]
    public void A_name_that_cannot_be_is_refused(string name)
    {
        Outcome failed = store.Run("run", "--rm", "--", name, "true");
        Assert.True(failed.Code is 125 or 2, $"{failed.Command} ended with {failed.Code}");
        Assert.NotEmpty(failed.Err);
        Assert.DoesNotContain("   at ", failed.Err, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, "images --nope", "unknown option --nope")]
    [InlineData(2, "rmi", "IMAGE is missing")]
    [InlineData(2, "tag one", "TARGET is missing")]
    [InlineData(2, "layer ls x two", "it is a whole number")]
    [InlineData(125, "run --nope box", "unknown option --nope")]
    [InlineData(125, "run --name", "--name needs a value")]
    [InlineData(125, "create", "IMAGE is missing")]
    public void A_line_that_cannot_be_understood_says_why_and_what_helps(int code, string line, string said)
    {
        Outcome failed = store.Run(line.Split(' ')).Fails(code);
        Assert.Contains(said, failed.Err, StringComparison.Ordinal);
        Assert.Contains("--help", failed.Err, StringComparison.Ordinal);
    }

    [Fact]
    public void A_copy_of_what_is_not_there_names_line_and_source()
    {
        Outcome failed = store.Build("bad-copy", $"FROM {store.Busybox}\nRUN true\nCOPY nothing /\n", ("something", "x")).Fails(1);
        Assert.Contains("Dockerfile:3", failed.Err, StringComparison.Ordinal);
        Assert.Contains("nothing", failed.Err, StringComparison.Ordinal);
        Assert.Contains("something", failed.Err, StringComparison.Ordinal);
        Assert.Equal("", store.Run("images", "-q", "bad-copy").Ok().Out);
    }

    [Fact]
    public void A_failed_step_names_file_line_command_and_exit_code_and_leaves_nothing()
    {
        using var alone = new SeedStore();
        string box = alone.Busybox;
        alone.Build("good", $"FROM {box}\nRUN true\n").Ok();
        string[] before = Entries(alone.Root);
        Outcome failed = alone.Build("bad-run", $"FROM {box}\n# why\nRUN echo before; exit 42\n").Fails(1);
        Assert.Contains("Dockerfile:3", failed.Err, StringComparison.Ordinal);
        Assert.Contains("exit 42", failed.Err, StringComparison.Ordinal);
        Assert.Contains("42", failed.Err.Replace("exit 42", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.DoesNotContain(Mounts.ReadTable(), m => m.Target.StartsWith(alone.Root, StringComparison.Ordinal));
        Assert.Equal(before, Entries(alone.Root));

        static string[] Entries(string root) =>
            [.. Directory.GetFileSystemEntries(root, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
    }

    [Fact]
    public void A_command_that_is_not_in_the_image_is_127_and_one_that_cannot_run_is_126()
    {
        Assert.Contains("no-such-program", store.Run("run", "--rm", store.Busybox, "no-such-program").Fails(127).Err, StringComparison.Ordinal);
        store.Run("run", "--rm", store.Busybox, "/etc/passwd").Fails(126);
        store.Run("run", "--rm", store.Busybox, "/etc").Fails(126);
        store.Run("run", "--rm", store.Busybox, "/no/such/path").Fails(127);
    }

    [Fact]
    public void A_full_disk_is_an_ordinary_error_and_the_store_stays_whole()
    {
        string image = Path.Combine(store.Folder, "small.ext4"), mount = Path.Combine(store.Folder, "small");
        Directory.CreateDirectory(mount);
        using (FileStream file = File.Create(image))
        {
            file.SetLength(24 << 20);
        }
        SeedStore.Exec("mkfs.ext4", null, "-q", image).Ok();
        SeedStore.Exec("mount", null, "-o", "loop", image, mount).Ok();
        try
        {
            string root = Path.Combine(mount, "store"), archive = Path.Combine(store.Folder, "full.tar");
            store.Run("save", "-o", archive, store.Busybox).Ok();
            SeedStore.RunIn(root, null, "load", "-i", archive).Ok();
            string context = store.Context(("Dockerfile", $"FROM {store.Busybox}\nCOPY big /\n"));
            using (FileStream big = File.Create(Path.Combine(context, "big")))
            {
                byte[] noise = new byte[40 << 20];
                new Random(1).NextBytes(noise);
                big.Write(noise);
            }
            Outcome failed = SeedStore.RunIn(root, null, "build", "-t", "toobig", context).Fails(1);
            Assert.Contains("space", failed.Err, StringComparison.OrdinalIgnoreCase);
            Assert.Equal("", SeedStore.RunIn(root, null, "images", "-q", "toobig").Ok().Out);
            SeedStore.RunIn(root, null, "system", "prune", "-f").Ok();
            SeedStore.RunIn(root, null, "system", "check", "--deep").Ok();
            Assert.Equal("still\n", SeedStore.RunIn(root, null, "run", "--rm", store.Busybox, "echo", "still").Ok().Out);
        }
        finally
        {
            SeedStore.Exec("umount", null, "-l", mount).Ok();
        }
    }
}
