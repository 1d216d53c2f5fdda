using System.Text;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Server;

/// <summary>Blobs on their way to a client: on a plain connection the file goes without a copy, in pieces, between answers that are text.</summary>
public sealed class ServerBlobTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    // Text, so that a raw client can compare it: no two windows of it are the same.
    private static byte[] Text(int length)
    {
        StringBuilder text = new(length + 10);
        for (int i = 0; text.Length < length; i++)
        {
            text.Append(i).Append(' ');
        }
        return Encoding.ASCII.GetBytes(text.ToString(0, length));
    }

    private static async Task<(byte[] Blob, string Path)> PutAsync(TestRegistry registry, int length)
    {
        byte[] blob = Text(length);
        Assert.Equal(201, (await registry.SendAsync("POST", $"/v2/a/blobs/uploads/?digest={Digest.Of(blob)}", blob)).Status);
        return (blob, $"/v2/a/blobs/{Digest.Of(blob)}");
    }

    [Fact]
    public async Task Requests_that_are_sent_at_once_are_answered_in_turn_and_whole()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        List<(string Request, int Status, string Body)> all = [];
        foreach (int length in (int[])[1, 100, 70_000, 4 << 20, (4 << 20) + 1, 9_000_000])
        {
            (byte[] blob, string path) = await PutAsync(registry, length);
            string text = Encoding.ASCII.GetString(blob);
            all.Add(($"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n", 200, text));
            all.Add(("GET /v2/nobody/tags/list HTTP/1.1\r\nHost: x\r\n\r\n", 404, ""));
            all.Add(($"GET {path} HTTP/1.1\r\nHost: x\r\nRange: bytes={length / 2}-\r\n\r\n", 206, text[(length / 2)..]));
            all.Add(($"GET {path} HTTP/1.1\r\nHost: x\r\nRange: bytes=-1\r\n\r\n", 206, text[^1..]));
        }
        using RawClient raw = await RawClient.ConnectAsync(registry.Server.Address);
        Task sending = raw.SendAsync(string.Concat(all.Select(a => a.Request)));
        foreach ((string request, int status, string body) in all)
        {
            (int actual, _, string received) = await raw.ReadAsync();
            Assert.True(actual == status && (status == 404 || received == body), $"{request}: {actual}, {received.Length} bytes for {body.Length}");
        }
        await sending;
    }

    [Fact]
    public async Task Who_reads_late_gets_all_of_it_and_keeps_nobody_else_waiting()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        (byte[] blob, string path) = await PutAsync(registry, 30_000_000); // more than both ends' sockets hold
        using RawClient late = await RawClient.ConnectAsync(registry.Server.Address);
        await late.SendAsync($"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        await Task.Delay(300, Token);
        Assert.Equal(blob, (await registry.SendAsync("GET", path)).Body);
        Assert.Equal(Encoding.ASCII.GetString(blob), (await late.ReadAsync()).Body);
    }

    [Fact]
    public async Task Who_goes_away_in_the_middle_leaves_the_server_as_it_was()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        (byte[] blob, string path) = await PutAsync(registry, 30_000_000);
        for (int i = 0; i < 5; i++)
        {
            using RawClient raw = await RawClient.ConnectAsync(registry.Server.Address);
            await raw.SendAsync($"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            await Task.Delay(30, Token); // the sockets are full
            raw.Reset();
        }
        Assert.Equal(blob, (await registry.SendAsync("GET", path)).Body);
    }
}
