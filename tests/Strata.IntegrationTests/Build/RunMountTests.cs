using Strata.IntegrationTests.Seeds;
using Xunit;

namespace Strata.IntegrationTests.Build;

/// <summary>RUN --mount, --network, --security and what the command line gives every RUN (Dockerfile reference, "RUN").</summary>
public sealed class RunMountTests(SeedStore store)
{
    private string Cat(string tag, string path) => store.Run("run", "--rm", tag, "cat", path).Ok().Out;

    private bool Has(string tag, string path) => store.Run("run", "--rm", tag, "test", "-e", path).Code == 0;

    [Fact]
    public void A_bind_mount_shows_the_context_without_what_is_ignored_and_leaves_nothing()
    {
        store.Build("bind1", $"FROM {store.Busybox}\nRUN --mount=target=/src find /src | sort > /list && stat -c %u /src/a > /owner\n",
            ("a", "1"), ("d/b", "2"), ("secret.key", "x"), (".dockerignore", "secret.key\nDockerfile\n.dockerignore\n")).Ok();
        Assert.Equal("/src\n/src/a\n/src/d\n/src/d/b\n", Cat("bind1", "/list"));
        Assert.Equal("0\n", Cat("bind1", "/owner"));
        Assert.False(Has("bind1", "/src"));
    }

    [Fact]
    public void A_bind_mount_is_read_only_unless_said_and_what_is_written_is_lost()
    {
        string context = store.Context(("a", "1"), ("Dockerfile", $"FROM {store.Busybox} AS base\nRUN mkdir /d && echo base > /d/f\n"
            + $"FROM {store.Busybox}\nRUN --mount=target=/src ! touch /src/x\nRUN --mount=target=/src,rw echo 2 > /src/a && cat /src/a > /seen\n"
            + "RUN --mount=from=base,source=/d,target=/d,rw echo changed > /d/f && cat /d/f >> /seen\nRUN --mount=from=base,source=/d/f,target=/one cat /one >> /seen\n"));
        store.Run("build", "-t", "bind2", context).Ok();
        Assert.Equal("2\nchanged\nbase\n", Cat("bind2", "/seen"));
        Assert.Equal("1", File.ReadAllText(Path.Combine(context, "a")));
    }

    [Fact]
    public void A_step_with_a_bind_mount_runs_again_when_a_mounted_file_changes_and_only_then()
    {
        string context = store.Context(("src/a", "1"), ("other", "1"), ("Dockerfile", $"FROM {store.Busybox}\nRUN --mount=source=src,target=/src cp /src/a /a\n"));
        store.Run("build", "-t", "bind3", context).Ok();
        File.WriteAllText(Path.Combine(context, "other"), "2");
        Assert.Contains("CACHED", store.Run("build", "-t", "bind3", context).Ok().Err, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(context, "src/a"), "2");
        store.Run("build", "-t", "bind3", context).Ok();
        Assert.Equal("2", Cat("bind3", "/a"));
    }

