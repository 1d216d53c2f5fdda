using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using Strata.Oci;
using Strata.Server.Registry;
using Xunit;

namespace Strata.Tests.Server;

/// <summary>What well-behaved clients never send, byte by byte over a socket: bad cases 25, 26, 28 and 30 and §6.4 of the reliability plan.</summary>
public sealed class ServerWireTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static async Task<string> BeginAsync(TestRegistry registry, string repository = "a")
        => (await registry.SendAsync("POST", $"/v2/{repository}/blobs/uploads/", [])).Headers.Location!.ToString();

    private static async Task<int> PlaceAsync(TestRegistry registry, string upload)
    {
        Answer status = await registry.SendAsync("GET", upload);
        Assert.Equal(204, status.Status);
        return int.Parse(status.Headers.GetValues("Range").Single().Split('-')[1], System.Globalization.CultureInfo.InvariantCulture) + 1;
    }

    [Theory]
    [InlineData(0)]
    [InlineData(700_001)]
    public async Task An_upload_whose_connection_breaks_goes_on_where_its_last_byte_came(int whole)
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        byte[] blob = RandomNumberGenerator.GetBytes(whole + 300_000);
        string upload = await BeginAsync(registry);
        if (whole > 0)
        {
            Assert.Equal(202, (await registry.SendAsync("PATCH", upload, blob[..whole])).Status);
        }
        using (RawClient raw = await RawClient.ConnectAsync(registry.Server.Address))
        {
            await raw.SendAsync($"PATCH {upload} HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n");
            await raw.SendAsync(blob[whole..(whole + 100_000)]);
            for (int i = 0; i < 100 && (await registry.SendAsync("GET", "/metrics")).Status != 200; i++)
            {
                await Task.Delay(20, Token);
            }
            await Task.Delay(200, Token); // it is read by now
            raw.Reset();
        }
        int place = await PlaceAsync(registry, upload);
        Assert.InRange(place, whole + 1, whole + 100_000);
        Assert.Equal(201, (await registry.SendAsync("PUT", $"{upload}?digest={Digest.Of(blob)}", blob[place..])).Status);
        Assert.Equal(blob, (await registry.SendAsync("GET", $"/v2/a/blobs/{Digest.Of(blob)}")).Body);
    }

    [Fact]
    public async Task A_blob_that_broke_off_is_asked_for_again_from_there()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        byte[] blob = RandomNumberGenerator.GetBytes(2_000_000);
        await registry.SendAsync("POST", $"/v2/a/blobs/uploads/?digest={Digest.Of(blob)}", blob);
        using (RawClient raw = await RawClient.ConnectAsync(registry.Server.Address))
        {
            await raw.SendAsync($"GET /v2/a/blobs/{Digest.Of(blob)} HTTP/1.1\r\nHost: x\r\n\r\n");
            raw.Reset();
        }
        Answer rest = await registry.SendAsync("GET", $"/v2/a/blobs/{Digest.Of(blob)}", null, ("Range", "bytes=1234567-"));
        Assert.Equal(206, rest.Status);
        Assert.Equal(blob[1234567..], rest.Body);
    }

    [Fact]
    public async Task Overlapping_and_odd_ranges_of_chunks_are_refused_and_change_nothing()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        string upload = await BeginAsync(registry);
        Assert.Equal(202, (await registry.SendAsync("PATCH", upload, new byte[100])).Status);
        foreach (string range in (string[])["0-99", "50-149", "99-198", "101-200", "100-50", "100-", "-100", "x", "100-199/*", "100-198", "18446744073709551716-18446744073709551815", "100-200-300"])
        {
            bool isRight = range == "100-199/*"; // a total that is not known says nothing else
            Answer answer = await registry.SendAsync("PATCH", upload, new byte[100], ("Content-Range", range));
            Assert.True(isRight ? answer.Status == 202 : answer.Status == 416, $"{range}: {answer.Status}");
            if (isRight)
            {
                break;
            }
            Assert.Equal("0-99", answer.Headers.GetValues("Range").Single());
        }
        Assert.Equal(200, await PlaceAsync(registry, upload));
    }

    [Theory]
    [InlineData("../../x")]
    [InlineData("..%2f..%2fx")]
    [InlineData("%00")]
    [InlineData("00000000000000000000000000000000")]
    public async Task An_id_that_was_not_given_out_is_nothing(string id)
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        using RawClient raw = await RawClient.ConnectAsync(registry.Server.Address);
        await raw.SendAsync($"PATCH /v2/a/blobs/uploads/{id} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
        Assert.InRange((await raw.ReadAsync()).Status, 400, 404);
        Assert.Empty(registry.Engine.Content.List());
    }

    [Fact]
    public async Task Two_hundred_that_send_a_byte_now_and_then_keep_nobody_waiting()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        TestImage image = await registry.PushAsync("a", "1");
        List<RawClient> slow = [];
        try
        {
            for (int i = 0; i < 200; i++)
            {
                RawClient raw = await RawClient.ConnectAsync(registry.Server.Address);
                slow.Add(raw);
                // Half of them never finish their head, the others never their body.
                await raw.SendAsync(i % 2 == 0 ? "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: " : $"POST /v2/a/blobs/uploads/?digest={image.Digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx");
            }
            Stopwatch time = Stopwatch.StartNew();
            for (int i = 0; i < 50; i++)
            {
                Assert.Equal(image.Manifest, (await registry.SendAsync("GET", "/v2/a/manifests/1")).Body);
            }
            Assert.True(time.Elapsed < TimeSpan.FromSeconds(5), $"50 manifests took {time.Elapsed}");
            await registry.PushAsync("b", "1", "another");
        }
        finally
        {
            slow.ForEach(c => c.Dispose());
        }
    }

    [Fact]
    public async Task Who_sends_less_than_240_bytes_a_second_is_let_go()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        string upload = await BeginAsync(registry);
        using RawClient raw = await RawClient.ConnectAsync(registry.Server.Address);
        await raw.SendAsync($"PATCH {upload} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc");
        Assert.True(await raw.IsClosedAsync(TimeSpan.FromSeconds(15)), "it waits for ever");
        Assert.Equal(3, await PlaceAsync(registry, upload));
    }

    /// <summary>Requests that two servers could read in two ways (RFC 9112 §6.1, §11.2).</summary>
    public static TheoryData<string> Smuggled => new()
    {
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "GET /v2/ HTTP/1.1\nHost: x\n\n",
        "GET /v2/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
        "GET  /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
    };

    [Theory]
    [MemberData(nameof(Smuggled))]
    public async Task A_request_that_could_be_read_in_two_ways_is_refused_and_the_connection_closed(string request)
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        using RawClient raw = await RawClient.ConnectAsync(registry.Server.Address);
        await raw.SendAsync(request);
        (int status, string head, _) = await raw.ReadAsync();
        Assert.True(status == 400, head);
        Assert.True(await raw.IsClosedAsync(TimeSpan.FromSeconds(5)), "the connection stays open");
    }

    [Theory]
    [InlineData("GET /v2/{0}/tags/list HTTP/1.1\r\nHost: x\r\n\r\n", 5000, 414)]
    [InlineData("GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Large: {0}\r\n\r\n", 40_000, 431)]
    [InlineData("PUT /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4194305\r\n\r\n{0}", 1, 413)]
    [InlineData("PUT /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n{0}", 1, 413)]
    public async Task What_is_too_large_is_refused_before_it_is_read(string request, int length, int status)
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        using RawClient raw = await RawClient.ConnectAsync(registry.Server.Address);
        await raw.SendAsync(request.Replace("{0}", new string('a', length), StringComparison.Ordinal));
        Assert.Equal(status, (await raw.ReadAsync()).Status);
    }

    [Fact]
    public async Task A_manifest_without_an_end_is_refused_at_its_limit()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        using RawClient raw = await RawClient.ConnectAsync(registry.Server.Address);
        await raw.SendAsync($"PUT /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\nContent-Type: {MediaTypes.OciManifest}\r\nTransfer-Encoding: chunked\r\n\r\n");
        byte[] chunk = [.. "10000\r\n"u8, .. new byte[0x10000], .. "\r\n"u8];
        try
        {
            for (int i = 0; i < 80; i++) // 5 MiB
            {
                await raw.SendAsync(chunk);
            }
        }
        catch (IOException)
        {
            // it was closed before all was said
        }
        Assert.Equal(413, (await raw.ReadAsync()).Status);
    }

    [Fact]
    public async Task Terminal_codes_from_strangers_are_escaped_in_the_log_and_in_answers()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        await registry.PushAsync("a", "1", description: "nice \u001b]52;c;aGk=\u0007 \u202e image\r\nline");
        foreach (string path in (string[])["/v2/a/manifests/%1b%5b31mred", "/v2/a/manifests/%0d%0aevil", "/v2/a/manifests/%e2%80%ae", "/v2/%1b/tags/list", "/%1b%0a", "/v2/a/blobs/%1b", "/v2/a/manifests/" + new string('x', 3000)])
        {
            Answer answer = await registry.SendAsync("GET", path);
            Assert.InRange(answer.Status, 400, 404);
            using JsonDocument json = JsonDocument.Parse(answer.Body);
            string message = json.RootElement.GetProperty("errors")[0].GetProperty("message").GetString()!;
            Assert.DoesNotContain(message, c => char.IsControl(c) || c == '\u202e');
            Assert.True(message.Length < 2000, message);
        }
        using (JsonDocument found = JsonDocument.Parse((await registry.SendAsync("GET", "/v1/search?q=a")).Body))
        {
            string description = found.RootElement.GetProperty("results")[0].GetProperty("description").GetString()!;
            Assert.DoesNotContain(description, c => char.IsControl(c) || c == '\u202e');
            Assert.StartsWith("nice ", description, StringComparison.Ordinal);
        }
        using (RawClient raw = await RawClient.ConnectAsync(registry.Server.Address))
        {
            await raw.SendAsync("GET /v2/a%0d%0a127.0.0.1%20root%20GET%20/v2/x/tags/list HTTP/1.1\r\nHost: x\r\nUser-Agent: \u0007\r\n\r\n");
            await raw.ReadAsync();
        }
        lock (registry.Lines)
        {
            Assert.All(registry.Lines, line => Assert.True(line.All(c => c is >= ' ' and <= '~') && line.Split(' ').Length == 8, line));
        }
    }

    [Fact]
    public async Task A_flood_of_wrong_passwords_keeps_nobody_out_who_is_in()
    {
        // htpasswd -nbB -C 10: a tenth of a second each
        await using TestRegistry registry = await TestRegistry.StartAsync(root => new RegistryServerOptions
        {
            Access = new RegistryAccessOptions { HtpasswdFile = TestRegistry.Write(root, "p", TestRegistry.Passwords + "carol:$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy\n") },
        });
        (string, string) alice = TestRegistry.Basic("alice", "secret");
        TestImage image = await registry.PushAsync("a", "1", headers: alice);
        Task<Answer>[] flood = [.. Enumerable.Range(0, 150).Select(i => registry.SendAsync("GET", "/v2/", null, TestRegistry.Basic(i % 2 == 0 ? "carol" : "nobody" + i, "guess" + i)))];
        Stopwatch slowest = new();
        TimeSpan most = TimeSpan.Zero;
        for (int i = 0; i < 20; i++)
        {
            slowest.Restart();
            Assert.Equal(image.Manifest, (await registry.SendAsync("GET", "/v2/a/manifests/1", null, alice)).Body);
            most = slowest.Elapsed > most ? slowest.Elapsed : most;
        }
        bool isOver = flood.All(f => f.IsCompleted);
        Assert.False(isOver, "the flood was over before the others asked: it proves nothing");
        Assert.True(most < TimeSpan.FromSeconds(2), $"the slowest waited {most}");
        int[] statuses = [.. (await Task.WhenAll(flood)).Select(f => f.Status)];
        Assert.All(statuses, s => Assert.True(s is 401 or 429, $"{s}"));
        Assert.Contains(429, statuses); // 64 wait, the others are sent away
    }

    [Fact]
    public async Task A_name_that_is_not_there_costs_what_a_wrong_password_does()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync(root => new RegistryServerOptions
        {
            Access = new RegistryAccessOptions { HtpasswdFile = TestRegistry.Write(root, "p", "carol:$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy\n") },
        });
        string[] users = ["carol", "mallory"];
        TimeSpan[] least = [TimeSpan.MaxValue, TimeSpan.MaxValue];
        for (int i = 0; i < 20; i++)
        {
            // In turns, and the least of each: other tests run beside this one.
            Stopwatch time = Stopwatch.StartNew();
            Assert.Equal(401, (await registry.SendAsync("GET", "/v2/", null, TestRegistry.Basic(users[i % 2], "wrong" + i))).Status);
            least[i % 2] = time.Elapsed < least[i % 2] ? time.Elapsed : least[i % 2];
        }
        Assert.True(least[1] > TimeSpan.FromMilliseconds(10), $"{least[1]}: nothing was hashed");
        Assert.InRange(least[1] / least[0], 0.6, 1.7);
    }

    [Fact]
    public async Task An_upload_that_is_under_way_is_finished_when_the_server_ends()
    {
        TestRegistry registry = await TestRegistry.StartAsync();
        try
        {
            byte[] blob = RandomNumberGenerator.GetBytes(50_000);
            using RawClient raw = await RawClient.ConnectAsync(registry.Server.Address);
            await raw.SendAsync($"POST /v2/a/blobs/uploads/?digest={Digest.Of(blob)} HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n");
            await raw.SendAsync(blob[..20_000]);
            await Task.Delay(200, Token);
            Task ending = registry.Server.DisposeAsync().AsTask();
            await Task.Delay(300, Token);
            Assert.False(ending.IsCompleted);
            using (RawClient late = new())
            {
                await Assert.ThrowsAnyAsync<System.Net.Sockets.SocketException>(() => RawClient.ConnectAsync(registry.Server.Address)); // nobody new is let in
            }
            await raw.SendAsync(blob[20_000..]);
            Assert.Equal(201, (await raw.ReadAsync()).Status);
            Assert.True(await raw.IsClosedAsync(TimeSpan.FromSeconds(10)));
            await ending;
            Assert.Equal(blob.Length, registry.Engine.Content.TryGetSize(Digest.Of(blob)));
        }
        finally
        {
            registry.Http.Dispose();
            registry.Engine.Dispose();
            Directory.Delete(registry.Root, recursive: true);
        }
    }
}
