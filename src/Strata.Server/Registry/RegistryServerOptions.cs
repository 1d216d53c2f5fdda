namespace Strata.Server.Registry;

/// <summary>How a registry serves.</summary>
public sealed record RegistryServerOptions
{
    /// <summary>The registry's name in the store: an image <c>a:1</c> pushed to it is <c>registry.local/a:1</c> there, whatever address it was reached by.</summary>
    public string Namespace { get; init; } = "registry.local";

    /// <summary>Uploads at once; more are answered with 429.</summary>
    public int MaxUploads { get; init; } = 1000;

    /// <summary>Uploads at once of one user; more are answered with 429.</summary>
    public int MaxUploadsPerUser { get; init; } = 100;

    /// <summary>An upload that nobody touched for so long is dropped.</summary>
    public TimeSpan UploadLife { get; init; } = TimeSpan.FromHours(24);

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Most entries of one page of tags or repositories.</summary>
    public int MaxPage { get; init; } = 1000;

    /// <summary>Most bytes of one blob; null: what the disk holds. More is answered with 413.</summary>
    public long? MaxBlobBytes { get; init; }

    /// <summary>The most bytes of a repository, by pattern; the first that fits counts. More is answered with 413.</summary>
    public IReadOnlyList<RepositoryQuota> Quotas { get; init; } = [];

    /// <summary>Percent of the store's disk that uploads leave free; less is answered with 507.</summary>
    public double FreeFloorPercent { get; init; } = 5;

    /// <summary>Nothing is taken and nothing deleted: answered with 405.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary>Where requests are logged, a line each; null: nowhere.</summary>
    public AccessLog? AccessLog { get; init; }

    /// <summary>Gets lines that an operator should see.</summary>
    public Action<string>? Notify { get; init; }

    /// <summary>Who may do what; null: everybody everything.</summary>
    public RegistryAccessOptions? Access { get; init; }

    /// <summary>How TLS is spoken; null: plain HTTP.</summary>
    public RegistryTlsOptions? Tls { get; init; }

    /// <summary>Registries whose content is fetched, and kept, when it is asked for.</summary>
    public IReadOnlyList<RegistryUpstream> Upstreams { get; init; } = [];

    /// <summary>Of <see cref="Upstreams"/>, the one that is asked for names that belong to none and are not here; null: none is.</summary>
    public string? DefaultUpstream { get; init; }

    /// <summary>How long a tag of an upstream is taken for current before the upstream is asked again.</summary>
    public TimeSpan UpstreamTagLife { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>What is done beside serving.</summary>
    public HousekeepingOptions Housekeeping { get; init; } = new();

    /// <summary>Where events are posted to.</summary>
    public IReadOnlyList<Uri> Webhooks { get; init; } = [];
}

/// <summary>Who may do what at a registry.</summary>
public sealed record RegistryAccessOptions
{
    /// <summary>Names and passwords, as htpasswd(1) writes them (bcrypt: <c>htpasswd -B</c>); read again when it changes.</summary>
    public string? HtpasswdFile { get; init; }

    /// <summary>PEM with the public keys (RSA, or EC P-256) whose tokens are taken.</summary>
    public string? TokenKeyFile { get; init; }

    /// <summary>The issuer of tokens (<c>iss</c>).</summary>
    public string? TokenIssuer { get; init; }

    /// <summary>The name of this service in tokens (<c>aud</c>).</summary>
    public string? TokenService { get; init; }

    /// <summary>Where clients get tokens.</summary>
    public string? TokenRealm { get; init; }

    /// <summary>Who says no name may read.</summary>
    public bool IsAnonymousRead { get; init; }

    /// <summary>JSON that says who may do what in which repositories; read again when it changes.</summary>
    public string? RulesFile { get; init; }

    /// <summary>Passwords may travel without TLS to other machines.</summary>
    public bool IsPlainHttpAllowed { get; init; }
}

/// <summary>How a registry speaks TLS.</summary>
public sealed record RegistryTlsOptions
{
    /// <summary>PEM: the certificate, and those between it and its root; read again when it changes.</summary>
    public string? CertificateFile { get; init; }

    /// <summary>PEM: its key; null: it is in the certificate's file.</summary>
    public string? KeyFile { get; init; }

    /// <summary>PEM: only clients with a certificate of one of these authorities are let in; null: all are. Read again when it changes.</summary>
    public string? ClientAuthorityFile { get; init; }

    /// <summary>A certificate is made, once, for this machine's addresses, and kept in the store.</summary>
    public bool IsOwn { get; init; }
}

/// <summary>A registry behind this one.</summary>
/// <param name="Name">What its repositories' names begin with here: <c>docker.io</c>.</param>
/// <param name="Address">Where it is: <c>https://registry-1.docker.io</c>; a path is put before its repositories' names.</param>
public sealed record RegistryUpstream(string Name, Uri Address);

/// <summary>What a registry does beside serving.</summary>
public sealed record HousekeepingOptions
{
    /// <summary>Time between collections; null: none is made.</summary>
    public TimeSpan? CollectInterval { get; init; }

    /// <summary>How long a blob stays that was uploaded or looked for, and that no manifest names yet.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Time between checks of all blobs; null: none is made.</summary>
    public TimeSpan? ScrubInterval { get; init; }

    /// <summary>Bytes a second that a check reads.</summary>
    public long ScrubRate { get; init; } = 64 << 20;

    /// <summary>JSON that says which tags go by themselves; null: none does. Applied before each collection.</summary>
    public string? RetentionFile { get; init; }
}
