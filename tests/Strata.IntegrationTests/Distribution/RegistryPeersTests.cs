using System.Formats.Tar;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Strata.Distribution;
using Strata.Images;
using Strata.Linux;
using Strata.Oci;
using Strata.Server.Registry;
using Strata.Snapshots;
using Xunit;

namespace Strata.IntegrationTests.Distribution;

/// <summary>Images travel between our engine, our registry and other people's tools, and stay the same to the byte.</summary>
public sealed class RegistryPeersTests : IAsyncLifetime
{
    private const string Skopeo = "/usr/bin/skopeo", Podman = "/usr/bin/podman", DockerRegistry = "/usr/bin/docker-registry";

    private readonly string _temp = Directory.CreateTempSubdirectory("strata-peers-").FullName;
    private Engine _author = null!;
    private Engine _store = null!;
    private RegistryServer _server = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _author = Open("author");
        _store = Open("store");
        _server = await RegistryServer.StartAsync(_store, "127.0.0.1:0", cancellationToken: Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _author.Dispose();
        _store.Dispose();
        FileSystems.RemoveTree(_temp);
    }

    private Engine Open(string name) => Engine.Open(new EngineOptions { Root = Path.Combine(_temp, name) });

    [Fact]
    public async Task What_is_pushed_is_pulled_with_its_digest_and_its_files()
    {
        Descriptor image = await MakeAsync("amd64");
        ImageReference reference = ImageReference.Parse($"{_server.Address}/team/app:1.0");
        await _author.Images.SetAsync(reference, image, Token);
        PushResult pushed = await _author.PushAsync(reference, cancellationToken: Token);
        Assert.Equal((image.Digest, false), (pushed.Descriptor.Digest, pushed.IsPartOfIndex));
        using Engine reader = Open("reader");
        Assert.Empty(await ReadNamesAsync(reader));
        PullResult pulled = await reader.PullAsync(reference, cancellationToken: Token);
        Assert.Equal((image.Digest, false), (pulled.Descriptor.Digest, pulled.WasUpToDate));
        Assert.Equal("hello amd64", await ReadFileAsync(reader, pulled.Image, "etc/greeting"));
        Assert.True((await reader.PullAsync(reference, cancellationToken: Token)).WasUpToDate);
        Assert.Equal(image.Digest, (await reader.PullAsync(ImageReference.Parse($"{_server.Address}/team/app@{image.Digest}"), cancellationToken: Token)).Descriptor.Digest);
    }

    [Fact]
    public async Task Of_an_index_one_platform_is_pulled_and_pushed_on_as_itself()
    {
        Descriptor amd64 = await MakeAsync("amd64"), arm64 = await MakeAsync("arm64");
        byte[] index = OciJson.Serialize(new ImageIndex([amd64 with { Platform = new Platform("linux", "amd64") }, arm64 with { Platform = new Platform("linux", "arm64", "v8") }]) { MediaType = MediaTypes.OciIndex });
        Descriptor root = await _author.Content.WriteAsync(MediaTypes.OciIndex, index, Token);
        ImageReference reference = ImageReference.Parse($"{_server.Address}/multi:1");
        await _author.Images.SetAsync(reference, root, Token);
        Assert.False((await _author.PushAsync(reference, cancellationToken: Token)).IsPartOfIndex);
        using Engine reader = Open("reader");
        PullResult pulled = await reader.PullAsync(reference, new PullOptions { Platform = Platform.Parse("arm64") }, Token);
        Assert.Equal((root.Digest, arm64.Digest), (pulled.Descriptor.Digest, pulled.Image.Digest));
        Assert.Equal("hello arm64", await ReadFileAsync(reader, pulled.Image, "etc/greeting"));
        Assert.Null(reader.Content.TryGetSize(amd64.Digest));
        PushResult pushed = await reader.PushAsync(reference, cancellationToken: Token);
        Assert.Equal((arm64.Digest, true), (pushed.Descriptor.Digest, pushed.IsPartOfIndex));
        await _author.PushAsync(reference, cancellationToken: Token);
        StrataException e = await Assert.ThrowsAsync<StrataException>(async () => await reader.PullAsync(reference, new PullOptions { Platform = Platform.Parse("s390x") }, Token));
        Assert.Equal((ErrorKind.NotFound, "there are: linux/amd64, linux/arm64/v8"), (e.Kind, e.Hint));
        ImagePlace place = ImagePlace.Parse(reference.ToString()), copy = ImagePlace.Parse($"{_server.Address}/copy:1");
        Assert.Equal(root.Digest, (await reader.CopyAsync(place, copy, new ImageCopyOptions { AllPlatforms = true }, Token)).Digest);
        Assert.Equal(root.Digest, (await reader.Registries.GetRepository(copy.Reference!).ResolveAsync("1", Token)).Digest);
        Assert.Equal(arm64.Digest, (await reader.CopyAsync(place, copy, new ImageCopyOptions { Platform = Platform.Parse("arm64") }, Token)).Digest);
        Assert.Equal(arm64.Digest, (await reader.Registries.GetRepository(copy.Reference!).ResolveAsync("1", Token)).Digest);
        ImagePlace layout = ImagePlace.Parse($"oci:{_temp}/layout:1");
        Assert.Equal(ErrorKind.Unsupported, (await Assert.ThrowsAsync<StrataException>(async () => await reader.CopyAsync(place, layout, new ImageCopyOptions { AllPlatforms = true }, Token))).Kind);
        using Engine whole = Open("whole");
        await whole.PullAsync(reference, new PullOptions { AllPlatforms = true }, Token);
        Assert.NotNull(whole.Content.TryGetSize(amd64.Digest));
        Assert.NotNull(whole.Content.TryGetSize(arm64.Digest));
    }

