using System.Diagnostics;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata.Build;

/// <summary>What one step does to a writable snapshot.</summary>
internal interface IStepWork : IAsyncDisposable
{
    /// <summary>The digest of what it reads from outside the graph (context, network); null where it reads nothing.</summary>
    ValueTask<Digest?> HashInputsAsync(CancellationToken cancellationToken);

    /// <summary>A line for each of the files whose digest <see cref="HashInputsAsync"/> gave: what counts of it, a tab, its name. Asked after that, and before the work.</summary>
    void WriteFiles(TextWriter lines)
    {
    }

    /// <summary>Takes what it needs to run, once no cache has answered; gives the paths that must exist because the step mounts something there.</summary>
    ValueTask<IReadOnlyList<MountPoint>> PrepareAsync(CancellationToken cancellationToken);

    /// <summary>Does it.</summary>
    ValueTask RunAsync(ActiveSnapshot snapshot, CancellationToken cancellationToken);

    /// <summary>The time of what it made: the newest of what it read, or now where a process wrote; null where it has none of its own. Asked when it is done.</summary>
    DateTimeOffset? TimeOf(TimeProvider clock);
}

/// <summary>From a step to its work: the arm that a new kind of step needs.</summary>
internal static class StepWork
{
    internal static IStepWork For(BuildStep step, StepResult[] inputs, BuildEnvironment environment, BuildSettings settings, IBuildProgress progress) => step switch
    {
        RunStep run => new RunWork(run, inputs, environment, settings, progress),
        CopyStep copy => new CopyWork(copy, inputs, environment, settings),
        DirectoryStep directory => new DirectoryWork(directory, environment, settings),
        _ => throw new UnreachableException(step.GetType().Name),
    };

    /// <summary>
    /// Mounts snapshots for the length of an action, in a mount namespace of its own: whatever happens, no mount stays.
    /// The first is what is changed; the second, where there is one, is read.
    /// </summary>
    internal static void WithMounted(BuildEnvironment environment, ActiveSnapshot target, CommittedSnapshot? source, Action<RootedDirectory, RootedDirectory?> action)
    {
        string place = environment.Content.Layout.NewIngestPath("mount");
        string targetPath = Path.Combine(place, "target"), sourcePath = Path.Combine(place, "source");
        Directory.CreateDirectory(targetPath);
        Directory.CreateDirectory(sourcePath);
        try
        {
            Mounts.RunInPrivateNamespace(() =>
            {
                MountAll(environment.Snapshots.GetMounts(target, targetPath));
                using RootedDirectory targetRoot = RootedDirectory.Open(targetPath);
                if (source is null)
                {
                    action(targetRoot, null);
                }
                else
                {
                    MountAll(environment.Snapshots.GetMounts(source, sourcePath));
                    using RootedDirectory sourceRoot = RootedDirectory.Open(sourcePath);
                    action(targetRoot, sourceRoot);
                }
                return true;
            });
        }
        finally
        {
            FileSystems.RemoveTree(place);
        }
    }

    /// <summary>The same for a snapshot that is only read.</summary>
    internal static void WithMounted(BuildEnvironment environment, CommittedSnapshot source, Action<RootedDirectory> action)
    {
        string place = environment.Content.Layout.NewIngestPath("mount");
        Directory.CreateDirectory(place);
        try
        {
            Mounts.RunInPrivateNamespace(() =>
            {
                MountAll(environment.Snapshots.GetMounts(source, place));
                using RootedDirectory root = RootedDirectory.Open(place);
                action(root);
                return true;
            });
        }
        finally
        {
            FileSystems.RemoveTree(place);
        }
    }

    private static void MountAll(IReadOnlyList<MountSpec> mounts)
    {
        foreach (MountSpec mount in mounts)
        {
            Mounts.Mount(mount);
        }
    }
}

/// <summary>WORKDIR: the directory is there, made where it was not.</summary>
internal sealed class DirectoryWork(DirectoryStep step, BuildEnvironment environment, BuildSettings settings) : IStepWork
{
    public ValueTask<IReadOnlyList<MountPoint>> PrepareAsync(CancellationToken cancellationToken) => ValueTask.FromResult<IReadOnlyList<MountPoint>>([]);

    public ValueTask<Digest?> HashInputsAsync(CancellationToken cancellationToken) => ValueTask.FromResult<Digest?>(null);

    public DateTimeOffset? TimeOf(TimeProvider clock) => null;

    public ValueTask RunAsync(ActiveSnapshot snapshot, CancellationToken cancellationToken)
    {
        StepWork.WithMounted(environment, snapshot, null, (target, _) =>
        {
            if (target.TryGetStatus(step.Path, follow: true) is { Kind: FileKind.Directory })
            {
                return;
            }
            new FileCopier(target, new CopyAttributes(null, null), settings.TimeOfMade(default)).MakeDirectory(step.Path);
        });
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
