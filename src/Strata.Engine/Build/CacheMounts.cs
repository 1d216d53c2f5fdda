using System.Globalization;
using System.Text;
using System.Text.Json;
using Strata.Content;
using Strata.Dockerfiles;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Build;

/// <summary>
/// The folders of RUN --mount=type=cache: objects of the store that stay from build to build, are counted with the build cache and go with it.
/// <code>
/// cache/mounts/HEX-N/       HEX: digest of the id and of what the folder starts with; N: 0, or more where private ones are used at once
///   mount.json              id, when it was made; its mtime is when it was used
///   data/                   what the step sees
/// cache/mounts/HEX-N.lock   held while a step uses the folder: shared by all, or alone (sharing=locked, private)
/// </code>
/// </summary>
internal sealed class CacheMounts(StoreLayout layout, TimeProvider time)
{
    private const string Record = "mount.json", Data = "data", LockSuffix = ".lock";
    private readonly string _folder = Path.Combine(layout.Cache, "mounts");

    /// <summary>Takes the folder of a mount, made where it is not there yet; waits where another step has it for itself.</summary>
    /// <param name="mount">The mount, of type cache.</param>
    /// <param name="start">The file system it starts with; null for an empty folder.</param>
    /// <param name="fill">Puts what it starts with into a new folder, given its path and the name of the cache.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    internal async ValueTask<CacheFolder> AcquireAsync(StepMount mount, Digest? start, Action<string, string> fill, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(_folder);
        string name = NameOf(mount.Options, start);
        for (int number = 0; ; number++)
        {
            string path = Path.Combine(_folder, string.Create(CultureInfo.InvariantCulture, $"{name}-{number}"));
            bool alone = mount.Options.Sharing != CacheSharing.Shared;
            NamedTurn? turn = mount.Options.Sharing == CacheSharing.Private ? NamedTurn.TryAcquire(path + LockSuffix)
                : await NamedTurn.AcquireAsync(path + LockSuffix, cancellationToken, exclusive: alone).ConfigureAwait(false);
            if (turn is null)
            {
                continue; // another step has this one for itself: the next
            }
            if (!alone && !File.Exists(Path.Combine(path, Record)))
            {
                turn.Dispose();
                using (await NamedTurn.AcquireAsync(path + LockSuffix, cancellationToken).ConfigureAwait(false))
                {
                    Make(path, mount.Options, fill);
                }
                number--; // and share it
                continue;
            }
            return Take(path, mount.Options, fill, turn);
        }
    }

    private CacheFolder Take(string path, MountOptions options, Action<string, string> fill, NamedTurn turn)
    {
        try
        {
            Make(path, options, fill);
            FileSystems.Touch(Path.Combine(path, Record));
            return new CacheFolder(Path.Combine(path, Data), turn);
        }
        catch
        {
            turn.Dispose();
            throw;
        }
    }

    /// <summary>All folders: as records of the build cache.</summary>
    internal static IEnumerable<CacheRecord> List(StoreLayout layout)
    {
        string folder = Path.Combine(layout.Cache, "mounts");
        foreach (string name in FileSystems.TryGetNames(folder) ?? [])
        {
            string path = Path.Combine(folder, name), record = Path.Combine(path, Record);
            if (!name.EndsWith(LockSuffix, StringComparison.Ordinal) && AtomicFile.TryRead(record) is { } json)
            {
                yield return new CacheRecord(path, Read(json), FileSystems.TryGetStatus(record)?.Modified.ToDate() ?? DateTimeOffset.MinValue) { IsMount = true };
            }
        }
    }

    /// <summary>Holds a folder so that no step uses it; null where one does.</summary>
    internal static NamedTurn? TryLock(string path) => NamedTurn.TryAcquire(path + LockSuffix);

    /// <summary>Removes a folder, unless a step uses it; says whether.</summary>
    internal static bool Remove(StoreLayout layout, string path)
    {
        using NamedTurn? turn = TryLock(path);
        return turn is not null && TrashFolder.Remove(layout, path);
    }

    /// <summary>Removes all folders that no step uses, also those without a record, and locks of nobody; returns how many.</summary>
    internal static int Clear(StoreLayout layout)
    {
        string folder = Path.Combine(layout.Cache, "mounts");
        return (FileSystems.TryGetNames(folder) ?? []).Count(name =>
        {
            string path = Path.Combine(folder, name);
            return Remove(layout, name.EndsWith(LockSuffix, StringComparison.Ordinal) ? path[..^LockSuffix.Length] : path);
        });
    }

    // Made whole under another name. What a killed process left of one is in ingest/, and swept from there.
    private void Make(string path, MountOptions options, Action<string, string> fill)
    {
        if (File.Exists(Path.Combine(path, Record)))
        {
            return;
        }
        string made = layout.NewIngestPath("mount"), data = Path.Combine(made, Data);
        Directory.CreateDirectory(made);
        string name = Path.GetFileName(path);
        fill(made, name[..name.LastIndexOf('-')]);
        using (RootedDirectory root = RootedDirectory.Open(made))
        {
            const int DefaultMode = 0b111_101_101;
            bool isNew = root.TryGetStatus(Data) is null;
            if (isNew)
            {
                root.CreateDirectory(Data, DefaultMode);
            }
            if (isNew || options.UserId is not null || options.GroupId is not null)
            {
                root.SetOwner(Data, options.UserId ?? 0, options.GroupId ?? 0);
            }
            if (options.Mode is { } mode)
            {
                root.SetMode(Data, (int)mode);
            }
        }
        AtomicFile.Write(Path.Combine(made, Record), Serialize(options.Id ?? ""), durable: false);
        TrashFolder.Remove(layout, path); // a folder without a record is none
        Durability.Rename(made, path, replace: false);
    }

    private static string NameOf(MountOptions options, Digest? start)
    {
        string text = string.Join('\0', options.Id, start?.ToString(), start is null ? null : options.Source, options.Mode?.ToString(CultureInfo.InvariantCulture),
            options.UserId?.ToString(CultureInfo.InvariantCulture), options.GroupId?.ToString(CultureInfo.InvariantCulture));
        const int Digits = 32;
        return Digest.Of(Encoding.UTF8.GetBytes(text)).Hex[..Digits].ToString();
    }

    private byte[] Serialize(string id) => JsonFieldsWriter.Serialize(new CachedStep(time.GetUtcNow()) { Instruction = id }, CachedStep.Write);

    private static CachedStep Read(byte[] json)
    {
        try
        {
            return CachedStep.Read(JsonFields.Parse(json));
        }
        catch (JsonException)
        {
            return new CachedStep((DateTimeOffset?)null); // what it is called is lost; what it holds can still be used, and goes like any other
        }
    }
}

/// <summary>A cache's folder, held until disposed.</summary>
internal sealed record CacheFolder(string Path, IDisposable Turn) : IDisposable
{
    public void Dispose() => Turn.Dispose();
}
