using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Strata.Oci;
using Xunit;

namespace Strata.IntegrationTests.Distribution;

/// <summary>The executable that serves, as a process: how it ends, what it holds, and a disk that fills while it takes an upload (bad case 28).</summary>
public sealed class ServerProcessTests : IDisposable
{
    private const int DiskBytes = 24 << 20;
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-serving-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => FileSystems.RemoveTree(_folder);

    [Fact]
    public async Task Told_to_end_it_finishes_the_push_that_is_under_way_and_ends_well()
    {
        string root = Path.Combine(_folder, "store");
        byte[] blob = RandomNumberGenerator.GetBytes(2 << 20);
        using Serving serving = await Serving.StartAsync(root, Path.Combine(_folder, "log"), _folder);
        using (var push = new TcpClient())
        using (var idle = new TcpClient())
        {
            await push.ConnectAsync(IPEndPoint.Parse(serving.Address), Token);
            await idle.ConnectAsync(IPEndPoint.Parse(serving.Address), Token);
            NetworkStream stream = push.GetStream();
            await stream.WriteAsync(Encoding.ASCII.GetBytes($"POST /v2/a/blobs/uploads/?digest={Digest.Of(blob)} HTTP/1.1\r\nHost: x\r\nContent-Length: {blob.Length}\r\n\r\n"), Token);
            await stream.WriteAsync(blob.AsMemory(0, 1 << 20), Token);
            await Task.Delay(300, Token);
            serving.Process.Kill(15);
            await Task.Delay(500, Token);
            await stream.WriteAsync(blob.AsMemory(1 << 20), Token);
            using var reader = new StreamReader(stream, Encoding.ASCII);
            Assert.StartsWith("HTTP/1.1 201 ", await reader.ReadLineAsync(Token), StringComparison.Ordinal);
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(Token);
            limit.CancelAfter(TimeSpan.FromSeconds(20));
            Assert.Equal(0, await serving.Process.WaitAsync(limit.Token));
        }
        // What was acknowledged is there: the next one serves it.
        using Serving again = await Serving.StartAsync(root, Path.Combine(_folder, "log"), _folder);
        Assert.Equal(blob, await again.Http.GetByteArrayAsync($"/v2/a/blobs/{Digest.Of(blob)}", Token));
    }

    [Fact]
    public async Task A_quota_of_the_command_line_counts()
    {
        using Serving serving = await Serving.StartAsync(Path.Combine(_folder, "store"), Path.Combine(_folder, "log"), _folder, "--quota", "a/**=2kB", "--quota", "1MB");
        byte[] blob = RandomNumberGenerator.GetBytes(3000);
        Assert.Equal(413, await SendAsync(serving.Http, HttpMethod.Post, $"/v2/a/b/blobs/uploads/?digest={Digest.Of(blob)}", blob));
        Assert.Equal(201, await SendAsync(serving.Http, HttpMethod.Post, $"/v2/b/blobs/uploads/?digest={Digest.Of(blob)}", blob));
        SeedStore.RunIn(Path.Combine(_folder, "other"), null, "registry", "serve", "--quota", "much").Fails(1);
    }

    // ASP.NET Core's usual builders take endpoints, and more, from a file of this name wherever a program is started.
    [Fact]
    public async Task What_lies_in_the_folder_it_was_started_in_changes_nothing()
    {
        string folder = Path.Combine(_folder, "cwd");
        Directory.CreateDirectory(folder);
        int port = FreePort();
        File.WriteAllText(Path.Combine(folder, "appsettings.json"), $$"""{ "Kestrel": { "Endpoints": { "Stray": { "Url": "http://127.0.0.1:{{port}}" } } }, "Urls": "http://127.0.0.1:{{port}}" }""");
        using Serving serving = await Serving.StartAsync(Path.Combine(_folder, "store"), Path.Combine(_folder, "log"), folder);
        using var stray = new TcpClient();
        await Assert.ThrowsAsync<SocketException>(async () => await stray.ConnectAsync(IPAddress.Loopback, port, Token));
        Assert.DoesNotContain(Directory.GetFiles($"/proc/{serving.Process.Id}/fd"), fd => File.ResolveLinkTarget(fd, returnFinalTarget: false)?.Name.Contains("inotify", StringComparison.Ordinal) ?? false);
    }

    [Fact]
    public async Task Killed_amid_an_upload_it_forgets_it_and_the_next_try_succeeds()
    {
        string root = Path.Combine(_folder, "store");
        byte[] blob = RandomNumberGenerator.GetBytes(1 << 20);
        string upload;
        using (Serving serving = await Serving.StartAsync(root, Path.Combine(_folder, "log"), _folder))
        {
            upload = await BeginAsync(serving.Http);
            Assert.Equal(202, await SendAsync(serving.Http, HttpMethod.Patch, upload, blob[..500_000]));
            serving.Process.Kill(9);
            await serving.Process.WaitAsync(Token);
        }
        using Serving again = await Serving.StartAsync(root, Path.Combine(_folder, "log"), _folder);
        Assert.Equal(404, await SendAsync(again.Http, HttpMethod.Get, upload, null));
        Assert.Equal(404, await SendAsync(again.Http, HttpMethod.Get, $"/v2/a/blobs/{Digest.Of(blob)}", null));
        Assert.Equal(201, await SendAsync(again.Http, HttpMethod.Post, $"/v2/a/blobs/uploads/?digest={Digest.Of(blob)}", blob));
        SeedStore.RunIn(root, null, "system", "check", "--deep").Ok();
    }

