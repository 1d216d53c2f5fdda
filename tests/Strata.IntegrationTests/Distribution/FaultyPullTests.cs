using System.Formats.Tar;
using System.Globalization;
using System.IO.Compression;
using Strata.Distribution;
using Strata.IntegrationTests.Reliability;
using Strata.Linux;
using Strata.Oci;
using Strata.Tests.Distribution;
using Xunit;
using static Strata.Tests.Distribution.FaultServer;

namespace Strata.IntegrationTests.Distribution;

/// <summary>
/// Pulls from a server that breaks off, stalls, lies and sends rubbish, at any request and any byte. What comes of it is the image or an error, never
/// another image or half of one; what happens once is mended unseen.
/// </summary>
public sealed class FaultyPullTests : IDisposable
{
    private const int Scenarios = 400, MinMended = 95; // of a hundred
    private static readonly string[] s_faults = ["hangup", "cut", "cut-without-length", "stall", "500", "502", "503", "429", "408", "416", "404-once", "flip", "short", "long", "wrong-length", "html", "compressed", "wrong-range", "redirect"];
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-faults-").FullName;
    private readonly Dictionary<string, (byte[] Bytes, string Type)> _documents = new(StringComparer.Ordinal);
    private readonly Dictionary<string, byte[]> _blobs = new(StringComparer.Ordinal);
    private Digest _image;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => FileSystems.RemoveTree(_folder);

