using System.Globalization;
using System.Net;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Content;
using Strata.Server.Registry;

namespace Strata.Cli.Commands;

/// <summary><c>strata registry serve|retain|rm</c>. What names the server's types stands in methods of its own: the web server is loaded by those who serve.</summary>
internal static class RegistryCommand
{
    private const double DefaultFreeFloor = 5;
    private const string DefaultAddress = "127.0.0.1:5000", LanAddress = ":5000";

    internal static Command Create(CommandContext context) => new("registry") { CreateServe(context), CreateRetain(context), RemoteCommand.CreateRemove(context) };

    private static Command CreateServe(CommandContext context)
    {
        ServeLine line = new();
        var serve = new Command("serve", "Serve this store by the OCI distribution protocol, until interrupted");
        foreach (Symbol option in line.All)
        {
            serve.Add(option);
        }
        serve.SetAction(async (parsed, cancellationToken) =>
        {
            await ServeAsync(context, line, parsed, cancellationToken);
            return 0;
        });
        return serve;
    }

    private static Command CreateRetain(CommandContext context)
    {
        Argument<string> rules = Options.One("FILE", "JSON with the rules");
        Option<bool> dryRun = Options.Flag("--dry-run", "only say what would go");
        var retain = new Command("retain", "Remove the tags that rules do not keep from this store's registry") { rules, dryRun };
        retain.SetAction(async (parsed, cancellationToken) =>
        {
            await RetainAsync(context, parsed.GetValue(rules), parsed.GetValue(dryRun), cancellationToken);
            return 0;
        });
        return retain;
    }

    private static async Task RetainAsync(CommandContext context, string rules, bool dryRun, CancellationToken cancellationToken)
    {
        foreach (RetentionVictim victim in await RegistryServer.RetainAsync(context.Engine, rules, dryRun, cancellationToken))
        {
            context.Out.WriteLine($"{(dryRun ? "would remove" : "removed")} {victim.Name.Repository}{(victim.Name.Tag is { } tag ? ":" + tag : "@" + victim.Manifest)}: {victim.Reason}");
        }
    }

    private static async Task ServeAsync(CommandContext context, ServeLine line, ParseResult parsed, CancellationToken cancellationToken)
    {
        bool isLan = parsed.GetValue(line.Lan);
        void Notify(string text) => context.Error.WriteLine("strata: " + SafeText.Escape(text));
        string? log = parsed.GetValue(line.AccessLog);
        using AccessLog? accessLog = log == "none" ? null : log is null or "-" ? AccessLog.To(context.Error.WriteLine) : AccessLog.ToFile(log);
        RegistryServerOptions options = Read(line, parsed) with { AccessLog = accessLog, Notify = Notify };
        string address = parsed.GetValue(line.Address) ?? (isLan ? LanAddress : DefaultAddress);
        await RegistryServer.RunAsync(context.Engine, address, options, server =>
        {
            context.Error.WriteLine($"serving {context.Engine.Layout.Root} on {server.Address}{(server.Certificate is null ? "" : " (TLS)")}");
            if (isLan)
            {
                WriteClients(context.Error, server, options.Access);
            }
        }, cancellationToken);
    }

