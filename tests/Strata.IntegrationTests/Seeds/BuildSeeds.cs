using System.Globalization;
using Strata.IntegrationTests.Containers;
using Xunit;

namespace Strata.IntegrationTests.Seeds;

/// <summary>Rows D and F of the checklist: the Dockerfile, small images, and the traps in the articles.</summary>
public sealed class BuildSeeds(SeedStore store)
{
    [Fact]
    public void D1_a_dockerfile_describes_how_to_build_an_image()
    {
        store.Build("d1", $"FROM {store.Busybox}\nCOPY hello /\nCMD [\"cat\", \"/hello\"]\n", ("hello", "hello\n")).Ok();
        Assert.Equal("hello\n", store.Run("run", "--rm", "d1").Ok().Out);
    }

    [Fact]
    public void D2_emacs_and_apache_on_a_debian_base()
    {
        const string Install = "RUN apt-get update && apt-get install -y --no-install-recommends {0} && apt-get clean && rm -rf /var/lib/apt/lists/*\n";
        store.Build("d2", $"FROM {store.Debian}\n" + string.Format(CultureInfo.InvariantCulture, Install, "emacs-nox") + string.Format(CultureInfo.InvariantCulture, Install, "apache2")
            + "CMD [\"/bin/bash\"]\n").Ok();
        Assert.Equal(store.Layers(store.Debian).Length + 2, store.Layers("d2").Length);
        Assert.Contains("GNU Emacs", store.Run("run", "--rm", "d2", "emacs", "--version").Ok().Out, StringComparison.Ordinal);
        Assert.Contains("Apache/2", store.Run("run", "--rm", "d2", "apache2", "-v").Ok().Out, StringComparison.Ordinal);
        Assert.Equal("bash\n", store.RunWithInput("basename $BASH\n", "run", "--rm", "-i", "d2").Ok().Out);
    }

    [Fact]
    public async Task D3_a_load_balancer_in_a_container_proxies_to_two_others_by_name_in_turn()
    {
        store.Build("d3", $"FROM {store.Debian}\nRUN apt-get update && apt-get install -y --no-install-recommends nginx-light && apt-get clean && rm -rf /var/lib/apt/lists/*\n"
            + "COPY balance.conf /etc/nginx/\nCMD [\"nginx\", \"-c\", \"/etc/nginx/balance.conf\"]\n",
            ("balance.conf", "daemon off;\nevents {}\nhttp { access_log off; upstream both { server one max_fails=0; server two max_fails=0; } server { listen 80; location / { proxy_pass http://both; } } }\n")).Ok();
        int port = NetworkFixture.FreePort();
        store.Run("network", "create", "d3-sites").Ok();
        try
        {
            foreach (string name in (string[])["one", "two"])
            {
                store.Run("run", "-d", "--name", name, "--network", "d3-sites", "d3", "sh", "-c", $"echo from {name} >/var/www/html/index.html; exec nginx -g 'daemon off;'").Ok();
            }
            store.Run("run", "-d", "--name", "front", "--network", "d3-sites", "-p", $"127.0.0.1:{port}:80", "d3").Ok();
            List<string> answers = [];
            for (int i = 0; i < 6; i++)
            {
                answers.Add(await NetworkFixture.GetAsync($"http://127.0.0.1:{port}/"));
            }
            Assert.Equal(["from one", "from two"], answers.Distinct().Order());
            Assert.All(answers.Zip(answers.Skip(1)), pair => Assert.NotEqual(pair.First, pair.Second));
        }
        finally
        {
            store.Run("rm", "-f", "front", "one", "two");
            store.Run("network", "rm", "d3-sites");
        }
    }

    [Fact]
    public void D4_the_base_is_recorded_by_name_and_digest()
    {
        store.MakeBusybox("ubuntu:14.04", "ubuntu");
        store.Build("d4", "FROM ubuntu:14.04\nRUN true\n").Ok();
        Assert.Equal("docker.io/library/ubuntu:14.04", store.Inspect("d4", "{{index .Annotations \"org.opencontainers.image.base.name\"}}"));
        Assert.Equal(store.Inspect("ubuntu:14.04", "{{.Descriptor.Digest}}"), store.Inspect("d4", "{{index .Annotations \"org.opencontainers.image.base.digest\"}}"));
    }

