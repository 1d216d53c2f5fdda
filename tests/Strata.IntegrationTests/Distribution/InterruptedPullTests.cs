using System.Formats.Tar;
using System.Security.Cryptography;
using Strata.IntegrationTests.Reliability;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Distribution;

/// <summary>Pulls that are killed, that meet each other, or find what a killed one left: each byte comes once. STRATA_LONG=1 for an image of 200 MB.</summary>
public sealed class InterruptedPullTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-interrupted-").FullName;
    private RegistryProcess _registry = null!;
    private SlowProxy _proxy = null!;
    private string _image = "";
    private long _bytes; // of all its blobs, as they travel

    private static int ImageBytes => CrashScene.IsLong ? 200_000_000 : 16_000_000;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private string Store => Path.Combine(_folder, "store");

    public async ValueTask InitializeAsync()
    {
        string author = Path.Combine(_folder, "author"), tar = Path.Combine(_folder, "root.tar");
        await MakeTarAsync(tar);
        _registry = await RegistryProcess.StartAsync(Path.Combine(_folder, "registry"), Token);
        _proxy = new SlowProxy(_registry.Address, ImageBytes / (CrashScene.IsLong ? 10 : 2)); // seconds for all of it
        string name = $"{_registry.Address}/big:1";
        SeedStore.RunIn(author, null, "import", tar, name).Ok();
        SeedStore.RunIn(author, null, "push", name).Ok();
        File.Delete(tar);
        _bytes = new DirectoryInfo(Path.Combine(author, "blobs")).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length);
        _image = $"{_proxy.Address}/big:1";
    }

    public async ValueTask DisposeAsync()
    {
        await _proxy.DisposeAsync();
        await _registry.DisposeAsync();
        FileSystems.RemoveTree(_folder);
    }

    [Fact]
    public async Task A_pull_that_is_killed_at_every_tenth_transfers_each_byte_once()
    {
        for (int tenth = 1; tenth < 10; tenth++)
        {
            await PullUntilAsync(ImageBytes / 10L * tenth);
            Assert.Empty(SeedStore.RunIn(Store, null, "images", "-q").Ok().Lines);
        }
        SeedStore.RunIn(Store, null, "pull", _image).Ok();
        // A killed process has not read what stands in its socket: of a small image that is more than the twentieth that is promised.
        const int SocketBytes = 1 << 18;
        Assert.InRange(_proxy.Bytes, _bytes, (_bytes * 1.05) + (CrashScene.IsLong ? 0 : 9 * SocketBytes));
        TestContext.Current.TestOutputHelper?.WriteLine($"{_proxy.Bytes} bytes came for {_bytes}");
        AssertWhole();
    }

    // In the middle only the digest tells; at the beginning of the stream it cannot be inflated.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_was_damaged_in_an_interrupted_pull_is_loaded_anew(bool isAtStart)
    {
        await PullUntilAsync(ImageBytes / 2);
        string partial = Assert.Single(Partials());
        byte[] bytes = await File.ReadAllBytesAsync(partial, Token);
        foreach (ref byte one in bytes.AsSpan(isAtStart ? 10 : bytes.Length / 2, isAtStart ? 4 : 1))
        {
            one ^= 0x55;
        }
        await File.WriteAllBytesAsync(partial, bytes, Token);
        SeedStore.RunIn(Store, null, "pull", _image).Ok();
        AssertWhole();
    }

    [Fact]
    public async Task Two_processes_that_pull_the_same_image_load_it_once()
    {
        Task<Outcome>[] pulls = [.. Enumerable.Range(0, 3).Select(_ => Programs.StrataAsync(Store, "pull", _image))];
        foreach (Outcome pull in await Task.WhenAll(pulls))
        {
            pull.Ok();
        }
        Assert.InRange(_proxy.Bytes, _bytes, _bytes * 1.05);
        Assert.Equal(2, _proxy.Requests.Count(r => r.StartsWith("GET ", StringComparison.Ordinal) && r.Contains("/blobs/", StringComparison.Ordinal))); // the config and the layer
        AssertWhole();
    }

    [Fact]
    public void A_layer_that_is_here_is_not_asked_for() // seed B12
    {
        string context = Path.Combine(_folder, "context"), author = Path.Combine(_folder, "author"), name = $"{_registry.Address}/next:1";
        Directory.CreateDirectory(context);
        File.WriteAllText(Path.Combine(context, "Dockerfile"), $"FROM {_registry.Address}/big:1\nCOPY Dockerfile /\n");
        SeedStore.RunIn(author, null, "build", "-t", name, context).Ok();
        SeedStore.RunIn(author, null, "push", name).Ok();
        SeedStore.RunIn(Store, null, "pull", _image).Ok();
        int before = _proxy.Requests.Count;
        Outcome pull = SeedStore.RunIn(Store, null, "pull", $"{_proxy.Address}/next:1").Ok();
        Assert.Single(pull.Lines, l => l.EndsWith(": Already exists", StringComparison.Ordinal));
        Assert.Single(pull.Lines, l => l.EndsWith(": Pull complete", StringComparison.Ordinal));
        // The new layer and the new config; the other layer takes all its bytes, and its line names its first twelve digits.
        string shared = pull.Lines.Single(l => l.EndsWith(": Already exists", StringComparison.Ordinal))[..12];
        Assert.DoesNotContain(_proxy.Requests.Skip(before), r => r.Contains(shared, StringComparison.Ordinal));
        Assert.Equal(2, _proxy.Requests.Skip(before).Count(r => r.StartsWith("GET ", StringComparison.Ordinal) && r.Contains("/blobs/", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task What_an_interrupted_pull_left_is_collected_after_a_day()
    {
        await PullUntilAsync(ImageBytes / 4);
        string partial = Assert.Single(Partials());
        SeedStore.RunIn(Store, null, "system", "prune", "-f").Ok();
        Assert.Single(Partials());
        File.SetLastWriteTimeUtc(partial, File.GetLastWriteTimeUtc(partial) - TimeSpan.FromHours(25));
        SeedStore.RunIn(Store, null, "system", "prune", "-f").Ok();
        Assert.Empty(Partials());
    }

    private string[] Partials() => [.. Directory.GetFiles(Path.Combine(Store, "ingest/downloads")).Where(p => !Path.GetFileName(p).StartsWith('.'))];

    // Kills the pull as soon as so many bytes have come since the test began.
    private async Task PullUntilAsync(long bytes)
    {
        using ChildProcess pull = ChildProcess.Start(Programs.Start(Store, "pull", _image));
        Task<int> ended = pull.WaitAsync(Token).AsTask();
        while (_proxy.Bytes < bytes && !ended.IsCompleted)
        {
            await Task.Delay(5, Token);
        }
        Assert.False(ended.IsCompleted, "the pull was over before it could be killed");
        pull.Kill(9);
        await ended;
    }

    private void AssertWhole()
    {
        SeedStore.RunIn(Store, null, "verify", _image).Ok();
        SeedStore.RunIn(Store, null, "system", "check", "--deep").Ok();
        Assert.Empty(Partials());
    }

    private static async Task MakeTarAsync(string path)
    {
        byte[] bytes = new byte[ImageBytes];
        RandomNumberGenerator.Fill(bytes); // no compression makes it smaller
        await using FileStream file = File.Create(path);
        await using var tar = new TarWriter(file);
        await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, "big") { DataStream = new MemoryStream(bytes) }, Token);
    }
}
