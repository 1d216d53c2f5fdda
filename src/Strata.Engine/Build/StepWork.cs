using System.Diagnostics;
using Strata.Containers;
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

/// <summary>What is known before it is done: what it makes can be written as a layer, without a file system to write to.</summary>
internal interface ILayerWork : IStepWork
{
    /// <summary>Whether that holds for this one. Asked after <see cref="IStepWork.PrepareAsync"/>.</summary>
    bool IsPlanned { get; }

    /// <summary>Writes the layer; false where nothing is in it.</summary>
    bool WriteLayer(LayerStack below, Stream tar, FileTime? clamp, CancellationToken cancellationToken);
}

/// <summary>From a step to its work: the arm that a new kind of step needs.</summary>
internal static class StepWork
{
    internal static IStepWork For(BuildStep step, StepResult[] inputs, BuildEnvironment environment, BuildSettings settings, IBuildProgress progress) => step switch
    {
        RunStep run => new RunWork(run, inputs, environment, settings, progress),
        CopyStep copy => new CopyWork(copy, inputs, environment, settings),
        DirectoryStep directory => new DirectoryWork(directory, settings),
        _ => throw new UnreachableException(step.GetType().Name),
    };

    /// <summary>Mounts a snapshot for the length of an action, in a mount namespace of its own: whatever happens, no mount stays. A committed one is only read.</summary>
    internal static void WithMounted(BuildEnvironment environment, Snapshot snapshot, Action<RootedDirectory> action)
    {
        string place = environment.Content.Layout.NewIngestPath("mount");
        Directory.CreateDirectory(place);
        try
        {
            Mounts.RunInPrivateNamespace(() =>
            {
                Bundle.MountAt(environment.Snapshots, snapshot, place, isKept: false);
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
}

/// <summary>WORKDIR: the directory is there, made where it was not.</summary>
internal sealed class DirectoryWork(DirectoryStep step, BuildSettings settings) : ILayerWork
{
    public bool IsPlanned => true;

    public ValueTask<IReadOnlyList<MountPoint>> PrepareAsync(CancellationToken cancellationToken) => ValueTask.FromResult<IReadOnlyList<MountPoint>>([]);

    public ValueTask<Digest?> HashInputsAsync(CancellationToken cancellationToken) => ValueTask.FromResult<Digest?>(null);

    public DateTimeOffset? TimeOf(TimeProvider clock) => null;

    public bool WriteLayer(LayerStack below, Stream tar, FileTime? clamp, CancellationToken cancellationToken)
    {
        using var plan = new LayerPlan(below);
        if (plan.TryGetStatus(step.Path, follow: true) is { Kind: FileKind.Directory })
        {
            return false;
        }
        new FileCopier(plan, new CopyAttributes(null, null), settings.TimeOfMade(default)).MakeDirectory(step.Path);
        return plan.Write(tar, clamp, cancellationToken);
    }

    public ValueTask RunAsync(ActiveSnapshot snapshot, CancellationToken cancellationToken) => throw new UnreachableException();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
