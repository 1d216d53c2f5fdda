using System.Globalization;

namespace Strata.Containers;

/// <summary>Where the namespaces of other containers are, which a container asks to share.</summary>
internal static class NamespacePaths
{
    private const string Prefix = "container:";

    /// <summary>Names of containers become paths of their namespaces.</summary>
    /// <exception cref="ContainerStartException">One of them does not run.</exception>
    public static IsolationOptions Resolve(IsolationOptions isolation, ContainerStore store) => isolation with
    {
        PidMode = Of(isolation.PidMode, "pid", store),
        IpcMode = Of(isolation.IpcMode, "ipc", store),
    };

    private static string? Of(string? mode, string space, ContainerStore store)
    {
        if (mode is null || !mode.StartsWith(Prefix, StringComparison.Ordinal))
        {
            return mode;
        }
        ContainerRecord other = store.Get(mode[Prefix.Length..]);
        return store.GetState(other) is { Status: ContainerStatus.Running, Pid: { } pid }
            ? string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/ns/{space}")
            : throw new ContainerStartException(125, $"--{space} {mode}: container {other.Name} does not run");
    }

    /// <summary>Reads what --pid, --ipc, --uts and --cgroupns say; null is a namespace of its own.</summary>
    /// <exception cref="StrataException">Invalid: there is no such thing.</exception>
    public static string? Parse(string option, string? text, bool others, params string[] own)
        => text is null or "" or "private" || own.Contains(text) ? null
            : text == "host" || (others && text.StartsWith(Prefix, StringComparison.Ordinal) && text.Length > Prefix.Length) ? text
            : throw new StrataException(ErrorKind.Invalid, $"{option} {text}: there are private, host{(others ? " and container:NAME" : "")}");
}
