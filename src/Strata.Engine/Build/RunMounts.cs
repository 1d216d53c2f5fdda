using System.Text;
using Strata.Containers;
using Strata.Dockerfiles;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata.Build;

/// <summary>What a RUN mounts: found, made ready, and given back when the step is over.</summary>
internal sealed class RunMounts(RunStep step, StepResult[] inputs, BuildEnvironment environment, BuildSettings settings) : IAsyncDisposable
{
    private readonly Dictionary<StepMount, CopySelection> _context = new(ReferenceEqualityComparer.Instance);
    private readonly List<IDisposable> _held = [];
    private readonly List<string> _folders = [];
    private readonly List<ActiveSnapshot> _copies = [];

    internal List<SpecMount> Mounts { get; } = [];
    internal List<StepSnapshotMount> Snapshots { get; } = [];
    internal List<StepSecret> Secrets { get; } = [];
    internal List<StepAgent> Agents { get; } = [];
    internal List<string> Variables { get; } = [];
    internal List<MountPoint> MountPoints { get; } = [];

    /// <summary>The digest of the files of the context that are mounted; null where none are.</summary>
    internal Digest? Hash(CancellationToken cancellationToken)
    {
        var digests = new StringBuilder();
        foreach (StepMount mount in step.Mounts.Where(m => m.IsOfContext))
        {
            CopySelection selection = _context[mount] = Select(mount);
            digests.Append(selection.Sources[0].IsDirectory ? 'd' : 'f').Append(selection.Hash(owners: false, settings.Stats, cancellationToken));
        }
        return digests.Length == 0 ? null : Digest.Of(Encoding.ASCII.GetBytes(digests.ToString()));
    }

    internal void WriteFiles(TextWriter lines)
    {
        foreach (CopySelection selection in _context.Values)
        {
            selection.WriteFiles(lines, settings.Stats);
        }
    }

    /// <summary>Makes all ready. What there is by then is given back by <see cref="DisposeAsync"/>, also after a failure.</summary>
    internal async ValueTask PrepareAsync(CancellationToken cancellationToken)
    {
        int from = 1;
        foreach (StepMount mount in step.Mounts)
        {
            CommittedSnapshot? source = mount.From is null ? null : inputs[from++].Snapshot;
            switch (mount.Options.Kind)
            {
                case MountKind.Bind when mount.IsOfContext:
                    AddContext(mount, cancellationToken);
                    break;
                case MountKind.Bind:
                    await AddSnapshotAsync(mount, source, cancellationToken).ConfigureAwait(false);
                    break;
                case MountKind.Tmpfs:
                    Add(mount, "tmpfs", "tmpfs", ["nosuid", "nodev", mount.Options.ReadOnly ? "ro" : "rw", .. mount.Options.SizeLimit is { } size
                        ? new[] { "size=" + size.ToString(System.Globalization.CultureInfo.InvariantCulture) } : []], isDirectory: true);
                    break;
                case MountKind.Secret:
                    AddSecret(mount);
                    break;
                case MountKind.Ssh:
                    AddAgent(mount);
                    break;
            }
        }
        await AddCachesAsync(cancellationToken).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (ActiveSnapshot copy in _copies)
        {
            await environment.Snapshots.RemoveAsync(copy, CancellationToken.None).ConfigureAwait(false);
        }
        foreach (string folder in _folders)
        {
            FileSystems.RemoveTree(folder);
        }
        foreach (IDisposable held in _held)
        {
            held.Dispose();
        }
    }

    // In the order of their names, whatever the order in the line: two steps that lock the same caches cannot wait for each other.
    private async ValueTask AddCachesAsync(CancellationToken cancellationToken)
    {
        var caches = new CacheMounts(environment.Content.Layout, environment.Time);
        var taken = new Dictionary<string, CacheFolder>(StringComparer.Ordinal);
        foreach (StepMount mount in step.Mounts.Where(m => m.Options.Kind == MountKind.Cache).OrderBy(m => m.Options.Id, StringComparer.Ordinal))
        {
            CommittedSnapshot? source = mount.From is null ? null : SourceOf(mount);
            // One cache at two places of a step: it cannot wait for itself.
            string key = $"{mount.Options.Id}\0{source?.ChainId}\0{mount.Options.Source}\0{mount.Options.Mode}\0{mount.Options.UserId}\0{mount.Options.GroupId}";
            if (!taken.TryGetValue(key, out CacheFolder? folder))
            {
                taken[key] = folder = await caches.AcquireAsync(mount, source?.ChainId, (path, name) => Fill(mount, source, path, name, cancellationToken), cancellationToken).ConfigureAwait(false);
                _held.Add(folder);
            }
            Add(mount, "bind", folder.Path, ["rbind", mount.Options.ReadOnly ? "ro" : "rw", "nosuid", "nodev"], isDirectory: true);
        }
    }

    private CommittedSnapshot? SourceOf(StepMount mount) => inputs[1 + step.Mounts.Where(m => m.From is not null).TakeWhile(m => !ReferenceEquals(m, mount)).Count()].Snapshot;

    private void Add(StepMount mount, string type, string source, string[] options, bool isDirectory)
    {
        Mounts.Add(new SpecMount(mount.Target, type, source, [.. options]));
        MountPoints.Add(new MountPoint(mount.Target, isDirectory));
    }

