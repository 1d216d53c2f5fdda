using System.Text.Json;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Containers;

/// <summary>Directories that outlive containers: volumes/NAME/_data, with labels and options in volumes/NAME/volume.json. A volume without a name of its own has 64 hex digits for one.</summary>
public sealed class Volumes
{
    private readonly StoreLayout _layout;

    /// <summary>Opens the volumes of a store. Does no I/O.</summary>
    public Volumes(StoreLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        _layout = layout;
    }

    /// <summary>Where the data of a volume is.</summary>
    public string PathOf(string name)
        => ContainerStore.IsName(name) ? Path.Combine(_layout.Volumes, name, "_data")
            : throw new StrataException(ErrorKind.Invalid, $"volume '{name}': only letters, digits, '_', '.' and '-', at most 128, the first a letter or digit");

    /// <summary>What a volume takes on disk, in bytes: its data and its record.</summary>
    public long GetDiskUsage(string name) => FileSystems.GetDiskUsage(Path.GetDirectoryName(PathOf(name))!);

    private string RecordOf(string name) => Path.Combine(Path.GetDirectoryName(PathOf(name))!, "volume.json");

    /// <summary>A volume.</summary>
    /// <exception cref="StrataException">NotFound; Corrupt: its record cannot be read.</exception>
    public VolumeRecord Get(string name)
    {
        if (!ContainerStore.IsName(name) || !Directory.Exists(PathOf(name)))
        {
            throw new StrataException(ErrorKind.NotFound, $"volume '{name}': not found") { Hint = "strata volume ls" };
        }
        try
        {
            return AtomicFile.TryRead(RecordOf(name)) is { } bytes ? VolumeRecord.Read(name, JsonFields.Parse(bytes)) : new VolumeRecord(name, null);
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Corrupt, $"volume {name}: its record is damaged: {e.Message}", e) { Hint = $"rm {RecordOf(name)}: then it has no labels and options" };
        }
    }

    /// <summary>How a volume with options of mount(8) is mounted; null: it is a directory.</summary>
    internal SpecMount? ToSpec(string name, string target, IReadOnlyList<string> options)
    {
        if (Get(name).Options is not { IsEmpty: false } volume)
        {
            return null;
        }
        string[] own = volume.GetValueOrDefault("o", "").Split(',', StringSplitOptions.RemoveEmptyEntries);
        bool isBind = own.Contains("bind") || own.Contains("rbind");
        return new SpecMount(target, isBind ? "bind" : volume.GetValueOrDefault("type", "none"), volume["device"], [.. own, .. options.Where(o => !own.Contains(o))]);
    }

    /// <summary>Makes a volume where it is missing; tells whether it did.</summary>
    public bool Create(VolumeRecord volume)
    {
        ArgumentNullException.ThrowIfNull(volume);
        VolumeRecord.CheckOptions(volume.Options);
        string data = PathOf(volume.Name);
        if (Directory.Exists(data))
        {
            return false;
        }
        Directory.CreateDirectory(_layout.Volumes, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Directory.CreateDirectory(Path.GetDirectoryName(data)!);
        AtomicFile.Write(RecordOf(volume.Name), JsonFieldsWriter.Serialize(volume, VolumeRecord.Write), durable: !volume.IsAnonymous);
        Directory.CreateDirectory(data); // last: with it the volume is there
        File.SetUnixFileMode(data, (UnixFileMode)0b111_101_101);
        return true;
    }

    /// <summary>Removes a volume. Idempotent.</summary>
    public void Remove(string name) => FileSystems.RemoveTree(Path.GetDirectoryName(PathOf(name))!);

    /// <summary>All names, ordered.</summary>
    public IReadOnlyList<string> List()
        => Directory.Exists(_layout.Volumes) ? [.. Directory.EnumerateDirectories(_layout.Volumes).Select(d => Path.GetFileName(d)).Where(ContainerStore.IsName).Order(StringComparer.Ordinal)] : [];

    /// <summary>
    /// Fills an empty volume with what the image has at its place: owner, mode, times and extended attributes too. Called inside the private
    /// namespace, before anything of the image runs.
    /// </summary>
    internal void CopyUp(string name, RootedDirectory root, string target)
    {
        if (root.TryGetStatus(target, follow: true) is not { Kind: FileKind.Directory })
        {
            return;
        }
        using RootedDirectory from = root.OpenDirectory(target);
        using RootedDirectory to = RootedDirectory.Open(PathOf(name));
        if (to.GetNames("").Count == 0)
        {
            TreeCopy.Copy(from, to);
        }
    }
}
