using System.Text;
using Strata.Dockerfiles;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata.Build;

/// <summary>COPY and ADD.</summary>
internal sealed class CopyWork(CopyStep step, StepResult[] inputs, BuildEnvironment environment, BuildSettings settings) : ILayerWork
{
    private const int ManyFiles = 50_000; // some 10 MB of a plan
    private readonly List<FetchedFile> _fetched = [];
    private FileTime? _newest;
    private CopySelection? _selection;

    public async ValueTask<IReadOnlyList<MountPoint>> PrepareAsync(CancellationToken cancellationToken)
    {
        foreach ((GitSource source, GitCommit commit) in _commits)
        {
            string folder = environment.Content.Layout.NewIngestPath("git");
            _checkouts.Add(folder);
            await source.CheckOutAsync(commit, folder, Rules.KeepGitDirectory, Agent, cancellationToken).ConfigureAwait(false);
        }
        return [];
    }

    private async ValueTask<GitCommit> ResolveAsync(GitSource git, string url, CancellationToken cancellationToken)
    {
        GitCommit commit = await git.ResolveAsync(Agent, cancellationToken).ConfigureAwait(false);
        if (Rules.Commit is { } expected && !commit.Id.StartsWith(expected, StringComparison.Ordinal))
        {
            throw new StrataException(ErrorKind.Corrupt, $"{step.Span}: ADD {url}: the commit is {commit.Id}, not {expected}");
        }
        settings.Ledger?.Note(new Supply.LockedSource(Supply.SourceKind.Git, url, commit.Id));
        _commits.Add((git, commit));
        return commit;
    }

    private CopyRules Rules => step.Options;

    private readonly List<(GitSource Source, GitCommit Commit)> _commits = [];
    private readonly List<string> _checkouts = [];
    private readonly List<RootedDirectory> _folders = []; // what is planned is read when the layer is written

    private IEnumerable<string> LocalSources => step.Sources.Where(s => !Rules.IsAdd || (!FetchedFile.IsUrl(s) && GitSource.TryParse(s) is null));

    private string? Agent => settings.Agents.GetValueOrDefault("default");

    public async ValueTask<Digest?> HashInputsAsync(CancellationToken cancellationToken)
    {
        if (step.Origin is not ContextOrigin from)
        {
            return null; // another step's files count by its chain ID, text in the Dockerfile by the step itself
        }
        using var hash = new DigestBuilder();
        foreach (string url in step.Sources.Except(LocalSources))
        {
            if (GitSource.TryParse(url) is { } git)
            {
                GitCommit commit = await ResolveAsync(git, url, cancellationToken).ConfigureAwait(false);
                hash.Append(Encoding.UTF8.GetBytes($"git\0{commit.Id}\0{git.Folder}\0"));
                continue;
            }
            FetchedFile file = await FetchedFile.FetchAsync(url, environment.Content.Layout.NewIngestPath("fetch"), "ADD", cancellationToken).ConfigureAwait(false);
            _fetched.Add(file);
            settings.Ledger?.Note(new Supply.LockedSource(Supply.SourceKind.Url, url, file.Digest.ToString()));
            if (Rules.Checksum is { } expected && file.DigestBy(expected.HashAlgorithm) is var actual && expected != actual)
            {
                throw new DigestMismatchException(expected, actual, $"{step.Span}: ADD {url}");
            }
            hash.Append(Encoding.UTF8.GetBytes($"{file.Name}\0{file.Digest}\0"));
        }
        if (LocalSources.Any())
        {
            (RootedDirectory? context, DockerIgnore? ignore) = from.Name is null ? (settings.Context, settings.Ignore) : (settings.Contexts[from.Name].Root, settings.Contexts[from.Name].Ignore);
            _selection = Select(context ?? throw new StrataException(ErrorKind.Invalid, $"{step.Span}: {step.Display}: this build has no context"), ignore);
            hash.Append(Encoding.ASCII.GetBytes(_selection.Hash(owners: false, from.Name is null ? settings.Stats : settings.Contexts[from.Name].Stats, cancellationToken).ToString()));
        }
        return hash.Finish();
    }

    public void WriteFiles(TextWriter lines)
    {
        foreach (FetchedFile file in _fetched)
        {
            lines.Write($"{file.Digest}\t{file.Name}\n");
        }
        foreach ((GitSource source, GitCommit commit) in _commits)
        {
            lines.Write($"{commit.Id}\t{source.Remote}\n");
        }
        if (step.Origin is ContextOrigin from)
        {
            _selection?.WriteFiles(lines, from.Name is null ? settings.Stats : settings.Contexts[from.Name].Stats);
        }
    }