    private void Fill(StepMount mount, CommittedSnapshot? source, string folder, string name, CancellationToken cancellationToken)
    {
        if (settings.Imports?.TryFill(name, folder, cancellationToken) == true || source is null)
        {
            return;
        }
        StepWork.WithMounted(environment, source, root =>
        {
            using RootedDirectory target = RootedDirectory.Open(folder);
            CopySelection selection = Find(mount, new TreeWalker(root, null));
            using var place = new DirectoryCopyTarget(target);
            new FileCopier(place, new CopyAttributes(null, null), default).Copy(selection, "data/", parents: false, cancellationToken);
        });
    }

    // A copy: what the rules of .dockerignore hide is not there, all is root's, and what the step writes is lost.
    private void AddContext(StepMount mount, CancellationToken cancellationToken)
    {
        string folder = environment.Content.Layout.NewIngestPath("bind");
        _folders.Add(folder);
        Directory.CreateDirectory(folder);
        CopySelection selection = _context[mount];
        using (RootedDirectory target = RootedDirectory.Open(folder))
        {
            using var place = new DirectoryCopyTarget(target);
            new FileCopier(place, new CopyAttributes((0, 0), null), default).Copy(selection, "content", parents: false, cancellationToken);
        }
        Add(mount, "bind", Path.Combine(folder, "content"), ["rbind", mount.Options.ReadOnly ? "ro" : "rw", "nosuid", "nodev"], selection.Sources[0].IsDirectory);
    }

    private async ValueTask AddSnapshotAsync(StepMount mount, CommittedSnapshot? source, CancellationToken cancellationToken)
    {
        string path = "/" + (mount.Options.Source ?? "").Trim('/');
        bool isWhole = path is "/" or "/.";
        if (source is null && isWhole)
        {
            string empty = environment.Content.Layout.NewIngestPath("bind");
            _folders.Add(empty);
            Directory.CreateDirectory(empty);
            Add(mount, "bind", empty, ["rbind", mount.Options.ReadOnly ? "ro" : "rw", "nosuid", "nodev"], isDirectory: true);
            return;
        }
        FileStatus? status = source is null ? null : isWhole ? default(FileStatus) with { Kind = FileKind.Directory }
            : (await environment.Snapshots.WhereAsync(source, path, cancellationToken).ConfigureAwait(false))?.Status;
        if (status is null)
        {
            throw new StrataException(ErrorKind.NotFound, $"{step.Span}: --mount=type=bind,from={mount.Options.From}: {path}: not found there");
        }
        Snapshot shown = source!;
        if (!mount.Options.ReadOnly)
        {
            // What the step writes is lost with this copy.
            ActiveSnapshot copy = await environment.Snapshots.PrepareAsync(BuildExecutor.NewKey(), source, null, cancellationToken: cancellationToken).ConfigureAwait(false);
            _copies.Add(copy);
            shown = copy;
        }
        Snapshots.Add(new StepSnapshotMount(shown, path, mount.Target, mount.Options.ReadOnly));
        MountPoints.Add(new MountPoint(mount.Target, status.Value.Kind == FileKind.Directory));
    }

    private void AddSecret(StepMount mount)
    {
        MountOptions options = mount.Options;
        string id = options.Id!;
        if (!settings.Secrets.TryGetValue(id, out SecretSource? source))
        {
            if (options.Required)
            {
                throw new StrataException(ErrorKind.NotFound, $"{step.Span}: secret {id}: not found") { Hint = $"the step requires it: --secret id={id},src=FILE or --secret id={id},env=VARIABLE" };
            }
            return;
        }
        byte[] content = source.Read(id);
        if (options.Environment is { } name)
        {
            Variables.Add($"{name}={Encoding.UTF8.GetString(content)}");
        }
        if (mount.Target.Length > 0)
        {
            const uint DefaultMode = 0b100_000_000;
            Secrets.Add(new StepSecret(mount.Target, content, (int)(options.Mode ?? DefaultMode), options.UserId ?? 0, options.GroupId ?? 0));
            MountPoints.Add(new MountPoint(mount.Target, false));
        }
    }

    private void AddAgent(StepMount mount)
    {
        MountOptions options = mount.Options;
        if (!settings.Agents.TryGetValue(options.Id!, out string? socket))
        {
            if (options.Required)
            {
                throw new StrataException(ErrorKind.NotFound, $"{step.Span}: ssh agent {options.Id}: not found") { Hint = $"the step requires it: --ssh {options.Id} forwards the agent of SSH_AUTH_SOCK" };
            }
            return;
        }
        const uint DefaultMode = 0b110_000_000;
        Agents.Add(new StepAgent(mount.Target, socket, (int)(options.Mode ?? DefaultMode), options.UserId ?? 0, options.GroupId ?? 0));
        MountPoints.Add(new MountPoint(mount.Target, false));
        if (Agents.Count == 1)
        {
            Variables.Add("SSH_AUTH_SOCK=" + mount.Target);
        }
    }

    private CopySelection Select(StepMount mount)
        => Find(mount, new TreeWalker(settings.Context ?? throw new StrataException(ErrorKind.Invalid, $"{step.Span}: {step.Display}: this build has no context"), settings.Ignore));

    private CopySelection Find(StepMount mount, TreeWalker tree)
    {
        try
        {
            return CopySelection.FindExact(tree, mount.Options.Source ?? "");
        }
        catch (StrataException e) when (e.Kind == ErrorKind.NotFound)
        {
            throw new StrataException(e.Kind, $"{step.Span}: --mount: {e.Message}", e) { Hint = e.Hint };
        }
    }
}
