using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Strata.Server.Registry;

/// <summary>A registry on a socket: <c>strata registry serve</c>.</summary>
public sealed class RegistryServer : IAsyncDisposable
{
    // A URL has a name of 255, a digest of 136 and little more; headers carry a token.
    private const int MaxRequestLineBytes = 4 << 10;
    private const int MaxHeaderBytes = 32 << 10;
    private static readonly TimeSpan s_drain = TimeSpan.FromSeconds(30);

    private readonly WebApplication _app;
    private readonly OciRegistry _registry;

    private RegistryServer(WebApplication app, OciRegistry registry, string address) => (_app, _registry, Address) = (app, registry, address);

    /// <summary>Host and port it listens at; the port is the real one where 0 was asked for.</summary>
    public string Address { get; }

    /// <summary>Listens at an address such as <c>127.0.0.1:5000</c>, <c>:5000</c> (all), <c>[::1]:0</c> (any free port).</summary>
    /// <exception cref="StrataException">Invalid: not an address. Unavailable: it cannot be listened at.</exception>
    public static async Task<RegistryServer> StartAsync(Engine engine, string address, RegistryServerOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(engine);
        IPEndPoint endpoint = ParseAddress(address);
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = s_drain);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestLineSize = MaxRequestLineBytes;
            kestrel.Limits.MaxRequestHeadersTotalSize = MaxHeaderBytes;
            kestrel.Limits.MaxConcurrentConnections = 1000;
            kestrel.Listen(endpoint);
        });
        WebApplication app = builder.Build();
        OciRegistry registry = new(engine.Content, engine.Images, options);
        try
        {
            app.MapOciRegistry(registry);
            await app.StartAsync(cancellationToken);
        }
        catch (IOException e)
        {
            registry.Dispose();
            await app.DisposeAsync();
            throw new StrataException(ErrorKind.Unavailable, $"listen at {address}: {e.Message}", e);
        }
        string url = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        return new RegistryServer(app, registry, new Uri(url).Authority);
    }

    /// <summary>Serves until cancelled; then answers what was asked, for at most 30 seconds.</summary>
    /// <param name="engine">Whose store it serves.</param>
    /// <param name="address">Where to listen: see <see cref="StartAsync"/>.</param>
    /// <param name="started">Told the real address once it listens.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task RunAsync(Engine engine, string address, Action<string>? started = null, CancellationToken cancellationToken = default)
    {
        await using RegistryServer server = await StartAsync(engine, address, cancellationToken: cancellationToken);
        started?.Invoke(server.Address);
        TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using CancellationTokenRegistration registration = cancellationToken.Register(() => ended.TrySetResult());
        await ended.Task;
    }

    private static IPEndPoint ParseAddress(string address)
    {
        ArgumentNullException.ThrowIfNull(address);
        string text = address.StartsWith(':') ? "0.0.0.0" + address : address.StartsWith("localhost:", StringComparison.Ordinal) ? "127.0.0.1" + address["localhost".Length..] : address;
        int colon = text.LastIndexOf(':');
        bool hasPort = colon > 0 && !text.EndsWith(']') && int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port <= ushort.MaxValue;
        return hasPort && IPEndPoint.TryParse(text, out IPEndPoint? endpoint)
            ? endpoint
            : throw new StrataException(ErrorKind.Invalid, $"listen at '{address}': not an address and a port") { Hint = "write it as 127.0.0.1:5000, or :5000 for all addresses" };
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
        _registry.Dispose();
    }
}
