using Strata.IntegrationTests.Seeds;
using Xunit;

namespace Strata.IntegrationTests.Interop;

/// <summary>
/// An image of ours in other people's stores, and theirs in ours: the same settings, the same layers, the same files. The image has what goes wrong
/// between tools: whiteouts, an opaque directory, hard links, a device, set-id bits, a capability, binary extended attributes, names beyond ASCII.
/// </summary>
public sealed class ArchiveTests(ArchiveTests.Author author) : IClassFixture<ArchiveTests.Author>
{
    private const string Dockerfile = """
        FROM box:1
        ADD tree.tar /
        RUN mkdir -p /opaque/deep && echo a >/opaque/old && echo b >/opaque/deep/old && ln /etc/motd /etc/motd.hard && ln -s ../etc/motd /opaque/link
        RUN rm -rf /opaque && mkdir /opaque && echo new >/opaque/new && rm /etc/os-release /opt/pipe
        ENV A=1 B="two words"
        LABEL org.example.a="x y" plain=1
        USER 1000:1001
        WORKDIR /work/dir
        EXPOSE 80 53/udp
        VOLUME /data /cache
        STOPSIGNAL SIGQUIT
        HEALTHCHECK --interval=5s --timeout=3s --start-period=2s --retries=4 CMD ls /
        ENTRYPOINT ["/bin/ls","-l"]
        CMD ["/etc"]
        """;

    // Made with the shell, so that what the tar holds is not our own writer's opinion. busybox is the capability's file.
    private const string MakeTree = """
        umask 022; cd "$1"; mkdir -p tree/opt/café tree/opt/bin tree/opt/sticky tree/opt/setgid; cd tree/opt
        cp /bin/busybox bin/tool; setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 bin/tool
        echo x > 'café/naïve 名.txt'; setfattr -n user.bin -v 0x00ff80 'café/naïve 名.txt'; setfattr -n user.note -v hello café
        printf q > "$(printf '\377latin')"; echo su > bin/su; chown 1000:1001 bin/su; chmod 4755 bin/su; echo sg > bin/sg; chmod 2755 bin/sg
        mknod null c 1 3; mknod loop b 7 9; mkfifo pipe; chmod 1777 sticky; chmod 2755 setgid; chown 3000000:4000000 setgid
        tar --xattrs --xattrs-include='*' --format=pax -C "$1/tree" -cf "$2" .
        """;

    private static readonly string[] s_expected =
    [
        "/etc/motd.hard: Regular 644 0:0 8 58f2c4a6d3ad9a55 = /etc/motd = /etc/motd.hard",
        "/opaque/new: Regular 644 0:0 4 7aa7a5359173d05b",
        "/opt/bin/sg: Regular 2755 0:0 3",
        "/opt/bin/su: Regular 4755 1000:1001 3",
        "/opt/café: Directory 755 0:0 user.note=68656c6c6f",
        "/opt/loop: BlockDevice 644 0:0 7:9",
        "/opt/null: CharacterDevice 644 0:0 1:3",
        "/opt/setgid: Directory 2755 3000000:4000000",
        "/opt/sticky: Directory 1777 0:0",
        "/opt/\\dcfflatin: Regular 644 0:0 1",
    ];

    [Fact]
    public void The_image_has_what_it_is_for()
    {
        SortedDictionary<string, string> files = author.Files;
        foreach (string line in s_expected)
        {
            string[] parts = line.Split(": ", 2);
            Assert.True(files.TryGetValue(parts[0], out string? found), parts[0] + " is missing");
            Assert.StartsWith(parts[1].Split(' ')[0], found, StringComparison.Ordinal);
        }
        Assert.Equal(5, author.Document.DiffIds.Length);
        Assert.Equal(ImageDocument.Names.Except(["OnBuild", "Shell"]).Order(StringComparer.Ordinal), author.Document.Settings.Keys);
    }

    [Fact]
    public void Docker_takes_ours_and_gives_it_back()
    {
        Peers peers = author.Peers;
        Assert.Contains("Loaded image: rich:1", peers.Docker("load", "-i", author.DockerArchive).Ok().Out, StringComparison.Ordinal);
        Same(author.Id, peers.Docker("image", "inspect", "-f", "{{.Id}}", "rich:1").Ok().Out);
        SameFiles(peers.DockerFiles("rich:1"));
        string saved = peers.New("docker.tar");
        peers.Docker("save", "-o", saved, "rich:1").Ok();
        Takes(saved, "rich:1");
    }

    [Fact]
    public void Podman_takes_ours_in_every_format_and_gives_it_back()
    {
        Peers peers = author.Peers;
        foreach (string format in (string[])["docker-archive", "oci-archive", "oci-dir"])
        {
            string saved = author.Saved(format);
            peers.Podman("load", "-i", saved).Ok();
            string image = format == "oci-dir" ? author.Id : "docker.io/library/rich:1";
            Same(author.Id, "sha256:" + peers.Podman("image", "inspect", "-f", "{{.Id}}", image).Ok().Out);
            SameFiles(peers.PodmanFiles(image));
            string back = peers.New(format);
            peers.Podman("save", "--format", format, "-o", back, image).Ok();
            Takes(back, format == "oci-dir" ? null : "rich:1");
            peers.Podman("rmi", "-f", author.Id).Ok();
        }
    }

