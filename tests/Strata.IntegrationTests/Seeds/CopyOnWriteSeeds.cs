using Strata.IntegrationTests.Snapshots;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Seeds;

/// <summary>Rows C of the checklist: the four operations of copy-on-write.</summary>
public sealed class CopyOnWriteSeeds(SeedStore store)
{
    [Fact]
    public void C1_a_read_is_answered_by_the_topmost_layer_that_has_the_path()
    {
        store.Build("c1", $"FROM {store.Busybox}\nRUN echo low >/p\nRUN echo middle >/p\nRUN echo top >/p\nRUN echo other >/q\n").Ok();
        Assert.Equal("top\n", store.Run("run", "--rm", "c1", "cat", "/p").Ok().Out);
        string[] layers = store.Layers("c1");
        Outcome where = store.Run("where", "c1", "/p").Ok();
        Assert.Contains(layers[3][7..19], where.Out, StringComparison.Ordinal);
        string container = store.Run("create", "c1").Ok().Out.Trim();
        Assert.Contains(layers[3][7..19], store.Run("where", container, "/p").Ok().Out, StringComparison.Ordinal);
        store.Run("rm", container).Ok();
    }

    [Fact]
    public void C2_a_change_is_made_to_a_copy_in_the_container_layer()
    {
        store.Build("c2", $"FROM {store.Busybox}\nRUN echo old >/etc/hosts2\n").Ok();
        store.Run("run", "--name", "c2a", "c2", "sh", "-c", "echo y >>/etc/hosts2").Ok();
        Assert.Equal(["C /etc", "C /etc/hosts2"], store.Run("diff", "c2a").Ok().Lines);
        Assert.Equal("old\n", store.Run("run", "--rm", "c2", "cat", "/etc/hosts2").Ok().Out);
        store.Run("rm", "c2a").Ok();
    }

    [Fact]
    public void C3_a_deletion_is_recorded_in_the_container_layer()
    {
        store.Build("c3", $"FROM {store.Busybox}\nRUN echo x >/etc/x\n").Ok();
        store.Run("run", "--name", "c3a", "c3", "rm", "/etc/x").Ok();
        Assert.Equal(["C /etc", "D /etc/x"], store.Run("diff", "c3a").Ok().Lines);
        Assert.Equal("x\n", store.Run("run", "--rm", "c3", "cat", "/etc/x").Ok().Out);
        store.Run("rm", "c3a").Ok();
    }

    [Fact]
    public void C4_a_new_file_goes_straight_into_the_container_layer()
    {
        store.Run("run", "--name", "c4a", store.Busybox, "touch", "/n").Ok();
        Assert.Equal(["A /n"], store.Run("diff", "c4a").Ok().Lines);
        store.Run("run", "--rm", store.Busybox, "test", "!", "-e", "/n").Ok();
        store.Run("rm", "c4a").Ok();
    }

    [Fact]
    public void C2_C3_C4_the_same_in_a_container_that_runs()
    {
        store.Build("cow", $"FROM {store.Busybox}\nRUN echo old >/etc/hosts2; echo x >/etc/x\n").Ok();
        store.Run("run", "-d", "--network", "none", "--name", "cowa", "cow", "sleep", "1000").Ok();
        store.Run("run", "-d", "--network", "none", "--name", "cowb", "cow", "sleep", "1000").Ok();
        store.Run("exec", "cowa", "sh", "-c", "echo y >>/etc/hosts2").Ok();
        Assert.Equal(["C /etc", "C /etc/hosts2"], store.Run("diff", "cowa").Ok().Lines);
        store.Run("exec", "cowa", "rm", "/etc/x").Ok();
        store.Run("exec", "cowa", "touch", "/n").Ok();
        Assert.Equal(["A /n", "C /etc", "C /etc/hosts2", "D /etc/x"], store.Run("diff", "cowa").Ok().Lines.Order(StringComparer.Ordinal));
        Assert.Equal("old\nx\n", store.Run("exec", "cowb", "cat", "/etc/hosts2", "/etc/x").Ok().Out);
        store.Run("exec", "cowb", "test", "!", "-e", "/n").Ok();
        Assert.Contains("(container)", store.Run("where", "cowa", "/etc/hosts2").Ok().Out, StringComparison.Ordinal);
        Assert.DoesNotContain("(container)", store.Run("where", "cowb", "/etc/hosts2").Ok().Out, StringComparison.Ordinal);
        Assert.Matches(@"^cowa [1-9]", store.Run("ps", "-s", "--filter", "name=cowa", "--format", "{{.Names}} {{.Size}}").Ok().Out);
        store.Run("rm", "-f", "cowa", "cowb").Ok();
    }

