using System.Collections.Concurrent;
using System.Net;

namespace Strata.Distribution;

/// <summary>
/// What other engines' files say of registries. Each is read when it is asked first; one that is wrong then stops the command, with file, line and
/// column: half of a configuration would send requests where nobody wanted them.
/// </summary>
internal sealed class ForeignConfiguration(RegistryFiles files)
{
    private readonly Lazy<DockerDaemonFile> _docker = new(() => Read(files.DockerDaemon, DockerDaemonFile.Read) ?? DockerDaemonFile.Empty);
    private readonly Lazy<ContainersRegistriesFile[]> _containers = new(() => [.. files.ContainersRegistries.Where(ContainersRegistriesFile.HasRegistries).Select(f => Read(f, ContainersRegistriesFile.Read)).OfType<ContainersRegistriesFile>()]);
    private readonly ConcurrentDictionary<string, RegistrySettings?> _containerd = new(StringComparer.OrdinalIgnoreCase);
    private readonly ConcurrentDictionary<string, TlsFiles?> _tls = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>The first that speaks of a registry is heard: Docker, containerd, then Podman and its family.</summary>
    public RegistrySettings Find(string registry, string? repository)
        => _docker.Value.Find(registry)
            ?? _containerd.GetOrAdd(registry, ReadContainerd)
            ?? _containers.Value.Reverse().Select(f => f.Find(registry, repository)).FirstOrDefault(s => s is not null)
            ?? RegistrySettings.Unknown;

    /// <summary>The files in Docker's or Podman's folder for a server.</summary>
    public TlsFiles? FindTls(string hostAndPort) => _tls.GetOrAdd(hostAndPort, ReadTls);

    private TlsFiles? ReadTls(string hostAndPort)
    {
        if (hostAndPort.Contains('/', StringComparison.Ordinal) || hostAndPort is "." or "..")
        {
            return null;
        }
        foreach (string folder in files.Certificates.Select(f => Path.Combine(f, hostAndPort)).Where(Directory.Exists))
        {
            string? certificate = Directory.EnumerateFiles(folder, "*.cert").Order(StringComparer.Ordinal).FirstOrDefault();
            string? key = certificate is null ? null : Path.ChangeExtension(certificate, ".key");
            if (key is not null && !File.Exists(key))
            {
                throw new StrataException(ErrorKind.Invalid, $"read {certificate}: there is no {Path.GetFileName(key)} beside it");
            }
            TlsFiles found = new() { Authorities = [.. Directory.EnumerateFiles(folder, "*.crt").Order(StringComparer.Ordinal)], Certificate = certificate, Key = key };
            if (!found.IsEmpty)
            {
                return found;
            }
        }
        return null;
    }

    private RegistrySettings? ReadContainerd(string registry)
    {
        if (files.ContainerdHosts is null || registry.Contains('/', StringComparison.Ordinal))
        {
            return null;
        }
        // A colon in a path was once a problem for somebody: host_5000_ is host:5000.
        string[] names = registry.LastIndexOf(':') is > 0 and int colon && !registry.EndsWith(']') ? [$"{registry[..colon]}_{registry[(colon + 1)..]}_", registry, "_default"] : [registry, "_default"];
        return names.Select(n => Read(Path.Combine(files.ContainerdHosts, n, "hosts.toml"), HostsTomlFile.Read)).FirstOrDefault(s => s is not null);
    }

    private static T? Read<T>(string? path, Func<ConfigNode, string, List<ConfigProblem>, T> read) where T : class
    {
        if (path is null || ConfigFile.TryRead(path) is not { } file)
        {
            return null;
        }
        List<ConfigProblem> problems = [];
        ConfigNode? root = file.Text.AsSpan().Trim().Length == 0 ? new ConfigNode(ConfigKind.Table, 0) : file.TryParse(out ConfigProblem? problem) is { } parsed ? parsed : throw Refuse(file, problem!);
        T result = read(root, path, problems);
        return problems.Count == 0 ? result : throw Refuse(file, problems[0]);
    }

    private static StrataException Refuse(ConfigFile file, ConfigProblem problem)
        => new(ErrorKind.Invalid, $"{file.PlaceOf(problem.Offset)}: {problem.Message}") { Hint = $"strata config check {file.Name} shows the corrected text; a registry that {RegistryConfiguration.DefaultPath} speaks of does without this file" };
}

/// <summary>Docker's daemon.json, as far as it is about registries.</summary>
/// <remarks><see href="https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file"/></remarks>
internal sealed record DockerDaemonFile(IReadOnlyList<Uri> Mirrors, IReadOnlyList<string> Insecure)
{
    public static DockerDaemonFile Empty { get; } = new([], []);

