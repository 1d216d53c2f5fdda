using Strata.Dockerfiles;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata.Build;

/// <summary>
/// The files a build reads: a folder as it is, or what an archive (a file, standard input, a URL) or a git repository holds, in a folder that goes
/// when the build is over. A text in place of an archive is the Dockerfile of a build without files, as in Docker.
/// </summary>
internal sealed class ContextFolder : IDisposable
{
    private const int MaxDockerfileBytes = 1 << 24; // far beyond any, and no memory's end
    private readonly string? _made;

    private ContextFolder(RootedDirectory? root, string name, string? made) => (Root, Name, _made) = (root, name, made);

    /// <summary>The files; null where there are none.</summary>
    internal RootedDirectory? Root { get; }

    /// <summary>As it was named.</summary>
    internal string Name { get; }

    /// <summary>The text that came in place of an archive.</summary>
    internal string? Dockerfile { get; private init; }

    /// <summary>Whether it is a folder of this machine, and no copy.</summary>
    internal bool IsLocal => _made is null && Root is not null;

    /// <summary>Opens a context.</summary>
    /// <param name="text">A path, a URL, or <c>-</c>.</param>
    /// <param name="input">What <c>-</c> reads.</param>
    /// <param name="folder">A path that nobody else has, for what has to be fetched or unpacked.</param>
    /// <param name="agent">The SSH agent for git; null: this process's.</param>
    /// <param name="cancellationToken">Ends it; nothing stays.</param>
    /// <exception cref="StrataException">NotFound, Unavailable: it is not there. Invalid: it is none of these.</exception>
    internal static async ValueTask<ContextFolder> OpenAsync(string text, Stream? input, string folder, string? agent, CancellationToken cancellationToken)
    {
        bool isUrl = FetchedFile.IsUrl(text);
        GitSource? git = isUrl || !Directory.Exists(text) ? GitSource.TryParse(text) : null;
        if (text != "-" && git is null && !isUrl && FileSystems.TryGetStatus(Path.GetFullPath(text), follow: true) is not { Kind: FileKind.Regular })
        {
            return new ContextFolder(OpenFolder(Path.GetFullPath(text)), text, null);
        }
        try
        {
            if (git is not null)
            {
                return await OpenGitAsync(git, text, folder, agent, cancellationToken).ConfigureAwait(false);
            }
            Directory.CreateDirectory(folder);
            if (isUrl)
            {
                using FetchedFile file = await FetchedFile.FetchAsync(text, Path.Combine(folder, "fetched"), "build context", cancellationToken).ConfigureAwait(false);
                return Unpack(file.Folder, file.Name, text, folder, cancellationToken);
            }
            if (text == "-")
            {
                await SaveAsync(input ?? throw new StrataException(ErrorKind.Invalid, "the context is -, and there is no input"), Path.Combine(folder, "input"), cancellationToken).ConfigureAwait(false);
                return Unpack(folder, "input", "-", folder, cancellationToken);
            }
            string path = Path.GetFullPath(text);
            return Unpack(Path.GetDirectoryName(path)!, Path.GetFileName(path), text, folder, cancellationToken);
        }
        catch
        {
            FileSystems.RemoveTree(folder);
            throw;
        }
    }

    public void Dispose()
    {
        Root?.Dispose();
        if (_made is not null)
        {
            FileSystems.RemoveTree(_made);
        }
    }

    private static RootedDirectory OpenFolder(string folder)
    {
        try
        {
            return RootedDirectory.Open(folder);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT or Errno.ENOTDIR)
        {
            throw new StrataException(ErrorKind.NotFound, $"build context {folder}: {(e.Errno is Errno.ENOENT ? "no such directory" : "not a directory")}", e)
            {
                Hint = "the last argument of build is a directory, mostly the dot: strata build -t NAME .",
            };
        }
    }

    private static async ValueTask<ContextFolder> OpenGitAsync(GitSource git, string text, string folder, string? agent, CancellationToken cancellationToken)
    {
        GitCommit commit = await git.ResolveAsync(agent, cancellationToken).ConfigureAwait(false);
        await git.CheckOutAsync(commit, folder, keepsGit: false, agent, cancellationToken).ConfigureAwait(false);
        RootedDirectory root = RootedDirectory.Open(folder);
        if (git.Folder is null)
        {
            return new ContextFolder(root, text, folder);
        }
        using (root)
        {
            return root.TryGetStatus(git.Folder, follow: true) is { Kind: FileKind.Directory } ? new ContextFolder(root.OpenDirectory(git.Folder), text, folder)
                : throw new StrataException(ErrorKind.NotFound, $"{text}: there is no folder {git.Folder} in it");
        }
    }

    private static ContextFolder Unpack(string place, string name, string text, string folder, CancellationToken cancellationToken)
    {
        using RootedDirectory from = RootedDirectory.Open(place);
        using ArchiveFile? archive = ArchiveFile.TryOpen(from, name);
        if (archive is null)
        {
            using var file = new FileStream(from.OpenFile(name, follow: true), FileAccess.Read);
            if (file.Length > MaxDockerfileBytes)
            {
                throw new StrataException(ErrorKind.Invalid, $"build context {(text == "-" ? "from standard input" : text)}: neither an archive nor a Dockerfile");
            }
            using var reader = new StreamReader(file);
            return new ContextFolder(null, text, folder) { Dockerfile = reader.ReadToEnd() };
        }
        string files = Path.Combine(folder, "files");
        Directory.CreateDirectory(files);
        RootedDirectory root = RootedDirectory.Open(files);
        try
        {
            LayerExtractor.Extract(archive.Reader, root, new ExtractOptions(), cancellationToken);
            return new ContextFolder(root, text, folder);
        }
        catch (Exception e) when (e is InvalidDataException or StrataException)
        {
            root.Dispose();
            throw new StrataException(ErrorKind.Corrupt, $"build context {(text == "-" ? "from standard input" : text)}: {e.Message}", e);
        }
    }

    private static async ValueTask SaveAsync(Stream input, string path, CancellationToken cancellationToken)
    {
        var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write);
        await using (file.ConfigureAwait(false))
        {
            await input.CopyToAsync(file, 1 << 17, cancellationToken).ConfigureAwait(false);
        }
    }
}

/// <summary>A context with a name and its own ignore rules: the build's own (no name), or one of --build-context.</summary>
internal sealed record BuildFiles(RootedDirectory Root, DockerIgnore? Ignore, StatCache Stats);