    [Fact]
    public void A_mount_names_an_image_that_nothing_else_names()
    {
        string other = store.MakeBusybox("other:1", "other");
        store.Build("bind4", $"FROM {store.Busybox}\nRUN --mount=from={other},target=/o cp /o/etc/os-release /r\n").Ok();
        Assert.StartsWith("ID=other", Cat("bind4", "/r"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_cache_stays_from_build_to_build_is_counted_and_goes_with_the_build_cache()
    {
        string root = Path.Combine(store.Folder, "cache-store"), context = store.Context(("Dockerfile",
            "FROM box\nARG N\nRUN --mount=type=cache,target=/c,id=one,mode=0700,uid=1000 echo $N >> /c/log && cat /c/log > /log && stat -c '%a %u' /c > /how\n"));
        SeedStore.Exec("sh", null, "-c", $"{SeedStore.Binary} --root {store.Root} save -o {context}.tar {store.Busybox} && {SeedStore.Binary} --root {root} load -qi {context}.tar && {SeedStore.Binary} --root {root} tag {store.Busybox} box").Ok();
        Outcome In(params string[] arguments) => SeedStore.RunIn(root, null, arguments);
        In("build", "-t", "c", "--build-arg", "N=1", context).Ok();
        In("build", "-t", "c", "--build-arg", "N=2", context).Ok();
        Assert.Equal("1\n2\n", In("run", "--rm", "c", "cat", "/log").Ok().Out);
        Assert.Equal("700 1000\n", In("run", "--rm", "c", "cat", "/how").Ok().Out);
        Assert.NotEmpty(Directory.GetDirectories(Path.Combine(root, "cache/mounts")));
        In("system", "prune", "-f").Ok();
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(root, "cache/mounts")));
        In("build", "--no-cache", "-t", "c", "--build-arg", "N=3", context).Ok();
        Assert.Equal("3\n", In("run", "--rm", "c", "cat", "/log").Ok().Out);
        In("system", "check").Ok();
    }

    [Theory]
    [InlineData("shared", false)]
    [InlineData("locked", true)]
    public void Two_steps_with_one_cache_wait_for_each_other_only_where_it_is_locked(string sharing, bool alone)
    {
        // Where both may be there at once each waits until it sees the other one; where not, each is there for a second and looks.
        string Step(string n, string other) => $"RUN --mount=type=cache,target=/c,id={sharing}{alone},sharing={sharing} touch /c/{n} && "
            + (alone ? $"sleep 1 && ls /c > /{n} && rm /c/{n}\n" : $"for i in $(seq 600); do test -e /c/{other} && break; sleep 0.1; done; ls /c > /{n}\n");
        string head = $"FROM {store.Busybox}";
        store.Build("two" + sharing, $"{head} AS a\n{Step("a", "b")}{head} AS b\n{Step("b", "a")}{head}\nCOPY --from=a /a /\nCOPY --from=b /b /\n").Ok();
        string seen = Cat("two" + sharing, "/a") + Cat("two" + sharing, "/b");
        Assert.Equal(alone, seen is "a\nb\n");
    }

    [Fact]
    public void Private_caches_are_two_where_two_steps_use_one_at_once_and_a_cache_can_start_with_a_stage()
    {
        string head = $"FROM {store.Busybox}";
        // The second cache is where they meet: both are there at once.
        string Step(string n, string other) => "RUN --mount=type=cache,target=/meet --mount=type=cache,target=/c,id=priv,sharing=private,from=seed,source=/s "
            + $"touch /c/{n} /meet/{n} && for i in $(seq 600); do test -e /meet/{other} && break; sleep 0.1; done; ls /c > /{n}\n";
        store.Build("priv", $"{head} AS seed\nRUN mkdir /s && touch /s/start\n{head} AS a\n{Step("a", "b")}{head} AS b\n{Step("b", "a")}{head}\nCOPY --from=a /a /\nCOPY --from=b /b /\n").Ok();
        Assert.Equal("a\nstart\n", Cat("priv", "/a"));
        Assert.Equal("b\nstart\n", Cat("priv", "/b"));
    }

    [Fact]
    public void A_tmpfs_has_its_size_and_leaves_nothing()
    {
        store.Build("tmpfs", $"FROM {store.Busybox}\nRUN --mount=type=tmpfs,target=/t,size=1m echo x > /t/f && df -k /t | tail -1 | awk '{{print $2}}' > /size && ! dd if=/dev/zero of=/t/big bs=1M count=2\n").Ok();
        Assert.Equal("1024\n", Cat("tmpfs", "/size"));
        Assert.False(Has("tmpfs", "/t"));
    }

    [Fact]
    public void A_secret_is_seen_by_its_step_only_and_is_in_no_layer()
    {
        string context = store.Context(("key", "s3cr3t-value"), ("Dockerfile", $"FROM {store.Busybox}\n"
            + "RUN --mount=type=secret,id=key,mode=0440,uid=1000,gid=1000 stat -c '%a %u %g' /run/secrets/key > /how && wc -c < /run/secrets/key >> /how\n"
            + "RUN --mount=type=secret,id=key,env=KEY test \"$KEY\" = s3cr3t-\"value\" && test ! -e /run/secrets/key\n"
            + "RUN --mount=type=secret,id=key,target=/root/k test -s /root/k\nRUN --mount=type=secret,id=none test ! -e /run/secrets/none\n"));
        File.WriteAllText(Path.Combine(context, ".dockerignore"), "key\n");
        store.Run("build", "-t", "sec", "--secret", $"id=key,src={context}/key", context).Ok();
        Assert.Equal("440 1000 1000\n12\n", Cat("sec", "/how"));
        Assert.False(Has("sec", "/run/secrets"));
        Assert.Equal(1, SeedStore.Exec("grep", null, "-rl", "s3cr3t-value", Path.Combine(store.Root, "trees"), Path.Combine(store.Root, "cache"), Path.Combine(store.Root, "ingest")).Code);
    }

    [Fact]
    public void A_secret_that_is_required_and_not_given_ends_the_build_with_what_to_say()
    {
        Outcome failed = store.Build("sec2", $"FROM {store.Busybox}\nRUN --mount=type=secret,id=token,required=true true\n").Fails(1);
        Assert.Contains("secret token: not found", failed.Err, StringComparison.Ordinal);
        Assert.Contains("--secret id=token", failed.Err, StringComparison.Ordinal);
    }

    [Fact]
    public void An_agent_answers_through_a_socket_of_the_step()
    {
        Assert.SkipWhen(Strata.Linux.ChildProcess.FindProgram("ssh-agent") is null || Strata.Linux.ChildProcess.FindProgram("ssh-keygen") is null, "ssh-agent is not installed");
        // The question for the agent's keys, and the second word of its answer (draft-miller-ssh-agent): perl is in every Debian.
        const string Ask = "socket(S,PF_UNIX,SOCK_STREAM,0); connect(S,sockaddr_un($ENV{SSH_AUTH_SOCK})) or die $!; syswrite(S,pack(q(NC),1,11)); sysread(S,$b,5); print unpack(q(x4C),$b)";
        string context = store.Context(("Dockerfile", $"FROM {store.Debian}\nUSER 33\nRUN --mount=type=ssh,uid=33 test -S \"$SSH_AUTH_SOCK\" && perl -MSocket -e '{Ask}' > /tmp/kind\n"));
        SeedStore.Exec("ssh-keygen", null, "-q", "-t", "ed25519", "-N", "", "-f", Path.Combine(context, "id")).Ok();
        store.Run("build", "-t", "ssh", "--ssh", $"default={context}/id", context).Ok();
        Assert.Equal("12", Cat("ssh", "/tmp/kind").Trim()); // SSH_AGENT_IDENTITIES_ANSWER
    }

    [Fact]
    public void More_than_any_build_has_is_for_those_that_are_allowed_it()
    {
        string text = $"FROM {store.Busybox}\nRUN --security=insecure grep CapEff /proc/self/status > /caps\n";
        Assert.Contains("security.insecure is not allowed", store.Build("ins", text).Fails(1).Err, StringComparison.Ordinal);
        string context = store.Context(("Dockerfile", text + "RUN --network=host true\n"));
        Assert.Contains("network.host is not allowed", store.Run("build", "--network", "none", "--allow", "security.insecure", context).Fails(1).Err, StringComparison.Ordinal);
        store.Run("build", "-t", "ins", "--network", "none", "--allow", "security.insecure", "--allow", "network.host", context).Ok();
        Assert.DoesNotContain("00000000a80425fb", Cat("ins", "/caps"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_step_without_network_has_none()
    {
        store.Build("nonet", $"FROM {store.Busybox}\nRUN --network=none ls /sys/class/net > /nets\n").Ok();
        Assert.Equal("lo\n", Cat("nonet", "/nets"));
    }

    [Fact]
    public void The_command_line_gives_every_step_its_hosts_limits_and_shared_memory()
    {
        string context = store.Context(("Dockerfile", $"FROM {store.Busybox}\nRUN grep db.local /etc/hosts > /h && ulimit -n > /n && df -k /dev/shm | tail -1 | awk '{{print $2}}' > /s\n"));
        store.Run("build", "-t", "limits", "--add-host", "db.local:10.1.2.3", "--ulimit", "nofile=100:200", "--shm-size", "8m", context).Ok();
        Assert.Equal("10.1.2.3\tdb.local\n", Cat("limits", "/h"));
        Assert.Equal("100\n", Cat("limits", "/n"));
        Assert.Equal("8192\n", Cat("limits", "/s"));
    }

    [Fact]
    public void A_failed_step_is_kept_as_a_container_that_a_shell_opens_in()
    {
        string context = store.Context(("Dockerfile", $"FROM {store.Busybox}\nWORKDIR /w\nRUN echo half > made && exit 7\n"));
        Outcome failed = store.Run("build", "--on-failure", "keep", context).Fails(1);
        string start = failed.Err.Split("strata start -ai ")[1].Split(' ')[0];
        Assert.Contains("half", store.Run("export", start).Ok().Out, StringComparison.Ordinal);
        Assert.Equal("/w", store.Inspect(start, "{{.Config.WorkingDir}}"));
        store.Run("rm", start).Ok();
    }

    [Fact]
    public void Json_lines_have_each_step_its_output_and_the_exit_code_of_the_one_that_failed()
    {
        string context = store.Context(("Dockerfile", $"FROM {store.Busybox}\nRUN echo hello\nRUN exit 9\n"));
        Outcome failed = store.Run("build", "--no-cache", "--progress", "json", context).Answers(1);
        string[] objects = [.. failed.Err.Split('\n').Where(l => l.StartsWith('{'))];
        Assert.All(objects, o => System.Text.Json.JsonDocument.Parse(o).Dispose());
        Assert.Contains(objects, o => o.Contains("\"event\":\"output\"", StringComparison.Ordinal) && o.Contains("hello", StringComparison.Ordinal));
        Assert.Contains("\"exitCode\":9", objects[^1], StringComparison.Ordinal);
    }

    [Fact]
    public void Equal_steps_of_two_builds_at_once_run_once()
    {
        string context = store.Context(("Dockerfile", $"FROM {store.Busybox}\nRUN sleep 2 && head -c 16 /dev/urandom | od -An -tx1 > /random\n"));
        SeedStore.Exec("sh", null, "-c", $"for t in once1 once2; do {SeedStore.Binary} --root {store.Root} build -q -t $t {context} & done; wait").Ok();
        Assert.Equal(Cat("once1", "/random"), Cat("once2", "/random"));
    }
}