    public static DockerDaemonFile Read(ConfigNode root, string path, List<ConfigProblem> problems) => new(
        RegistryConfiguration.ReadMirrors(root.FindTexts("registry-mirrors", problems), problems),
        [.. root.FindTexts("insecure-registries", problems).Select(n => n.Text.Contains("://", StringComparison.Ordinal) ? n.Text[(n.Text.IndexOf("://", StringComparison.Ordinal) + 3)..] : n.Text)]);

    public RegistrySettings? Find(string registry)
    {
        bool isInsecure = IsInsecure(registry);
        MirrorSettings[] mirrors = registry == Oci.ImageReference.DefaultRegistry ? [.. Mirrors.Select(m => new MirrorSettings(m) { IsInsecure = IsInsecure(m.Authority) })] : [];
        return isInsecure || mirrors.Length > 0 ? new RegistrySettings("") { Mirrors = mirrors, IsInsecure = isInsecure } : null;
    }

    // host:port, or a network of addresses (10.0.0.0/8) that the host is in.
    private bool IsInsecure(string hostAndPort)
    {
        string host = Uri.TryCreate("http://" + hostAndPort, UriKind.Absolute, out Uri? uri) ? uri.IdnHost.Trim('[', ']') : hostAndPort;
        bool isAddress = IPAddress.TryParse(host, out IPAddress? address);
        return Insecure.Any(i => i.Equals(hostAndPort, StringComparison.OrdinalIgnoreCase) || (isAddress && IPNetwork.TryParse(i, out IPNetwork network) && network.Contains(address!)));
    }
}

/// <summary>containerd's hosts.toml of one registry.</summary>
/// <remarks><see href="https://github.com/containerd/containerd/blob/main/docs/hosts.md"/></remarks>
internal static class HostsTomlFile
{
    public static RegistrySettings Read(ConfigNode root, string path, List<ConfigProblem> problems)
    {
        List<MirrorSettings> mirrors = [];
        foreach ((string address, int offset, ConfigNode host) in root.FindTables("host", problems))
        {
            string[] capabilities = [.. host.FindTexts("capabilities", problems).Select(c => c.Text)];
            bool isForAll = host.Find("capabilities") is null;
            if (ReadHost(address, offset, host, path, problems) is { } mirror && (isForAll || capabilities.Contains("pull")))
            {
                mirrors.Add(mirror with { IsForDigests = !isForAll && !capabilities.Contains("resolve") });
            }
        }
        MirrorSettings? server = root.Find("server") is { Kind: ConfigKind.Text } node ? ReadHost(node.Text, node.Offset, root, path, problems) : null;
        return new RegistrySettings(path) { Mirrors = mirrors, Server = server, IsInsecure = root.FindTruth("skip_verify", problems) };
    }

    private static MirrorSettings? ReadHost(string address, int offset, ConfigNode host, string path, List<ConfigProblem> problems)
    {
        bool hasScheme = address.Contains("://", StringComparison.Ordinal);
        if (!Uri.TryCreate(hasScheme ? address : "https://" + address, UriKind.Absolute, out Uri? uri) || uri.Scheme is not ("http" or "https") || uri.UserInfo.Length > 0 || uri.Query.Length > 0)
        {
            problems.Add(new ConfigProblem(offset, $"'{address}' is not the address of a registry", "write scheme and host, as in https://mirror.example.com:5000"));
            return null;
        }
        string folder = Path.GetDirectoryName(path) ?? "/";
        // One file with both, or pairs of certificate and key: the first is ours.
        IReadOnlyList<ConfigNode> client = host.Find("client") switch
        {
            { Kind: ConfigKind.Text } one => [one],
            { Kind: ConfigKind.List, Items: [{ Kind: ConfigKind.List } pair, ..] } => pair.Items,
            { Kind: ConfigKind.List } list => [.. list.Items.Take(1)],
            _ => [],
        };
        TlsFiles tls = new()
        {
            Authorities = [.. host.FindTexts("ca", problems, mayBeOne: true).Select(n => Path.GetFullPath(n.Text, folder))],
            Certificate = client.Count > 0 && client[0].Text.Length > 0 ? Path.GetFullPath(client[0].Text, folder) : null,
            Key = client.Count > 1 && client[1].Text.Length > 0 ? Path.GetFullPath(client[1].Text, folder) : null,
        };
        bool hasOwnPath = host.FindTruth("override_path", problems);
        // "https://host/v2" is how their examples write "https://host".
        Uri plain = !hasOwnPath && uri.AbsolutePath.TrimEnd('/').EndsWith("/v2", StringComparison.Ordinal) ? new Uri(uri.AbsoluteUri.TrimEnd('/')[..^"v2".Length]) : uri;
        return new MirrorSettings(plain) { IsInsecure = host.FindTruth("skip_verify", problems), HasOwnPath = hasOwnPath, Tls = tls.IsEmpty ? null : tls };
    }
}

