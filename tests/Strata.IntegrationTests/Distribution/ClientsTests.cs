using Strata.IntegrationTests.Interop;
using Strata.IntegrationTests.Seeds;
using Xunit;

namespace Strata.IntegrationTests.Distribution;

/// <summary>Docker, podman, buildah and skopeo as they are push to our registry and pull from it, and the digests are equal throughout.</summary>
public sealed class ClientsTests : IDisposable
{
    private readonly Peers _peers = new();

    public void Dispose() => _peers.Dispose();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_client_pulls_what_every_other_has_pushed()
    {
        await using RegistryProcess registry = await RegistryProcess.StartAsync(_peers.New("registry"), Token);
        string from = _peers.Store.MakeBusybox($"{registry.Address}/from/strata:1", "clients"), archive = _peers.New("clients.tar");
        _peers.Store.Run("push", from).Ok();
        _peers.Store.Run("save", "-o", archive, from).Ok();
        string Digest(string name) => Peers.Skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://" + name).Ok().Out.Trim();

        _peers.Docker("load", "-q", "-i", archive).Ok();
        _peers.Docker("tag", from, $"{registry.Address}/from/docker:1").Ok();
        _peers.Docker("push", "-q", $"{registry.Address}/from/docker:1").Ok();
        _peers.Podman("load", "-q", "-i", archive).Ok();
        _peers.Podman("push", "-q", "--tls-verify=false", from, $"{registry.Address}/from/podman:1").Ok();
        _peers.Buildah("pull", "-q", "--tls-verify=false", from).Ok();
        _peers.Buildah("push", "-q", "--tls-verify=false", from, $"docker://{registry.Address}/from/buildah:1").Ok();
        Peers.Skopeo("copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://" + from, $"docker://{registry.Address}/from/skopeo:1").Ok();
        Assert.Equal(Digest(from), Digest($"{registry.Address}/from/skopeo:1"));

        foreach (string by in (string[])["strata", "docker", "podman", "buildah", "skopeo"])
        {
            string name = $"{registry.Address}/from/{by}:1", digest = Digest(name), root = _peers.New("reader");
            Assert.Contains($"Digest: {digest}", SeedStore.RunIn(root, null, "pull", name).Ok().Out, StringComparison.Ordinal);
            SeedStore.RunIn(root, null, "verify", name).Ok();
            Assert.Contains(digest, _peers.Docker("pull", name).Ok().Out, StringComparison.Ordinal);
            _peers.Podman("pull", "-q", "--tls-verify=false", name).Ok();
            Assert.Contains(digest, _peers.Podman("inspect", "--type", "image", "--format", "{{.RepoDigests}}", name).Ok().Out, StringComparison.Ordinal);
            _peers.Buildah("pull", "-q", "--tls-verify=false", name).Ok();
            Peers.Skopeo("copy", "-q", "--src-tls-verify=false", "docker://" + name, $"oci:{_peers.New("layout")}:1").Ok();
        }
        // A pull by digest of each other's image, after a removal.
        _peers.Docker("rmi", "-f", from).Ok();
        _peers.Docker("pull", $"{registry.Address}/from/strata@{Digest(from)}").Ok();
    }
}
