using System.Collections.Immutable;
using System.Net;
using System.Text;

namespace Strata.Containers;

/// <summary>The three files that name a container and its neighbours: made for each start, outside the image, and bound over what the image has there.</summary>
internal static class ContainerFiles
{
    /// <summary>Where they are seen.</summary>
    public static ImmutableArray<string> Targets { get; } = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

    /// <summary>Writes them into a bundle and gives the mounts.</summary>
    /// <param name="bundle">The bundle directory.</param>
    /// <param name="hostname">The container's name for itself.</param>
    /// <param name="hosts">More lines for /etc/hosts: address and name.</param>
    public static ImmutableArray<SpecMount> Write(string bundle, string hostname, IReadOnlyList<(IPAddress Address, string Name)> hosts)
    {
        var lines = new StringBuilder("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        lines.Append("127.0.1.1\t").Append(hostname).Append('\n');
        foreach ((IPAddress address, string name) in hosts)
        {
            lines.Append(address).Append('\t').Append(name).Append('\n');
        }
        return
        [
            Bind(bundle, "/etc/hosts", lines.ToString()),
            Bind(bundle, "/etc/hostname", hostname + "\n"),
            Bind(bundle, "/etc/resolv.conf", File.Exists("/etc/resolv.conf") ? File.ReadAllText("/etc/resolv.conf") : ""),
        ];
    }

    /// <summary>Writes the three files with texts that are made already, and gives the mounts.</summary>
    public static ImmutableArray<SpecMount> Write(string bundle, string hostname, string hosts, string resolv)
        => [Bind(bundle, "/etc/hosts", hosts), Bind(bundle, "/etc/hostname", hostname + "\n"), Bind(bundle, "/etc/resolv.conf", resolv)];

    /// <summary>The files of a container that runs, for one that shares its network.</summary>
    public static ImmutableArray<SpecMount> Share(string bundle, string hostname, string other)
        => [Mount("/etc/hosts", Path.Combine(other, "hosts")), Bind(bundle, "/etc/hostname", hostname + "\n"), Mount("/etc/resolv.conf", Path.Combine(other, "resolv.conf"))];

    private static SpecMount Bind(string bundle, string target, string text)
    {
        string source = Path.Combine(bundle, Path.GetFileName(target));
        File.WriteAllText(source, text);
        // Other users of the container read it too; the bundle directory above it keeps the host's users out.
        File.SetUnixFileMode(source, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead);
        return Mount(target, source);
    }

    private static SpecMount Mount(string target, string source) => new(target, "bind", source, ["bind", "rprivate", "rw", "nosuid", "nodev", "noexec"]);
}