    [Fact]
    public void A_commit_can_be_one_layer_and_take_the_volumes_along()
    {
        store.Build("sq", $"FROM {store.Busybox}\nRUN echo one >/one; echo two >/two\nRUN rm /two\nVOLUME /data\n").Ok();
        store.Run("run", "--network", "none", "--name", "sqc", "-v", "sqdata:/data", "sq", "sh", "-c", "echo kept >/data/f; echo three >/three").Ok();
        Outcome plain = store.Run("commit", "sqc", "sqplain").Ok();
        Assert.Contains("/data", plain.Err, StringComparison.Ordinal);
        Assert.Equal("one\nthree\n", store.Run("run", "--rm", "--network", "none", "sqplain", "sh", "-c", "cat /one /three; cat /data/f").Out);
        store.Run("commit", "--squash", "--with-volumes", "sqc", "sqfull").Ok();
        Assert.Equal(2, store.Layers("sqfull").Length);
        Assert.Equal("one\nthree\nkept\n", store.Run("run", "--rm", "--network", "none", "sqfull", "sh", "-c", "cat /one /three /data/f; test ! -e /two").Ok().Out);
        Assert.DoesNotContain("/two", store.Run("layer", "ls", "sqfull", "1").Ok().Out, StringComparison.Ordinal);
        store.Run("rm", "-v", "sqc").Ok();
        store.Run("volume", "rm", "sqdata").Ok();
    }

    [Fact]
    public void C5_deletion_never_makes_an_image_smaller()
    {
        store.Build("c5", $"FROM {store.Debian}\nRUN rm -rf /usr/share/doc\n").Ok();
        Assert.True(long.Parse(store.Inspect("c5", "{{.Size}}"), null) >= long.Parse(store.Inspect(store.Debian, "{{.Size}}"), null));
        Assert.Equal("gone\n", store.Run("run", "--rm", "c5", "sh", "-c", "test -e /usr/share/doc/apt || echo gone").Ok().Out);
    }

    [Fact]
    public void C6_containers_do_not_disturb_each_other()
    {
        string box = store.Busybox;
        store.Run("create", "--name", "c6a", box, "sh", "-c", "[ -e /who ] || echo a >/who; cat /who").Ok();
        store.Run("create", "--name", "c6b", box, "sh", "-c", "[ -e /who ] || echo b >/who; cat /who").Ok();
        foreach (string _ in new[] { "first run", "second run" })
        {
            Assert.Equal("a\n", store.Run("start", "-a", "c6a").Ok().Out);
            Assert.Equal("b\n", store.Run("start", "-a", "c6b").Ok().Out);
        }
        store.Run("rm", "c6a", "c6b").Ok();
    }

    [Fact]
    public void C7_whatever_a_container_destroys_the_next_one_is_intact()
    {
        string files = store.Run("run", "--rm", store.Debian, "sh", "-c", "find /usr | wc -l").Ok().Out;
        store.Run("run", "--rm", store.Debian, "rm", "-rf", "/usr").Ok();
        Assert.Equal(files, store.Run("run", "--rm", store.Debian, "sh", "-c", "find /usr | wc -l").Ok().Out);
    }

