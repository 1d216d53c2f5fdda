using System.Text.Json.Serialization;

namespace Strata.Distribution;

/// <summary>
/// What is known of registries, from <c>/etc/strata/strata.toml</c>, <c>~/.config/strata/strata.toml</c> or the file that STRATA_CONFIG names:
/// <code>
/// [registries."docker.io"]
/// mirrors = ["http://127.0.0.1:5000", "https://mirror.example.com"]
///
/// [registries."registry.example.com:5000"]
/// insecure = true                       # no TLS, or a certificate nobody vouches for
/// ca = "/etc/ssl/example.pem"           # one, or a list
/// client-cert = "/etc/ssl/me.pem"
/// client-key = "/etc/ssl/me.key"
/// pin = "sha256:…"                      # exactly this certificate, whoever vouches for it
/// </code>
/// or the same as JSON (<c>{"registries":{"docker.io":{"mirrors":[…]}}}</c>, also in <c>/etc/strata/registries.json</c>). <c>mirrors</c> are asked
/// in their order before the registry itself. Docker's <c>registry-mirrors</c> (for docker.io) and <c>insecure-registries</c> may stand beside
/// <c>registries</c>. What these files do not speak of is looked for in those of other engines (<see cref="RegistryFiles"/>).
/// </summary>
public sealed record RegistryConfiguration
{
    /// <summary>The file that is read where the environment names none.</summary>
    public const string DefaultPath = "/etc/strata/strata.toml";

    /// <summary>The environment variable that names another file.</summary>
    public const string PathVariable = RegistryFiles.PathVariable;

    /// <summary>No mirrors; TLS everywhere but on loopback addresses.</summary>
    public static RegistryConfiguration Empty { get; } = new();

    /// <summary>Registry (host and port) to the base addresses of its mirrors, in the order to ask them.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<Uri>> Mirrors { get; init; } = new Dictionary<string, IReadOnlyList<Uri>>();

    /// <summary>Registries (host and port) that may be spoken to without TLS, or with a certificate nobody vouches for.</summary>
    public IReadOnlySet<string> Insecure { get; init; } = new HashSet<string>();

    /// <summary>Registries and mirrors (host and port) to the files for TLS with them.</summary>
    public IReadOnlyDictionary<string, TlsFiles> Tls { get; init; } = new Dictionary<string, TlsFiles>();

    // Registries that our own files speak of, be it only to say that there is nothing to say.
    internal IReadOnlySet<string> Known { get; init; } = new HashSet<string>();

    internal ForeignConfiguration? Foreign { get; init; }

    // Read when a server is spoken to.
    internal Lazy<IReadOnlyDictionary<string, string>>? Pins { get; init; }

    /// <summary>Reads our own files. Those of other engines are read when a registry is asked for that ours do not speak of.</summary>
    /// <param name="files">Where they are; null: where they are on this machine.</param>
    /// <exception cref="StrataException">Invalid: says file, line and column.</exception>
    public static RegistryConfiguration Load(RegistryFiles? files = null)
    {
        files ??= RegistryFiles.OfUser();
        RegistryConfiguration all = Empty;
        foreach (string path in files.Own.Where(p => files.MustExist || File.Exists(p)))
        {
            all = all.With(LoadFile(path));
        }
        return all with { Foreign = new ForeignConfiguration(files), Pins = files.Pins is { } pins ? new(new PinFile(pins).Read) : null };
    }

    /// <summary>Reads one file.</summary>
    /// <exception cref="StrataException">Invalid: says file, line and column. NotFound: there is no such file.</exception>
    public static RegistryConfiguration LoadFile(string path)
        => Parse(ConfigFile.TryRead(path) ?? throw new StrataException(ErrorKind.NotFound, $"read {path}: no such file") { Hint = $"{PathVariable} names it" });

    /// <summary>Reads the text of such a file, TOML or JSON; <paramref name="name"/> is for messages.</summary>
    /// <exception cref="StrataException">Invalid: says file, line and column.</exception>
    public static RegistryConfiguration Parse(ReadOnlySpan<byte> text, string name) => Parse(ConfigFile.Of(name, text));

