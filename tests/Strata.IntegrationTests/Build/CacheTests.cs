using Strata.IntegrationTests.Seeds;
using Xunit;

namespace Strata.IntegrationTests.Build;

/// <summary>What the cache is made of: why a step is not in it, what is listed and removed, and many builds at once.</summary>
public sealed class CacheTests(SeedStore store)
{
    private Outcome Explain(string context, params string[] more) => store.Run(["build", "--explain", "-t", "explained", .. more, context]).Ok();

    [Fact]
    public void Each_missed_step_says_what_changed()
    {
        string context = store.Context(("src/a", "1"), ("src/b", "1"), ("Dockerfile", $"FROM {store.Busybox}\nARG V=1\nCOPY src /src\nRUN echo $V > /v\nRUN --mount=type=tmpfs,target=/t true\n"));
        Assert.Contains("nothing was made at this place before", Explain(context).Err, StringComparison.Ordinal);
        Assert.DoesNotContain("changed", Explain(context).Err, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(context, "src/a"), "2");
        File.Delete(Path.Combine(context, "src/b"));
        File.WriteAllText(Path.Combine(context, "src/c"), "1");
        string files = Explain(context).Err;
        Assert.Contains("file a changed: sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b mode 644 is sha256:d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35 mode 644 now", files, StringComparison.Ordinal);
        Assert.Contains("file b is gone", files, StringComparison.Ordinal);
        Assert.Contains("file c is new", files, StringComparison.Ordinal);
        Assert.Contains("base changed", files, StringComparison.Ordinal);
        Assert.Contains("variable V changed: 1 is 2 now", Explain(context, "--build-arg", "V=2").Err, StringComparison.Ordinal);
        string dockerfile = Path.Combine(context, "Dockerfile");
        File.WriteAllText(dockerfile, File.ReadAllText(dockerfile).Replace("target=/t", "target=/other", StringComparison.Ordinal));
        Assert.Contains("mount changed", Explain(context, "--build-arg", "V=2").Err, StringComparison.Ordinal);
        Assert.Contains("not to be used", Explain(context, "--no-cache").Err, StringComparison.Ordinal);
        string json = store.Run("build", "--explain", "--progress", "json", "--build-arg", "V=3", context).Ok().Err;
        Assert.Contains("{\"kind\":\"variable\",\"name\":\"V\"", json, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_did_not_change_is_not_read_again()
    {
        string context = store.Context(("big", new string('x', 1 << 20)), ("Dockerfile", "FROM scratch\nCOPY big /\n"));
        string big = Path.Combine(context, "big");
        Thread.Sleep(2500); // until the file is old enough to be believed
        store.Run("build", context).Ok();
        // Looked at it is (O_PATH), but not opened to be read.
        static bool IsRead(Outcome traced) => traced.Err.Split('\n').Any(l => l.Contains("\"big\"", StringComparison.Ordinal) && !l.Contains("O_PATH", StringComparison.Ordinal));
        Outcome Traced() => SeedStore.Exec("strace", null, "-f", "-e", "trace=openat,openat2", SeedStore.Binary, "--root", store.Root, "build", context).Ok();
        Assert.SkipWhen(Strata.Linux.ChildProcess.FindProgram("strace") is null, "strace is not installed");
        Assert.False(IsRead(Traced()));
        File.SetLastWriteTimeUtc(big, new DateTime(2001, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        Outcome touched = Traced();
        Assert.True(IsRead(touched));
        Assert.Contains("CACHED", touched.Err, StringComparison.Ordinal);
    }

    [Fact]
    public void The_cache_is_listed_and_goes_by_piece_and_whole()
    {
        string root = Path.Combine(store.Folder, "listed"), context = store.Context(("f", "x"), ("Dockerfile", "FROM scratch\nCOPY f /one\nCOPY f /two\n"));
        Outcome In(params string[] arguments) => SeedStore.RunIn(root, null, arguments);
        In("build", "-t", "l", context).Ok();
        string[] ids = In("build", "cache", "ls", "-q").Ok().Lines;
        Assert.Equal(2, ids.Length);
        Assert.Contains("COPY f /two", In("build", "cache", "ls").Ok().Out, StringComparison.Ordinal);
        In("build", "cache", "rm", ids[0][..12]).Ok();
        Assert.Single(In("build", "cache", "ls", "-q").Ok().Lines);
        In("build", "cache", "rm", "zzzz").Fails(1);
        In("build", "cache", "prune", "--filter", "until=1h").Ok();
        Assert.Single(In("build", "cache", "ls", "-q").Ok().Lines);
        In("build", "cache", "prune").Ok();
        Assert.Empty(In("build", "cache", "ls", "-q").Ok().Lines);
        In("system", "check", "--deep").Ok();
        string folder = Path.Combine(store.Folder, "cache");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "Dockerfile"), "FROM scratch\nLABEL a=b\n");
        SeedStore.Exec("sh", null, "-c", $"cd {store.Folder} && {SeedStore.Binary} --root {root} build cache").Ok(); // a folder of that name
    }

    [Theory]
    [InlineData("type=local,dest={0}", "type=local,src={0}", true)]
    [InlineData("type=oci,dest={0},mounts=off", "type=oci,src={0}", false)]
    public void A_cache_goes_to_another_store_with_its_cache_mounts(string to, string from, bool mounts)
    {
        string context = store.Context(("f", "x"), ("Dockerfile", $"FROM {store.Busybox} AS a\nRUN --mount=type=cache,target=/c,id=moved{mounts} head -c 8 /dev/urandom | od -An -tx1 >> /c/log && cat /c/log > /first\n"
            + $"FROM {store.Busybox}\nCOPY --from=a /first /first\nARG N=1\nRUN --mount=type=cache,target=/c,id=moved{mounts} echo $N && cat /c/log > /log 2>/dev/null || echo none > /log\n"));
        string folder = context + "-cache", other = context + "-store", archive = context + ".tar";
        store.Run("save", "-o", archive, store.Busybox).Ok();
        SeedStore.RunIn(other, null, "load", "-qi", archive).Ok();
        store.Run("build", "-t", "moved", "--cache-to", string.Format(System.Globalization.CultureInfo.InvariantCulture, to, folder), context).Ok();
        string first = store.Run("run", "--rm", "moved", "cat", "/first").Ok().Out;
        string source = string.Format(System.Globalization.CultureInfo.InvariantCulture, from, folder);
        Outcome again = SeedStore.RunIn(other, null, "build", "-t", "moved", "--cache-from", source, context).Ok();
        Assert.DoesNotContain("warning", again.Err, StringComparison.Ordinal);
        Assert.Equal(first, SeedStore.RunIn(other, null, "run", "--rm", "moved", "cat", "/first").Ok().Out);
        Assert.Equal(store.Inspect("moved", "{{.Id}}"), SeedStore.RunIn(other, null, "inspect", "-f", "{{.Id}}", "moved").Ok().Out.TrimEnd());
        SeedStore.RunIn(other, null, "build", "-t", "more", "--cache-from", source, "--build-arg", "N=2", context).Ok();
        Assert.Equal(mounts ? first : "none\n", SeedStore.RunIn(other, null, "run", "--rm", "more", "cat", "/log").Ok().Out);
        Assert.Contains("warning: cache from /nowhere", SeedStore.RunIn(other, null, "build", "--cache-from", "type=local,src=/nowhere", context).Ok().Err, StringComparison.Ordinal);
    }

    [Fact]
    public void Many_builds_of_several_dockerfiles_at_once_beside_prune_all_succeed()
    {
        bool isLong = Environment.GetEnvironmentVariable("STRATA_LONG") is not null;
        int kinds = isLong ? 20 : 4, builds = isLong ? 100 : 12;
        string root = Path.Combine(store.Folder, "many"), strata = $"{SeedStore.Binary} --root {root}", archive = root + ".tar";
        store.Run("save", "-o", archive, store.Busybox).Ok();
        SeedStore.RunIn(root, null, "load", "-qi", archive).Ok();
        for (int i = 0; i < kinds; i++)
        {
            string context = store.Context(("f", $"{i}"), ("Dockerfile", $"FROM {store.Busybox} AS a\nCOPY f /f\nRUN --mount=type=cache,target=/c,sharing=locked date >> /c/log; cat /f > /g\n"
                + $"FROM {store.Busybox}\nRUN echo {i % 3} > /shared\nCOPY --from=a /g /g\nRUN test \"$(cat /g)\" = {i}\n"));
            Directory.CreateSymbolicLink(Path.Combine(root + $"-context{i}"), context);
        }
        string script = $"""
            fail=0
            (while test ! -e {root}.done; do {strata} system prune -f > /dev/null || touch {root}.failed; sleep 0.3; done) &
            pids=""
            for i in $(seq 0 {builds - 1}); do
              {strata} build -q -t many$i {root}-context$((i % {kinds})) > {root}.$i.log 2>&1 || (cat {root}.$i.log; touch {root}.failed) &
              pids="$pids $!"
            done
            wait $pids
            touch {root}.done
            wait
            test ! -e {root}.failed
            """;
        SeedStore.Exec("sh", null, "-c", script).Ok();
        SeedStore.RunIn(root, null, "system", "check", "--deep").Ok();
        for (int i = 0; i < builds; i++)
        {
            SeedStore.RunIn(root, null, "inspect", $"many{i}").Ok();
        }
    }
}
