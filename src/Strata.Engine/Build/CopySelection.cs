using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Strata.Dockerfiles;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Build;

/// <summary>
/// One source of a COPY or ADD, found: a file, or a directory whose content is copied.
/// <see cref="Path"/> is where it is read, <see cref="Name"/> what it is called below a destination that is a directory.
/// </summary>
internal sealed record CopySource(string Path, string Name, FileStatus Status)
{
    internal bool IsDirectory => Status.Kind == FileKind.Directory;
}

/// <summary>The sources of a COPY or ADD in a tree: wildcards expanded, links at the top followed, as Docker does.</summary>
internal sealed class CopySelection
{
    private const int HashBufferBytes = 1 << 18; // one read for most source files
    private const int FewFiles = 256; // not worth a thread

    private readonly TreeWalker _tree;
    private readonly DockerIgnore? _exclude;
    private readonly Dictionary<CopySource, EntryList> _walked = new(ReferenceEqualityComparer.Instance);

    private CopySelection(TreeWalker tree, DockerIgnore? exclude, ImmutableArray<CopySource> sources) => (_tree, _exclude, Sources) = (tree, exclude, sources);

    internal ImmutableArray<CopySource> Sources { get; }

    internal RootedDirectory Root => _tree.Root;

    /// <summary>The entries below a source that is a directory; their paths are relative to the tree's root. Looked at once: what was hashed is what is copied.</summary>
    internal IEnumerable<TreeEntry> Walk(CopySource source) => Entries(source).All();

    /// <summary>As <see cref="Walk"/>, for who looks last: what was told is forgotten.</summary>
    internal IEnumerable<TreeEntry> Take(CopySource source)
    {
        EntryList entries = Entries(source);
        _walked.Remove(source);
        return entries.Take();
    }

    private EntryList Entries(CopySource source)
    {
        if (!_walked.TryGetValue(source, out EntryList? entries))
        {
            _walked[source] = entries = new EntryList(WalkTree(source));
        }
        return entries;
    }

    private IEnumerable<TreeEntry> WalkTree(CopySource source)
    {
        if (_exclude is null)
        {
            return _tree.Walk(source.Path);
        }
        // --exclude speaks of paths below the source, as BuildKit has it. What is brought back keeps the directories that it is in.
        TreeEntry[] all = [.. _tree.Walk(source.Path)];
        HashSet<string> kept = [.. all.Where(e => !_exclude.IsIgnored(Relative(source, e))).Select(e => e.Path)];
        foreach (string path in kept.ToArray())
        {
            for (int slash = path.LastIndexOf('/'); slash > source.Path.Length; slash = path.LastIndexOf('/', slash - 1))
            {
                kept.Add(path[..slash]);
            }
        }
        return all.Where(e => kept.Contains(e.Path));
    }

    /// <summary>The same tree with other sources.</summary>
    internal CopySelection With(IEnumerable<CopySource> sources) => new(_tree, _exclude, [.. sources]);

    /// <summary>Finds the sources.</summary>
    /// <exception cref="StrataException">NotFound: nothing is at a source that has no wildcard, or nothing matches any of them.</exception>
    internal static CopySelection Find(TreeWalker tree, IEnumerable<string> patterns, bool parents, DockerIgnore? exclude = null)
    {
        ImmutableArray<CopySource>.Builder sources = ImmutableArray.CreateBuilder<CopySource>();
        foreach (string pattern in patterns)
        {
            int before = sources.Count;
            (string clean, int pivot) = Clean(pattern, parents);
            bool excluded = false;
            foreach (string path in PathPattern.Expand(tree, clean))
            {
                if (exclude is not null && tree.Root.TryGetStatus(path, follow: true) is { Kind: not FileKind.Directory } && (exclude.IsIgnored(path) || exclude.IsIgnored(path[(path.LastIndexOf('/') + 1)..])))
                {
                    excluded = true;
                    continue;
                }
                // The top of a source is followed where it is a link; links below it are copied as links.
                if (tree.Root.TryGetStatus(path, follow: true) is { } status)
                {
                    string real = status.Kind == FileKind.Directory || tree.Root.TryGetStatus(path)!.Value.Kind == FileKind.SymbolicLink ? Resolve(tree.Root, path) : path;
                    sources.Add(new CopySource(real, parents ? path[Math.Min(pivot, path.Length)..] : path[(path.LastIndexOf('/') + 1)..], status));
                }
            }
            if (sources.Count == before && !excluded && !PathPattern.HasWildcard(clean))
            {
                throw NotFound(tree, pattern, clean);
            }
        }
        if (sources.Count == 0 && exclude is null)
        {
            throw new StrataException(ErrorKind.NotFound, $"no source files were specified: nothing matches {string.Join(' ', patterns)}");
        }
        return new CopySelection(tree, exclude, sources.ToImmutable());
    }