    /// <summary>All but ADD of an archive: what that holds is known when it is unpacked.</summary>
    public bool IsPlanned => !Rules.IsAdd || !(HasArchive(_selection, Rules.Unpack != false) || (Rules.Unpack == true && _fetched.Count > 0));

    public bool WriteLayer(LayerStack below, Stream tar, FileTime? clamp, CancellationToken cancellationToken)
    {
        using var plan = new LayerPlan(below);
        if (step.Origin is not StepOrigin)
        {
            Copy(plan, null, null, cancellationToken);
            return Write(plan, tar, clamp, cancellationToken);
        }
        bool isWritten = false;
        StepWork.WithMounted(environment, SourceSnapshot, source =>
        {
            Copy(plan, null, source, cancellationToken);
            isWritten = Write(plan, tar, clamp, cancellationToken);
        });
        return isWritten;
    }

    // Who applies the layer holds as much of each file as the plan did. The collector does not know that all of that is garbage now, and would let both stand.
    private static bool Write(LayerPlan plan, Stream tar, FileTime? clamp, CancellationToken cancellationToken)
    {
        bool isWritten = plan.Write(tar, clamp, cancellationToken);
        if (plan.Count > ManyFiles)
        {
            GC.Collect();
        }
        return isWritten;
    }

    public ValueTask RunAsync(ActiveSnapshot snapshot, CancellationToken cancellationToken)
    {
        StepWork.WithMounted(environment, snapshot, target =>
        {
            using var place = new DirectoryCopyTarget(target);
            Copy(place, target, null, cancellationToken);
        });
        return ValueTask.CompletedTask;
    }

    private CommittedSnapshot SourceSnapshot
        => inputs[1].Snapshot ?? throw new StrataException(ErrorKind.NotFound, $"{step.Span}: {step.Display}: the stage it copies from has no files");

    private static bool HasArchive(CopySelection? selection, bool unpacks)
    {
        foreach (CopySource source in unpacks && selection is not null ? selection.Sources : [])
        {
            if (source.Status.Kind == FileKind.Regular)
            {
                using ArchiveFile? archive = ArchiveFile.TryOpen(selection!.Root, source.Path);
                if (archive is not null)
                {
                    return true;
                }
            }
        }
        return false;
    }

    public DateTimeOffset? TimeOf(TimeProvider clock) => _newest?.ToDate();

    public ValueTask DisposeAsync()
    {
        foreach (RootedDirectory folder in _folders)
        {
            folder.Dispose();
        }
        foreach (FetchedFile file in _fetched)
        {
            file.Dispose();
        }
        foreach (string folder in _checkouts)
        {
            FileSystems.RemoveTree(folder);
        }
        return ValueTask.CompletedTask;
    }

    private CopySelection Select(RootedDirectory root, DockerIgnore? ignore)
    {
        try
        {
            DockerIgnore? exclude = Rules.Exclude.IsEmpty ? null : DockerIgnore.FromPatterns(Rules.Exclude);
            return CopySelection.Find(new TreeWalker(root, ignore), LocalSources, Rules.Parents, exclude);
        }
        catch (FormatException e)
        {
            throw new DockerfileException(step.Span, $"--exclude: {e.Message}");
        }
        catch (StrataException e) when (e.Kind is ErrorKind.NotFound or ErrorKind.Invalid)
        {
            throw new StrataException(e.Kind, $"{step.Span}: {step.Display}: {e.Message}", e) { Hint = e.Hint };
        }
    }

    // Archives are unpacked where there is a directory to unpack them into.
    private void Copy(ICopyTarget target, RootedDirectory? mounted, RootedDirectory? sourceRoot, CancellationToken cancellationToken)
    {
        (uint, uint)? owner = Rules.Owner is { } text ? OwnerNames.Resolve(target, text) : step.Origin is ContextOrigin ? (0u, 0u) : null;
        var attributes = new CopyAttributes(owner, Rules.Mode);
        if (step.Origin is InlineOrigin inline)
        {
            CopyInline(target, inline, attributes);
            return;
        }
        if (step.Origin is StepOrigin)
        {
            _selection = Select(sourceRoot!, null);
        }
        foreach (FetchedFile file in _fetched)
        {
            Note(file.Modified);
            PlaceFetched(target, mounted, file, attributes, cancellationToken);
        }
        foreach (((GitSource source, _), string folder) in _commits.Zip(_checkouts))
        {
            PlaceCheckout(target, source, folder, attributes, cancellationToken);
        }
        if (_selection is { } selection)
        {
            FileTime newest = selection.Newest();
            Note(newest);
            var copier = new FileCopier(target, attributes, settings.TimeOfMade(newest));
            CopySelection rest = mounted is not null && Rules.IsAdd && Rules.Unpack != false ? UnpackArchives(selection, mounted, copier, cancellationToken) : selection;
            if (!rest.Sources.IsEmpty)
            {
                copier.Copy(rest, step.Destination, Rules.Parents, cancellationToken);
            }
        }
    }

