using Strata.Content;

namespace Strata.Containers;

/// <summary>
/// Where running things are: on a tmpfs, so that a reboot forgets them, and apart for each store. Unix sockets have 107 bytes for their path:
/// the longest one here has 99.
/// <code>
/// /run/strata/HASH/            0700 (a user's: /run/user/UID/strata/HASH, UserPlaces); HASH: 16 hex digits of the store root's FNV-1a
///   crun/                      the runtime's own state
///   ID/                        bundle of a container: config.json, rootfs/, attach, ctl, pid, conmon.pid, exits/ID, hosts, hostname, resolv.conf
///   exec-ID-EXEC/              a further process in a container: process.json, attach, ctl, pid, exits/ID, exit
///   step-KEY/                  bundle of a build step
/// </code>
/// </summary>
public sealed class RuntimeLayout
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>The layout that belongs to a store. Does no I/O.</summary>
    public RuntimeLayout(StoreLayout store)
    {
        ArgumentNullException.ThrowIfNull(store);
        Root = Path.Combine(Linux.UserPlaces.RuntimeRoot, Hash(store.Root).ToString("x16", System.Globalization.CultureInfo.InvariantCulture));
    }

    // FNV-1a, 64 bits. It keeps stores apart and nobody out, and spares every command the start of a cryptographic library.
    private static ulong Hash(string text)
    {
        const ulong OffsetBasis = 14695981039346656037, Prime = 1099511628211;
        ulong hash = OffsetBasis;
        foreach (byte b in System.Text.Encoding.UTF8.GetBytes(text))
        {
            hash = (hash ^ b) * Prime;
        }
        return hash;
    }

    /// <summary>All of it.</summary>
    public string Root { get; }
    /// <summary>State of the OCI runtime.</summary>
    public string RuntimeState => Path.Combine(Root, "crun");
    /// <summary>Bundle of a container.</summary>
    public string Bundle(string id) => Path.Combine(Root, id);

    /// <summary>The directory of a further process in a container: its name tells whose it is, and is short enough for a socket's path.</summary>
    internal string Exec(string containerId, string execId) => Path.Combine(Root, $"exec-{containerId[..16]}-{execId[..16]}");

    /// <summary>Removes what the further processes of a container left.</summary>
    internal void RemoveExecs(string containerId)
    {
        string prefix = $"exec-{containerId[..16]}-";
        foreach (string name in Linux.FileSystems.TryGetNames(Root) ?? [])
        {
            if (name.StartsWith(prefix, StringComparison.Ordinal))
            {
                Linux.FileSystems.RemoveTree(Path.Combine(Root, name));
            }
        }
    }

    /// <summary>Makes an empty bundle directory with an empty rootfs/; what a dead process left there goes.</summary>
    internal string CreateBundle(string id)
    {
        string bundle = Bundle(id);
        Linux.FileSystems.RemoveTree(bundle);
        Directory.CreateDirectory(bundle, Private);
        Directory.CreateDirectory(Path.Combine(bundle, "rootfs"), Private);
        return bundle;
    }
}