    /// <summary>One source by its path, without wildcards: what a mount shows.</summary>
    /// <exception cref="StrataException">NotFound: nothing is there.</exception>
    internal static CopySelection FindExact(TreeWalker tree, string path, DockerIgnore? exclude = null)
    {
        (string clean, _) = Clean(path, parents: false);
        if (tree.IsHidden(clean) || tree.Root.TryGetStatus(clean, follow: true) is not { } status)
        {
            throw NotFound(tree, path, clean);
        }
        return new CopySelection(tree, exclude, [new CopySource(Resolve(tree.Root, clean), clean[(clean.LastIndexOf('/') + 1)..], status)]);
    }

    /// <summary>
    /// A digest over all that would be copied: names as they will be called, kinds, modes, link targets, content; owners where
    /// <paramref name="owners"/> says that they are kept. Times do not count.
    /// </summary>
    internal Digest Hash(bool owners, StatCache stats, CancellationToken cancellationToken)
    {
        HashFiles(stats, cancellationToken);
        using var hash = new DigestBuilder();
        foreach (CopySource source in Sources)
        {
            Append(hash, source.IsDirectory ? "" : source.Name, source.Path, source.Status, owners, stats);
            if (!source.IsDirectory)
            {
                continue;
            }
            foreach (TreeEntry entry in Walk(source))
            {
                cancellationToken.ThrowIfCancellationRequested();
                Append(hash, Relative(source, entry), entry.Path, entry.Status, owners, stats);
            }
        }
        return hash.Finish();
    }

    /// <summary>The newest mtime of what would be copied: deterministic for what a copy makes besides (directories on the way).</summary>
    internal FileTime Newest()
    {
        FileTime newest = default;
        foreach (CopySource source in Sources)
        {
            newest = source.Status.Modified.IsAfter(newest) ? source.Status.Modified : newest;
            if (!source.IsDirectory)
            {
                continue;
            }
            foreach (TreeEntry entry in Walk(source))
            {
                newest = entry.Status.Modified.IsAfter(newest) ? entry.Status.Modified : newest;
            }
        }
        return newest;
    }

    internal static string Relative(CopySource source, TreeEntry entry) => source.Path.Length == 0 ? entry.Path : entry.Path[(source.Path.Length + 1)..];

    private void Append(DigestBuilder hash, string name, string path, FileStatus status, bool owners, StatCache stats)
    {
        Span<byte> numbers = stackalloc byte[32];
        BinaryPrimitives.WriteInt32LittleEndian(numbers, (int)status.Kind);
        BinaryPrimitives.WriteInt32LittleEndian(numbers[4..], status.Mode);
        BinaryPrimitives.WriteInt64LittleEndian(numbers[8..], status.Kind == FileKind.Regular ? status.Size : ((long)status.DeviceMajor << 32) | status.DeviceMinor);
        BinaryPrimitives.WriteUInt32LittleEndian(numbers[16..], owners ? status.Uid : 0);
        BinaryPrimitives.WriteUInt32LittleEndian(numbers[20..], owners ? status.Gid : 0);
        byte[] text = LinuxPath.Encode(name);
        BinaryPrimitives.WriteInt64LittleEndian(numbers[24..], text.Length);
        hash.Append(numbers);
        hash.Append(text);
        if (status.Kind == FileKind.SymbolicLink)
        {
            hash.Append(Encoding.UTF8.GetBytes("\0" + Root.ReadLink(path) + "\0"));
        }
        else if (status.Kind == FileKind.Regular)
        {
            Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
            HashFile(path, status, stats, digest);
            hash.Append(digest);
        }
    }

