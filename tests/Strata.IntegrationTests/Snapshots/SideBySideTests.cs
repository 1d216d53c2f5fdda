using System.Text.Json;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>A store that several snapshotters have worked in: what each made is used by its own, and nobody has to say which that is.</summary>
public sealed class SideBySideTests : IDisposable
{
    private static readonly string[] s_kinds = ["overlay", "erofs", "union"];

    private readonly string _folder = Directory.CreateTempSubdirectory("strata-side").FullName;
    private readonly SeedStore _seeds = new();

    private string Root => Path.Combine(_folder, "store");

    public void Dispose()
    {
        _seeds.Dispose();
        FileSystems.RemoveTree(_folder);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("overlay")]
    [InlineData("union")]
    public void A_container_is_used_by_the_snapshotter_that_made_it_whichever_is_chosen(string? chosen)
    {
        Load("overlay");
        foreach (string kind in s_kinds)
        {
            By(kind, "run", "--network", "none", "--name", kind, _seeds.Busybox, "sh", "-c", "test -e /made && cat /made || { echo one >/made; rm /etc/motd; }").Ok();
            Assert.Equal(kind, Driver(kind));
        }
        File.WriteAllText(Path.Combine(_folder, "from"), "copied\n");
        foreach (string kind in s_kinds)
        {
            Assert.Equal(["D /etc/motd", "A /made"], By(chosen, "diff", kind).Ok().Lines.Where(l => l != "C /etc"));
            Assert.Equal("one\n", By(chosen, "start", "-a", kind).Ok().Out);
            By(chosen, "cp", Path.Combine(_folder, "from"), kind + ":/into").Ok();
            By(chosen, "cp", kind + ":/into", Path.Combine(_folder, "back")).Ok();
            Assert.Equal("copied\n", File.ReadAllText(Path.Combine(_folder, "back")));
            By(chosen, "export", "-o", Path.Combine(_folder, "c.tar"), kind).Ok();
            Assert.Equal("one", SeedStore.Exec("tar", null, "-xOf", Path.Combine(_folder, "c.tar"), "made").Ok().Out.Trim());
            Assert.Contains("answers a read", By(chosen, "where", kind, "/made").Ok().Out, StringComparison.Ordinal);
            By(chosen, "commit", kind, "of-" + kind).Ok();
            Assert.Equal("one\ncopied\n", By(chosen, "run", "--rm", "--network", "none", "of-" + kind, "cat", "/made", "/into").Ok().Out);
            By(chosen, "verify", "of-" + kind).Ok();
            string mounted = By(chosen, "mount", kind).Ok().Out.Trim();
            Assert.Equal("one\n", File.ReadAllText(Path.Combine(mounted, "made")));
            By(chosen, "umount", kind).Ok();
            By(kind, "run", "-d", "--network", "none", "--name", "live-" + kind, _seeds.Busybox, "sleep", "100").Ok();
            Assert.Equal("hello\n", By(chosen, "exec", "live-" + kind, "sh", "-c", "echo hello | tee /said").Ok().Out);
            Assert.Contains("A /said", By(chosen, "diff", "live-" + kind).Ok().Lines);
        }
        By(chosen, "system", "df").Ok();
        By(chosen, "sharing").Ok();
        By(chosen, "analyze", _seeds.Busybox).Ok();
        Assert.Contains("0 problems", By(chosen, "system", "check", "--deep").Ok().Out, StringComparison.Ordinal);
        By(chosen, "system", "prune", "-f").Ok(); // the stopped ones
        Assert.Equal(s_kinds.Select(k => "live-" + k).Order(StringComparer.Ordinal), By(chosen, "ps", "-a", "--format", "{{.Names}}").Ok().Lines.Order(StringComparer.Ordinal));
        By(chosen, ["rm", "-f", .. s_kinds.Select(k => "live-" + k)]).Ok();
        By(chosen, "system", "prune", "-af").Ok();
        Assert.Empty(Directory.GetDirectories(Path.Combine(Root, "trees")));
        Assert.Empty(Directory.GetDirectories(Path.Combine(Root, "active")));
    }

