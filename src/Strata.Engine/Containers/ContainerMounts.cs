using System.Collections.Immutable;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>Reads -v and --tmpfs.</summary>
internal static class ContainerMounts
{
    private static readonly string[] s_propagation = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];
    /// <summary>The option of a bind whose owners are mapped to the container's users, as crun and podman write it.</summary>
    internal const string Mapped = "idmap";
    private static readonly string[] s_flags = ["exec", "noexec", "suid", "nosuid", "dev", "nodev"];

    /// <summary><c>SOURCE:TARGET[:OPTIONS]</c>; <c>TARGET</c> alone is an anonymous volume. A source with a slash or a dot in front is a path, else a volume's name.</summary>
    /// <exception cref="StrataException">Invalid: it means nothing; NotFound: the path is not there.</exception>
    public static ContainerMount ParseVolume(string text)
    {
        string[] parts = text.Split(':');
        if (parts.Length > 3 || parts.Any(p => p.Length == 0))
        {
            throw Bad(text, "not SOURCE:TARGET[:OPTIONS]");
        }
        if (parts.Length == 1)
        {
            return new ContainerMount(ContainerMountKind.Volume, ContainerStore.CreateId(), CleanTarget(parts[0]), []) { Anonymous = true, CopyUp = true };
        }
        List<string> options = [.. parts.Length == 3 ? parts[2].Split(',', StringSplitOptions.RemoveEmptyEntries) : []];
        bool copyUp = !options.Remove("nocopy");
        // Labels for SELinux, which no Debian kernel enforces by default; podman's U would change owners on the host.
        options.RemoveAll(o => o is "z" or "Z" or "rw");
        if (options.Find(o => o is not ("ro" or "rbind" or "bind" or Mapped) && !s_propagation.Contains(o) && !s_flags.Contains(o)) is { } unknown)
        {
            throw Bad(text, $"no such option: {unknown}");
        }
        options.RemoveAll(o => o is "rbind" or "bind");
        string target = CleanTarget(parts[1]);
        if (parts[0][0] is '/' or '.')
        {
            string source = Path.GetFullPath(parts[0]);
            FileStatus status = FileSystems.TryGetStatus(source, follow: true)
                ?? throw new StrataException(ErrorKind.NotFound, $"volume '{text}': {source}: nothing there") { Hint = $"mkdir -p {source}" };
            return new ContainerMount(ContainerMountKind.Bind, source, target, [.. options]) { IsFile = status.Kind != FileKind.Directory };
        }
        return ContainerStore.IsName(parts[0])
            ? new ContainerMount(ContainerMountKind.Volume, parts[0], target, [.. options]) { CopyUp = copyUp }
            : throw Bad(text, $"'{parts[0]}' is neither a path (it would begin with / or .) nor a volume's name");
    }

    /// <summary><c>TARGET[:OPTIONS]</c>, options as tmpfs(5) has them.</summary>
    public static ContainerMount ParseTmpfs(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string target = CleanTarget(colon < 0 ? text : text[..colon]);
        string[] options = colon < 0 ? [] : text[(colon + 1)..].Split(',', StringSplitOptions.RemoveEmptyEntries);
        string[] known = ["size=", "mode=", "nr_inodes=", "nr_blocks=", "uid=", "gid="];
        if (options.FirstOrDefault(o => o is not ("ro" or "rw") && !s_flags.Contains(o) && !known.Any(k => o.StartsWith(k, StringComparison.Ordinal))) is { } unknown)
        {
            throw Bad(text, $"no such option: {unknown}");
        }
        string[] defaults = ["nosuid", "nodev", "noexec"];
        return new ContainerMount(ContainerMountKind.Tmpfs, "", target, [.. defaults.Where(d => !options.Contains(d[2..])), .. options]);
    }

    /// <summary>An absolute path without empty, "." or ".." components, and not the root.</summary>
    public static string CleanTarget(string path)
    {
        string[] parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (!path.StartsWith('/') || parts.Contains("..") || path.Contains('\0', StringComparison.Ordinal))
        {
            throw Bad(path, "the path in the container must be absolute, without ..");
        }
        string clean = "/" + string.Join('/', parts.Where(p => p != "."));
        return clean == "/" ? throw Bad(path, "the root of the container cannot be mounted over") : clean;
    }

    /// <summary>A mount as the runtime takes it.</summary>
    /// <param name="mount">The mount.</param>
    /// <param name="volumes">The volumes of the store.</param>
    /// <param name="hasUsers">Whether the container has users of its own: volumes are mapped then, as they would be without, and of the host's directories those that ask for it.</param>
    public static SpecMount ToSpec(ContainerMount mount, Volumes volumes, bool hasUsers) => mount.Kind switch
    {
        ContainerMountKind.Tmpfs => new SpecMount(mount.Target, "tmpfs", "tmpfs", mount.Options),
        ContainerMountKind.Bind => new SpecMount(mount.Target, "bind", mount.Source, ["rbind", .. Propagation(hasUsers ? mount.Options : mount.Options.Remove(Mapped))]),
        ContainerMountKind.Volume => volumes.ToSpec(mount.Source, mount.Target, mount.Options)
            ?? new SpecMount(mount.Target, "bind", volumes.PathOf(mount.Source), ["rbind", .. hasUsers ? (string[])[Mapped] : [], .. Propagation(mount.Options.Remove(Mapped))]),
        _ => throw new System.Diagnostics.UnreachableException(mount.Kind.ToString()),
    };

    /// <summary>The directories of the host in which a container's mounts and the host's are to be the same.</summary>
    /// <exception cref="StrataException">Invalid: the host's mount does not pass on what is mounted in it.</exception>
    public static IReadOnlyList<string> FindShared(ContainerRecord record)
    {
        var shared = new List<string>();
        foreach (ContainerMount mount in record.Mounts.Where(m => m.Kind == ContainerMountKind.Bind))
        {
            bool isShared = mount.Options.Any(o => o is "shared" or "rshared");
            if (!isShared && !mount.Options.Any(o => o is "slave" or "rslave"))
            {
                continue;
            }
            MountEntry on = Linux.Mounts.FindMount(mount.Source);
            if (!on.IsShared && (isShared || !on.IsFollower))
            {
                throw new StrataException(ErrorKind.Invalid, $"volume '{mount.Source}:{mount.Target}': {mount.Source} is mounted on {on.Target}, which is not a shared{(isShared ? "" : " or slave")} mount") { Hint = $"mount --make-shared {on.Target}" };
            }
            if (isShared)
            {
                shared.Add(mount.Source);
            }
        }
        return shared;
    }

    /// <summary>Whether what is mounted in it later goes in or out.</summary>
    internal static bool IsPassedOn(ImmutableArray<string> options) => options.Any(o => o is "shared" or "rshared" or "slave" or "rslave");

    private static ImmutableArray<string> Propagation(ImmutableArray<string> options)
        => options.Any(s_propagation.Contains) ? options : options.Add("rprivate");

    private static StrataException Bad(string text, string cause) => new(ErrorKind.Invalid, $"volume '{text}': {cause}");
}