    // By several threads: each new file is opened and read, which the kernel lets several do at once.
    private void HashFiles(StatCache stats, CancellationToken cancellationToken)
    {
        if (HasMany(stats)) // else they are read where they are met
        {
            HashMany(stats, cancellationToken);
        }
    }

    private void HashMany(StatCache stats, CancellationToken cancellationToken)
    {
        var options = new ParallelOptions { MaxDegreeOfParallelism = Math.Clamp(Environment.ProcessorCount, 1, 4), CancellationToken = cancellationToken };
        foreach (CopySource source in Sources)
        {
            try
            {
                _ = source.IsDirectory ? Parallel.ForEach(Entries(source).Blocks, options, block => HashFiles(block, stats)) : default;
            }
            catch (AggregateException e)
            {
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
            }
        }
    }

    private void HashFiles(TreeEntry[] block, StatCache stats)
    {
        using RootedDirectory root = Root.OpenDirectory("");
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        foreach (ref readonly TreeEntry entry in block.AsSpan())
        {
            if (entry.Name is not null && entry.Status.Kind == FileKind.Regular)
            {
                HashFile(root, entry.Path, entry.Status, stats, digest);
            }
        }
    }

    private bool HasMany(StatCache stats)
    {
        int unknown = 0;
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        foreach (CopySource source in Sources)
        {
            foreach (TreeEntry entry in source.IsDirectory ? Walk(source) : [])
            {
                if (entry.Status.Kind == FileKind.Regular && !stats.TryGet(entry.Status, digest) && ++unknown == FewFiles)
                {
                    return true;
                }
            }
        }
        return false;
    }

    private void HashFile(string path, in FileStatus status, StatCache stats, Span<byte> digest) => HashFile(Root, path, status, stats, digest);

    private static void HashFile(RootedDirectory root, string path, in FileStatus status, StatCache stats, Span<byte> digest)
    {
        if (stats.TryGet(status, digest))
        {
            return;
        }
        using SafeFileHandle file = root.OpenFile(path, follow: true);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(HashBufferBytes);
        int read = RandomAccess.Read(file, buffer, 0);
        if (read < buffer.Length && read == status.Size)
        {
            SHA256.HashData(buffer.AsSpan(0, read), digest);
        }
        else
        {
            using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            for (long offset = 0; (read = RandomAccess.Read(file, buffer, offset)) > 0; offset += read)
            {
                hash.AppendData(buffer.AsSpan(0, read));
            }
            hash.GetHashAndReset(digest);
        }
        ArrayPool<byte>.Shared.Return(buffer);
        stats.Add(status, digest);
    }

    /// <summary>A line for each thing that would be copied: what <see cref="Hash"/> takes of it, then its name. For those who ask what changed.</summary>
    internal void WriteFiles(TextWriter lines, StatCache stats)
    {
        byte[] digest = new byte[SHA256.HashSizeInBytes];
        foreach (CopySource source in Sources)
        {
            WriteFile(source.IsDirectory ? "." : source.Name, source.Path, source.Status);
            foreach (TreeEntry entry in source.IsDirectory ? Walk(source) : [])
            {
                WriteFile(Relative(source, entry), entry.Path, entry.Status);
            }
        }

        void WriteFile(string name, string path, FileStatus status)
        {
            string content = status.Kind.ToString();
            if (status.Kind == FileKind.Regular)
            {
                HashFile(path, status, stats, digest);
                content = "sha256:" + Convert.ToHexStringLower(digest);
            }
            else if (status.Kind == FileKind.SymbolicLink)
            {
                content = "link to " + Root.ReadLink(path).ReplaceLineEndings(" ");
            }
            lines.Write($"{content} mode {Convert.ToString(status.Mode, 8)}\t{name.ReplaceLineEndings("?")}\n");
        }
    }