    [Fact]
    public void An_images_layers_are_applied_for_the_chosen_snapshotter_and_what_stands_on_them_is_of_its_kind()
    {
        Load("overlay");
        By(null, "run", "--network", "none", "--name", "as-is", _seeds.Busybox, "true").Ok();
        Assert.Equal("overlay", Driver("as-is"));
        Assert.Equal([""], Endings());
        string context = _seeds.Context(("Dockerfile", $"FROM {_seeds.Busybox}\nRUN echo built >/built\n"));
        By(null, "build", "-t", "on-top", context).Ok();
        Assert.Equal([""], Endings()); // a step stands on what its base is
        By("erofs", "run", "--network", "none", "--name", "asked", _seeds.Busybox, "true").Ok();
        Assert.Equal(["", ".erofs"], Endings());
        Assert.Equal("erofs", Driver("asked"));
        By(null, "run", "--network", "none", "--name", "both", _seeds.Busybox, "true").Ok();
        Assert.Equal("erofs", Driver("both")); // both are there: the chosen one's are taken
        By(null, "rm", "as-is", "asked", "both").Ok();
        By(null, "rmi", "-f", "on-top").Ok();
        By(null, "system", "migrate").Ok();
        Assert.Equal([".erofs"], Endings());
    }

    [Fact]
    public void Migrating_makes_what_only_another_has()
    {
        Load("overlay");
        Assert.Equal([""], Endings());
        By(null, "system", "migrate").Ok();
        Assert.Equal([".erofs"], Endings());
    }

    [Fact]
    public void A_build_takes_files_from_a_stage_of_another_kind()
    {
        Load("overlay");
        By("erofs", "build", "-t", "other", _seeds.Context(("f", "from erofs\n"), ("Dockerfile", "FROM scratch\nCOPY f /f\n"))).Ok();
        string context = _seeds.Context(("Dockerfile", $"FROM other AS o\nFROM {_seeds.Busybox}\nCOPY --from=o /f /copied\nRUN --mount=from=o,target=/o cat /o/f >/read\n"));
        By(null, "build", "-t", "app", context).Ok();
        Assert.Equal(["", ".erofs"], Endings());
        Assert.Equal("from erofs\nfrom erofs\n", By(null, "run", "--rm", "--network", "none", "app", "cat", "/copied", "/read").Ok().Out);
    }

    [Fact]
    public void Repairing_puts_right_what_each_snapshotter_has()
    {
        Load("overlay");
        foreach (string kind in (string[])["overlay", "erofs"])
        {
            By(kind, "run", "--network", "none", "--name", kind, _seeds.Busybox, "cat", "/etc/motd").Ok();
        }
        string trees = Path.Combine(Root, "trees");
        string tar = Directory.GetFiles(trees, "layer.tar", SearchOption.AllDirectories).Single(), file = Directory.GetFiles(trees, "motd", SearchOption.AllDirectories).Single();
        string motd = File.ReadAllText(file);
        File.WriteAllText(file, "changed");
        using (FileStream stream = File.OpenWrite(tar))
        {
            stream.Seek(-2000, SeekOrigin.End);
            stream.WriteByte(1);
        }
        Assert.NotEqual(0, By(null, "system", "check", "--deep", "--repair").Code);
        Assert.Contains("0 problems", By(null, "system", "check", "--deep").Ok().Out, StringComparison.Ordinal);
        foreach (string kind in (string[])["overlay", "erofs"])
        {
            Assert.Equal(motd, By(null, "start", "-a", kind).Ok().Out);
        }
    }

    [Fact]
    public void The_settings_of_a_store_choose_and_a_command_chooses_above_them()
    {
        Load(null);
        Assert.Equal([".erofs"], Endings());
        File.WriteAllText(Path.Combine(Root, "settings.json"), """{"snapshotter":"overlay"}""");
        Assert.Contains("Snapshotter:  overlay (named in settings.json)", By(null, "info").Ok().Out, StringComparison.Ordinal);
        By(null, "run", "--network", "none", "--name", "c", _seeds.Busybox, "true").Ok();
        Assert.Equal("overlay", Driver("c"));
        By("erofs", "run", "--network", "none", "--name", "d", _seeds.Busybox, "true").Ok();
        Assert.Equal("erofs", Driver("d"));
        By(null, "system", "budget", "--max-size", "20GB").Ok(); // what others set stays
        Assert.Contains("overlay (named in settings.json)", By(null, "info").Ok().Out, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(Root, "settings.json"), """{"snapshotter":"btrfs"}""");
        Outcome refused = By(null, "run", "--network", "none", _seeds.Busybox, "true");
        Assert.Equal(125, refused.Code);
        Assert.Contains("snapshotter btrfs: there are erofs, overlay and union", refused.Err, StringComparison.Ordinal);
    }

