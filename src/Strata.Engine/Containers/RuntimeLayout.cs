using Strata.Content;

namespace Strata.Containers;

/// <summary>
/// Where running things are: on a tmpfs, so that a reboot forgets them, and apart for each store. Unix sockets have 107 bytes for their path:
/// the longest one here has 99.
/// <code>
/// /run/strata/HASH/            0700; HASH: 16 hex digits of the store root's FNV-1a
///   crun/                      the runtime's own state
///   ID/                        bundle of a container: config.json, rootfs/, attach, ctl, pid, conmon.pid, exits/ID, hosts, hostname, resolv.conf
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
        Root = Path.Combine("/run/strata", Hash(store.Root).ToString("x16", System.Globalization.CultureInfo.InvariantCulture));
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