    private static RegistryServerOptions Read(ServeLine line, ParseResult parsed)
    {
        RegistryServerOptions defaults = new();
        string? certificate = parsed.GetValue(line.TlsCertificate), key = parsed.GetValue(line.TlsKey), clients = parsed.GetValue(line.TlsClients);
        bool isLan = parsed.GetValue(line.Lan);
        return defaults with
        {
            IsReadOnly = parsed.GetValue(line.ReadOnly),
            MaxBlobBytes = parsed.GetValue(line.MaxBlob) is { } size ? StoreSettings.ParseMaxSize(size, "--max-blob") : null,
            Quotas = [.. parsed.GetValue(line.Quota).Select(ReadQuota)],
            FreeFloorPercent = parsed.GetValue(line.FreeFloor),
            Access = new RegistryAccessOptions
            {
                HtpasswdFile = parsed.GetValue(line.Htpasswd),
                TokenKeyFile = parsed.GetValue(line.TokenKey),
                TokenIssuer = parsed.GetValue(line.TokenIssuer),
                TokenService = parsed.GetValue(line.TokenService),
                TokenRealm = parsed.GetValue(line.TokenRealm),
                IsAnonymousRead = parsed.GetValue(line.AnonymousRead),
                RulesFile = parsed.GetValue(line.Rules),
                IsPlainHttpAllowed = parsed.GetValue(line.PlainHttp),
            },
            Tls = certificate is null && key is null && clients is null && !isLan ? null : new RegistryTlsOptions { CertificateFile = certificate, KeyFile = key, ClientAuthorityFile = clients, IsOwn = isLan },
            Upstreams = [.. parsed.GetValue(line.Proxy).Select(ReadUpstream)],
            DefaultUpstream = parsed.GetValue(line.ProxyDefault),
            UpstreamTagLife = Duration(parsed.GetValue(line.ProxyTagLife), "--proxy-ttl") ?? defaults.UpstreamTagLife,
            Webhooks = [.. parsed.GetValue(line.Webhook).Select(ReadWebhook)],
            Housekeeping = new HousekeepingOptions
            {
                CollectInterval = Duration(parsed.GetValue(line.Collect), "--gc-interval"),
                Grace = Duration(parsed.GetValue(line.Grace), "--gc-grace") ?? defaults.Housekeeping.Grace,
                ScrubInterval = Duration(parsed.GetValue(line.Scrub), "--scrub-interval"),
                RetentionFile = parsed.GetValue(line.Retain),
            },
        };
    }

    private static TimeSpan? Duration(string? text, string where) => text is null ? null
        : StoreSettings.ParseDuration(text, where) is { } duration && duration > TimeSpan.Zero ? duration
        : throw new StrataException(ErrorKind.Invalid, $"{where} {text}: it has to be more than nothing");

    private static RegistryUpstream ReadUpstream(string text)
    {
        string[] parts = text.Split('=', 2);
        return parts.Length == 2 && Uri.TryCreate(parts[1], UriKind.Absolute, out Uri? address)
            ? new RegistryUpstream(parts[0], address)
            : throw new StrataException(ErrorKind.Invalid, $"--proxy {SafeText.Escape(text)}: not NAME=URL") { Hint = "write --proxy docker.io=https://registry-1.docker.io" };
    }

    // SIZE alone is each repository's.
    private static RepositoryQuota ReadQuota(string text)
    {
        int equals = text.LastIndexOf('=');
        return new RepositoryQuota(equals < 0 ? "**" : text[..equals], StoreSettings.ParseMaxSize(text[(equals + 1)..], "--quota"));
    }

    private static Uri ReadWebhook(string text) => Uri.TryCreate(text, UriKind.Absolute, out Uri? address) && (address.Scheme == Uri.UriSchemeHttp || address.Scheme == Uri.UriSchemeHttps)
        ? address
        : throw new StrataException(ErrorKind.Invalid, "--webhook: not an http or https URL");

    // What each client needs to trust exactly this certificate; nothing else vouches for it.
    private static void WriteClients(TextWriter output, RegistryServer server, RegistryAccessOptions? access)
    {
        string port = server.Address[(server.Address.LastIndexOf(':') + 1)..];
        bool isAll = server.Address.StartsWith("0.0.0.0:", StringComparison.Ordinal) || server.Address.StartsWith("[::]:", StringComparison.Ordinal);
        IPAddress? own = isAll && RegistryCertificate.Addresses() is [var first, ..] ? first : null;
        string host = own is null ? server.Address : own.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"[{own}]:{port}" : $"{own}:{port}";
        string certificate = server.Certificate!.CertificateFile;
        output.WriteLine($"certificate  {certificate}");
        output.WriteLine($"fingerprint  {server.Certificate.Fingerprint}");
        output.WriteLine($"strata       strata login --pin {server.Certificate.Fingerprint} {host}");
        output.WriteLine($"docker       copy the certificate to /etc/docker/certs.d/{host}/ca.crt");
        output.WriteLine($"podman       copy the certificate to /etc/containers/certs.d/{host}/ca.crt (skopeo, buildah too)");
        output.WriteLine($"containerd   copy the certificate to /etc/containerd/certs.d/{host}/ca.crt (nerdctl, cri), or ctr images pull --tlscacert tls.crt");
        output.WriteLine($"curl         curl --cacert tls.crt https://{host}/v2/");
        if (access is not { HtpasswdFile: not null } and not { TokenKeyFile: not null })
        {
            output.WriteLine("warning      whoever reaches it may pull, push and delete: see --htpasswd");
        }
    }