    [Fact]
    public void D5_the_maintainer_is_the_author_and_the_linter_says_what_to_write_now()
    {
        string context = store.Context(("Dockerfile", $"FROM {store.Busybox}\nMAINTAINER xiongkun\n"));
        store.Run("build", "-t", "d5", context).Ok();
        Assert.Equal("xiongkun", store.Inspect("d5", "{{.Author}}"));
        Outcome lint = store.Run("lint", Path.Combine(context, "Dockerfile")).Answers(3);
        Assert.Contains("Dockerfile:2", lint.Out, StringComparison.Ordinal);
        Assert.Contains("org.opencontainers.image.authors", lint.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void D6_the_working_directory_is_where_relative_names_are()
    {
        store.Build("d6", $"FROM {store.Busybox}\nWORKDIR /home\nRUN echo x >50M.file\n").Ok();
        Assert.Equal("/home/50M.file\n", store.Run("run", "--rm", "d6", "ls", "/home/50M.file").Ok().Out);
        Assert.Equal("/home\n", store.Run("run", "--rm", "d6", "pwd").Ok().Out);
    }

    [Fact]
    public void D7_D8_what_is_removed_in_the_same_step_costs_nothing()
    {
        string head = $"FROM {store.Debian}\nMAINTAINER xiongkun\nWORKDIR /home\n";
        store.Build("d7", head + "RUN dd if=/dev/zero of=50M.file bs=1M count=50\nRUN rm -rf 50M.file\n").Ok();
        store.Build("d8", head + "RUN dd if=/dev/zero of=50M.file bs=1M count=50 && rm -rf 50M.file\n").Ok();
        Assert.Equal(["0B", "52.4MB", "0B"], store.Run("history", "--format", "{{.Size}}", "d7").Ok().Lines[..3]);
        Assert.Equal("0B", store.Run("history", "--format", "{{.Size}}", "d8").Ok().Lines[0]);
        long fat = long.Parse(store.Inspect("d7", "{{.Size}}"), CultureInfo.InvariantCulture), slim = long.Parse(store.Inspect("d8", "{{.Size}}"), CultureInfo.InvariantCulture);
        Assert.InRange(fat - slim, 52_428_800, 52_428_800 + 10_000);
        string[] layers = store.Run("layers", "d7").Ok().Lines;
        Assert.Contains(layers, l => l.Contains("52.4MB", StringComparison.Ordinal) && l.Contains("kB", StringComparison.Ordinal));
    }

    [Fact]
    public void D9_every_instruction_is_a_row_and_only_those_that_change_files_are_layers()
    {
        int before = store.Run("history", "-q", store.Busybox).Ok().Lines.Length;
        store.Build("d9", $"FROM {store.Busybox}\nENV A=1\nLABEL l=1\nRUN echo 1 >/one\nEXPOSE 80\nUSER app\nCMD [\"true\"]\n").Ok();
        Assert.Equal(before + 6, store.Run("history", "-q", "d9").Ok().Lines.Length);
        Assert.Equal(store.Layers(store.Busybox).Length + 1, store.Layers("d9").Length);
    }

    [Theory]
    [InlineData("D12_comments_in_chinese", "# 基础镜像\nFROM {0}\n# 安装\nRUN echo 你好 >/hello\n")]
    [InlineData("D12_comments_in_japanese_with_bom_and_crlf", "\uFEFF# ベースイメージ\r\nFROM {0}\r\n# コメント\r\nRUN echo 你好 \\\r\n  # 中間のコメント\r\n  >/hello\r\n")]
    public void D12_comments_in_any_language(string name, string dockerfile)
    {
        string tag = name.ToLowerInvariant();
        store.Build(tag, string.Format(CultureInfo.InvariantCulture, dockerfile, store.Busybox)).Ok();
        Assert.Equal("你好\n", store.Run("run", "--rm", tag, "cat", "/hello").Ok().Out);
    }

    [Fact]
    public void D12_line_numbers_in_errors_stay_right()
    {
        Outcome failed = store.Build("d12bad", $"\uFEFF# ベース\r\nFROM {store.Busybox}\r\n# 続く\r\nRUN echo 1 \\\r\n  && echo 2\r\nRUNN false\r\n").Fails(1);
        Assert.Contains("Dockerfile:6", failed.Err, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("F1_copy_without_a_blank", "FROM scratch\nCOPY hello/\nCMD [\"/hello\"]\n", "COPY requires at least two arguments", "COPY hello /")]
    [InlineData("F2_cmd_without_a_blank", "FROM scratch\nCOPY hello /\nCMD[\"/hello\"]\n", "unknown instruction", "CMD [\"/hello\"]")]
    [InlineData("F3_a_comment_behind_from", "FROM ubuntu:14.04 #基础镜像\nRUN true\n", "FROM requires either one or three arguments", "FROM ubuntu:14.04")]
    public void F_a_trap_gets_dockers_error_and_the_corrected_line(string name, string dockerfile, string error, string corrected)
    {
        using var alone = new SeedStore();
        Outcome failed = alone.Build(name.ToLowerInvariant(), dockerfile, ("hello", "x")).Fails(1);
        Assert.Contains(error, failed.Err, StringComparison.OrdinalIgnoreCase);
        Assert.Contains(corrected, failed.Err, StringComparison.Ordinal);
        Assert.Equal("", alone.Run("images", "-aq").Ok().Out);
    }

    [Fact]
    public void F4_a_comment_behind_maintainer_is_part_of_the_name_and_is_warned_of()
    {
        Outcome built = store.Build("f4", $"FROM {store.Busybox}\nMAINTAINER xiongkun #作者\n").Ok();
        Assert.Equal("xiongkun #作者", store.Inspect("f4", "{{.Author}}"));
        Assert.Contains("#作者", built.Err, StringComparison.Ordinal);
    }

    [Fact]
    public async Task F7_a_mirror_that_has_dropped_an_old_release_is_told_as_that()
    {
        await using PortServer mirror = new(404, "gone");
        Outcome apt = store.Build("f7", $"FROM {store.Debian}\nRUN rm -rf /etc/apt/sources.list.d/* && echo 'deb http://127.0.0.1:{mirror.Port}/ubuntu trusty main' >/etc/apt/sources.list && apt-get update\n").Fails(1);
        Assert.Contains("404", apt.Err, StringComparison.Ordinal);
        Assert.Contains("hint: the package mirror has no such release any more: it may be past its end of life", apt.Err, StringComparison.Ordinal);
        string centos = store.MakeBusybox("centos:7", "centos", ("usr/bin/yum", "#!/bin/sh\necho 'Cannot find a valid baseurl for repo: base/7/x86_64' >&2; exit 1\n"));
        Assert.Contains("vault.centos.org", store.Build("f7:yum", $"FROM {centos}\nRUN /usr/bin/yum install -y nginx\n").Fails(1).Err, StringComparison.Ordinal);
        Assert.DoesNotContain("end of life", store.Build("f7:other", $"FROM {store.Busybox}\nRUN echo 404 not found; exit 1\n").Fails(1).Err, StringComparison.Ordinal);
    }

    [Fact]
    public void The_same_build_from_scratch_gives_the_same_digest()
    {
        using SeedStore first = new(), second = new();
        string base0 = Path.Combine(store.Folder, "same-base.tar"), box = store.Busybox;
        store.Run("save", "-o", base0, box).Ok();
        SeedStore.Exec("tar", null, "-C", "/bin", "-cf", Path.Combine(store.Folder, "same.tar"), "busybox").Ok();
        string context = store.Context(("Dockerfile", $"FROM {box}\nENV A=1\nWORKDIR /made/here\nCOPY file tree/ ./\nADD a.tar /unpacked/\nRUN true\nCOPY <<END /inline\ntext\nEND\nCMD [\"sh\"]\n"), ("file", "1"), ("tree/x/y", "2"));
        File.Copy(Path.Combine(store.Folder, "same.tar"), Path.Combine(context, "a.tar"));
        string[] ids = [.. new[] { first, second }.Select(s =>
        {
            s.Run("load", "-i", base0).Ok();
            s.Run("build", "-t", "same", context).Ok();
            Thread.Sleep(1100); // the next one's clock says something else
            return s.Inspect("same", "{{.Id}} {{.Created}}");
        })];
        Assert.Equal(ids[0], ids[1]);
        Assert.Matches("seconds? ago|Less than a second", first.Run("images", "same").Ok().Out);

        // With a time that is said, what processes stamp is the same too, and what another build left in the cache is not taken for it.
        string stamped = store.Context(("Dockerfile", $"FROM {box}\nRUN echo 1 >/stamped && mkdir /d\nCOPY f /\n"), ("f", "x"));
        first.Run("build", "-t", "stamped", stamped).Ok();
        foreach (SeedStore s in new[] { first, second })
        {
            s.Run("build", "-t", "stamped", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", stamped).Ok();
            Assert.Equal("1700000000\n1700000000\n", s.Run("run", "--rm", "stamped", "stat", "-c", "%Y", "/stamped", "/d").Ok().Out);
            Assert.Equal("2023-11-14T22:13:20Z", s.Inspect("stamped", "{{.Created}}"));
            Assert.Equal(["2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z"], s.Run("history", "--human=false", "--format", "{{.CreatedAt}}", "stamped").Ok().Lines[..2].Select(l => l.Replace("+00:00", "Z", StringComparison.Ordinal)));
        }
        Assert.Equal(first.Inspect("stamped", "{{.Id}}"), second.Inspect("stamped", "{{.Id}}"));
    }
}