    [Fact]
    public async Task All_tags_of_a_repository_are_pulled()
    {
        Descriptor image = await MakeAsync("amd64");
        foreach (string tag in (string[])["a", "b"])
        {
            ImageReference reference = ImageReference.Parse($"{_server.Address}/many:{tag}");
            await _author.Images.SetAsync(reference, image, Token);
            await _author.PushAsync(reference, cancellationToken: Token);
        }
        using Engine reader = Open("reader");
        List<string?> tags = [];
        await foreach (PullResult pulled in reader.PullAllTagsAsync(ImageReference.ParseWithoutDefaultTag($"{_server.Address}/many"), cancellationToken: Token))
        {
            tags.Add(pulled.Reference.Tag);
        }
        Assert.Equal(["a", "b"], tags);
    }

    [Fact]
    public async Task Skopeo_reads_writes_and_lists_our_registry()
    {
        Need(Skopeo);
        Descriptor image = await MakeAsync("amd64");
        ImageReference reference = ImageReference.Parse($"{_server.Address}/team/app:1.0");
        await _author.Images.SetAsync(reference, image, Token);
        await _author.PushAsync(reference, cancellationToken: Token);
        string folder = Path.Combine(_temp, "copy");
        await RunAsync(Skopeo, "copy", "--src-tls-verify=false", $"docker://{reference}", "dir:" + folder);
        Assert.Equal(image.Digest, Digest.Of(await File.ReadAllBytesAsync(Path.Combine(folder, "manifest.json"), Token)));
        foreach (string format in (string[])["oci", "v2s2"])
        {
            ImageReference copy = ImageReference.Parse($"{_server.Address}/from/skopeo:{format}");
            await RunAsync(Skopeo, "copy", "--dest-tls-verify=false", "--format", format, "dir:" + folder, $"docker://{copy}");
            using Engine reader = Open("reader-" + format);
            PullResult pulled = await reader.PullAsync(copy, cancellationToken: Token);
            Assert.Equal(format == "oci" ? MediaTypes.OciManifest : MediaTypes.DockerManifest, pulled.Descriptor.MediaType);
            Assert.Equal("hello amd64", await ReadFileAsync(reader, pulled.Image, "etc/greeting"));
        }
        string tags = await RunAsync(Skopeo, "list-tags", "--tls-verify=false", $"docker://{_server.Address}/from/skopeo");
        Assert.Contains("v2s2", tags, StringComparison.Ordinal);
        string inspect = await RunAsync(Skopeo, "inspect", "--tls-verify=false", $"docker://{reference}");
        Assert.Contains(image.Digest.ToString(), inspect, StringComparison.Ordinal);
        await RunAsync(Skopeo, "delete", "--tls-verify=false", $"docker://{_server.Address}/from/skopeo:oci");
    }

    [Fact]
    public async Task Podman_pulls_from_and_pushes_to_our_registry()
    {
        Need(Podman);
        Descriptor image = await MakeAsync("amd64");
        ImageReference reference = ImageReference.Parse($"{_server.Address}/team/app:1.0");
        await _author.Images.SetAsync(reference, image, Token);
        await _author.PushAsync(reference, cancellationToken: Token);
        string[] store = ["--root", Path.Combine(_temp, "podman"), "--runroot", Path.Combine(_temp, "podman-run"), "--storage-driver", "vfs"];
        await RunAsync(Podman, [.. store, "pull", "-q", "--tls-verify=false", reference.ToString()]);
        await RunAsync(Podman, [.. store, "push", "-q", "--tls-verify=false", reference.ToString(), $"{_server.Address}/from/podman:x"]);
        using Engine reader = Open("reader");
        PullResult pulled = await reader.PullAsync(ImageReference.Parse($"{_server.Address}/from/podman:x"), cancellationToken: Token);
        Assert.Equal("hello amd64", await ReadFileAsync(reader, pulled.Image, "etc/greeting"));
    }

