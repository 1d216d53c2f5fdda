using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Strata.Tests.Distribution;

/// <summary>An HTTP/1.1 server made of a socket, because a real one cannot lie: it sends what it is told, cut where it is told.</summary>
internal sealed class FaultServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Func<Request, Reply> _answer;
    private readonly Task _accepting;

    private readonly X509Certificate2? _certificate;

    public FaultServer(Func<Request, Reply> answer, X509Certificate2? certificate = null)
    {
        (_answer, _certificate) = (answer, certificate);
        _listener.Start();
        Host = $"127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}";
        _accepting = AcceptAsync();
    }

    /// <summary>Address and port.</summary>
    public string Host { get; }

    /// <summary>All that was asked, save the ping for the scheme.</summary>
    public ConcurrentQueue<Request> Requests { get; } = new();

    /// <summary>The first body that is longer is read so far, answered by nobody, and the connection closed.</summary>
    public int? CutBodyAfter { get; set; }

    /// <summary>No body is ever read.</summary>
    public bool Deaf { get; init; }

    public int Count(string method, string path) => Requests.Count(r => r.Method == method && r.Path == path);

    public sealed record Request(string Method, string Path, IReadOnlyDictionary<string, string> Headers, byte[] Body)
    {
        public string? Header(string name) => Headers.TryGetValue(name, out string? value) ? value : null;
    }

    public sealed record Reply(int Status, byte[] Body, params (string Name, string Value)[] Headers)
    {
        public Reply(int status, string body = "", params (string, string)[] headers) : this(status, Encoding.UTF8.GetBytes(body), headers) { }

        /// <summary>Close the connection after so many bytes of the body.</summary>
        public int? CutAfter { get; init; }
        /// <summary>Say another length than the body's; -1 says none.</summary>
        public long? SayLength { get; init; }
        /// <summary>Close without an answer.</summary>
        public bool Hangup { get; init; }
        /// <summary>Stop sending after <see cref="CutAfter"/>, but keep the connection.</summary>
        public bool Stall { get; init; }
    }

    private async Task AcceptAsync()
    {
        List<Task> connections = [];
        try
        {
            while (true)
            {
                TcpClient client = await _listener.AcceptTcpClientAsync(_stop.Token);
                connections.Add(ServeAsync(client));
            }
        }
        catch (OperationCanceledException)
        {
        }
        await Task.WhenAll(connections);
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                Stream stream = client.GetStream();
                if (_certificate is not null)
                {
                    SslStream tls = new(stream);
                    await tls.AuthenticateAsServerAsync(_certificate);
                    stream = tls;
                }
                while (await ReadAsync(stream) is { } request && await WriteAsync(stream, request))
                {
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or AuthenticationException)
            {
                // The client left, or the test is over.
            }
        }
    }

    private async Task<Request?> ReadAsync(Stream stream)
    {
        List<byte> head = [];
        byte[] one = new byte[1];
        while (head.Count < 4 || !head[^4..].SequenceEqual("\r\n\r\n"u8.ToArray()))
        {
            if (await stream.ReadAsync(one, _stop.Token) == 0)
            {
                return null;
            }
            head.Add(one[0]);
            if (head[0] == 0x16)
            {
                // TLS, and we are not: servers answer in the clear.
                await stream.WriteAsync("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"u8.ToArray(), _stop.Token);
                return null;
            }
        }
        string[] lines = Encoding.Latin1.GetString([.. head]).Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        Dictionary<string, string> headers = lines.Skip(1).Select(l => l.Split(": ", 2)).GroupBy(p => p[0], StringComparer.OrdinalIgnoreCase)
            .ToDictionary(g => g.Key, g => string.Join(", ", g.Select(p => p[1])), StringComparer.OrdinalIgnoreCase);
        byte[] body = new byte[headers.TryGetValue("Content-Length", out string? length) ? int.Parse(length, System.Globalization.CultureInfo.InvariantCulture) : 0];
        string[] first = lines[0].Split(' ');
        if (Deaf && body.Length > 0)
        {
            await Task.Delay(Timeout.Infinite, _stop.Token);
        }
        if (CutBodyAfter is { } cut && body.Length > cut)
        {
            CutBodyAfter = null;
            body = body[..cut];
            await stream.ReadExactlyAsync(body, _stop.Token);
            Request broken = new(first[0], first[1], headers, body);
            Requests.Enqueue(broken);
            _ = _answer(broken);
            return null;
        }
        await stream.ReadExactlyAsync(body, _stop.Token);
        return new Request(first[0], first[1], headers, body);
    }

    private async Task<bool> WriteAsync(Stream stream, Request request)
    {
        bool isPing = request.Path == "/v2/";
        if (!isPing)
        {
            Requests.Enqueue(request);
        }
        Reply reply = isPing && !request.Headers.ContainsKey("X-Test") ? new Reply(200) : _answer(request);
        if (reply.Hangup)
        {
            return false;
        }
        StringBuilder head = new($"HTTP/1.1 {reply.Status} X\r\n");
        foreach ((string name, string value) in reply.Headers)
        {
            head.Append(name).Append(": ").Append(value).Append("\r\n");
        }
        if (reply.SayLength != -1)
        {
            head.Append("Content-Length: ").Append(reply.SayLength ?? reply.Body.Length).Append("\r\n");
        }
        head.Append("\r\n");
        await stream.WriteAsync(Encoding.Latin1.GetBytes(head.ToString()), _stop.Token);
        if (request.Method != "HEAD")
        {
            await stream.WriteAsync(reply.Body.AsMemory(0, reply.CutAfter ?? reply.Body.Length), _stop.Token);
        }
        if (reply.Stall)
        {
            await Task.Delay(Timeout.Infinite, _stop.Token);
        }
        return reply.CutAfter is null && reply.SayLength is null;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _accepting;
        _listener.Dispose();
        _stop.Dispose();
    }
}
