namespace Strata.IntegrationTests.Interop;

/// <summary>The settings and files that docker's classic builder and buildah make otherwise than we do, case by case; docs/compatibility.md has the reasons.</summary>
internal static class BuildDifferences
{
    // ADD --chown of an archive: theirs leaves what is in it as it is.
    private static readonly string[] s_addedArchive =
        ["/tar", "/tar/null", "/tar/su", "/tar/tmp", "/tar/usr", "/tar/usr/lib", "/tar/usr/lib/lib", "/tar/usr/lib/lib.so", "/tar/usr/lib/lib.so.1"];

    // What buildah mounts for a RUN stays behind, where the base has none.
    private static readonly string[] s_mountPoints = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run"];

    internal static readonly Dictionary<string, string[]> Docker = new(StringComparer.Ordinal)
    {
        ["stages"] = ["/copied"],
        ["chown"] = s_addedArchive,
        ["settings"] = ["WorkingDir"],
    };

    internal static readonly Dictionary<string, string[]> Buildah = new(StringComparer.Ordinal)
    {
        ["stages"] = ["/copied"],
        ["chown"] = s_addedArchive,
        ["arguments"] = s_mountPoints,
        ["archive"] = s_mountPoints,
        ["heredoc"] = s_mountPoints,
        ["again"] = s_mountPoints,
        ["workdir"] = [.. s_mountPoints, "/home/app/new", "/home/app/other"],
        ["settings"] = ["Entrypoint", "WorkingDir", "/w"],
    };
}
