namespace Strata.Dockerfiles.Lint;

/// <summary>Which paths commands make and remove, as far as their words tell.</summary>
internal static class LayerPaths
{
    /// <summary>A path seen from a folder. Without a WORKDIR the folder is not known, and paths stay relative to it.</summary>
    internal static string Combine(string folder, string path)
    {
        path = path.Trim('"', '\'');
        var parts = new List<string>();
        foreach (string part in (path.StartsWith('/') ? path : $"{folder}/{path}").Split('/'))
        {
            if (part == ".." && parts.Count > 0)
            {
                parts.RemoveAt(parts.Count - 1);
            }
            else if (part is not ("" or "." or ".."))
            {
                parts.Add(part);
            }
        }
        return (path.StartsWith('/') || folder.StartsWith('/') ? "/" : "") + string.Join('/', parts);
    }

    /// <summary>Whether removing one path removes another: the same, above it, or a pattern in its folder.</summary>
    internal static bool Covers(string removed, string path)
    {
        if (removed.Length > 1 && (path == removed || path.StartsWith(removed + "/", StringComparison.Ordinal)))
        {
            return true;
        }
        int star = removed.IndexOf('*', StringComparison.Ordinal);
        return star > 1 && path.Length > star && path.StartsWith(removed[..star], StringComparison.Ordinal)
            && (path.EndsWith(removed[(star + 1)..], StringComparison.Ordinal) || path.AsSpan(star).Contains('/'));
    }

    internal static IEnumerable<string> MadeBy(CopyInstruction copy, string folder)
    {
        string target = Combine(folder, copy.Destination);
        foreach (string source in copy.Sources.Where(s => s.TrimEnd('/') is not ("." or "" or "./" or "..") && !s.StartsWith("<<", StringComparison.Ordinal)))
        {
            // Whether the destination is a folder is not known without a look: both are named.
            string name = source.TrimEnd('/').Split('/')[^1];
            if (!name.AsSpan().ContainsAny("*?"))
            {
                yield return Combine(target, name);
            }
            if (copy.Sources.Length == 1 && !copy.Destination.EndsWith('/') && target.Length > 1)
            {
                yield return target;
            }
        }
    }

    internal static IEnumerable<string> MadeBy(ShellCommand command, string folder) => RawMadeBy(command).Select(p => Combine(folder, p));

    private static IEnumerable<string> RawMadeBy(ShellCommand command)
    {
        if (command.Output is { } output && output != "/dev/null" && command.Program is not ("echo" or "printf"))
        {
            yield return output;
        }
        bool installs = command.Has("install") || command.Has("update") || command.Has("upgrade") || command.Has("add");
        IEnumerable<string> more = command.Program switch
        {
            "dd" => command.Words.Where(w => w.StartsWith("of=", StringComparison.Ordinal)).Select(w => w[3..]),
            "wget" => command.After("-O", "--output-document") is { } named ? [named] : Urls(command).Select(u => Combine(command.After("-P", "--directory-prefix") ?? "", u)),
            "curl" => (command.After("-o", "--output") ?? AfterCluster(command, 'o')) is { } named ? [named] : command.Words.Any(w => w is "--remote-name" or ['-', not '-', ..] && (w == "--remote-name" || w.Contains('O', StringComparison.Ordinal))) ? Urls(command) : [],
            "tar" or "bsdtar" => TarMakes(command),
            "unzip" => command.After("-d", "-d") is { } to ? [to] : [],
            "git" when command.Has("clone") => command.Operands.SkipWhile(o => o != "clone").Skip(1).ToArray() is { Length: > 1 } words ? [words[^1]] : Urls(command).Select(u => u.EndsWith(".git", StringComparison.Ordinal) ? u[..^4] : u),
            "truncate" or "fallocate" or "touch" => command.Operands.TakeLast(1),
            "cp" or "mv" => command.Operands.TakeLast(1),
            "apt-get" or "apt" when command.Has("update") => ["/var/lib/apt/lists"],
            "apt-get" or "apt" when installs => ["/var/cache/apt/archives"],
            "yum" when installs => ["/var/cache/yum"],
            "dnf" or "microdnf" when installs => ["/var/cache/dnf"],
            "apk" when installs && !command.Has("--no-cache") => ["/var/cache/apk"],
            "pip" or "pip3" when installs && !command.Has("--no-cache-dir") => ["/root/.cache/pip"],
            _ => [],
        };
        foreach (string path in more.Where(p => p is not ("-" or "" or "/dev/null" or "/dev/stdout")))
        {
            yield return path;
        }
    }

    // curl -fsSLo FILE: the last letter of a cluster takes the next word.
    private static string? AfterCluster(ShellCommand command, char letter)
        => command.Words.SkipWhile(w => !(w is ['-', not '-', _, ..] && w[^1] == letter)).Skip(1).FirstOrDefault();

    internal static IEnumerable<string> RemovedBy(ShellCommand command, string folder) => command.Program switch
    {
        "rm" or "unlink" or "rmdir" or "shred" => command.Operands.Select(o => Combine(folder, o)),
        "apt-get" or "apt" when command.Has("clean") => ["/var/cache/apt/archives"],
        "yum" when command.Has("clean") => ["/var/cache/yum"],
        "dnf" or "microdnf" when command.Has("clean") => ["/var/cache/dnf"],
        _ => [],
    };

    private static IEnumerable<string> TarMakes(ShellCommand command)
    {
        string mode = command.Words.Length > 1 ? command.Words[1] : "";
        if (mode.Contains('c', StringComparison.Ordinal) && mode.Contains('f', StringComparison.Ordinal) && command.Words.Length > 2)
        {
            return [command.Words[2]];
        }
        return command.After("-C", "--directory") is { } to && (mode.Contains('x', StringComparison.Ordinal) || command.Has("--extract")) ? [to] : [];
    }

    private static IEnumerable<string> Urls(ShellCommand command)
        => command.Operands.Where(o => o.Contains("://", StringComparison.Ordinal)).Select(o => o.Split('?', '#')[0].TrimEnd('/').Split('/')[^1]);
}
