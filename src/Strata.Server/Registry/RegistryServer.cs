using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Strata.Server.Registry;

/// <summary>A registry on a socket: <c>strata registry serve</c>.</summary>
public sealed class RegistryServer : IAsyncDisposable
{
    // A URL has a name of 255, a digest of 136 and little more; headers carry a token.
    private const int MaxRequestLineBytes = 4 << 10;
    private const int MaxHeaderBytes = 32 << 10;
    private const long BusyRequests = 50;
    private static readonly TimeSpan s_drain = TimeSpan.FromSeconds(30), s_quiet = TimeSpan.FromSeconds(5);

    private readonly WebApplication _app;
    private readonly OciRegistry _registry;
    private readonly CancellationTokenSource _end = new();
    private readonly Task _housekeeping;

    private RegistryServer(WebApplication app, OciRegistry registry, RegistryCertificate? certificate, string address)
    {
        (_app, _registry, Certificate, Address) = (app, registry, certificate, address);
        _housekeeping = Task.WhenAll(registry.RunHousekeepingAsync(_end.Token), ReleaseMemoryAsync(_end.Token));
    }

    /// <summary>Host and port it listens at; the port is the real one where 0 was asked for.</summary>
    public string Address { get; }

    /// <summary>What it shows to clients; null: plain HTTP.</summary>
    public RegistryCertificate? Certificate { get; }

    /// <summary>What it serves.</summary>
    internal OciRegistry Registry => _registry;

    /// <summary>Listens at an address such as <c>127.0.0.1:5000</c>, <c>:5000</c> (all), <c>[::1]:0</c> (any free port).</summary>
    /// <exception cref="StrataException">Invalid: not an address, or an option that is none. Unavailable: it cannot be listened at.</exception>
    public static async Task<RegistryServer> StartAsync(Engine engine, string address, RegistryServerOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(engine);
        IPEndPoint endpoint = ParseAddress(address);
        options ??= new RegistryServerOptions();
        if (options is { Access: { HtpasswdFile: not null, IsPlainHttpAllowed: false }, Tls: null } && !IPAddress.IsLoopback(endpoint.Address))
        {
            throw new StrataException(ErrorKind.Invalid, $"listen at {address}: passwords would travel over the network in the clear") { Hint = "say --tls-cert FILE --tls-key FILE, or --lan; --plain-http where something else speaks TLS before this" };
        }
        RegistryCertificate? certificate = options.Tls is null ? null : RegistryCertificate.Open(options.Tls, engine.Layout.Root, options.Time, options.Notify);
        OciRegistry registry = new(engine, options);
        WebApplication app = Build(endpoint, certificate);
        try
        {
            app.MapOciRegistry(registry);
            app.MapFallback(context => RegistryEndpoints.NothingAsync(registry, context));
            await app.StartAsync(cancellationToken);
        }
        catch (IOException e)
        {
            registry.Dispose();
            await app.DisposeAsync();
            throw new StrataException(ErrorKind.Unavailable, $"listen at {address}: {e.Message}", e);
        }
        string url = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        return new RegistryServer(app, registry, certificate, new Uri(url).Authority);
    }

    private static WebApplication Build(IPEndPoint endpoint, RegistryCertificate? certificate)
    {
        // A line ends with CRLF: what takes a bare LF for an end reads another request than who does not (RFC 9112 §2.2, §11.2).
        AppContext.SetSwitch("Microsoft.AspNetCore.Server.Kestrel.DisableHttp1LineFeedTerminators", true);
        // Nothing but what is said here: the other builders read appsettings.json in whatever folder this was started, watch that folder, and listen where it says.
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore();
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>, LargeBlockPools>();
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = s_drain);
        if (certificate is not null)
        {
            builder.WebHost.UseKestrelHttpsConfiguration();
        }
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestLineSize = MaxRequestLineBytes;
            kestrel.Limits.MaxRequestHeadersTotalSize = MaxHeaderBytes;
            kestrel.Limits.MaxConcurrentConnections = 1000;
            kestrel.Listen(endpoint, listen =>
            {
                if (certificate is null)
                {
                    ((IConnectionBuilder)listen).Use(FileSending.Use);
                }
                else
                {
                    listen.Protocols = HttpProtocols.Http1AndHttp2;
                    // Asked at each handshake: a new certificate needs no restart.
                    listen.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(certificate.Current) });
                }
            });
        });
        return builder.Build();
    }

    // A collection is made when there is much to collect. Who asks for nothing any more makes nothing: what a busy time has left would stay for ever.
    private async Task ReleaseMemoryAsync(CancellationToken cancellationToken)
    {
        using PeriodicTimer timer = new(s_quiet, _registry.Options.Time);
        try
        {
            for (long before = 0, released = 0; await timer.WaitForNextTickAsync(cancellationToken);)
            {
                long now = _registry.Metrics.Requests;
                if (now == before && now - released >= BusyRequests)
                {
                    released = now;
                    GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
                }
                before = now;
            }
        }
        catch (OperationCanceledException)
        {
            // told to end
        }
    }

    /// <summary>Serves until cancelled; then answers what was asked, for at most 30 seconds.</summary>
    /// <param name="engine">Whose store it serves.</param>
    /// <param name="address">Where to listen: see <see cref="StartAsync"/>.</param>
    /// <param name="options">How.</param>
    /// <param name="started">Told of the server once it listens.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task RunAsync(Engine engine, string address, RegistryServerOptions? options = null, Action<RegistryServer>? started = null, CancellationToken cancellationToken = default)
    {
        await using RegistryServer server = await StartAsync(engine, address, options, cancellationToken);
        started?.Invoke(server);
        TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using CancellationTokenRegistration registration = cancellationToken.Register(() => ended.TrySetResult());
        await ended.Task;
    }

    /// <summary>Which names retention takes from a store's registry; without <paramref name="dryRun"/> it takes them.</summary>
    /// <param name="engine">Whose store it is.</param>
    /// <param name="rulesFile">JSON: see docs/registry.md.</param>
    /// <param name="dryRun">Only say what would go.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="StrataException">Invalid: the rules cannot be understood.</exception>
    public static async Task<IReadOnlyList<RetentionVictim>> RetainAsync(Engine engine, string rulesFile, bool dryRun, CancellationToken cancellationToken = default)
    {
        RetentionRules rules = RetentionRules.Parse(ServerFiles.Read(rulesFile), rulesFile);
        using OciRegistry registry = new(engine);
        return await new Retention(registry).ApplyAsync(rules, dryRun, cancellationToken);
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
        _registry.IsStopping = true;
        await _end.CancelAsync();
        await _housekeeping;
        await _app.StopAsync();
        await _app.DisposeAsync();
        _registry.Dispose();
        _end.Dispose();
    }
}
