using System.Net;
using System.Net.Sockets;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Rootless;

/// <summary>The same commands as an ordinary user with subordinate ids (docs/rootless.md).</summary>
public sealed class RootlessTests(SeedStore seeds)
{
    private const string Dockerfile = """
        FROM box:1
        COPY a b /data/
        RUN chmod 1777 /tmp && rm /etc/motd && echo hi >/r && chown 1000:33 /r && mkdir -m 700 /own && echo x >/own/x && chown -R 65534:65534 /own && chmod 4755 /bin/busybox
        COPY --chown=7:8 a /owned
        RUN rm -r /data && mkdir /data && echo again >/data/again
        USER 1000:33
        RUN id -u >/tmp/id
        """;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    // The archive is given through a folder that the user can read.
    private void GiveBox(OrdinaryUser user)
    {
        string archive = Path.Combine(user.Folder, "box.tar");
        seeds.Run("save", "-o", archive, seeds.Busybox).Ok();
        File.SetUnixFileMode(archive, (UnixFileMode)0b110_100_100);
        user.Run("load", "-i", archive).Ok();
    }

    [Fact]
    public async Task An_image_is_pulled_run_changed_committed_and_pushed()
    {
        string root = Path.Combine(seeds.Folder, "rootless-registry");
        await using RegistryProcess registry = await RegistryProcess.StartAsync(root, Cancel);
        seeds.Run("tag", seeds.Busybox, $"{registry.Address}/box:1").Ok();
        seeds.Run("push", $"{registry.Address}/box:1").Ok();
        using var user = new OrdinaryUser();

        user.Run("pull", $"{registry.Address}/box:1").Ok();
        Assert.Equal("0\n", user.Run("run", "--rm", "--network", "none", $"{registry.Address}/box:1", "id", "-u").Ok().Out);
        user.Run("run", "--name", "work", "--network", "none", $"{registry.Address}/box:1", "sh", "-c", "echo new >/new; chown 1000:33 /new; rm /etc/motd").Ok();
        Assert.Equal("A /new\nC /etc\nD /etc/motd\n", string.Concat(user.Run("diff", "work").Ok().Lines.Order().Select(l => l + "\n")));
        user.Run("commit", "work", $"{registry.Address}/mine:1").Ok();
        user.Run("push", $"{registry.Address}/mine:1").Ok();
        user.Run("verify", $"{registry.Address}/mine:1").Ok();
        // Root sees the ids that the container saw.
        Assert.Equal("1000:33\n", SeedStore.RunIn(Path.Combine(seeds.Folder, "rootless-reader"), null, "run", "--rm", "--pull", "always", "--network", "none", $"{registry.Address}/mine:1", "stat", "-c", "%u:%g", "/new").Ok().Out);
    }

