using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Strata.IntegrationTests.Reliability;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Strata.Oci;
using Xunit;

namespace Strata.IntegrationTests.Distribution;

/// <summary>
/// Eight push, eight pull and verify, two delete, and the registry collects all the time: what was acknowledged and not deleted is there, whole.
/// All share a few layers, so that what one deletes another is pushing. STRATA_LONG=1 for five minutes.
/// </summary>
public sealed class RegistryStormTests : IDisposable
{
    private const int Pushers = 8, Pullers = 8, Deleters = 2, SharedLayers = 12, LayerBytes = 60_000;
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-storm-").FullName;
    private readonly ConcurrentDictionary<string, Digest> _acknowledged = new(StringComparer.Ordinal);
    private readonly ConcurrentQueue<string> _bad = new();
    private int _pushed, _pulled, _deleted;

    private static TimeSpan Length => CrashScene.IsLong ? TimeSpan.FromMinutes(5) : TimeSpan.FromSeconds(15);

    public void Dispose() => FileSystems.RemoveTree(_folder);

    [Fact]
    public async Task What_was_acknowledged_and_not_deleted_is_there()
    {
        string root = Path.Combine(_folder, "store");
        await using (RegistryProcess registry = await RegistryProcess.StartAsync(root, TestContext.Current.CancellationToken, "--gc-interval", "1s", "--gc-grace", "1m", "--access-log", "none"))
        {
            using var http = new HttpClient { BaseAddress = new Uri($"http://{registry.Address}/") };
            using var over = new CancellationTokenSource(Length);
            await Task.WhenAll(
            [
                .. Enumerable.Range(0, Pushers).Select(n => LoopAsync(new Random(n), random => PushAsync(http, n, random), over.Token)),
                .. Enumerable.Range(0, Pullers).Select(n => LoopAsync(new Random(100 + n), random => PullAsync(http, random), over.Token)),
                .. Enumerable.Range(0, Deleters).Select(n => LoopAsync(new Random(200 + n), random => DeleteAsync(http, random), over.Token)),
            ]);
            foreach ((string name, Digest digest) in _acknowledged)
            {
                await VerifyAsync(http, name, digest);
            }
        }
        string summary = $"{_pushed} pushed, {_pulled} pulled, {_deleted} deleted, {_acknowledged.Count} left, {_bad.Count} bad";
        TestContext.Current.TestOutputHelper?.WriteLine(summary);
        Assert.True(_bad.IsEmpty, $"{summary}\n{string.Join('\n', _bad.Take(20))}");
        Assert.True(_pushed > 50 && _pulled > 50 && _deleted > 10, summary);
        SeedStore.RunIn(root, null, "system", "check", "--deep").Ok();
    }

