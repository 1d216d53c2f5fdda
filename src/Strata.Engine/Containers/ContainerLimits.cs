using System.Collections.Immutable;

namespace Strata.Containers;

/// <summary>Reads what people say of devices, kernel parameters and namespaces.</summary>
public static class ContainerLimits
{
    // Those whose namespaces a container has of its own (sysctl(8), namespaces(7)).
    private static readonly string[] s_ipc = ["kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"];

    /// <summary>Devices as --device names them.</summary>
    /// <exception cref="StrataException">Invalid, NotFound: there is no such device.</exception>
    public static ImmutableArray<ContainerDevice> ParseDevices(IEnumerable<string> texts) => [.. texts.SelectMany(HostDevices.Parse)];

    /// <summary>What --pid and its like say; null: a namespace of its own.</summary>
    /// <exception cref="StrataException">Invalid: there is no such thing.</exception>
    public static string? ParseNamespace(string option, string text) => option switch
    {
        "--ipc" => NamespacePaths.Parse(option, text, others: true, "shareable"),
        "--pid" => NamespacePaths.Parse(option, text, others: true),
        _ => NamespacePaths.Parse(option, text, others: false),
    };

    /// <summary>Kernel parameters: those only that are a container's own, and not the host's.</summary>
    /// <exception cref="StrataException">Invalid: it is the host's, or no <c>NAME=VALUE</c>.</exception>
    public static ImmutableSortedDictionary<string, string> ParseSysctls(IEnumerable<string> texts, IsolationOptions isolation)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentNullException.ThrowIfNull(isolation);
        ImmutableSortedDictionary<string, string> parameters = ImmutableSortedDictionary<string, string>.Empty;
        foreach (string text in texts)
        {
            string[] parts = text.Split('=', 2);
            string name = parts[0];
            bool isIpc = s_ipc.Contains(name) || name.StartsWith("fs.mqueue.", StringComparison.Ordinal), isNetwork = name.StartsWith("net.", StringComparison.Ordinal);
            if (parts.Length != 2 || name.Contains('/', StringComparison.Ordinal) || !(isIpc || isNetwork) || (isIpc && isolation.IpcMode is not null) || (isNetwork && isolation.Network == NetworkMode.Host))
            {
                throw new StrataException(ErrorKind.Invalid, $"--sysctl {text}: not a parameter of the container's own namespaces");
            }
            parameters = parameters.SetItem(name, parts[1]);
        }
        return parameters;
    }
}

/// <summary>Reads --ulimit.</summary>
public static class Ulimits
{
    // Their numbers are Linux' (asm-generic/resource.h).
    private static readonly string[] s_names = ["cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"];

    /// <summary><c>NAME=SOFT[:HARD]</c>, -1 for no limit; never above what this process may have itself.</summary>
    /// <exception cref="StrataException">Invalid: no such limit; the soft one is above the hard one.</exception>
    public static ImmutableArray<SpecRlimit> Parse(IEnumerable<string> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        return [.. texts.Select(Parse).GroupBy(l => l.Type).Select(g => g.Last())];
    }

    private static SpecRlimit Parse(string text)
    {
        string[] parts = text.Split('=', 2);
        int resource = Array.IndexOf(s_names, parts[0]);
        string[] numbers = parts.Length == 2 ? parts[1].Split(':') : [];
        if (resource < 0 || numbers.Length is not (1 or 2) || Number(numbers[0]) is not { } soft || Number(numbers[^1]) is not { } hard)
        {
            throw new StrataException(ErrorKind.Invalid, $"--ulimit {text}: not NAME=SOFT[:HARD] with one of {string.Join(' ', s_names)}");
        }
        if (soft > hard)
        {
            throw new StrataException(ErrorKind.Invalid, $"--ulimit {text}: the soft limit is above the hard one");
        }
        ulong own = Linux.Host.GetHardLimit(resource);
        return new SpecRlimit("RLIMIT_" + parts[0].ToUpperInvariant(), Math.Min(hard, own), Math.Min(soft, own));
    }

    private static ulong? Number(string text) => text is "-1" or "unlimited" ? ulong.MaxValue : ulong.TryParse(text, out ulong number) ? number : null;
}