    [Fact]
    public async Task A_disk_that_fills_amid_a_chunk_costs_the_upload_and_nothing_else()
    {
        string disk = Path.Combine(_folder, "disk"), root = Path.Combine(disk, "store"), ballast = Path.Combine(disk, "ballast");
        Directory.CreateDirectory(disk);
        SeedStore.Exec("mount", null, "-t", "tmpfs", "-o", $"size={DiskBytes}", "tmpfs", disk).Ok();
        try
        {
            using Serving serving = await Serving.StartAsync(root, Path.Combine(_folder, "log"), _folder, "--free-floor", "0");
            byte[] blob = RandomNumberGenerator.GetBytes(8 << 20);
            string upload = await BeginAsync(serving.Http);
            Assert.Equal(202, await SendAsync(serving.Http, HttpMethod.Patch, upload, blob[..1_000_000]));
            await FillAsync(ballast, DiskBytes - (5 << 20));
            // Its length is not told beforehand, so that no look at the disk refuses it.
            Assert.Equal(507, await SendAsync(serving.Http, HttpMethod.Patch, upload, blob[1_000_000..], chunked: true));
            Assert.Equal(404, await SendAsync(serving.Http, HttpMethod.Get, upload, null)); // nobody knows how much of it came
            Assert.Equal(200, await SendAsync(serving.Http, HttpMethod.Get, "/v2/", null));
            File.Delete(ballast);
            Assert.Equal(201, await SendAsync(serving.Http, HttpMethod.Post, $"/v2/a/blobs/uploads/?digest={Digest.Of(blob)}", blob));
            Assert.Equal(blob, await serving.Http.GetByteArrayAsync($"/v2/a/blobs/{Digest.Of(blob)}", Token));
            SeedStore.RunIn(root, null, "system", "check", "--deep").Ok();
        }
        finally
        {
            SeedStore.Exec("umount", null, disk).Ok();
        }
    }

    [Fact]
    public async Task It_holds_less_than_100_MB_when_idle_and_after_two_hundred_requests()
    {
        const long Most = 100_000_000;
        using Serving serving = await Serving.StartAsync(Path.Combine(_folder, "store"), Path.Combine(_folder, "log"), _folder);
        long idle = Resident(serving.Process.Id);
        byte[] blob = RandomNumberGenerator.GetBytes(20 << 20);
        Assert.Equal(201, await SendAsync(serving.Http, HttpMethod.Post, $"/v2/a/blobs/uploads/?digest={Digest.Of(blob)}", blob));
        for (int i = 0; i < 200; i++)
        {
            Assert.Equal(blob.Length, (await serving.Http.GetByteArrayAsync($"/v2/a/blobs/{Digest.Of(blob)}", Token)).Length);
            Assert.Equal(404, await SendAsync(serving.Http, HttpMethod.Get, "/v2/a/manifests/none", null));
        }
        long after = Resident(serving.Process.Id), busy = after;
        for (int i = 0; after > Most && i < 20; i++)
        {
            await Task.Delay(1000, Token); // it gives back what it does not need when it is quiet
            after = Resident(serving.Process.Id);
        }
        TestContext.Current.TestOutputHelper?.WriteLine($"{idle} bytes resident at the start, {busy} after 400 requests, {after} soon after");
        Assert.InRange(idle, 1, Most);
        Assert.InRange(after, 1, Most);
    }

    private static long Resident(int process)
    {
        string line = File.ReadLines($"/proc/{process}/status").Single(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.Split(':')[1].Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture) << 10;
    }

    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    private static async Task FillAsync(string path, int bytes)
    {
        await using FileStream file = File.Create(path);
        await file.WriteAsync(new byte[bytes], Token);
    }

    private static async Task<string> BeginAsync(HttpClient http)
    {
        using HttpResponseMessage begun = await http.PostAsync("/v2/a/blobs/uploads/", null, Token);
        return begun.Headers.Location!.ToString();
    }

    private static async Task<int> SendAsync(HttpClient http, HttpMethod method, string path, byte[]? body, bool chunked = false)
    {
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : new ByteArrayContent(body) };
        request.Headers.TransferEncodingChunked = chunked ? true : null;
        using HttpResponseMessage answer = await http.SendAsync(request, Token);
        return (int)answer.StatusCode;
    }

    /// <summary>The executable serving, until it is told to end.</summary>
    private sealed class Serving : IDisposable
    {
        private Serving(ChildProcess process, string address) => (Process, Address, Http) = (process, address, new HttpClient { BaseAddress = new Uri("http://" + address) });

        internal ChildProcess Process { get; }

        internal string Address { get; }

        internal HttpClient Http { get; }

        internal static async Task<Serving> StartAsync(string root, string log, string folder, params string[] options)
        {
            string address = $"127.0.0.1:{FreePort()}";
            var start = new ChildStart { Program = SeedStore.Binary, Arguments = ["--root", root, "registry", "serve", "--addr", address, "--access-log", log, .. options], WorkingDirectory = folder };
            var serving = new Serving(ChildProcess.Start(start), address);
            for (int i = 0; ; i++)
            {
                try
                {
                    using HttpResponseMessage ready = await serving.Http.GetAsync("/readyz", Token);
                    return serving;
                }
                catch (HttpRequestException) when (i < 200)
                {
                    await Task.Delay(50, Token);
                }
            }
        }

        public void Dispose()
        {
            Http.Dispose();
            Process.Kill(15);
            Process.Wait();
            Process.Dispose();
        }
    }
}