    [Fact]
    public async Task Our_engine_pushes_to_and_pulls_from_the_reference_registry()
    {
        Need(DockerRegistry);
        int port = FreePort();
        using ChildProcess registry = await StartReferenceAsync(port);
        try
        {
            await WaitForPortAsync(port);
            Descriptor image = await MakeAsync("amd64");
            ImageReference reference = ImageReference.Parse($"127.0.0.1:{port}/team/app:1.0");
            await _author.Images.SetAsync(reference, image, Token);
            await _author.PushAsync(reference, cancellationToken: Token);
            await _author.PushAsync(reference, cancellationToken: Token);
            using Engine reader = Open("reader");
            PullResult pulled = await reader.PullAsync(reference, cancellationToken: Token);
            Assert.Equal(image.Digest, pulled.Descriptor.Digest);
            Assert.Equal("hello amd64", await ReadFileAsync(reader, pulled.Image, "etc/greeting"));
            List<string> names = [];
            await foreach (string name in reader.Registries.ListRepositoriesAsync($"127.0.0.1:{port}", Token))
            {
                names.Add(name);
            }
            Assert.Equal(["team/app"], names);
        }
        finally
        {
            registry.Kill(9);
            registry.Wait();
        }
    }

    // Debian's registry 2.8 knows no list of referrers: there it stands under a tag; ours has one.
    [Fact]
    public async Task Signatures_and_what_is_signed_of_them_travel_along_by_way_of_a_registry_without_referrers()
    {
        Need(DockerRegistry);
        int port = FreePort();
        using ChildProcess registry = await StartReferenceAsync(port);
        try
        {
            await WaitForPortAsync(port);
            ImageReference first = ImageReference.Parse($"{_server.Address}/team/app:1"), between = ImageReference.Parse($"127.0.0.1:{port}/team/app:1"), last = ImageReference.Parse($"{_server.Address}/back/app:1");
            Descriptor image = await MakeAsync("amd64");
            await _author.Images.SetAsync(first, image, Token);
            await _author.PushAsync(first, cancellationToken: Token);
            RemoteRepository source = _author.Registries.GetRepository(first);
            Descriptor bill = await AttachAsync(source, image, "application/spdx+json"), signature = await AttachAsync(source, bill, "application/x.signature"), old = await AttachAsync(source, subject: null, "application/x.cosign");
            await source.TagAsync(old, $"sha256-{image.Digest.Hex}.sig", Token);
            foreach ((ImageReference from, ImageReference to) in new[] { (first, between), (between, last) })
            {
                Assert.Equal(image.Digest, (await _author.CopyAsync(ImagePlace.Parse(from.ToString()), ImagePlace.Parse(to.ToString()), new ImageCopyOptions { Referrers = true }, Token)).Digest);
                RemoteRepository there = _author.Registries.GetRepository(to);
                Assert.Equal([(bill.Digest, "application/spdx+json")], (await there.ListReferrersAsync(image.Digest, cancellationToken: Token)).Select(d => (d.Digest, d.ArtifactType)));
                Assert.Equal([signature.Digest], (await there.ListReferrersAsync(bill.Digest, cancellationToken: Token)).Select(d => d.Digest));
                Assert.Equal(old.Digest, (await there.ResolveAsync($"sha256-{image.Digest.Hex}.sig", Token)).Digest);
            }
            await Assert.ThrowsAsync<StrataException>(async () => await _author.CopyAsync(ImagePlace.Parse(first.ToString()), ImagePlace.Parse($"oci:{_temp}/layout:1"), new ImageCopyOptions { Referrers = true }, Token));
        }
        finally
        {
            registry.Kill(9);
            registry.Wait();
        }
    }

    private static async Task<Descriptor> AttachAsync(RemoteRepository repository, Descriptor? subject, string type)
    {
        byte[] empty = "{}"u8.ToArray(), content = Encoding.ASCII.GetBytes("about " + subject?.Digest);
        Descriptor config = new(MediaTypes.OciEmpty, Digest.Of(empty), empty.Length), layer = new(type, Digest.Of(content), content.Length);
        byte[] manifest = OciJson.Serialize(new ImageManifest(config, [layer]) { MediaType = MediaTypes.OciManifest, ArtifactType = type, Subject = subject });
        Descriptor artifact = new(MediaTypes.OciManifest, Digest.Of(manifest), manifest.Length);
        foreach ((Descriptor descriptor, byte[] bytes) in new[] { (config, empty), (layer, content), (artifact, manifest) })
        {
            await repository.WriteAsync(descriptor, new MemoryStream(bytes), Token);
        }
        return artifact;
    }