    private static RegistryConfiguration Parse(ConfigFile file)
    {
        List<ConfigProblem> problems = [];
        RegistryConfiguration configuration = Read(file.Parse(), Path.GetDirectoryName(file.Name) ?? "", problems);
        return problems.Count == 0 ? configuration : throw file.ToException(problems[0]);
    }

    /// <summary>Makes sense of a file of ours.</summary>
    internal static RegistryConfiguration Read(ConfigNode root, string folder, List<ConfigProblem> problems)
    {
        root.Allow(problems, "registries", "registry-mirrors", "insecure-registries");
        Dictionary<string, IReadOnlyList<Uri>> mirrors = new(StringComparer.OrdinalIgnoreCase);
        Dictionary<string, TlsFiles> tls = new(StringComparer.OrdinalIgnoreCase);
        HashSet<string> insecure = new(root.FindTexts("insecure-registries", problems).Select(n => n.Text), StringComparer.OrdinalIgnoreCase);
        HashSet<string> known = new(insecure, StringComparer.OrdinalIgnoreCase);
        foreach ((string registry, int offset, ConfigNode entry) in root.FindTables("registries", problems))
        {
            CheckRegistry(registry, offset, entry, problems);
            entry.Allow(problems, "mirrors", "insecure", "ca", "client-cert", "client-key", "pin");
            known.Add(registry);
            if (entry.FindTruth("insecure", problems))
            {
                insecure.Add(registry);
            }
            if (entry.FindTexts("mirrors", problems) is { Count: > 0 } list)
            {
                mirrors[registry] = ReadMirrors(list, problems);
            }
            TlsFiles files = ReadTls(entry, folder, problems);
            if (!files.IsEmpty)
            {
                tls[registry] = files;
            }
        }
        if (root.FindTexts("registry-mirrors", problems) is { Count: > 0 } dockers)
        {
            mirrors[Oci.ImageReference.DefaultRegistry] = [.. mirrors.GetValueOrDefault(Oci.ImageReference.DefaultRegistry, []), .. ReadMirrors(dockers, problems)];
            known.Add(Oci.ImageReference.DefaultRegistry);
        }
        return new RegistryConfiguration { Mirrors = mirrors, Insecure = insecure, Tls = tls, Known = known };
    }

    /// <summary>Reads addresses of mirrors; wrong ones become problems.</summary>
    internal static List<Uri> ReadMirrors(IEnumerable<ConfigNode> list, List<ConfigProblem> problems)
    {
        List<Uri> mirrors = [];
        foreach (ConfigNode node in list)
        {
            string text = node.Text;
            bool hasScheme = text.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || text.StartsWith("https://", StringComparison.OrdinalIgnoreCase);
            string scheme = Hosts.IsLoopback(text) ? "http://" : "https://";
            if (!hasScheme && !text.Contains(":/", StringComparison.Ordinal) && TryReadAddress(scheme + text, out _))
            {
                problems.Add(new ConfigProblem(node.Offset, $"mirror '{text}' has no scheme", $"write \"https://{text}\" (or http:// where it has no TLS)", new ConfigEdit(node.Offset + 1, 0, scheme)));
            }
            else if (!hasScheme || !TryReadAddress(text, out Uri? uri))
            {
                problems.Add(new ConfigProblem(node.Offset, $"mirror '{text}' is not the address of a registry", "write scheme and host, as in https://mirror.example.com:5000"));
            }
            else
            {
                mirrors.Add(uri);
            }
        }
        return mirrors;
    }

    private static bool TryReadAddress(string text, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Uri? uri)
        => Uri.TryCreate(text, UriKind.Absolute, out uri) && uri is { UserInfo.Length: 0, Query.Length: 0, Fragment.Length: 0, Host.Length: > 0 };

    /// <summary>What is known of a registry, or of the part of it that a repository is in.</summary>
    /// <exception cref="StrataException">Invalid: a file of another engine that had to be read is wrong; says where.</exception>
    internal RegistrySettings Find(string registry, string? repository)
    {
        if (Known.Contains(registry) || Mirrors.ContainsKey(registry) || Insecure.Contains(registry) || Foreign is null)
        {
            IReadOnlyList<Uri> mirrors = Mirrors.TryGetValue(registry, out IReadOnlyList<Uri>? list) ? list : [];
            return new RegistrySettings("") { Mirrors = [.. mirrors.Select(m => new MirrorSettings(m) { IsInsecure = Insecure.Contains(m.Authority) })], IsInsecure = Insecure.Contains(registry) };
        }
        return Foreign.Find(registry, repository);
    }