    /// <summary>Removes what leads nowhere; with <paramref name="parents"/>, a <c>/./</c> says from where on the path is kept.</summary>
    private static (string Path, int Pivot) Clean(string pattern, bool parents)
    {
        var parts = new List<string>();
        int pivotParts = 0;
        foreach (string part in pattern.Split('/'))
        {
            if (part == "." && parents)
            {
                pivotParts = parts.Count;
            }
            else if (part == "..")
            {
                // A context has no outside: the top's parent is the top, as in a root directory.
                parts.RemoveRange(Math.Max(0, parts.Count - 1), Math.Min(1, parts.Count));
            }
            else if (part.Length > 0 && part != ".")
            {
                parts.Add(part);
            }
        }
        return (string.Join('/', parts), parts.Take(pivotParts).Sum(p => p.Length + 1));
    }

    // A link's own path is not where its target's children are: they must be walked where they are.
    private static string Resolve(RootedDirectory root, string path)
    {
        const int MaxLinks = 40; // the kernel's own limit
        string[] pending = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        var rest = new Stack<string>(pending.Reverse());
        string current = "";
        for (int links = 0; rest.TryPop(out string? part);)
        {
            if (part is "." or "")
            {
                continue;
            }
            if (part == "..")
            {
                current = current.Contains('/', StringComparison.Ordinal) ? current[..current.LastIndexOf('/')] : "";
                continue;
            }
            string next = current.Length == 0 ? part : current + "/" + part;
            if (root.TryGetStatus(next) is not { Kind: FileKind.SymbolicLink })
            {
                current = next;
                continue;
            }
            if (++links > MaxLinks)
            {
                throw new LinuxException("open", path, Errno.ELOOP);
            }
            string target = root.ReadLink(next);
            current = target.StartsWith('/') ? "" : current;
            foreach (string component in target.Split('/', StringSplitOptions.RemoveEmptyEntries).Reverse())
            {
                rest.Push(component);
            }
        }
        return current;
    }

    private static StrataException NotFound(TreeWalker tree, string pattern, string clean)
    {
        bool ignored = tree.Root.TryGetStatus(clean) is not null && tree.IsIgnored(clean);
        string directory = clean.Contains('/', StringComparison.Ordinal) ? clean[..clean.LastIndexOf('/')] : "";
        string[] there = tree.Root.TryGetStatus(directory, follow: true) is { Kind: FileKind.Directory } ? [.. tree.Root.GetNames(directory).Order(StringComparer.Ordinal).Take(8)] : [];
        return new StrataException(ErrorKind.NotFound, $"\"{pattern}\": not found")
        {
            Hint = ignored ? $"{clean} is there, but a pattern of .dockerignore hides it"
                : there.Length == 0 ? "the build context has no such folder, or nothing in it"
                : $"/{directory} has: {string.Join(", ", there)}",
        };
    }
}

/// <summary>Entries in blocks: a list that doubles copies all it has, and leaves what it had.</summary>
internal sealed class EntryList
{
    private const int BlockEntries = 512; // below what the collector calls large
    private readonly List<TreeEntry[]> _blocks = [];
    private int _count;

    internal EntryList(IEnumerable<TreeEntry> entries)
    {
        foreach (TreeEntry entry in entries)
        {
            if (_count % BlockEntries == 0)
            {
                _blocks.Add(new TreeEntry[BlockEntries]);
            }
            _blocks[^1][_count++ % BlockEntries] = entry;
        }
    }

    /// <summary>The entries in pieces; behind the last one are some without a name.</summary>
    internal IReadOnlyList<TreeEntry[]> Blocks => _blocks;

    internal IEnumerable<TreeEntry> All()
    {
        for (int i = 0; i < _count; i++)
        {
            yield return _blocks[i / BlockEntries][i % BlockEntries];
        }
    }

    /// <summary>All of them, each piece let go of when it is told: many files are not held here and by who makes something of them.</summary>
    internal IEnumerable<TreeEntry> Take()
    {
        for (int piece = 0; piece < _blocks.Count; piece++)
        {
            TreeEntry[] block = _blocks[piece];
            _blocks[piece] = [];
            foreach (TreeEntry entry in block)
            {
                if (entry.Name is not null)
                {
                    yield return entry;
                }
            }
        }
    }
}
