using System.Collections.Immutable;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Strata.Dockerfiles;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Build;

/// <summary>All that a build reads from outside: its context, the named ones, and the Dockerfile.</summary>
internal sealed class BuildContexts : IDisposable
{
    private readonly List<ContextFolder> _folders = [];
    private readonly Dictionary<ImageReference, Descriptor> _layouts = [];

    /// <summary>The build's own; null where it has none.</summary>
    internal ContextFolder? Main { get; set; }

    /// <summary>What the names mean.</summary>
    internal ImmutableArray<NamedContext> Named { get; private set; } = [];

    /// <summary>The files of those that are files.</summary>
    internal ImmutableDictionary<string, BuildFiles> Files { get; private set; } = ImmutableDictionary<string, BuildFiles>.Empty;

    /// <summary>The images that came from OCI layouts.</summary>
    internal IReadOnlyDictionary<ImageReference, Descriptor> Layouts => _layouts;

    internal void Add(NamedContext context) => Named = Named.Add(context);

    internal void Add(string name, TimeProvider time, ContextFolder folder)
    {
        _folders.Add(folder);
        RootedDirectory root = folder.Root ?? throw new StrataException(ErrorKind.Invalid, $"--build-context {name}: {folder.Name}: it is no archive");
        Files = Files.SetItem(name, new BuildFiles(root, ReadIgnore(root, "Dockerfile"), StatCache.CreateEmpty(time)));
        Add(new NamedContext(name, null));
    }

    internal void AddLayout(string name, ImageReference reference, Descriptor image)
    {
        _layouts[reference] = image;
        Add(new NamedContext(name, reference));
    }

    /// <summary>The Dockerfile and what messages call it: a text at hand, a file of this machine, or one of the context.</summary>
    /// <exception cref="StrataException">NotFound: it is not there.</exception>
    internal (string Text, string Name) ReadDockerfile(BuildRequest request)
    {
        string name = request.DockerfileName ?? "Dockerfile";
        if ((request.DockerfileText ?? Main?.Dockerfile) is { } given)
        {
            return (given, name);
        }
        if (request.DockerfilePath is { } path)
        {
            return File.Exists(path) ? (File.ReadAllText(path), Path.GetFileName(path))
                : throw new StrataException(ErrorKind.NotFound, $"Dockerfile {path}: no such file") { Hint = "name it with -f FILE, or - to read it from the input" };
        }
        if (Main?.Root?.TryGetStatus(name, follow: true) is null)
        {
            throw new StrataException(ErrorKind.NotFound, $"{(Main?.Name is "-" ? "standard input" : Main?.Name)}: no {name} in it") { Hint = "name it with -f FILE, or - to read it from the input" };
        }
        return (ReadText(Main.Root, name), name);
    }

    // UTF-8, mostly; what begins as no UTF-8 does is left to who knows the other marks.
    private static string ReadText(RootedDirectory folder, string name)
    {
        const int FirstBytes = 1 << 12;
        using SafeFileHandle file = folder.OpenFile(name, follow: true);
        byte[] bytes = new byte[FirstBytes];
        int length = 0;
        for (int read; (read = RandomAccess.Read(file, bytes.AsSpan(length), length)) > 0;)
        {
            length += read;
            if (length == bytes.Length)
            {
                Array.Resize(ref bytes, length * 2);
            }
        }
        if (length > 0 && bytes[0] is (0 or 0xFE or 0xFF))
        {
            using var reader = new StreamReader(new MemoryStream(bytes, 0, length));
            return reader.ReadToEnd();
        }
        int mark = bytes.AsSpan(0, length).StartsWith("\uFEFF"u8) ? 3 : 0;
        return Encoding.UTF8.GetString(bytes, mark, length - mark);
    }

    /// <summary>The ignore rules of a context; null where it has none.</summary>
    /// <param name="context">Its files.</param>
    /// <param name="dockerfile">The Dockerfile's name in it.</param>
    /// <param name="path">The Dockerfile's path, where it is a file of this machine that was named: rules beside it come first.</param>
    internal static DockerIgnore? ReadIgnore(RootedDirectory? context, string dockerfile, string? path = null)
    {
        if (path is not null && context is not null && File.Exists(path + ".dockerignore"))
        {
            return Parse(Path.GetFileName(path) + ".dockerignore", File.ReadAllText(path + ".dockerignore"));
        }
        foreach (string name in new[] { dockerfile + ".dockerignore", ".dockerignore" })
        {
            if (context?.TryGetStatus(name, follow: true) is { Kind: FileKind.Regular })
            {
                return Parse(name, ReadText(context, name));
            }
        }
        return null;
    }

    private static DockerIgnore Parse(string name, string text)
    {
        try
        {
            return DockerIgnore.Parse(text);
        }
        catch (FormatException e)
        {
            throw new StrataException(ErrorKind.Invalid, $"{name}: {e.Message}", e);
        }
    }

    public void Dispose()
    {
        Main?.Dispose();
        _folders.ForEach(f => f.Dispose());
    }
}