    [Theory]
    [InlineData("docker-archive")]
    [InlineData("oci-archive")]
    [InlineData("oci")]
    public void Buildah_takes_ours_and_gives_it_back(string format)
    {
        Peers peers = author.Peers;
        string id = peers.Buildah("pull", "-q", $"{format}:{author.Saved(format)}").Ok().Out.Trim();
        Same(author.Id, "sha256:" + id);
        SameFiles(peers.BuildahFiles(id));
        string back = peers.New("buildah-" + format);
        peers.Buildah("push", "-q", id, $"{format}:{back}:rich:7").Ok();
        Takes(back, "rich:7");
        peers.Buildah("rmi", "-f", id).Ok();
    }

    [Theory]
    [InlineData("docker-archive", "oci")]
    [InlineData("oci-archive", "docker-archive")]
    [InlineData("oci", "oci-archive")]
    public void Skopeo_copies_ours_from_and_into_every_format(string from, string to)
    {
        string back = author.Peers.New("skopeo-" + to);
        Peers.Skopeo("copy", "-q", $"{from}:{author.Saved(from)}", $"{to}:{back}:rich:7").Ok();
        // OCI's configuration has no health check (image-spec/config.md#properties), and containers/image drops what it does not know where it converts.
        Takes(back, "rich:7", from == "docker-archive" ? ["Healthcheck"] : []);
    }

    [Fact]
    public void Umoci_unpacks_ours_and_what_it_repacks_is_ours_again()
    {
        Peers peers = author.Peers;
        SameFiles(peers.UmociFiles(author.OciFolder, "1"));
        string layout = peers.New("layout"), bundle = peers.New("bundle");
        SeedStore.Exec("cp", null, "-a", author.OciFolder, layout).Ok();
        Peers.Umoci("unpack", "--image", layout + ":1", bundle).Ok();
        File.WriteAllText(Path.Combine(bundle, "rootfs/opaque/from-umoci"), "added\n");
        File.Delete(Path.Combine(bundle, "rootfs/etc/passwd"));
        Peers.Umoci("repack", "--image", layout + ":changed", bundle).Ok();
        Peers.Umoci("config", "--image", layout + ":changed", "--config.label", "peer=umoci").Ok();
        Peers.Umoci("rm", "--image", layout + ":1").Ok();
        string root = peers.New("store");
        string id = SeedStore.RunIn(root, null, "load", "-i", layout).Ok().Out.Trim().Split(' ')[^1];
        ImageDocument document = Peers.StrataDocument(root, id);
        Assert.Equal(author.Document.DiffIds, document.DiffIds[..^1]);
        Assert.Contains("\"peer\":\"umoci\"", document.Settings["Labels"], StringComparison.Ordinal);
        Assert.Equal(["/etc/passwd: nothing", "/opaque/from-umoci: Regular"],
            ImageTree.Differences(peers.StrataFiles(root, id), author.Files).Select(d => d.Split(" | ")[0]).Select(d => string.Join(' ', d.Split(' ')[..2])));
    }

    private static void Same(string expected, string actual) => Assert.Equal(expected, actual.Trim());

    private void SameFiles(SortedDictionary<string, string> theirs) => Assert.Empty(ImageTree.Differences(author.Files, theirs));

    /// <summary>A new store of ours takes it, with this name, and it is the image that it was: settings but those that the tool drops, layers, files.</summary>
    private void Takes(string saved, string? name, params string[] dropped)
    {
        string root = author.Peers.New("store");
        string said = SeedStore.RunIn(root, null, "load", "-i", saved).Ok().Out.Trim();
        string image = said.Split(' ')[^1];
        if (name is not null)
        {
            Assert.Equal("Loaded image: " + name, said);
        }
        ImageDocument document = Peers.StrataDocument(root, image);
        Assert.Equal(author.Document.DiffIds, document.DiffIds);
        Assert.Equal(dropped, ImageDocument.Differences(author.Document, document).Select(d => d.Split(':')[0]));
        Assert.Empty(ImageDocument.Differences(ImageDocument.OfSaved(saved), document));
        SameFiles(author.Peers.StrataFiles(root, image));
        SeedStore.RunIn(root, null, "verify", image).Ok();
    }

    /// <summary>The image, made and saved once in each format.</summary>
    public sealed class Author : IDisposable
    {
        public Author()
        {
            Peers = new Peers();
            SeedStore store = Peers.Store;
            Assert.Equal("box:1", store.Busybox);
            string context = store.Context(("Dockerfile", Dockerfile));
            SeedStore.Exec("sh", null, "-ec", MakeTree, "sh", Peers.Folder, Path.Combine(context, "tree.tar")).Ok();
            Id = store.Run("build", "-q", "-t", "rich:1", context).Ok().Out.Trim();
            DockerArchive = Peers.New("rich.tar");
            OciArchive = Peers.New("rich-oci.tar");
            OciFolder = Peers.New("rich-dir");
            store.Run("save", "-o", DockerArchive, "rich:1").Ok();
            store.Run("save", "--format", "oci", "-o", OciArchive, "rich:1").Ok();
            store.Run("save", "--format", "oci-dir", "-o", OciFolder, "rich:1").Ok();
            Document = Peers.StrataDocument(store.Root, "rich:1");
            Files = Peers.StrataFiles(store.Root, "rich:1");
        }

        internal Peers Peers { get; }

        internal string Id { get; }

        internal string DockerArchive { get; }

        internal string OciArchive { get; }

        internal string OciFolder { get; }

        internal ImageDocument Document { get; }

        internal SortedDictionary<string, string> Files { get; }

        /// <summary>What we saved, by the name that containers/image gives its format.</summary>
        internal string Saved(string format) => format switch { "docker-archive" => DockerArchive, "oci-archive" => OciArchive, _ => OciFolder };

        /// <inheritdoc/>
        public void Dispose() => Peers.Dispose();
    }
}