    // What a kernel says that cannot: each call that is refused leads one step down, and says so. strace counts for each thread, and each attempt has its own:
    // what is refused to erofs is refused to overlayfs, which has another way where the call is fsconfig.
    [Theory]
    [InlineData("fsconfig:error=EINVAL:when=2", "overlay (overlayfs mounts here)", "EROFS cannot be mounted out of files here (EINVAL)")] // no second device
    [InlineData("fsconfig:error=EINVAL:when=3", "overlay (overlayfs mounts here)", "EROFS cannot be mounted out of files here (EINVAL)")] // not out of files
    [InlineData("fsopen:error=ENODEV:when=1", "union (overlayfs cannot be mounted (ENODEV))", "EROFS cannot be mounted out of files here (ENODEV)")] // neither
    [InlineData("fsopen:error=ENOSYS", "union (overlayfs cannot be mounted (ENOSYS))", "EROFS cannot be mounted out of files here (ENOSYS)")] // no mount API
    public void A_kernel_that_refuses_leads_to_the_next_snapshotter(string refusal, string chosen, string reason)
    {
        _seeds.Run("save", "-o", Path.Combine(_folder, "box.tar"), _seeds.Busybox).Ok();
        Outcome info = Refusing(refusal, "info").Ok();
        Assert.Contains($"Snapshotter:  {chosen}", info.Out, StringComparison.Ordinal);
        Assert.Contains($"EROFS:        not used ({reason})", info.Out, StringComparison.Ordinal);
        string name = chosen.Split(' ')[0];
        Outcome again = By(null, "info").Ok(); // found out once, and kept
        Assert.Contains($"Snapshotter:  {chosen}", again.Out, StringComparison.Ordinal);
        By(null, "load", "-i", Path.Combine(_folder, "box.tar")).Ok();
        By(null, "run", "--network", "none", "--name", "c", _seeds.Busybox, "true").Ok();
        Assert.Equal(name, Driver("c"));
    }

    [Fact]
    public void Where_the_kernel_takes_no_layers_one_by_one_overlayfs_gets_them_in_one_option()
    {
        Load("overlay");
        Outcome ran = Refusing("fsconfig:error=EINVAL:when=6", "--snapshotter", "overlay", "run", "--rm", "--network", "none", _seeds.Busybox, "cat", "/etc/motd").Ok(); // the sixth is lowerdir+
        Assert.NotEmpty(ran.Out);
        Assert.Contains("\"lowerdir+\"", File.ReadAllLines(Path.Combine(_folder, "strace")).First(l => l.Contains("(INJECTED)", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_container_whose_files_the_kernel_no_longer_mounts_is_told_of_and_can_be_saved()
    {
        Load("erofs");
        By("erofs", "run", "--network", "none", "--name", "c", _seeds.Busybox, "sh", "-c", "echo mine >/mine").Ok();
        foreach (string note in (string[])["erofs.json", "snapshotter.json"])
        {
            File.Delete(Path.Combine(Root, "snapshots", note)); // as after a start of another kernel
        }
        Refusing("fsconfig:error=EINVAL:when=2", "info").Ok();
        Outcome refused = By(null, "start", "-a", "c");
        Assert.NotEqual(0, refused.Code);
        Assert.Contains("its files were made by the erofs snapshotter: EROFS cannot be mounted out of files here (EINVAL)", refused.Err, StringComparison.Ordinal);
        Assert.Contains("A /mine", By(null, "diff", "c").Ok().Lines);
        By(null, "commit", "c", "saved").Ok();
        Assert.Equal("mine\n", By(null, "run", "--rm", "--network", "none", "saved", "cat", "/mine").Ok().Out);
        Assert.Equal(["", ".erofs"], Endings());
    }

    private string Driver(string container)
    {
        using JsonDocument inspected = JsonDocument.Parse(By(null, "inspect", container).Ok().Out);
        return inspected.RootElement[0].GetProperty("Driver").GetString()!;
    }

    private string[] Endings() => [.. Directory.GetDirectories(Path.Combine(Root, "trees")).Select(d => Path.GetExtension(d)).Distinct().Order(StringComparer.Ordinal)];

    private Outcome By(string? snapshotter, params string[] arguments) => SeedStore.RunIn(Root, null, [.. snapshotter is null ? Array.Empty<string>() : ["--snapshotter", snapshotter], .. arguments]);

    private Outcome Refusing(string refusal, params string[] arguments)
        => SeedStore.Exec("strace", null, ["-f", "-o", Path.Combine(_folder, "strace"), "-e", "trace=fsopen,fsconfig", "-e", "inject=" + refusal, SeedStore.Binary, "--root", Root, .. arguments]);

    private void Load(string? snapshotter)
    {
        string archive = Path.Combine(_folder, "box.tar");
        _seeds.Run("save", "-o", archive, _seeds.Busybox).Ok();
        By(snapshotter, "load", "-i", archive).Ok();
    }
}
