using System.Globalization;
using System.Text.RegularExpressions;
using Strata.Linux;

namespace Strata.Build;

/// <summary>
/// A git repository as ADD and the context name it: <c>REMOTE[#REF[:FOLDER]]</c>, or <c>REMOTE?ref=REF&amp;subdir=FOLDER</c>
/// (docker docs, build/concepts/context, "Git repositories"). A remote is https or http with a path that ends in .git, ssh, git, or <c>USER@HOST:PATH</c>.
/// </summary>
/// <param name="Remote">What git is given.</param>
/// <param name="Reference">A branch, tag or commit; null for the remote's HEAD.</param>
/// <param name="Folder">A path in it; null for all of it.</param>
internal sealed partial record GitSource(string Remote, string? Reference, string? Folder)
{
    /// <summary>Reads a source; null where it names no repository.</summary>
    internal static GitSource? TryParse(string text)
    {
        if (text.StartsWith("github.com/", StringComparison.Ordinal))
        {
            text = "https://" + text;
        }
        int hash = text.IndexOf('#', StringComparison.Ordinal), query = hash < 0 ? text.IndexOf('?', StringComparison.Ordinal) : -1;
        string remote = hash >= 0 ? text[..hash] : query >= 0 ? text[..query] : text;
        bool isRemote = ShellForm().IsMatch(remote) || remote.StartsWith("ssh://", StringComparison.Ordinal) || remote.StartsWith("git://", StringComparison.Ordinal)
            || ((remote.StartsWith("https://", StringComparison.Ordinal) || remote.StartsWith("http://", StringComparison.Ordinal)) && remote.EndsWith(".git", StringComparison.Ordinal))
            || (remote.StartsWith("https://github.com/", StringComparison.Ordinal) && hash < 0 && query < 0 && remote.Split('/').Length == 5);
        if (!isRemote)
        {
            return null;
        }
        string? reference = null, folder = null;
        if (hash >= 0)
        {
            string[] parts = text[(hash + 1)..].Split(':', 2);
            (reference, folder) = (parts[0], parts.Length == 2 ? parts[1] : null);
        }
        foreach (string[] pair in query < 0 ? [] : text[(query + 1)..].Split('&').Select(p => p.Split('=', 2)))
        {
            string value = pair.Length == 2 ? Uri.UnescapeDataString(pair[1]) : "";
            reference = pair[0] is "ref" or "branch" or "tag" ? value : reference;
            folder = pair[0] is "subdir" ? value : folder;
        }
        return new GitSource(remote, string.IsNullOrEmpty(reference) ? null : reference, folder?.Trim('/') is { Length: > 0 } path ? path : null);
    }

