using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Strata.IntegrationTests.Distribution;

/// <summary>Stands between a client and a server: passes bytes on at a limited rate, counts those that go to the client, and notes what is asked for.</summary>
internal sealed class SlowProxy : IAsyncDisposable
{
    private const int PieceBytes = 64 << 10;
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly IPEndPoint _server;
    private readonly int _bytesPerSecond;
    private readonly Task _accepting;
    private long _bytes;

    internal SlowProxy(string server, int bytesPerSecond)
    {
        _server = IPEndPoint.Parse(server);
        _bytesPerSecond = bytesPerSecond;
        _listener.Start();
        Address = $"127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}";
        _accepting = AcceptAsync();
    }

    internal string Address { get; }

    /// <summary>Bytes that went to clients.</summary>
    internal long Bytes => Interlocked.Read(ref _bytes);

    /// <summary>First lines of requests.</summary>
    internal ConcurrentQueue<string> Requests { get; } = new();

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        var connections = new List<Task>();
        try
        {
            while (true)
            {
                connections.Add(ServeAsync(await _listener.AcceptTcpClientAsync(_stop.Token)));
            }
        }
        catch (OperationCanceledException)
        {
            // the test is over
        }
        await Task.WhenAll(connections);
    }

    private async Task ServeAsync(TcpClient client)
    {
        using TcpClient held = client, server = new TcpClient();
        client.SendBufferSize = PieceBytes; // what waits here has not come
        using var over = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        try
        {
            await server.ConnectAsync(_server, over.Token);
            Task up = UpAsync(client.GetStream(), server.GetStream(), over.Token), down = DownAsync(server.GetStream(), client.GetStream(), over.Token);
            await Task.WhenAny(up, down);
            await over.CancelAsync();
            await Task.WhenAll(up, down);
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
        {
            // one of the two is gone
        }
    }

    private async Task UpAsync(NetworkStream from, NetworkStream to, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[PieceBytes];
        for (int read; (read = await from.ReadAsync(buffer, cancellationToken)) > 0;)
        {
            foreach (string line in Encoding.Latin1.GetString(buffer, 0, read).Split("\r\n").Where(l => l.EndsWith(" HTTP/1.1", StringComparison.Ordinal)))
            {
                Requests.Enqueue(line);
            }
            await to.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
        }
    }

    private async Task DownAsync(NetworkStream from, NetworkStream to, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[PieceBytes];
        for (int read; (read = await from.ReadAsync(buffer, cancellationToken)) > 0;)
        {
            await Task.Delay(TimeSpan.FromSeconds((double)read / _bytesPerSecond), cancellationToken);
            await to.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
            Interlocked.Add(ref _bytes, read);
        }
    }
}
