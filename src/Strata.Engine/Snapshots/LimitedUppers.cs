using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>
/// Writable layers with a size of their own: a file active/KEY/limit.ext4 with a file system that has upper/ and work/ in it, so that whoever writes too
/// much gets ENOSPC, and df says how much there is. Project quotas would spare the file system, but they have to be compiled into the kernel and
/// switched on when the store's file system is made and mounted.
/// <code>
/// active/KEY/limit.ext4   the file system, sparse: it takes what is written
///            limit/       where it is mounted for a container, in that one's mount namespace
///            limit.lock   held while it is attached
/// </code>
/// Who only reads it mounts it nowhere. All users share one device, and so one state of it.
/// </summary>
internal sealed class LimitedUppers
{
    private const string FileName = "limit.ext4", MountName = "limit", LockName = "limit.lock";
    private const long LeastBytes = 16L << 20; // below that a journal and the tables leave nothing
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Attached> _attached = new(StringComparer.Ordinal);

    private sealed record Attached(LoopDevice Device)
    {
        internal SafeFileHandle? Mount { get; set; }
    }

    /// <summary>Moves the writable directories of a new snapshot into a file system of this size.</summary>
    internal static async ValueTask CreateAsync(string folder, long bytes, CancellationToken cancellationToken)
    {
        if (bytes < LeastBytes)
        {
            throw new StrataException(ErrorKind.Invalid, string.Create(CultureInfo.InvariantCulture, $"size limit of {bytes} bytes: too little for a file system")) { Hint = "take 16m or more" };
        }
        string program = ChildProcess.FindProgram("mke2fs")
            ?? throw new StrataException(ErrorKind.Unsupported, "size limit of the writable layer: mke2fs is needed and not installed") { Hint = "apt-get install e2fsprogs" };
        string seed = Path.Combine(folder, "seed"), image = Path.Combine(folder, "limit.new");
        Directory.CreateDirectory(seed);
        Directory.Move(Path.Combine(folder, "upper"), Path.Combine(seed, "upper"));
        Directory.Move(Path.Combine(folder, "work"), Path.Combine(seed, "work"));
        using (SafeFileHandle file = File.OpenHandle(image, FileMode.CreateNew, FileAccess.Write))
        {
            Files.SetLength(file, bytes, image);
        }
        // No space kept for root, who writes all of it; tables are zeroes already, as all of a new file is.
        ChildResult made = await ChildProcess.RunAsync(new ChildStart
        {
            Program = program,
            Arguments = ["-q", "-F", "-t", "ext4", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0", "-d", seed, image],
        }, cancellationToken: cancellationToken).ConfigureAwait(false);
        if (made.ExitCode != 0)
        {
            throw new StrataException(ErrorKind.Internal, $"size limit of the writable layer: mke2fs: {made.ErrorText}");
        }
        Directory.CreateDirectory(Path.Combine(folder, MountName));
        FileSystems.RemoveTree(seed);
        Durability.Rename(image, Path.Combine(folder, FileName), replace: false);
    }

    /// <summary>What has to be mounted before the writable layer can be; null where it has no limit.</summary>
    internal MountSpec? TryGetMount(string folder)
    {
        if (!IsLimited(folder))
        {
            return null;
        }
        lock (_lock)
        {
            return MountOf(folder, Attach(folder).Device);
        }
    }

    /// <summary>The directory with upper/ in it: the snapshot's own, or its file system's, for as long as this process lives.</summary>
    internal string PlaceOf(string folder)
    {
        if (!IsLimited(folder))
        {
            return folder;
        }
        lock (_lock)
        {
            Attached attached = Attach(folder);
            return Mounts.PathOf(attached.Mount ??= Mounts.MountNowhere(MountOf(folder, attached.Device)));
        }
    }

    /// <summary>Where a container's mount namespace has the directory with upper/ in it.</summary>
    internal static string NameOf(string folder) => IsLimited(folder) ? Path.Combine(folder, MountName) : folder;

    private static bool IsLimited(string folder) => FileSystems.TryGetStatus(Path.Combine(folder, FileName)) is not null;

    // What is removed from it is given back to the file system below.
    private static MountSpec MountOf(string folder, LoopDevice device) => new("ext4", device.Path, Path.Combine(folder, MountName), ["discard"]);

    private Attached Attach(string folder)
    {
        if (_attached.TryGetValue(folder, out Attached? there))
        {
            return there;
        }
        FileLock? alone;
        while ((alone = FileLock.TryAcquire(Path.Combine(folder, LockName), exclusive: true)) is null)
        {
            Thread.Yield(); // held for two calls of the kernel
        }
        using (alone)
        {
            return _attached[folder] = new Attached(LoopDevice.Attach(Path.Combine(folder, FileName)));
        }
    }
}