    /// <summary>The files for TLS with a server, or null where the system's will do.</summary>
    internal TlsFiles? FindTls(string hostAndPort)
    {
        TlsFiles? found = Tls.TryGetValue(hostAndPort, out TlsFiles? files) ? files : Foreign?.FindTls(hostAndPort);
        return Pins?.Value.TryGetValue(hostAndPort, out string? pin) == true ? (found ?? new TlsFiles()) with { Pin = pin } : found;
    }

    private RegistryConfiguration With(RegistryConfiguration later)
    {
        Dictionary<string, IReadOnlyList<Uri>> mirrors = new(Mirrors.Where(m => !later.Known.Contains(m.Key)), StringComparer.OrdinalIgnoreCase);
        Dictionary<string, TlsFiles> tls = new(Tls.Where(m => !later.Known.Contains(m.Key)), StringComparer.OrdinalIgnoreCase);
        foreach ((string registry, IReadOnlyList<Uri> list) in later.Mirrors)
        {
            mirrors[registry] = list;
        }
        foreach ((string registry, TlsFiles files) in later.Tls)
        {
            tls[registry] = files;
        }
        HashSet<string> insecure = new(Insecure.Where(i => !later.Known.Contains(i)).Concat(later.Insecure), StringComparer.OrdinalIgnoreCase);
        return new RegistryConfiguration { Mirrors = mirrors, Insecure = insecure, Tls = tls, Known = new HashSet<string>(Known.Concat(later.Known), StringComparer.OrdinalIgnoreCase) };
    }

    private static TlsFiles ReadTls(ConfigNode entry, string folder, List<ConfigProblem> problems)
    {
        string? Full(string? path) => path is null ? null : Path.GetFullPath(path, folder.Length == 0 ? Directory.GetCurrentDirectory() : Path.GetFullPath(folder));
        TlsFiles files = new()
        {
            Authorities = [.. entry.FindTexts("ca", problems, mayBeOne: true).Select(n => Full(n.Text)!)],
            Certificate = Full(entry.FindText("client-cert", problems)),
            Key = Full(entry.FindText("client-key", problems)),
            Pin = ReadPin(entry, problems),
        };
        if (files is { Key: not null, Certificate: null })
        {
            problems.Add(new ConfigProblem(entry.Find("client-key")!.Offset, "a client-key without a client-cert"));
        }
        return files;
    }

    private static string? ReadPin(ConfigNode entry, List<ConfigProblem> problems)
    {
        string? text = entry.FindText("pin", problems);
        if (text is null || PinFile.TryNormalize(text, out _))
        {
            return text is null ? null : PinFile.Normalize(text);
        }
        problems.Add(new ConfigProblem(entry.Find("pin")!.Offset, $"'{text}' is not the fingerprint of a certificate", "write sha256: and 64 digits, as the registry prints them when it starts"));
        return null;
    }

    private static void CheckRegistry(string registry, int offset, ConfigNode entry, List<ConfigProblem> problems)
    {
        if (!Oci.ImageReference.TryParse(registry + "/x", out Oci.ImageReference? reference) || !reference.Registry.Equals(registry, StringComparison.OrdinalIgnoreCase))
        {
            // [registries.docker.io] is a table io in a table docker.
            string? inner = entry.Members.FirstOrDefault(m => m.Value.Kind == ConfigKind.Table)?.Name;
            problems.Add(new ConfigProblem(offset, $"'{registry}' is not the name of a registry", inner is not null ? $"a name with dots stands in quotes: [registries.\"{registry}.{inner}\"]" : "write host and port, without scheme or path, as in registry.example.com:5000"));
        }
    }
}

// What servers send has more fields than we read.
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(DockerConfigFile))]
[JsonSerializable(typeof(TokenAnswer))]
[JsonSerializable(typeof(ErrorAnswer))]
[JsonSerializable(typeof(TagList))]
[JsonSerializable(typeof(RepositoryList))]
internal sealed partial class DistributionJson : JsonSerializerContext;