    private RootedDirectory OpenFolder(string path)
    {
        RootedDirectory folder = RootedDirectory.Open(path);
        _folders.Add(folder);
        return folder;
    }

    private void Note(FileTime time)
        => _newest = _newest is { } last && last.IsAfter(time) ? last : time;

    private void CopyInline(ICopyTarget target, InlineOrigin inline, CopyAttributes attributes)
    {
        bool into = step.Destination.EndsWith('/') || target.TryGetStatus(step.Destination, follow: true) is { Kind: FileKind.Directory };
        if (inline.Files.Length > 1 && !into)
        {
            throw new StrataException(ErrorKind.Invalid, $"{step.Span}: with more than one source file, the destination must be a directory and end with a /");
        }
        var copier = new FileCopier(target, attributes, settings.TimeOfMade(default));
        foreach (InlineFile file in inline.Files)
        {
            copier.Write(into ? step.Destination.TrimEnd('/') + "/" + file.Name : step.Destination, Encoding.UTF8.GetBytes(file.Content), 0b110_100_100, settings.TimeOfMade(default));
        }
    }

    private void PlaceFetched(ICopyTarget target, RootedDirectory? mounted, FetchedFile file, CopyAttributes attributes, CancellationToken cancellationToken)
    {
        RootedDirectory folder = OpenFolder(file.Folder);
        CopySelection selection = CopySelection.Find(new TreeWalker(folder, null), [file.Name], parents: false);
        var copier = new FileCopier(target, attributes, file.Modified);
        if (mounted is not null && Rules.Unpack == true)
        {
            selection = UnpackArchives(selection, mounted, copier, cancellationToken);
        }
        if (!selection.Sources.IsEmpty)
        {
            copier.Copy(selection, step.Destination, parents: false, cancellationToken);
        }
    }

    private void PlaceCheckout(ICopyTarget target, GitSource source, string checkout, CopyAttributes attributes, CancellationToken cancellationToken)
    {
        RootedDirectory folder = OpenFolder(checkout);
        DockerIgnore? exclude = Rules.Exclude.IsEmpty ? null : DockerIgnore.FromPatterns(Rules.Exclude);
        CopySelection selection = CopySelection.FindExact(new TreeWalker(folder, null), source.Folder ?? "", exclude);
        FileTime newest = selection.Newest();
        Note(newest);
        new FileCopier(target, attributes, settings.TimeOfMade(newest)).Copy(selection, step.Destination, parents: false, cancellationToken);
    }

    // Docker's ADD: a file of the context that is an archive, told by its first bytes and never by its name, is unpacked as a directory.
    private CopySelection UnpackArchives(CopySelection selection, RootedDirectory mounted, FileCopier copier, CancellationToken cancellationToken)
    {
        var rest = new List<CopySource>();
        foreach (CopySource source in selection.Sources)
        {
            if (source.Status.Kind != FileKind.Regular || !TryUnpack(selection.Root, source, mounted, copier, cancellationToken))
            {
                rest.Add(source);
            }
        }
        return selection.With(rest);
    }

    private bool TryUnpack(RootedDirectory root, CopySource source, RootedDirectory mounted, FileCopier copier, CancellationToken cancellationToken)
    {
        using ArchiveFile? archive = ArchiveFile.TryOpen(root, source.Path);
        if (archive is null)
        {
            return false;
        }
        copier.Prepare(step.Destination);
        using var target = new DirectoryCopyTarget(mounted);
        var options = new ExtractOptions { Prefix = step.Destination.Trim('/'), Owner = Rules.Owner is { } text ? OwnerNames.Resolve(target, text) : null };
        try
        {
            LayerExtractor.Extract(archive.Reader, mounted, options, cancellationToken);
        }
        catch (Exception e) when (e is StrataException or InvalidDataException)
        {
            throw new StrataException(ErrorKind.Corrupt, $"{step.Span}: ADD {source.Name}: {e.Message}", e);
        }
        copier.Finish();
        return true;
    }
}
