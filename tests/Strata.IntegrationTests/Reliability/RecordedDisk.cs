using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;

namespace Strata.IntegrationTests.Reliability;

/// <summary>What reached the disk: a write, or (without bytes) the end of a flush.</summary>
internal sealed record DiskEvent(long Offset, byte[]? Bytes)
{
    /// <summary>All that was written before is on the medium now.</summary>
    internal bool IsFlush => Bytes is null;
}

/// <summary>
/// A disk that remembers the order of its writes and flushes: a file served over /dev/fuse (one file, <c>dev</c>), below a loop device, which makes an
/// fsync of each flush. The kernel's page cache writes through, so an event is what a medium would have been told (linux/fuse.h, protocol 7.31).
/// </summary>
internal sealed class RecordedDisk : IDisposable
{
    private const int InHeaderBytes = 40, OutHeaderBytes = 16, MaxWriteBytes = 1 << 17;
    private const ulong FileNode = 2;
    private const int ENOENT = 2, ENOSYS = 38;
    private readonly FileStream _fuse;
    private readonly SafeFileHandle _image;
    private readonly string _mount;
    private readonly Thread _server;
    private readonly List<DiskEvent> _events = [];
    private readonly long _size;

    /// <summary>Serves an image file at <paramref name="mount"/>/dev.</summary>
    internal RecordedDisk(string image, string mount)
    {
        _mount = mount;
        Directory.CreateDirectory(mount);
        _image = File.OpenHandle(image, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        _size = RandomAccess.GetLength(_image);
        _fuse = new FileStream("/dev/fuse", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        Mounts.Mount(new MountSpec("fuse", "strata-disk", mount, [$"fd={_fuse.SafeFileHandle.DangerousGetHandle()}", "rootmode=40000", "user_id=0", "group_id=0"]));
        _server = new Thread(Serve) { IsBackground = true };
        _server.Start();
        Loop = SeedStore.Exec("losetup", null, "-f", "--show", Path.Combine(mount, "dev")).Ok().Out.Trim();
    }

    /// <summary>The block device.</summary>
    internal string Loop { get; }

    /// <summary>How many events there are by now.</summary>
    internal int Count
    {
        get
        {
            lock (_events)
            {
                return _events.Count;
            }
        }
    }

    /// <summary>All events so far.</summary>
    internal DiskEvent[] Events
    {
        get
        {
            lock (_events)
            {
                return [.. _events];
            }
        }
    }

    public void Dispose()
    {
        SeedStore.Exec("losetup", null, "-d", Loop).Ok();
        Mounts.Unmount(_mount, detach: true);
        _server.Join(TimeSpan.FromSeconds(10));
        _fuse.Dispose();
        _image.Dispose();
        Directory.Delete(_mount);
    }

    private void Serve()
    {
        byte[] request = new byte[MaxWriteBytes + 4096];
        while (true)
        {
            int read;
            try
            {
                read = _fuse.Read(request);
            }
            catch (IOException)
            {
                return; // ENODEV: unmounted
            }
            if (read < InHeaderBytes)
            {
                return;
            }
            Answer(request.AsSpan(0, read));
        }
    }

    private void Answer(ReadOnlySpan<byte> request)
    {
        const int Lookup = 1, Forget = 2, GetAttributes = 3, SetAttributes = 4, Open = 14, Read = 15, Write = 16, StatFs = 17, Release = 18, Sync = 20, Flush = 25, Init = 26, Interrupt = 36, Destroy = 38, BatchForget = 42;
        int operation = BinaryPrimitives.ReadInt32LittleEndian(request[4..]);
        ulong unique = BinaryPrimitives.ReadUInt64LittleEndian(request[8..]), node = BinaryPrimitives.ReadUInt64LittleEndian(request[16..]);
        ReadOnlySpan<byte> body = request[InHeaderBytes..];
        switch (operation)
        {
            case Forget or BatchForget or Interrupt:
                return;
            case Init:
                Reply(unique, InitReply(body));
                return;
            case Lookup:
                ReplyLookup(unique, body);
                return;
            case GetAttributes or SetAttributes:
                Reply(unique, AttributesReply(node));
                return;
            case Open:
                Reply(unique, new byte[16]);
                return;
            case Read:
                byte[] content = new byte[BinaryPrimitives.ReadInt32LittleEndian(body[16..])];
                int read = RandomAccess.Read(_image, content, BinaryPrimitives.ReadInt64LittleEndian(body[8..]));
                Reply(unique, content.AsSpan(0, read));
                return;
            case Write:
                int size = BinaryPrimitives.ReadInt32LittleEndian(body[16..]);
                Record(new DiskEvent(BinaryPrimitives.ReadInt64LittleEndian(body[8..]), body.Slice(40, size).ToArray()));
                byte[] written = new byte[8];
                BinaryPrimitives.WriteInt32LittleEndian(written, size);
                Reply(unique, written);
                return;
            case Sync:
                Record(new DiskEvent(0, null));
                Reply(unique, []);
                return;
            case StatFs:
                Reply(unique, new byte[80]);
                return;
            case Flush or Release or Destroy:
                Reply(unique, []);
                return;
            default:
                Reply(unique, [], ENOSYS);
                return;
        }
    }

    private void Record(DiskEvent happened)
    {
        if (happened.Bytes is { } bytes)
        {
            RandomAccess.Write(_image, bytes, happened.Offset);
        }
        lock (_events)
        {
            _events.Add(happened);
        }
    }

    private void ReplyLookup(ulong unique, ReadOnlySpan<byte> name)
    {
        if (!name.SequenceEqual("dev\0"u8))
        {
            Reply(unique, [], ENOENT);
            return;
        }
        // struct fuse_entry_out: nodeid, generation, entry_valid, attr_valid, two nanoseconds, attributes
        byte[] entry = new byte[128];
        BinaryPrimitives.WriteUInt64LittleEndian(entry, FileNode);
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(16), 3600);
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(24), 3600);
        WriteAttributes(entry.AsSpan(40), FileNode);
        Reply(unique, entry);
    }