    private async Task<ChildProcess> StartReferenceAsync(int port)
    {
        string config = Path.Combine(_temp, "registry.yml");
        await File.WriteAllTextAsync(config, $"version: 0.1\nlog: {{ level: error }}\nstorage:\n  filesystem: {{ rootdirectory: {_temp}/registry }}\n  delete: {{ enabled: true }}\nhttp: {{ addr: 127.0.0.1:{port} }}\n", Token);
        return ChildProcess.Start(new ChildStart { Program = DockerRegistry, Arguments = ["serve", config] });
    }

    [Fact]
    public async Task A_pull_of_an_image_whose_config_and_manifest_disagree_leaves_no_name()
    {
        Descriptor image = await MakeAsync("amd64", diffIds: 2);
        ImageReference reference = ImageReference.Parse($"{_server.Address}/bad:1");
        await _author.Images.SetAsync(reference, image, Token);
        await _author.PushAsync(reference, cancellationToken: Token);
        using Engine reader = Open("reader");
        StrataException e = await Assert.ThrowsAsync<StrataException>(async () => await reader.PullAsync(reference, cancellationToken: Token));
        Assert.Equal("image: the manifest has 1 layers but the config 2 diff IDs", e.Message);
        Assert.Empty(await ReadNamesAsync(reader));
    }

    // An image of one gzip layer with etc/greeting in it.
    private async Task<Descriptor> MakeAsync(string architecture, int diffIds = 1)
    {
        using MemoryStream tar = new();
        await using (TarWriter writer = new(tar, TarEntryFormat.Pax, leaveOpen: true))
        {
            await writer.WriteEntryAsync(new PaxTarEntry(TarEntryType.Directory, "etc"), Token);
            await writer.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, "etc/greeting") { DataStream = new MemoryStream(Encoding.ASCII.GetBytes("hello " + architecture)) }, Token);
            await writer.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, "etc/random") { DataStream = new MemoryStream(RandomNumberGenerator.GetBytes(500_000)) }, Token);
        }
        using MemoryStream gzip = new();
        await using (System.IO.Compression.GZipStream stream = new(gzip, System.IO.Compression.CompressionLevel.Fastest, leaveOpen: true))
        {
            await stream.WriteAsync(tar.ToArray(), Token);
        }
        ImageConfig config = new() { Architecture = architecture, Os = "linux", RootFs = new RootFs("layers", [.. Enumerable.Repeat(Digest.Of(tar.ToArray()), diffIds)]) };
        Descriptor layer = await _author.Content.WriteAsync(MediaTypes.OciLayerGzip, gzip.ToArray(), Token);
        Descriptor configuration = await _author.Content.WriteAsync(MediaTypes.OciConfig, OciJson.Serialize(config), Token);
        return await _author.Content.WriteAsync(MediaTypes.OciManifest, OciJson.Serialize(new ImageManifest(configuration, [layer]) { MediaType = MediaTypes.OciManifest }), Token);
    }

    private static async Task<string> ReadFileAsync(Engine engine, Descriptor image, string path)
    {
        ImageManifest manifest = OciJson.ParseManifest(await engine.Content.ReadAsync(image, Token), image.MediaType);
        ImageConfig config = OciJson.ParseConfig(await engine.Content.ReadAsync(manifest.Config, Token));
        CommittedSnapshot snapshot = await engine.Snapshots.TryGetAsync(config.RootFs.DiffIds, Token) ?? throw new InvalidOperationException("it was not unpacked");
        using LayerStack stack = engine.Snapshots.OpenStack(snapshot);
        await using Stream file = stack.OpenFile(stack.TryFind(path)!);
        using StreamReader text = new(file);
        return await text.ReadToEndAsync(Token);
    }

    private static async Task<List<ImageReference>> ReadNamesAsync(Engine engine)
    {
        List<ImageReference> names = [];
        await foreach ((ImageReference reference, _) in engine.Images.ListAsync(Token))
        {
            names.Add(reference);
        }
        return names;
    }

    private static void Need(string program) => Assert.SkipUnless(File.Exists(program), $"{program} is not installed");

    private static async Task<string> RunAsync(string program, params string[] arguments)
    {
        ChildResult result = await ChildProcess.RunAsync(new ChildStart { Program = program, Arguments = arguments }, cancellationToken: Token);
        Assert.True(result.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {result.ErrorText}");
        return result.OutputText;
    }

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static async Task WaitForPortAsync(int port)
    {
        for (int i = 0; ; i++)
        {
            try
            {
                using TcpClient client = new();
                await client.ConnectAsync(IPAddress.Loopback, port, Token);
                return;
            }
            catch (SocketException) when (i < 100)
            {
                await Task.Delay(50, Token);
            }
        }
    }
}