    [Fact]
    public void A_build_gives_the_digest_that_roots_build_gives()
    {
        using var user = new OrdinaryUser();
        GiveBox(user);
        string context = Path.Combine(user.Folder, "context");
        Directory.CreateDirectory(context);
        File.WriteAllText(Path.Combine(context, "a"), "a\n");
        File.WriteAllText(Path.Combine(context, "b"), "b\n");
        File.WriteAllText(Path.Combine(context, "Dockerfile"), Dockerfile);
        string[] words = ["build", "-q", "--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "-t", "same:1", context];

        user.Run(words).Ok();
        seeds.Run(words).Ok();

        const string Format = "{{.Id}} {{json .RootFS.Layers}}";
        Assert.Equal(seeds.Inspect("same:1", Format), user.Run("inspect", "-f", Format, "same:1").Ok().Out.Trim());
        Assert.Equal("1000\n33\n", user.Run("run", "--rm", "--network", "none", "same:1", "sh", "-c", "id -u; id -g; test ! -e /data/a; test ! -e /etc/motd").Ok().Out);
    }

    [Fact]
    public async Task A_container_lives_from_command_to_command()
    {
        using var user = new OrdinaryUser();
        GiveBox(user);
        int port = FreePort();
        user.Run("run", "-d", "--name", "web", "-p", $"127.0.0.1:{port}:80", "-v", "data:/www", "box:1", "sh", "-c", "echo page >/www/index.html; chown 1000 /www/index.html; echo up; exec httpd -f -p 80 -h /www").Ok();

        Assert.Equal("page\n", await AskAsync(port));
        Assert.Contains("web", user.Run("ps").Ok().Out, StringComparison.Ordinal);
        Assert.Equal("up\n", user.Run("logs", "web").Ok().Out);
        Assert.Equal("1000\n", user.Run("exec", "web", "stat", "-c", "%u", "/www/index.html").Ok().Out);
        Assert.Equal("1000 1000\n", user.Run("exec", "-u", "app", "web", "sh", "-c", "echo $(id -u) $(id -g)").Ok().Out);
        Assert.Contains("httpd", user.Run("top", "web").Ok().Out, StringComparison.Ordinal);
        user.Run("cp", "web:/www/index.html", Path.Combine(user.Home, "page")).Ok();
        Assert.Equal(user.Uid, FileSystems.TryGetStatus(Path.Combine(user.Home, "page"))!.Value.Uid);
        Assert.Equal("page\n", user.Run("run", "--rm", "--network", "container:web", "box:1", "wget", "-q", "-O", "-", "http://127.0.0.1/").Ok().Out);

        user.Run("stop", "-t", "1", "web").Ok();
        user.ExpectNothingRuns();
        user.Run("start", "web").Ok();
        Assert.Equal("page\n", await AskAsync(port));
        user.Run("rm", "-f", "web").Ok();
        Assert.Equal("page\n", user.Run("run", "--rm", "--network", "host", "-v", "data:/d", "box:1", "cat", "/d/index.html").Ok().Out);
        user.Run("volume", "rm", "data").Ok();
        user.ExpectNothingRuns();
    }

    [Fact]
    public void What_holds_the_namespace_may_go_and_containers_are_reached_all_the_same()
    {
        using var user = new OrdinaryUser();
        GiveBox(user);
        user.Run("run", "-d", "--name", "first", "--network", "none", "box:1", "sh", "-c", "exec tail -f /dev/null").Ok();
        user.Kill("sleep");
        Assert.Equal("root\n", user.Run("exec", "first", "id", "-un").Ok().Out);

        // The runtime directory's record is gone too, as after a logout: the monitor tells which namespace it is.
        user.Kill("sleep");
        File.Delete(Path.Combine(user.Runtime, "strata/namespace"));
        Assert.Equal("root\n", user.Run("exec", "first", "id", "-un").Ok().Out);
        user.Run("rm", "-f", "first").Ok();
        user.ExpectNothingRuns();
    }

    [Fact]
    public void After_kill_9_of_everything_the_next_commands_tidy_up()
    {
        using var user = new OrdinaryUser();
        GiveBox(user);
        user.Run("run", "-d", "--name", "dead", "-p", $"127.0.0.1:{FreePort()}:80", "box:1", "tail", "-f", "/dev/null").Ok();
        user.Run("run", "-d", "--name", "orphan", "-p", $"127.0.0.1:{FreePort()}:80", "box:1", "tail", "-f", "/dev/null").Ok();
        user.Kill("conmon");
        user.Kill("sleep");
        user.Run("rm", "-f", "orphan").Ok(); // its process had outlived its monitor
        user.Kill();

        Assert.Contains("dead", user.Run("ps", "-a").Ok().Out, StringComparison.Ordinal);
        Assert.Empty(user.Run("ps", "-q").Ok().Out);
        user.Run("start", "dead").Ok();
        Assert.Equal("root\n", user.Run("exec", "dead", "id", "-un").Ok().Out);
        user.Run("rm", "-f", "dead").Ok();
        user.ExpectNothingRuns();

        // A boot: nothing runs and the runtime directory is empty.
        user.Run("create", "--name", "later", "--network", "none", "box:1", "echo", "still here").Ok();
        user.Kill();
        FileSystems.RemoveTree(Path.Combine(user.Runtime, "strata"));
        Assert.Equal("still here\n", user.Run("start", "-a", "later").Ok().Out);
    }

    [Fact]
    public void Two_users_do_not_see_one_another()
    {
        using OrdinaryUser one = new(), other = new();
        GiveBox(one);
        GiveBox(other);
        one.Run("run", "-d", "--name", "same", "--network", "none", "box:1", "tail", "-f", "/dev/null").Ok();
        other.Run("run", "-d", "--name", "same", "--network", "none", "box:1", "tail", "-f", "/dev/null").Ok();
        one.Run("exec", "same", "touch", "/ones").Ok();
        Assert.Equal(1, other.Run("exec", "same", "test", "-e", "/ones").Code);
        other.Run("rm", "-f", "same").Ok();
        Assert.Contains("same", one.Run("ps").Ok().Out, StringComparison.Ordinal);
        Assert.Equal(1, other.Run("--root", Path.Combine(one.Home, ".local/share/strata"), "ps", "-a").Fails(1).Code);
        one.Run("rm", "-f", "same").Ok();
    }

    private static async Task<string> AskAsync(int port)
    {
        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(5) };
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                return await http.GetStringAsync(new Uri($"http://127.0.0.1:{port}/index.html"), Cancel);
            }
            catch (HttpRequestException) when (attempt < 50)
            {
                await Task.Delay(50, Cancel); // it does not listen yet
            }
        }
    }

    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }
}