    // struct fuse_attr_out: attr_valid, nanoseconds, dummy, attributes
    private byte[] AttributesReply(ulong node)
    {
        byte[] reply = new byte[104];
        BinaryPrimitives.WriteUInt64LittleEndian(reply, 3600);
        WriteAttributes(reply.AsSpan(16), node);
        return reply;
    }

    // struct fuse_attr: ino, size, blocks, three times, three nanoseconds, mode, nlink, uid, gid, rdev, blksize, flags
    private void WriteAttributes(Span<byte> attributes, ulong node)
    {
        bool isFile = node == FileNode;
        BinaryPrimitives.WriteUInt64LittleEndian(attributes, node);
        BinaryPrimitives.WriteInt64LittleEndian(attributes[8..], isFile ? _size : 0);
        BinaryPrimitives.WriteInt64LittleEndian(attributes[16..], isFile ? _size / 512 : 0);
        BinaryPrimitives.WriteUInt32LittleEndian(attributes[60..], isFile ? 0x8180u : 0x41C0u); // S_IFREG 0600, S_IFDIR 0700
        BinaryPrimitives.WriteUInt32LittleEndian(attributes[64..], isFile ? 1u : 2u);
        BinaryPrimitives.WriteUInt32LittleEndian(attributes[80..], 4096);
    }

    // struct fuse_init_out: major, minor, max_readahead, flags, max_background, congestion_threshold, max_write, time_gran, max_pages, …
    private static byte[] InitReply(ReadOnlySpan<byte> request)
    {
        const uint AsyncRead = 1, BigWrites = 1 << 5, MaxPages = 1 << 22;
        byte[] reply = new byte[64];
        BinaryPrimitives.WriteUInt32LittleEndian(reply, 7);
        BinaryPrimitives.WriteUInt32LittleEndian(reply.AsSpan(4), 31);
        request.Slice(8, 4).CopyTo(reply.AsSpan(8));
        BinaryPrimitives.WriteUInt32LittleEndian(reply.AsSpan(12), BinaryPrimitives.ReadUInt32LittleEndian(request[12..]) & (AsyncRead | BigWrites | MaxPages));
        BinaryPrimitives.WriteUInt16LittleEndian(reply.AsSpan(16), 16);
        BinaryPrimitives.WriteUInt16LittleEndian(reply.AsSpan(18), 12);
        BinaryPrimitives.WriteInt32LittleEndian(reply.AsSpan(20), MaxWriteBytes);
        BinaryPrimitives.WriteInt32LittleEndian(reply.AsSpan(24), 1);
        BinaryPrimitives.WriteUInt16LittleEndian(reply.AsSpan(28), MaxWriteBytes / 4096);
        return reply;
    }

    private void Reply(ulong unique, ReadOnlySpan<byte> body, int error = 0)
    {
        byte[] reply = new byte[OutHeaderBytes + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(reply, reply.Length);
        BinaryPrimitives.WriteInt32LittleEndian(reply.AsSpan(4), -error);
        BinaryPrimitives.WriteUInt64LittleEndian(reply.AsSpan(8), unique);
        body.CopyTo(reply.AsSpan(OutHeaderBytes));
        _fuse.Write(reply);
    }
}