/// <summary>registries.conf, version 2.</summary>
/// <remarks><see href="https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md"/></remarks>
internal sealed class ContainersRegistriesFile
{
    private readonly List<(string Prefix, RegistrySettings Settings)> _registries = [];

    /// <summary>Whether a file may have an entry at all: those that come with the packages are long and have none.</summary>
    public static bool HasRegistries(string path)
        => ConfigFile.TryRead(path)?.Text.Split('\n').Any(l => l.AsSpan().TrimStart() is var line && (line.StartsWith("[[") || line.TrimStart("[\"' \t").StartsWith("registry"))) == true;

    public static ContainersRegistriesFile Read(ConfigNode root, string path, List<ConfigProblem> problems)
    {
        ContainersRegistriesFile file = new();
        foreach (ConfigNode entry in TablesOf(root, "registry", problems))
        {
            string? location = entry.FindText("location", problems);
            string prefix = entry.FindText("prefix", problems) is { Length: > 0 } text ? text : location ?? "";
            if (prefix.Length == 0 || (location is null && !prefix.StartsWith("*.", StringComparison.Ordinal)))
            {
                problems.Add(new ConfigProblem(entry.Offset, "a registry has a prefix or a location; only prefixes that begin with *. do without a location"));
                continue;
            }
            string from = prefix.Contains('/', StringComparison.Ordinal) ? prefix[(prefix.IndexOf('/', StringComparison.Ordinal) + 1)..] : "";
            bool onlyDigests = entry.FindTruth("mirror-by-digest-only", problems);
            List<MirrorSettings> mirrors = [];
            foreach (ConfigNode mirror in TablesOf(entry, "mirror", problems))
            {
                string? pull = mirror.FindText("pull-from-mirror", problems);
                if (pull != "tag-only" && mirror.FindText("location", problems) is { Length: > 0 } place && ReadPlace(place, mirror, from, problems) is { } server)
                {
                    mirrors.Add(server with { IsForDigests = onlyDigests || pull == "digest-only" });
                }
            }
            bool isElsewhere = location is { Length: > 0 } && location != prefix;
            file._registries.Add((prefix, new RegistrySettings(prefix)
            {
                Mirrors = mirrors, IsInsecure = entry.FindTruth("insecure", problems), BlockedBy = entry.FindTruth("blocked", problems) ? path : null,
                Server = isElsewhere ? ReadPlace(location!, entry, from, problems) : null,
            }));
        }
        return file;
    }

    /// <summary>The entry with the longest prefix.</summary>
    public RegistrySettings? Find(string registry, string? repository)
        => _registries.Where(r => IsIn(r.Prefix, registry, repository)).OrderByDescending(r => r.Prefix.Length).Select(r => r.Settings).FirstOrDefault();

    private static bool IsIn(string prefix, string registry, string? repository)
    {
        if (prefix.StartsWith("*.", StringComparison.Ordinal))
        {
            return registry.Split(':')[0].EndsWith(prefix[1..], StringComparison.OrdinalIgnoreCase);
        }
        string name = repository is null ? registry : $"{registry}/{repository}";
        return name == prefix || name.StartsWith(prefix + "/", StringComparison.Ordinal);
    }

    private static MirrorSettings? ReadPlace(string location, ConfigNode entry, string from, List<ConfigProblem> problems)
    {
        string[] parts = location.Split('/', 2);
        if (location.Contains("://", StringComparison.Ordinal) || !Uri.TryCreate($"https://{parts[0]}/", UriKind.Absolute, out Uri? address))
        {
            problems.Add(new ConfigProblem(entry.Find("location")?.Offset ?? entry.Offset, $"location '{location}' is no host and path", "write it without scheme, as in mirror.example.com:5000/path"));
            return null;
        }
        bool isInsecure = entry.FindTruth("insecure", problems);
        string to = parts.Length > 1 ? parts[1].Trim('/') : "";
        return new MirrorSettings(address)
        {
            IsInsecure = isInsecure, IsSchemeKnown = !isInsecure && !address.IsLoopback,
            Rewrite = from.Length == 0 && to.Length == 0 ? null : new RepositoryRewrite(from, to),
        };
    }

    private static IEnumerable<ConfigNode> TablesOf(ConfigNode node, string name, List<ConfigProblem> problems)
    {
        ConfigNode? list = node.Find(name);
        if (list is not null && (list.Kind != ConfigKind.List || list.Items.Any(i => i.Kind != ConfigKind.Table)))
        {
            problems.Add(new ConfigProblem(list.Offset, $"'{name}' is a list of tables", $"write [[{name}]]"));
            return [];
        }
        return list?.Items ?? [];
    }
}
