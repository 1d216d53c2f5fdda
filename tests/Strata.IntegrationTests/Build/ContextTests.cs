using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Build;

/// <summary>Where a build reads from and where its result goes: archives, standard input, git, names; folders, archives, indexes.</summary>
public sealed class ContextTests(SeedStore store)
{
    private string Cat(string tag, string path) => store.Run("run", "--rm", tag, "cat", path).Ok().Out;

    private static Outcome Shell(string script) => SeedStore.Exec("sh", null, "-euc", script);

    private static string Strata(SeedStore store) => $"{SeedStore.Binary} --root {store.Root}";

    [Theory]
    [InlineData("tar -C {0} -cf - . | {1} build -t {2} -")]
    [InlineData("tar -C {0} -czf - . | {1} build -t {2} -")]
    [InlineData("tar -C {0} -cf {0}.tar . && {1} build -t {2} {0}.tar")]
    [InlineData("tar -C {0} -cf - . | {1} build -t {2} -f Dockerfile -")]
    public void A_context_comes_as_an_archive(string script)
    {
        string context = store.Context(("a", "text"), ("hidden", "x"), (".dockerignore", "hidden\n"), ("Dockerfile", $"FROM {store.Busybox}\nCOPY . /c/\nRUN ls -A /c > /list\n"));
        Shell(string.Format(CultureInfo.InvariantCulture, script, context, Strata(store), "tarred")).Ok();
        Assert.Equal("text", Cat("tarred", "/c/a"));
        Assert.DoesNotContain("hidden", Cat("tarred", "/list"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_dockerfile_comes_by_standard_input_with_a_context_or_without()
    {
        string context = store.Context(("a", "text"));
        store.RunWithInput($"FROM {store.Busybox}\nCOPY a /\n", "build", "-t", "in1", "-f", "-", context).Ok();
        Assert.Equal("text", Cat("in1", "/a"));
        store.RunWithInput($"FROM {store.Busybox}\nRUN echo x > /b\n", "build", "-t", "in2", "-").Ok();
        Assert.Equal("x\n", Cat("in2", "/b"));
        Assert.Contains("cannot be both", store.RunWithInput("", "build", "-f", "-", "-").Fails(1).Err, StringComparison.Ordinal);
    }

    [Fact]
    public void Named_contexts_are_folders_images_and_layouts_and_go_before_stages_and_images()
    {
        string files = store.Context(("f", "folder"), ("ignored", "x"), (".dockerignore", "ignored\n")), other = store.MakeBusybox("named:1", "named");
        string layout = Path.Combine(store.Folder, "named-layout");
        store.Run("save", "--format", "oci-dir", "-o", layout, other).Ok();
        string context = store.Context(("Dockerfile", $"FROM {store.Busybox} AS img\nFROM {store.Busybox}\nCOPY --from=files . /files/\nCOPY --from=img /etc/os-release /img\n"
            + "COPY --from=lay /etc/os-release /lay\nRUN --mount=from=files,target=/m cp /m/f /mounted\n"));
        store.Run("build", "-t", "named", "--build-context", $"files={files}", "--build-context", $"img=docker-image://{other}", "--build-context", $"lay=oci-layout://{layout}", context).Ok();
        Assert.Equal("folder", Cat("named", "/files/f"));
        Assert.Equal("folder", Cat("named", "/mounted"));
        Assert.StartsWith("ID=named", Cat("named", "/img"), StringComparison.Ordinal);
        Assert.StartsWith("ID=named", Cat("named", "/lay"), StringComparison.Ordinal);
        Assert.NotEqual(0, store.Run("run", "--rm", "named", "test", "-e", "/files/ignored").Code);
        string from = store.Context(("Dockerfile", $"FROM {store.Busybox}\nRUN cat /etc/os-release > /o\n"));
        store.Run("build", "-t", "named2", "--build-context", $"{store.Busybox}=docker-image://{other}", from).Ok();
        Assert.StartsWith("ID=named", Cat("named2", "/o"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_repository_is_added_and_built_by_branch_tag_commit_and_folder()
    {
        Assert.SkipWhen(ChildProcess.FindProgram("git") is null, "git is not installed");
        string served = store.Context(), repository = Path.Combine(served, "r");
        string Git(string arguments) => Shell($"cd {repository} && git -c user.name=a -c user.email=a@b {arguments}").Ok().Out.Trim();
        Directory.CreateDirectory(Path.Combine(repository, "sub"));
        File.WriteAllText(Path.Combine(repository, "sub/f"), "one");
        File.WriteAllText(Path.Combine(repository, "Dockerfile"), $"FROM {store.Busybox}\nCOPY sub/f /f\n");
        Git("init -q -b main");
        Git("add .");
        Git("commit -qm one");
        Git("tag -a v1 -m v1");
        string first = Git("rev-parse HEAD");
        File.WriteAllText(Path.Combine(repository, "sub/f"), "two");
        Git("commit -qam two");
        int port = FreePort();
        using ChildProcess daemon = ChildProcess.Start(new ChildStart
        {
            Program = ChildProcess.FindProgram("git")!,
            Arguments = ["daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", $"--port={port}", $"--base-path={served}", served],
            NewSession = true,
        });
        try
        {
            string url = $"git://127.0.0.1:{port}/r";
            WaitFor(port);
            store.Build("git1", $"FROM {store.Busybox}\nADD {url}#v1 /v1\nADD {url} /head/\nADD {url}#main:sub /sub\nADD --keep-git-dir=true {url}#{first} /kept\nRUN stat -c %u /v1/sub/f > /owner\n").Ok();
            Assert.Equal("one", Cat("git1", "/v1/sub/f"));
            Assert.Equal("two", Cat("git1", "/head/sub/f"));
            Assert.Equal("two", Cat("git1", "/sub/f"));
            Assert.Equal("one", Cat("git1", "/kept/sub/f"));
            Assert.StartsWith(first, Cat("git1", "/kept/.git/HEAD"), StringComparison.Ordinal);
            Assert.NotEqual(0, store.Run("run", "--rm", "git1", "test", "-e", "/v1/.git").Code);
            Assert.Equal("0\n", Cat("git1", "/owner"));
            store.Build("git2", $"FROM {store.Busybox}\nADD --checksum={first} {url}#v1 /v1\n").Ok();
            Assert.Contains($"the commit is {first}, not 1234567", store.Build("git3", $"FROM {store.Busybox}\nADD --checksum=1234567 {url}#v1 /v1\n").Fails(1).Err, StringComparison.Ordinal);
            Assert.Contains("no branch or tag 'none'", store.Build("git3", $"FROM {store.Busybox}\nADD {url}#none /v1\n").Fails(1).Err, StringComparison.Ordinal);
            store.Run("build", "-t", "git4", url + "#v1").Ok();
            Assert.Equal("one", Cat("git4", "/f"));
        }
        finally
        {
            Shell($"kill -- -{daemon.Id}"); // the daemon and the children it made, in a session of their own
            daemon.Wait();
        }
    }

    [Fact]
    public void A_check_says_what_lint_finds_and_builds_nothing()
    {
        string good = store.Context(("Dockerfile", "FROM scratch\nCOPY f /\n")), bad = store.Context(("Dockerfile", "FROM scratch\nMAINTAINER me\nCOPY f /\n"));
        Assert.Contains("no warnings", store.Run("build", "--check", good).Ok().Err, StringComparison.Ordinal);
        Assert.Contains("MaintainerDeprecated", store.Run("build", "--call", "check", bad).Answers(3).Out, StringComparison.Ordinal);
        Assert.Contains("there are build and check", store.Run("build", "--call", "outline", bad).Fails(1).Err, StringComparison.Ordinal);
        Assert.Contains("could not be found", store.Run("build", "--check", "--target", "none", good).Fails(1).Err, StringComparison.Ordinal);
    }

    [Fact]
    public void The_result_goes_to_folders_and_archives()
    {
        string context = store.Context(("Dockerfile", $"FROM {store.Busybox} AS b\nRUN echo built > /made && mkdir /d && echo x > /d/f\nFROM scratch\nCOPY --from=b /made /\nCOPY --from=b /d /d\n"));
        string folder = Path.Combine(store.Folder, "out"), tar = folder + ".tar", oci = folder + ".oci", layout = folder + "-layout";
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "mine"), "stays");
        store.Run("build", "-o", folder, "-o", $"type=tar,dest={tar}", "-o", $"type=oci,dest={oci}", "-o", $"type=oci,tar=false,dest={layout}", context).Ok();
        Assert.Equal("built\n", File.ReadAllText(Path.Combine(folder, "made")));
        Assert.Equal("stays", File.ReadAllText(Path.Combine(folder, "mine")));
        Assert.Contains("d/f", Shell($"tar -tf {tar}").Ok().Out, StringComparison.Ordinal);
        Assert.Contains("oci-layout", Shell($"tar -tf {oci}").Ok().Out, StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(layout, "index.json")));
        Assert.Contains("made", Shell($"{Strata(store)} build -q -o - {context} | tar -t").Ok().Out, StringComparison.Ordinal);
        Assert.Contains("the types are", store.Run("build", "-o", "type=zip", context).Fails(1).Err, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_can_be_given_by_the_output_and_files_tell_what_was_built()
    {
        string context = store.Context(("Dockerfile", $"FROM {store.Busybox}\nLABEL a=1\n")), meta = Path.Combine(store.Folder, "meta.json"), id = meta + ".id";
        store.Run("build", "-o", "type=image,name=given:1", "--metadata-file", meta, "--iidfile", id, "--annotation", "org.x=y", context).Ok();
        Assert.Equal(File.ReadAllText(id), store.Inspect("given:1", "{{.Id}}"));
        Assert.Contains(File.ReadAllText(id), File.ReadAllText(meta), StringComparison.Ordinal);
        Assert.Equal("y", store.Inspect("given:1", "{{index .Annotations \"org.x\"}}"));
    }

    [Fact]
    public void Several_platforms_give_an_index_with_an_image_for_each()
    {
        string context = store.Context(("Dockerfile", "FROM scratch\nARG TARGETARCH\nENV A=$TARGETARCH\nCOPY f /\n"), ("f", "x"));
        string meta = Path.Combine(store.Folder, "multi.json");
        store.Run("build", "-t", "multi:1", "--platform", "linux/amd64,linux/arm64", "--metadata-file", meta, context).Ok();
        string Blob(string digest) => File.ReadAllText(Path.Combine(store.Root, "blobs/sha256", digest[7..9], digest[7..]));
        static string[] DigestsIn(string json) => [.. json.Split('"').Where(s => s.StartsWith("sha256:", StringComparison.Ordinal))];
        string index = Blob(DigestsIn(File.ReadAllText(meta))[^1]);
        Assert.Contains("application/vnd.oci.image.index.v1+json", index, StringComparison.Ordinal);
        string[] configs = [.. DigestsIn(index).Select(m => Blob(DigestsIn(Blob(m))[0]))];
        Assert.Contains("A=amd64", configs[0], StringComparison.Ordinal);
        Assert.Contains("A=arm64", configs[1], StringComparison.Ordinal);
        Assert.Equal("amd64", store.Inspect("multi:1", "{{.Architecture}}"));
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static void WaitFor(int port)
    {
        for (int i = 0; i < 200; i++)
        {
            try
            {
                using var client = new TcpClient("127.0.0.1", port);
                return;
            }
            catch (SocketException)
            {
                Thread.Sleep(20);
            }
        }
        Assert.Fail("git daemon does not listen");
    }
}
