using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Distribution;

/// <summary>An image goes from place to place by <c>strata copy</c> and stays the same to the byte.</summary>
public sealed class CopyTests : IAsyncLifetime
{
    private const int LayerBytes = 4_000_000;
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-copy-").FullName;
    private RegistryProcess _one = null!, _other = null!;
    private string _digest = "";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _one = await RegistryProcess.StartAsync(Path.Combine(_folder, "one"), Token);
        _other = await RegistryProcess.StartAsync(Path.Combine(_folder, "other"), Token);
        string context = Path.Combine(_folder, "context"), author = Path.Combine(_folder, "author");
        Directory.CreateDirectory(context);
        byte[] bytes = new byte[LayerBytes];
        new Random(1).NextBytes(bytes);
        await File.WriteAllBytesAsync(Path.Combine(context, "big"), bytes, Token);
        await File.WriteAllTextAsync(Path.Combine(context, "Dockerfile"), "FROM scratch\nCOPY big /\nLABEL a=b\n", Token);
        SeedStore.RunIn(author, null, "build", "-q", "-t", $"{_one.Address}/team/app:1", context).Ok();
        _digest = SeedStore.RunIn(author, null, "push", $"{_one.Address}/team/app:1").Ok().Lines[^1].Split(' ')[2];
    }

    public async ValueTask DisposeAsync()
    {
        await _one.DisposeAsync();
        await _other.DisposeAsync();
        FileSystems.RemoveTree(_folder);
    }

    [Fact]
    public void From_registry_by_every_form_to_another_registry_the_digest_stays()
    {
        string layout = $"oci:{_folder}/layout:v1", archive = $"oci-archive:{_folder}/archive.tar:v1", docker = $"docker-archive:{_folder}/docker.tar:team/app:1", end = $"{_other.Address}/back/app:2";
        string[] places = [$"{_one.Address}/team/app:1", layout, archive, docker, end];
        for (int i = 1; i < places.Length; i++)
        {
            Assert.Equal([_digest], Copy(places[i - 1], places[i]).Ok().Lines);
        }
        string store = Path.Combine(_folder, "reader");
        SeedStore.RunIn(store, null, "pull", end).Ok();
        SeedStore.RunIn(store, null, "verify", end).Ok();
        Assert.Contains($"Digest: {_digest}", SeedStore.RunIn(store, null, "pull", end).Ok().Out, StringComparison.Ordinal);
        // skopeo reads what was written.
        Assert.Contains(_digest, SeedStore.Exec("skopeo", null, "inspect", layout).Ok().Out, StringComparison.Ordinal);
        Assert.Contains(_digest, SeedStore.Exec("skopeo", null, "inspect", archive).Ok().Out, StringComparison.Ordinal);
        SeedStore.Exec("skopeo", null, "inspect", "docker-archive:" + _folder + "/docker.tar").Ok();
    }

    [Fact]
    public async Task Within_a_registry_no_layer_travels()
    {
        await using var proxy = new SlowProxy(_one.Address, 100_000_000);
        Copy($"{proxy.Address}/team/app:1", $"{proxy.Address}/other/name:2").Ok();
        Assert.InRange(proxy.Bytes, 100, LayerBytes / 10);
        Assert.DoesNotContain(proxy.Requests, r => r.StartsWith("PUT ", StringComparison.Ordinal) && r.Contains("/blobs/", StringComparison.Ordinal));
        long before = proxy.Requests.Count;
        Copy($"{proxy.Address}/team/app:1", $"{proxy.Address}/other/name:2").Ok();
        Assert.DoesNotContain(proxy.Requests.Skip((int)before), r => r.StartsWith("POST ", StringComparison.Ordinal));
    }

    [Fact]
    public void All_and_one_exclude_each_other()
    {
        Outcome both = Copy("--all", "--platform", "linux/arm64", $"{_one.Address}/team/app:1", $"{_other.Address}/a:1");
        Assert.Equal((1, "strata: copy: --all and --platform exclude each other"), (both.Code, both.Err.Trim()));
    }

    [Theory]
    [InlineData("oci:{0}/nowhere", "there is no such folder")]
    [InlineData("docker-archive:{0}/nowhere.tar", "there is no such file")]
    [InlineData("oci:", "names no folder")]
    [InlineData("{1}/team/none:1", "none")]
    public void What_is_not_there_is_said_in_a_line(string source, string message)
    {
        Outcome outcome = Copy(string.Format(System.Globalization.CultureInfo.InvariantCulture, source, _folder, _one.Address), $"{_other.Address}/x:1");
        Assert.NotEqual(0, outcome.Code);
        Assert.Contains(message, outcome.Err, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", outcome.Err, StringComparison.Ordinal);
    }

    [Fact]
    public void A_repository_becomes_like_another_and_what_fails_stops_nothing()
    {
        string from = $"{_one.Address}/team/app", to = $"{_other.Address}/mirror/app", file = Path.Combine(_folder, "sync.toml");
        foreach (string tag in (string[])["1.1", "2", "2-slim"])
        {
            Copy(from + ":1", $"{from}:{tag}").Ok();
        }
        Copy(from + ":1", to + ":1.9").Ok();
        Copy(from + ":1", to + ":other").Ok();
        File.WriteAllText(file, $"[[sync]]\nfrom = \"{from}\"\nto = \"{to}\"\ntags = [\"1*\", \"2*\", \"!*-slim\"]\n");
        Outcome Sync(params string[] options) => SeedStore.RunIn(Path.Combine(_folder, "copier"), null, ["sync", .. options, file]);
        string[] Tags() => SeedStore.RunIn(Path.Combine(_folder, "copier"), null, "tags", to).Ok().Lines;

        Assert.Equal([$"{to}:1: copied {_digest}", $"{to}:1.1: copied {_digest}", $"{to}:2: copied {_digest}", $"{to}:1.9: removed"], Sync("--delete", "--dry-run").Ok().Lines);
        Assert.Equal(["1.9", "other"], Tags());
        Assert.Equal([$"{to}:1: copied {_digest}", $"{to}:1.1: copied {_digest}", $"{to}:2: copied {_digest}"], Sync().Ok().Lines);
        Assert.Equal([$"{to}:1: up to date {_digest}", $"{to}:1.1: up to date {_digest}", $"{to}:2: up to date {_digest}", $"{to}:1.9: removed"], Sync("--delete").Ok().Lines);
        Assert.Equal(["1", "1.1", "2", "other"], Tags());

        File.AppendAllText(file, "platform = \"host\"\n");
        Assert.Contains($"{file}:5:1: ", Sync().Fails(1).Err, StringComparison.Ordinal);
        File.WriteAllText(file, $"[[sync]]\nfrom = \"{from}:1\"\nto = \"{to}\"\n");
        Assert.Contains("is one image of a repository", Sync().Fails(1).Err, StringComparison.Ordinal);
    }

    private Outcome Copy(params string[] arguments) => SeedStore.RunIn(Path.Combine(_folder, "copier"), null, ["copy", .. arguments]);
}