    /// <summary>The options of serve.</summary>
    private sealed class ServeLine
    {
        internal readonly Option<string?> Address = Options.Value("--addr", "ADDRESS:PORT", "where to listen (127.0.0.1:5000; with --lan :5000)");
        internal readonly Option<bool> Lan = Options.Flag("--lan", "TLS with a certificate of its own for this machine's addresses; says what clients need");
        internal readonly Option<string?> TlsCertificate = Options.Value("--tls-cert", "FILE", "TLS with this certificate (PEM, with its chain); read again when it changes");
        internal readonly Option<string?> TlsKey = Options.Value("--tls-key", "FILE", "its key (PEM)");
        internal readonly Option<string?> TlsClients = Options.Value("--tls-client-ca", "FILE", "let in only clients with a certificate of these authorities (PEM)");
        internal readonly Option<string?> Htpasswd = Options.Value("--htpasswd", "FILE", "names and passwords (htpasswd -B)");
        internal readonly Option<bool> PlainHttp = Options.Flag("--plain-http", "let passwords travel without TLS: something else speaks it before this");
        internal readonly Option<string?> TokenKey = Options.Value("--token-key", "FILE", "public keys (PEM) of the service whose tokens are taken (RS256, ES256)");
        internal readonly Option<string?> TokenIssuer = Options.Value("--token-issuer", "NAME", "the issuer of tokens");
        internal readonly Option<string?> TokenService = Options.Value("--token-service", "NAME", "this service's name in tokens");
        internal readonly Option<string?> TokenRealm = Options.Value("--token-realm", "URL", "where clients get tokens");
        internal readonly Option<bool> AnonymousRead = Options.Flag("--anonymous-read", "whoever gives no name may pull");
        internal readonly Option<string?> Rules = Options.Value("--rules", "FILE", "JSON: who may do what in which repositories");
        internal readonly Option<bool> ReadOnly = Options.Flag("--read-only", "take and delete nothing");
        internal readonly Option<string?> MaxBlob = Options.Value("--max-blob", "SIZE", "the most bytes of one blob");
        internal readonly Option<string[]> Quota = Options.Values("--quota", "[PATTERN=]SIZE", "the most bytes of a repository, of all or of those of a pattern; the first that fits counts");
        internal readonly Option<double> FreeFloor = new("--free-floor", v => v.Count == 0 ? DefaultFreeFloor : ReadPercent(v[^1])) { Description = "percent of the disk that stay free (5)", ValueName = "PERCENT", Check = CheckPercent };
        internal readonly Option<string[]> Proxy = Options.Values("--proxy", "NAME=URL", "fetch NAME/… from another registry when it is asked for, and keep it");
        internal readonly Option<string?> ProxyDefault = Options.Value("--proxy-default", "NAME", "the one of --proxy that names without one are fetched from");
        internal readonly Option<string?> ProxyTagLife = Options.Value("--proxy-ttl", "TIME", "how long a fetched tag is current (1m)");
        internal readonly Option<string?> Collect = Options.Value("--gc-interval", "TIME", "collect garbage so often while serving");
        internal readonly Option<string?> Grace = Options.Value("--gc-grace", "TIME", "how long a blob waits for its manifest (1h)");
        internal readonly Option<string?> Scrub = Options.Value("--scrub-interval", "TIME", "hash all blobs again so often");
        internal readonly Option<string?> Retain = Options.Value("--retain", "FILE", "JSON: which tags go by themselves, before each collection");
        internal readonly Option<string[]> Webhook = Options.Values("--webhook", "URL", "post pushes, pulls and deletions there");
        internal readonly Option<string?> AccessLog = Options.Value("--access-log", "FILE", "a line for each request; - is standard error (so it is without), none is none");

        internal IEnumerable<Symbol> All => [Address, Lan, TlsCertificate, TlsKey, TlsClients, Htpasswd, PlainHttp, TokenKey, TokenIssuer, TokenService, TokenRealm, AnonymousRead, Rules, ReadOnly, MaxBlob, Quota, FreeFloor,
            Proxy, ProxyDefault, ProxyTagLife, Collect, Grace, Scrub, Retain, Webhook, AccessLog];

        private static double ReadPercent(string text) => double.Parse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture);

        private static string? CheckPercent(string text) => double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double percent) && percent < 100 ? null : "it is a number below 100";
    }
}
