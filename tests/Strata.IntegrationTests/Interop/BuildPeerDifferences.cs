namespace Strata.IntegrationTests.Interop;

/// <summary>The settings and files of <see cref="BuildPeerCases"/> that BuildKit (docker 20.10) and buildah 1.28 make otherwise than we do; docs/compatibility.md has the reasons.</summary>
internal static class BuildPeerDifferences
{
    // A step that changes nothing makes no layer here; ONBUILD has a row here.
    private static readonly string[] s_history = ["history"];

    private static readonly string[] s_mountPoints = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run"];

    private static readonly string[] s_leaveMountPoints =
    [
        "copy-over-file", "copy-over-directory", "copy-through-link", "from-stage-of-stage", "target", "add-archive-over", "env", "arg-default", "arg-given", "arg-hidden-by-env", "arg-out-of-scope",
        "workdir", "user", "user-name", "shell", "volume-then-files", "run-exec-form", "run-modes", "run-links", "run-removes", "run-changes-kind", "run-replaces-directory", "run-changes-mode",
        "run-nothing", "run-bind", "run-bind-stage", "run-cache", "run-tmpfs",
    ];

    internal static readonly Dictionary<string, string[]> BuildKit = new(StringComparer.Ordinal)
    {
        ["copy-directory-link"] = ["/d"],
        ["copy-chmod-directory"] = ["/conf", "/conf/c.txt"],
        ["from-stage"] = ["/o"],
        ["workdir-existing"] = s_history,
        ["run-nothing"] = s_history,
        ["onbuild"] = s_history,
        ["onbuild-kept"] = s_history,
        ["run-bind"] = ["/m"],
        ["run-bind-stage"] = ["/m"],
        ["run-cache"] = ["/c"],
        ["run-tmpfs"] = ["/t"],
    };

    internal static readonly Dictionary<string, string[]> Buildah = WithMountPoints(new(StringComparer.Ordinal)
    {
        ["copy-directory"] = ["/conf/c.txt"],
        ["copy-directory-slashes"] = ["/conf/c.txt"],
        ["copy-two-directories"] = ["/both/c.txt"],
        ["copy-all"] = ["/all/conf/c.txt"],
        ["copy-to-workdir"] = ["/w/c.txt"],
        ["copy-over-directory"] = ["/conf/c.txt"],
        ["copy-glob-directory"] = ["/c/c.txt"],
        ["copy-chown-name"] = ["/conf/c.txt"],
        ["copy-chown-names"] = ["/conf/c.txt"],
        ["copy-keeps-setuid"] = ["/c"],
        ["copy-after-user"] = ["/conf/c.txt"],
        ["add-directory"] = ["/conf/c.txt"],
        ["copy-directory-link"] = ["/d"],
        ["copy-chmod-directory"] = ["/conf"],
        ["from-stage"] = ["/o"],
        ["shell"] = ["Cmd"],
        ["expose"] = ["ExposedPorts"],
        ["volume"] = ["/a b", "/c"],
        ["volume-then-files"] = ["/v/2"],
        ["run-bind-stage"] = ["/m"],
    });

    private static Dictionary<string, string[]> WithMountPoints(Dictionary<string, string[]> known)
    {
        foreach (string name in s_leaveMountPoints)
        {
            known[name] = [.. known.GetValueOrDefault(name, []), .. s_mountPoints];
        }
        return known;
    }
}
