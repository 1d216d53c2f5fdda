using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Xunit;

namespace Strata.Tests.Server;

/// <summary>A connection that says exactly what it is told to, as no HTTP client would.</summary>
internal sealed class RawClient : IDisposable
{
    private readonly TcpClient _client = new();

    internal static async Task<RawClient> ConnectAsync(string address)
    {
        RawClient raw = new();
        int colon = address.LastIndexOf(':');
        await raw._client.ConnectAsync(address[..colon], int.Parse(address[(colon + 1)..], CultureInfo.InvariantCulture), TestContext.Current.CancellationToken);
        return raw;
    }

    internal async Task SendAsync(string text) => await SendAsync(Encoding.Latin1.GetBytes(text));

    internal async Task SendAsync(byte[] bytes) => await _client.GetStream().WriteAsync(bytes, TestContext.Current.CancellationToken);

    /// <summary>An answer: its status, its head and its body by its length.</summary>
    internal async Task<(int Status, string Head, string Body)> ReadAsync()
    {
        StringBuilder head = new();
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            head.Append((char)await ReadByteAsync());
        }
        string text = head.ToString();
        string? length = text.Split("\r\n").FirstOrDefault(l => l.StartsWith("Content-Length: ", StringComparison.OrdinalIgnoreCase))?[16..];
        byte[] body = new byte[length is null ? 0 : int.Parse(length, CultureInfo.InvariantCulture)];
        await _client.GetStream().ReadExactlyAsync(body, TestContext.Current.CancellationToken);
        return (int.Parse(text.Split(' ')[1], CultureInfo.InvariantCulture), text, Encoding.UTF8.GetString(body));
    }

    /// <summary>Whether the other side closes, within a time.</summary>
    internal async Task<bool> IsClosedAsync(TimeSpan within)
    {
        using CancellationTokenSource limit = new(within);
        byte[] rest = new byte[4096];
        try
        {
            while (await _client.GetStream().ReadAsync(rest, limit.Token) > 0)
            {
            }
            return true;
        }
        catch (IOException)
        {
            return true; // by a reset
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private async Task<byte> ReadByteAsync()
    {
        byte[] one = new byte[1];
        await _client.GetStream().ReadExactlyAsync(one, TestContext.Current.CancellationToken);
        return one[0];
    }

    /// <summary>Goes away without a word: a reset, as when a machine is switched off.</summary>
    internal void Reset()
    {
        _client.Client.LingerState = new LingerOption(enable: true, 0);
        _client.Close();
    }

    public void Dispose() => _client.Dispose();
}