    [Fact]
    public async Task Whatever_a_server_does_the_image_is_right_or_is_not_there()
    {
        MakeImage();
        var log = new TrialLog("faults of a registry");
        int mended = 0, single = 0;
        // They mostly wait.
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = Token };
        await Parallel.ForEachAsync(Enumerable.Range(0, Scenarios), parallel, async (seed, _) =>
        {
            var random = new Random(seed);
            string fault = s_faults[seed % s_faults.Length];
            bool isOnce = random.Next(4) > 0;
            int at = random.Next(1, 7);
            int asked = 0;
            await using FaultServer server = new(r =>
            {
                int number = Interlocked.Increment(ref asked);
                return number == at || (number > at && !isOnce) ? Break(Answer(r), r, fault, new Random(seed + number)) : Answer(r);
            });
            string root = Path.Combine(_folder, seed.ToString(CultureInfo.InvariantCulture));
            var faults = new List<string>();
            bool isPulled = await TryPullAsync(root, server.Host, faults);
            // A server that has once said that there is no such thing, or sent another, was asked and has answered.
            if (isOnce && fault is not ("404-once" or "416" or "flip" or "short" or "long" or "wrong-length" or "html" or "compressed" or "wrong-range"))
            {
                Interlocked.Increment(ref single);
                Interlocked.Add(ref mended, isPulled ? 1 : 0);
            }
            log.Add($"seed {seed}: {fault} at request {at}, {(isOnce ? "once" : "from then on")}", isPulled ? "pulled" : "refused", faults);
            FileSystems.RemoveTree(root);
        });
        log.AssertClean(Scenarios);
        Assert.True(mended * 100 >= single * MinMended, $"{mended} of {single} faults that happened once were mended");
    }

    private async Task<bool> TryPullAsync(string root, string host, List<string> faults)
    {
        var options = new RegistryOptions
        {
            Configuration = RegistryConfiguration.Empty,
            Credentials = CredentialStore.Empty,
            FirstDelay = TimeSpan.FromMilliseconds(1),
            Patience = TimeSpan.FromMilliseconds(300),
        };
        using Engine engine = Engine.Open(new EngineOptions { Root = root, Registries = options });
        ImageReference reference = ImageReference.Parse(host + "/a/b:t");
        bool isPulled = false;
        try
        {
            PullResult result = await engine.PullAsync(reference, cancellationToken: Token);
            isPulled = true;
            if (result.Descriptor.Digest != _image)
            {
                faults.Add($"pulled {result.Descriptor.Digest}");
            }
        }
        catch (StrataException e)
        {
            if (e.Message.Contains('\n', StringComparison.Ordinal))
            {
                faults.Add($"more than a line: {e.Message}");
            }
        }
#pragma warning disable CA1031 // that another kind came is the fault looked for
        catch (Exception e)
        {
            faults.Add($"an error that says nothing to a user: {e}");
        }
#pragma warning restore CA1031
        if (engine.ListImages().Length > 0 != isPulled)
        {
            faults.Add(isPulled ? "pulled, and not listed" : "refused, and listed");
        }
        faults.AddRange((await engine.CheckAsync(deep: true, repair: false, Token)).Select(p => p.ToString()));
        return isPulled;
    }

    private Reply Answer(Request request)
    {
        string last = request.Path[(request.Path.LastIndexOf('/') + 1)..];
        if (_documents.TryGetValue(last, out (byte[] Bytes, string Type) document))
        {
            return new Reply(200, document.Bytes, ("Content-Type", document.Type), ("Docker-Content-Digest", Digest.Of(document.Bytes).ToString()));
        }
        if (!_blobs.TryGetValue(last, out byte[]? blob))
        {
            return new Reply(404);
        }
        if (request.Header("Range") is not { } range)
        {
            return new Reply(200, blob);
        }
        int from = int.Parse(range["bytes=".Length..^1], CultureInfo.InvariantCulture);
        return new Reply(206, blob[from..], ("Content-Range", $"bytes {from}-{blob.Length - 1}/{blob.Length}"));
    }

    private static Reply Break(Reply right, Request request, string fault, Random random)
    {
        int length = right.Body.Length, cut = random.Next(length + 1);
        switch (fault)
        {
            case "hangup":
                return new Reply(200) { Hangup = true };
            case "cut":
                return right with { CutAfter = Math.Min(cut, Math.Max(0, length - 1)) };
            case "cut-without-length":
                return right with { CutAfter = cut, SayLength = -1 };
            case "stall":
                return right with { CutAfter = cut, Stall = true };
            case "404-once":
                return new Reply(404);
            case "flip":
                byte[] flipped = [.. right.Body];
                if (length > 0)
                {
                    flipped[random.Next(length)] ^= 1;
                }
                return right with { Body = flipped };
            case "short":
                return right with { Body = right.Body[..cut] };
            case "long":
                return right with { Body = [.. right.Body, .. right.Body] };
            case "wrong-length":
                return right with { SayLength = length + 1 + random.Next(1000) };
            case "html":
                return new Reply(200, "<html>please log in</html>", ("Content-Type", "text/html"));
            case "compressed":
                return right with { Headers = [.. right.Headers, ("Content-Encoding", "gzip")] };
            case "wrong-range":
                return right with { Status = 206, Headers = [.. right.Headers, ("Content-Range", $"bytes 7-{length + 6}/{length + 7}")] };
            case "redirect":
                return new Reply(307, "", ("Location", request.Path));
            default:
                return new Reply(int.Parse(fault, CultureInfo.InvariantCulture));
        }
    }

    private void MakeImage()
    {
        var random = new Random(1);
        var layers = new List<Descriptor>();
        var diffIds = new List<Digest>();
        for (int i = 0; i < 3; i++)
        {
            using var plain = new MemoryStream();
            using (var tar = new TarWriter(plain, leaveOpen: true))
            {
                byte[] content = new byte[40_000];
                random.NextBytes(content);
                tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, $"f{i}") { DataStream = new MemoryStream(content) });
            }
            using var packed = new MemoryStream();
            using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
            {
                gzip.Write(plain.ToArray());
            }
            diffIds.Add(Digest.Of(plain.ToArray()));
            layers.Add(Keep(MediaTypes.OciLayerGzip, packed.ToArray()));
        }
        string ids = string.Join(',', diffIds.Select(d => $"\"{d}\""));
        Descriptor config = Keep(MediaTypes.OciConfig, System.Text.Encoding.UTF8.GetBytes($$$"""{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[{{{ids}}}]}}"""));
        byte[] manifest = OciJson.Serialize(new ImageManifest(config, [.. layers]) { MediaType = MediaTypes.OciManifest });
        _image = Digest.Of(manifest);
        _documents["t"] = _documents[_image.ToString()] = (manifest, MediaTypes.OciManifest);
    }

    private Descriptor Keep(string type, byte[] bytes)
    {
        var descriptor = new Descriptor(type, Digest.Of(bytes), bytes.Length);
        _blobs[descriptor.Digest.ToString()] = bytes;
        return descriptor;
    }
}
