using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Strata.IntegrationTests.Seeds;

/// <summary>Answers every request on a port of 127.0.0.1 the same, until disposed.</summary>
internal sealed class PortServer : IAsyncDisposable
{
    private readonly HttpListener _listener = new();
    private readonly Task _serving;

    internal PortServer(int status, string text)
    {
        Port = FreePort();
        _listener.Prefixes.Add($"http://127.0.0.1:{Port}/");
        _listener.Start();
        _serving = ServeAsync(status, Encoding.UTF8.GetBytes(text));
    }

    internal int Port { get; }

    internal static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    public async ValueTask DisposeAsync()
    {
        _listener.Stop();
        await _serving;
        _listener.Close();
    }

    private async Task ServeAsync(int status, byte[] text)
    {
        try
        {
            while (true)
            {
                HttpListenerContext asked = await _listener.GetContextAsync();
                asked.Response.StatusCode = status;
                await asked.Response.OutputStream.WriteAsync(text);
                asked.Response.Close();
            }
        }
        catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
        {
            // stopped
        }
    }
}
