namespace Strata.Distribution;

/// <summary>Where configuration is read from: our own files, and those of other engines, which are asked where ours do not speak of a registry.</summary>
public sealed record RegistryFiles
{
    /// <summary>The environment variable that names the one file of our own.</summary>
    public const string PathVariable = "STRATA_CONFIG";

    /// <summary>No files at all.</summary>
    public static RegistryFiles None { get; } = new();

    /// <summary>Our own; a later one has the last word on a registry. Those that are not there are passed over, unless <see cref="MustExist"/>.</summary>
    public IReadOnlyList<string> Own { get; init; } = [];

    /// <summary>Whether it is an error when one of our own is not there: somebody named it.</summary>
    public bool MustExist { get; init; }

    /// <summary>Docker's daemon.json.</summary>
    public string? DockerDaemon { get; init; }

    /// <summary>Folders with a folder for each <c>host:port</c>, with *.crt (authorities), *.cert and *.key (who we are) in it.</summary>
    public IReadOnlyList<string> Certificates { get; init; } = [];

    /// <summary>containerd's folder with a folder for each host, with a hosts.toml in it.</summary>
    public string? ContainerdHosts { get; init; }

    /// <summary>registries.conf of Podman, Buildah and Skopeo, and the files beside it; a later one has the last word.</summary>
    public IReadOnlyList<string> ContainersRegistries { get; init; } = [];

    /// <summary>Certificates that this user pinned (<see cref="PinFile"/>).</summary>
    public string? Pins { get; init; }

    /// <summary>The files of this machine and user.</summary>
    public static RegistryFiles OfUser()
    {
        string settings = Environment.GetEnvironmentVariable("XDG_CONFIG_HOME") is { Length: > 0 } folder ? folder : Path.Combine(LoginFile.Home, ".config");
        string? named = Environment.GetEnvironmentVariable(PathVariable);
        return new RegistryFiles
        {
            Own = string.IsNullOrEmpty(named) ? ["/etc/strata/registries.json", RegistryConfiguration.DefaultPath, Path.Combine(settings, "strata", "strata.toml")] : [named],
            MustExist = !string.IsNullOrEmpty(named),
            DockerDaemon = "/etc/docker/daemon.json",
            Certificates = ["/etc/docker/certs.d", "/etc/containers/certs.d"],
            ContainerdHosts = "/etc/containerd/certs.d",
            ContainersRegistries = ContainersFiles(settings),
            Pins = Path.Combine(settings, "strata", "pins"),
        };
    }

    // containers-registries.conf(5): the user's file instead of the machine's, then the drop-ins in the order of their names.
    private static string[] ContainersFiles(string settings)
    {
        string? named = Environment.GetEnvironmentVariable("CONTAINERS_REGISTRIES_CONF");
        string own = Path.Combine(settings, "containers", "registries.conf");
        string main = !string.IsNullOrEmpty(named) ? named : File.Exists(own) ? own : "/etc/containers/registries.conf";
        string[] more = !string.IsNullOrEmpty(named) ? [] : ["/etc/containers/registries.conf.d", own + ".d"];
        return [main, .. more.Where(Directory.Exists).SelectMany(d => Directory.EnumerateFiles(d, "*.conf").Order(StringComparer.Ordinal))];
    }
}