    /// <summary>Asks the remote which commit the reference is; a whole commit's name is it, and nobody is asked.</summary>
    /// <exception cref="StrataException">NotFound: there is no such reference. Unavailable: the remote does not answer. Unsupported: git is not installed.</exception>
    internal async ValueTask<GitCommit> ResolveAsync(string? agent, CancellationToken cancellationToken)
    {
        if (Reference is not null && CommitName().IsMatch(Reference))
        {
            return new GitCommit(Reference, Reference);
        }
        string name = Reference ?? "HEAD";
        if (name.StartsWith('-'))
        {
            throw new StrataException(ErrorKind.Invalid, $"{Remote}: '{name}' names no branch, tag or commit");
        }
        string listed = await RunAsync(null, agent, ["ls-remote", "--", Remote, name, name + "^{}"], cancellationToken).ConfigureAwait(false);
        Dictionary<string, string> found = listed.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split('\t', 2)).Where(l => l.Length == 2).ToDictionary(l => l[1], l => l[0], StringComparer.Ordinal);
        // As git itself looks for a short name: a tag before a branch. An annotated tag is an object of its own; the commit is what it peels to.
        foreach (string full in new[] { name, "refs/tags/" + name, "refs/heads/" + name })
        {
            if (found.TryGetValue(full, out string? id))
            {
                return new GitCommit(full, found.GetValueOrDefault(full + "^{}", id));
            }
        }
        throw new StrataException(ErrorKind.NotFound, $"{Remote}: there is no branch or tag '{name}'") { Hint = "a commit is named by all of its 40 digits" };
    }

    /// <summary>Checks a commit out into a folder, with its submodules; all files get the commit's time.</summary>
    internal async ValueTask CheckOutAsync(GitCommit commit, string folder, bool keepsGit, string? agent, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(folder);
        await RunAsync(folder, agent, ["init", "--quiet"], cancellationToken).ConfigureAwait(false);
        await RunAsync(folder, agent, ["remote", "add", "origin", Remote], cancellationToken).ConfigureAwait(false);
        if (!await TryFetchAsync(folder, commit, agent, cancellationToken).ConfigureAwait(false))
        {
            // The server gives out branches and tags only, or the branch has gone on meanwhile: with all of its history the commit is there.
            await RunAsync(folder, agent, ["fetch", "--quiet", "--tags", "--force", "origin", "+refs/heads/*:refs/remotes/origin/*"], cancellationToken).ConfigureAwait(false);
        }
        await RunAsync(folder, agent, ["-c", "advice.detachedHead=false", "checkout", "--quiet", "--force", commit.Id], cancellationToken).ConfigureAwait(false);
        await RunAsync(folder, agent, ["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"], cancellationToken).ConfigureAwait(false);
        string seconds = await RunAsync(folder, agent, ["log", "-1", "--format=%ct"], cancellationToken).ConfigureAwait(false);
        using RootedDirectory root = RootedDirectory.Open(folder);
        if (!keepsGit)
        {
            foreach (TreeEntry entry in new TreeWalker(root, null).Walk("").Where(e => e.Path == ".git" || e.Path.EndsWith("/.git", StringComparison.Ordinal)).ToArray())
            {
                root.Remove(entry.Path); // a repository's names are a stranger's: below the checkout, whatever they are
            }
        }
        var time = new FileTime(long.Parse(seconds, CultureInfo.InvariantCulture), 0);
        foreach (TreeEntry entry in new TreeWalker(root, null).Walk("").Reverse())
        {
            root.SetTimes(entry.Path, time);
        }
        root.SetTimes("", time);
    }

    private static async ValueTask<bool> TryFetchAsync(string folder, GitCommit commit, string? agent, CancellationToken cancellationToken)
    {
        ChildResult result = await StartAsync(folder, agent, ["fetch", "--quiet", "--depth=1", "--no-tags", "origin", commit.Name], cancellationToken).ConfigureAwait(false);
        return result.ExitCode == 0 && (await StartAsync(folder, agent, ["cat-file", "-e", commit.Id + "^{commit}"], cancellationToken).ConfigureAwait(false)).ExitCode == 0;
    }

    private async ValueTask<string> RunAsync(string? folder, string? agent, string[] arguments, CancellationToken cancellationToken)
    {
        ChildResult result = await StartAsync(folder, agent, arguments, cancellationToken).ConfigureAwait(false);
        return result.ExitCode == 0 ? result.OutputText
            : throw new StrataException(ErrorKind.Unavailable, $"{Remote}: git {arguments.First(a => !a.StartsWith('-') && !a.Contains('=', StringComparison.Ordinal))}: {result.ErrorText.ReplaceLineEndings("; ")}");
    }

    // Nothing of this machine's configuration runs or asks, beside what reaches the network.
    private static ValueTask<ChildResult> StartAsync(string? folder, string? agent, string[] arguments, CancellationToken cancellationToken)
    {
        string git = ChildProcess.FindProgram("git") ?? throw new StrataException(ErrorKind.Unsupported, "a git source needs git, which is not installed") { Hint = "apt-get install git" };
        List<string> environment = ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_LFS_SKIP_SMUDGE=1", "GIT_SSH_COMMAND=ssh -o BatchMode=yes"];
        foreach (string name in new[] { "HOME", "https_proxy", "HTTPS_PROXY", "http_proxy", "no_proxy", "NO_PROXY", "GIT_SSL_CAINFO" })
        {
            if (Environment.GetEnvironmentVariable(name) is { } value)
            {
                environment.Add($"{name}={value}");
            }
        }
        if ((agent ?? Environment.GetEnvironmentVariable("SSH_AUTH_SOCK")) is { } socket)
        {
            environment.Add("SSH_AUTH_SOCK=" + socket);
        }
        string[] safe = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.autocrlf=false", "-c", "init.defaultBranch=main"];
        var start = new ChildStart { Program = git, Arguments = [.. safe, .. arguments], WorkingDirectory = folder ?? "/", Environment = environment };
        return ChildProcess.RunAsync(start, cancellationToken: cancellationToken);
    }

    [GeneratedRegex("^[A-Za-z0-9_-]+@[A-Za-z0-9.-]+:[^#]+$", RegexOptions.CultureInvariant)]
    private static partial Regex ShellForm();

    [GeneratedRegex("^([0-9a-f]{40}|[0-9a-f]{64})$", RegexOptions.CultureInvariant)]
    private static partial Regex CommitName();
}

/// <summary>A commit.</summary>
/// <param name="Name">The reference that leads to it, in full, as the remote has it.</param>
/// <param name="Id">Its digest.</param>
internal sealed record GitCommit(string Name, string Id);