    private async Task LoopAsync(Random random, Func<Random, Task> work, CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
#pragma warning disable CA1031 // whatever went wrong is what the test looks for
            try
            {
                await work(random);
            }
            catch (Exception e)
            {
                _bad.Enqueue(e.Message);
            }
#pragma warning restore CA1031
        }
    }

    private async Task PushAsync(HttpClient http, int pusher, Random random)
    {
        string name = $"storm{pusher % 3}/app:{pusher}-{random.Next(1_000_000)}", repository = name[..name.IndexOf(':', StringComparison.Ordinal)], tag = name[(repository.Length + 1)..];
        Descriptor[] layers = [.. Enumerable.Range(0, 3).Select(_ => random.Next(SharedLayers)).Distinct().Select(Layer).Select(b => new Descriptor(MediaTypes.OciLayer, Digest.Of(b), b.Length))];
        byte[] config = Encoding.UTF8.GetBytes($$$"""{"architecture":"amd64","os":"linux","config":{"Labels":{"n":"{{{tag}}}"}},"rootfs":{"type":"layers","diff_ids":[{{{string.Join(',', layers.Select(l => $"\"{l.Digest}\""))}}}]}}""");
        var configBlob = new Descriptor(MediaTypes.OciConfig, Digest.Of(config), config.Length);
        foreach (Descriptor layer in layers)
        {
            await PushBlobAsync(http, repository, layer, s_layers[layer.Digest]);
        }
        await PushBlobAsync(http, repository, configBlob, config);
        byte[] manifest = OciJson.Serialize(new ImageManifest(configBlob, [.. layers]) { MediaType = MediaTypes.OciManifest });
        using var body = new ByteArrayContent(manifest) { Headers = { ContentType = new MediaTypeHeaderValue(MediaTypes.OciManifest) } };
        using HttpResponseMessage answer = await http.PutAsync(new Uri($"v2/{repository}/manifests/{tag}", UriKind.Relative), body);
        await ExpectAsync(answer, HttpStatusCode.Created, $"push {name}");
        _acknowledged[name] = Digest.Of(manifest);
        Interlocked.Increment(ref _pushed);
    }

    private static readonly ConcurrentDictionary<Digest, byte[]> s_layers = new();

    private static byte[] Layer(int number)
    {
        byte[] bytes = new byte[LayerBytes + number];
        new Random(number).NextBytes(bytes);
        s_layers[Digest.Of(bytes)] = bytes;
        return bytes;
    }

    // As clients do: what the registry says it has is not sent.
    private static async Task PushBlobAsync(HttpClient http, string repository, Descriptor blob, byte[] bytes)
    {
        using var look = new HttpRequestMessage(HttpMethod.Head, $"v2/{repository}/blobs/{blob.Digest}");
        using (HttpResponseMessage there = await http.SendAsync(look))
        {
            if (there.IsSuccessStatusCode)
            {
                return;
            }
        }
        using var content = new ByteArrayContent(bytes) { Headers = { ContentType = new MediaTypeHeaderValue("application/octet-stream") } };
        using HttpResponseMessage begun = await http.PostAsync(new Uri($"v2/{repository}/blobs/uploads/", UriKind.Relative), content: null);
        await ExpectAsync(begun, HttpStatusCode.Accepted, $"begin {blob.Digest}");
        using HttpResponseMessage done = await http.PutAsync(new Uri($"{begun.Headers.Location}?digest={blob.Digest}", UriKind.Relative), content);
        await ExpectAsync(done, HttpStatusCode.Created, $"finish {blob.Digest}");
    }

    private async Task PullAsync(HttpClient http, Random random)
    {
        if (Choose(random) is not { } chosen)
        {
            await Task.Delay(20);
            return;
        }
        await VerifyAsync(http, chosen.Name, chosen.Digest);
        Interlocked.Increment(ref _pulled);
    }

    private async Task VerifyAsync(HttpClient http, string name, Digest digest)
    {
        try
        {
            string repository = name[..name.IndexOf(':', StringComparison.Ordinal)];
            byte[] manifest = await GetAsync(http, $"v2/{repository}/manifests/{name[(repository.Length + 1)..]}", digest);
            ImageManifest image = OciJson.ParseManifest(manifest, MediaTypes.OciManifest);
            foreach (Descriptor blob in image.Layers.Append(image.Config))
            {
                await GetAsync(http, $"v2/{repository}/blobs/{blob.Digest}", blob.Digest);
            }
        }
        catch (Exception e) when (e is HttpRequestException or InvalidOperationException)
        {
            // Whoever deletes takes the name off the list first.
            if (_acknowledged.ContainsKey(name))
            {
                _bad.Enqueue($"pull {name}: {e.Message}");
            }
        }
    }

    private static async Task<byte[]> GetAsync(HttpClient http, string path, Digest digest)
    {
        using HttpResponseMessage answer = await http.GetAsync(new Uri(path, UriKind.Relative));
        await ExpectAsync(answer, HttpStatusCode.OK, path);
        byte[] bytes = await answer.Content.ReadAsByteArrayAsync();
        return Digest.Of(bytes) == digest ? bytes : throw new InvalidOperationException($"{path}: {bytes.Length} bytes that are another's");
    }

    private async Task DeleteAsync(HttpClient http, Random random)
    {
        await Task.Delay(random.Next(60));
        if (Choose(random) is not { } chosen || !_acknowledged.TryRemove(chosen.Name, out Digest digest))
        {
            return;
        }
        string repository = chosen.Name[..chosen.Name.IndexOf(':', StringComparison.Ordinal)];
        using HttpResponseMessage answer = await http.DeleteAsync(new Uri($"v2/{repository}/manifests/{digest}", UriKind.Relative));
        await ExpectAsync(answer, HttpStatusCode.Accepted, $"delete {chosen.Name}");
        Interlocked.Increment(ref _deleted);
    }

    private (string Name, Digest Digest)? Choose(Random random)
    {
        KeyValuePair<string, Digest>[] all = _acknowledged.ToArray(); // one look: others add meanwhile
        KeyValuePair<string, Digest> one = all.Length == 0 ? default : all[random.Next(all.Length)];
        return one.Key is null ? null : (one.Key, one.Value);
    }

    private static async Task ExpectAsync(HttpResponseMessage answer, HttpStatusCode status, string act)
    {
        if (answer.StatusCode != status)
        {
            throw new InvalidOperationException($"{act}: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync()}");
        }
    }
}
