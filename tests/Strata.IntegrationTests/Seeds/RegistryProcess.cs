using System.Net;
using System.Net.Sockets;
using Strata.Linux;

namespace Strata.IntegrationTests.Seeds;

/// <summary>The real executable serving a store on 127.0.0.1, until disposed.</summary>
internal sealed class RegistryProcess : IAsyncDisposable
{
    private const int Attempts = 200; // of 50 ms each: a slow machine's start
    private readonly ChildProcess _process;

    private RegistryProcess(ChildProcess process, string address) => (_process, Address) = (process, address);

    internal string Address { get; }

    internal static async Task<RegistryProcess> StartAsync(string root, CancellationToken cancellationToken, params string[] options)
    {
        int port;
        using (var probe = new TcpListener(IPAddress.Loopback, 0))
        {
            probe.Start();
            port = ((IPEndPoint)probe.LocalEndpoint).Port;
        }
        string address = $"127.0.0.1:{port}";
        var start = new ChildStart { Program = SeedStore.Binary, Arguments = ["--root", root, "registry", "serve", "--addr", address, .. options] };
        var registry = new RegistryProcess(ChildProcess.Start(start), address);
        using var http = new HttpClient();
        for (int i = 0; i < Attempts; i++)
        {
            try
            {
                using HttpResponseMessage answer = await http.GetAsync(new Uri($"http://{address}/v2/"), cancellationToken);
                if (answer.IsSuccessStatusCode)
                {
                    return registry;
                }
            }
            catch (HttpRequestException)
            {
                // not up yet
            }
            await Task.Delay(50, cancellationToken);
        }
        await registry.DisposeAsync();
        throw new InvalidOperationException($"the registry on {address} did not come up");
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill(15);
        await _process.WaitAsync();
        _process.Dispose();
    }
}
