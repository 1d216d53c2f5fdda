using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.Content;

/// <summary>Small records (names, snapshots, containers, cache): replaced whole by rename, so a reader sees the old or the new one.</summary>
public static class AtomicFile
{
    /// <summary>What the names of half-written records start with: no tag, container or digest does.</summary>
    internal const string TemporaryPrefix = ".tmp-";

    /// <summary>
    /// Writes beside the target, then renames. <paramref name="durable"/>: file and directory (and directories made for it) are synced, so that it
    /// survives a power cut when this returns; false for what may be lost with the machine's run (a container that is removed when it ends).
    /// </summary>
    /// <exception cref="LinuxException">The disk refused; the old record is as it was.</exception>
    public static void Write(string path, ReadOnlySpan<byte> content, bool durable = true)
    {
        string directory = Path.GetDirectoryName(path) ?? throw new ArgumentException("a record needs a directory", nameof(path));
        using RootedDirectory folder = OpenWithTemporary(directory, durable, out string name, out SafeFileHandle temporary);
        using SafeFileHandle file = temporary;
        try
        {
            Files.Write(file, content, path);
            if (durable)
            {
                Durability.SyncFile(file, path);
            }
            Fail.Point("record.before-rename");
            Durability.Rename(Path.Combine(directory, name), path, replace: true);
        }
        catch (LinuxException)
        {
            folder.Remove(name);
            throw;
        }
        Fail.Point("record.after-rename");
        if (durable)
        {
            SyncIfThere(directory);
        }
    }

    // Who takes the last record out of a directory removes it: perhaps between its making and its use. With a file in it it stays.
    private static RootedDirectory OpenWithTemporary(string directory, bool durable, out string name, out SafeFileHandle temporary)
    {
        const int MaxTries = 100;
        for (int tries = 1; ; tries++)
        {
            RootedDirectory? folder = null;
            try
            {
                StoreDirectory.Create(directory, durable);
                folder = RootedDirectory.Open(directory);
                temporary = CreateTemporary(folder, directory, out name);
                return folder;
            }
            catch (Exception e) when (tries < MaxTries && e is DirectoryNotFoundException or LinuxException { Errno: Errno.ENOENT })
            {
                folder?.Dispose();
            }
            catch
            {
                folder?.Dispose();
                throw;
            }
        }
    }

    // Not there: what was in it was removed by another process, and the directory with it.
    private static void SyncIfThere(string directory)
    {
        try
        {
            Durability.SyncDirectory(directory);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT)
        {
            // see above
        }
    }

    /// <summary>Removes half-written records below a directory whose writers are dead; returns what they held, in bytes on disk.</summary>
    internal static long Sweep(string directory, bool recurse, bool dryRun)
    {
        long bytes = 0;
        var options = new EnumerationOptions { RecurseSubdirectories = recurse, AttributesToSkip = FileAttributes.ReparsePoint };
        foreach (string path in Directory.Exists(directory) ? Directory.GetFiles(directory, TemporaryPrefix + "*", options) : [])
        {
            // Where its writer has renamed it meanwhile, this makes and removes an empty one: no two writers have one name.
            using FileLock? dead = TryLock(path);
            if (dead is not null)
            {
                bytes += FileSystems.GetDiskUsage(path);
                if (!dryRun)
                {
                    FileSystems.RemoveTree(path);
                }
            }
        }
        return bytes;
    }

    private static FileLock? TryLock(string path)
    {
        try
        {
            return FileLock.TryAcquire(path, exclusive: true);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT)
        {
            return null; // its directory is gone
        }
    }

    // Locked for as long as it is open, so that a sweeper, who wants it alone, knows the living from the dead; one that comes between making and locking
    // takes the file away. Shared: it is still locked when it has its name, and who opens it by the base library asks for a shared lock.
    private static SafeFileHandle CreateTemporary(RootedDirectory folder, string directory, out string name)
    {
        while (true)
        {
            name = TemporaryPrefix + Guid.NewGuid().ToString("n");
            SafeFileHandle file = folder.CreateFile(name, 0b110_000_000);
            try
            {
                if (FileLock.TryLock(file, Path.Combine(directory, name), exclusive: false) && Files.GetStatus(file).LinkCount > 0)
                {
                    return file;
                }
            }
            catch (LinuxException)
            {
                file.Dispose();
                folder.Remove(name);
                throw;
            }
            file.Dispose();
        }
    }

    /// <summary>Reads a record, or null where it is not there. At most <paramref name="limit"/> bytes: a longer one throws Corrupt.</summary>
    /// <exception cref="LinuxException">It cannot be read.</exception>
    public static byte[]? TryRead(string path, int limit = 4 << 20)
        => FileSystems.TryRead(path, limit) is not { } content ? null
            : content.Length <= limit ? content
            : throw new StrataException(ErrorKind.Corrupt, $"{path}: a record has at most {limit} bytes") { Hint = "see strata system check" };

    /// <summary>
    /// A record that was written without a sync; null where it is not there or cannot be understood: a power cut may keep the name, and leave what it
    /// names empty or full of zeros (ext4(5), delayed allocation).
    /// </summary>
    /// <exception cref="LinuxException">It cannot be read.</exception>
    internal static T? TryReadUnsynced<T>(string path, Func<byte[], T> parse)
        where T : class
    {
        try
        {
            return TryRead(path) is { } content ? parse(content) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>Forgets a record. Not there is no error.</summary>
    public static void Delete(string path, bool durable = true)
    {
        FileSystems.RemoveTree(path);
        string directory = Path.GetDirectoryName(path)!;
        if (durable)
        {
            SyncIfThere(directory);
        }
    }
}

/// <summary>Directories of the store: 0700, and as durable as what will be in them.</summary>
internal static class StoreDirectory
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>Makes a directory with all above it that are missing, each synced into the one above.</summary>
    internal static void Create(string path, bool durable = true)
    {
        if (Directory.Exists(path))
        {
            return;
        }
        string parent = Path.GetDirectoryName(path)!;
        Create(parent, durable);
        Directory.CreateDirectory(path, Private);
        if (durable)
        {
            Durability.SyncDirectory(parent);
        }
    }
}

/// <summary>
/// Points at which a test can make this process die (SIGKILL, as by a power cut without the disk's part): STRATA_FAILPOINT=NAME or NAME:N for the
/// N-th time. Unarmed, a point costs a comparison with null.
/// </summary>
internal static class Fail
{
    private const int SIGKILL = 9;
    private static readonly string? s_armed = Environment.GetEnvironmentVariable("STRATA_FAILPOINT");
    private static int s_left = s_armed?.IndexOf(':', StringComparison.Ordinal) is int colon and >= 0 ? int.Parse(s_armed.AsSpan(colon + 1), System.Globalization.CultureInfo.InvariantCulture) : 1;

    /// <summary>All names, so that a sweep misses none.</summary>
    internal static readonly string[] Points =
        ["record.before-rename", "record.after-rename", "blob.before-sync", "blob.before-rename", "blob.after-rename", "name.before-set", "name.after-set",
         "snapshot.before-sync", "snapshot.before-rename", "snapshot.after-rename", "collect.after-trash", "budget.after-aside",
         "dedupe.before-exchange", "dedupe.after-exchange"];

    internal static void Point(string name)
    {
        if (s_armed is not null && s_armed.AsSpan().StartsWith(name, StringComparison.Ordinal) && (s_armed.Length == name.Length || s_armed[name.Length] == ':')
            && Interlocked.Decrement(ref s_left) == 0)
        {
            Host.Kill(Environment.ProcessId, SIGKILL);
        }
    }
}