    [Fact]
    public void C8_the_corner_cases_leave_what_they_leave_on_a_plain_directory()
    {
        const string Below = "mkdir -p dir/sub old/deep; echo a >dir/a; echo s >dir/sub/s; echo d >old/deep/d; echo l >link; echo m >mode; echo o >owner; echo x >xattr; truncate -s 1G huge; "
            + "ln -s dir symlink; mkfifo pipe; echo f >becomes-dir; mkdir becomes-file; echo i >becomes-file/in";
        const string Script = "rm -rf dir; mkdir dir; echo new >dir/b; mv old moved; ln link hard; chmod 4755 mode; chown 12:34 owner; printf Z | dd of=huge bs=1 seek=500000000 conv=notrunc 2>/dev/null; "
            + "rm symlink; ln -s /elsewhere symlink; rm becomes-dir; mkdir becomes-dir; echo y >becomes-dir/y; rm -rf becomes-file; echo z >becomes-file; rm pipe; mkfifo -m 600 pipe";
        string plain = Directory.CreateTempSubdirectory("strata-c8-").FullName;
        string mounted = "";
        try
        {
            File.Copy("/bin/busybox", Path.Combine(plain, "busybox"));
            SeedStore.Exec("chroot", null, plain, "/busybox", "sh", "-c", $"cd /; /busybox mkdir t; cd t; {Applets(Below)}").Ok();
            store.Build("c8", $"FROM {store.Busybox}\nWORKDIR /t\nRUN {Below}\n").Ok();
            store.Run("run", "--name", "c8c", "c8", "sh", "-c", Script).Ok();
            SeedStore.Exec("chroot", null, plain, "/busybox", "sh", "-c", $"cd /t; {Applets(Script.Replace("/dev/null", "/said", StringComparison.Ordinal))}").Ok();
            using (RootedDirectory tree = RootedDirectory.Open(Path.Combine(plain, "t")))
            {
                tree.SetXattr("xattr", "user.strata", "1"u8);
            }
            mounted = store.Run("mount", "c8c").Ok().Out.Trim();
            using (RootedDirectory tree = RootedDirectory.Open(Path.Combine(mounted, "t")))
            {
                tree.SetXattr("xattr", "user.strata", "1"u8);
            }
            string[] expected = Seen(Path.Combine(plain, "t"));
            Assert.Equal(expected, Seen(Path.Combine(mounted, "t")));
            store.Run("umount", "c8c").Ok();

            string[] diff = store.Run("diff", "c8c").Ok().Lines;
            Assert.Equal(["A /t/becomes-dir", "A /t/becomes-dir/y", "A /t/becomes-file", "A /t/dir", "A /t/dir/b", "A /t/hard", "A /t/moved", "A /t/moved/deep", "A /t/moved/deep/d", "A /t/pipe", "A /t/symlink",
                "C /t", "C /t/huge", "C /t/link", "C /t/mode", "C /t/owner", "C /t/xattr", "D /t/old"],
                diff.Select(Replaced).Where(l => l.Length > 0).Order(StringComparer.Ordinal));
            store.Run("commit", "c8c", "c8after").Ok();
            mounted = store.Run("mount", "c8after").Ok().Out.Trim();
            Assert.Equal(expected, Seen(Path.Combine(mounted, "t")));
            store.Run("umount", "c8after").Ok();
            mounted = "";
            store.Run("verify", "c8after").Ok();
        }
        finally
        {
            if (mounted.Length > 0)
            {
                store.Run("umount", "c8c");
                store.Run("umount", "c8after");
            }
            store.Run("rm", "c8c");
            FileSystems.RemoveTree(plain);
        }

        // What was replaced is said by docker diff to be changed or added, as the kernel shows it: both are right.
        static string Replaced(string line) => line[2..] is "/t/becomes-dir" or "/t/becomes-file" or "/t/dir" or "/t/pipe" or "/t/symlink" ? "A" + line[1..]
            : line is "D /t/dir/a" or "D /t/dir/sub" or "D /t/becomes-file/in" ? "" : line;
    }

    // The plain directory has no /bin: each program is busybox's by its name there.
    private static string Applets(string script)
        => string.Join("; ", script.Split("; ").Select(c => string.Join(" | ", c.Split(" | ").Select(p => p.StartsWith("echo", StringComparison.Ordinal) || p.StartsWith("printf", StringComparison.Ordinal) ? p : "/busybox " + p))));

    // Times differ, because the commands ran one after the other.
    private static string[] Seen(string directory)
        => [.. SeenTree.OfDirectory(directory, directoryTimes: false).Select(l => System.Text.RegularExpressions.Regex.Replace(l, @" \d{9,}\.\d{9}(?= |$)", ""))];
}
