using Strata.Containers;
using Strata.Linux;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>Makes a volume; one that is there already is left as it is, as Docker does.</summary>
    /// <param name="volume">Its name, labels and options; null name: one is made up.</param>
    /// <returns>Its record.</returns>
    /// <exception cref="StrataException">Invalid: the name or an option; Conflict: it is there with other options.</exception>
    public VolumeRecord CreateVolume(VolumeRecord volume)
    {
        ArgumentNullException.ThrowIfNull(volume);
        VolumeRecord.CheckOptions(volume.Options);
        string name = volume.Name.Length == 0 ? ContainerStore.CreateId() : volume.Name;
        if (Volumes.Create(volume with { Name = name, Created = _options.Time.GetUtcNow() }))
        {
            return Volumes.Get(name);
        }
        VolumeRecord there = Volumes.Get(name);
        return volume.Options.IsEmpty || volume.Options.SequenceEqual(there.Options) ? there
            : throw new StrataException(ErrorKind.Conflict, $"volume {name}: it is there with other options") { Hint = $"strata volume inspect {name}" };
    }

    /// <summary>The containers that have a volume, by name of the volume.</summary>
    public ILookup<string, ContainerRecord> ListVolumeUsers()
        => ListContainers().SelectMany(c => c.Record.Mounts.Where(m => m.Kind == ContainerMountKind.Volume).Select(m => (m.Source, c.Record))).ToLookup(m => m.Source, m => m.Record, StringComparer.Ordinal);

    /// <summary>Removes a volume with its data.</summary>
    /// <exception cref="StrataException">NotFound; Conflict: a container has it.</exception>
    public void RemoveVolume(string name)
    {
        VolumeRecord volume = Volumes.Get(name);
        if (ListVolumeUsers()[volume.Name].Select(c => c.Name).ToArray() is { Length: > 0 } users)
        {
            throw new StrataException(ErrorKind.Conflict, $"volume {volume.Name}: {(users.Length == 1 ? "a container has" : "containers have")} it: {string.Join(", ", users)}") { Hint = $"strata rm {string.Join(' ', users)}" };
        }
        Volumes.Remove(volume.Name);
    }

    /// <summary>Removes volumes that no container has.</summary>
    /// <param name="all">Those with names too; else only those that containers made without one.</param>
    /// <param name="matches">Which of them; null: all.</param>
    /// <returns>Their names, and what they took on disk in bytes.</returns>
    public (IReadOnlyList<string> Names, long Bytes) PruneVolumes(bool all, Func<VolumeRecord, bool>? matches = null)
    {
        ILookup<string, ContainerRecord> users = ListVolumeUsers();
        var removed = new List<string>();
        long bytes = 0;
        foreach (VolumeRecord volume in Volumes.List().Select(Volumes.Get).Where(v => (all || v.IsAnonymous) && !users.Contains(v.Name) && (matches?.Invoke(v) ?? true)))
        {
            bytes += FileSystems.GetDiskUsage(Path.GetDirectoryName(Volumes.PathOf(volume.Name))!);
            Volumes.Remove(volume.Name);
            removed.Add(volume.Name);
        }
        return (removed, bytes);
    }
}
