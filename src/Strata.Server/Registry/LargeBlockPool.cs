using System.Buffers;
using System.Collections.Concurrent;
using Microsoft.AspNetCore.Connections;

namespace Strata.Server.Registry;

/// <summary>
/// The memory that Kestrel reads sockets into. Its own blocks have 4 KiB, and each costs two calls of the kernel: 100,000 for an upload of 200 MB, which is as
/// much work as writing it. A connection that waits holds none.
/// </summary>
internal sealed class LargeBlockPool : MemoryPool<byte>
{
    private const int BlockBytes = 32 << 10;
    private const int MostKept = 128; // 4 MiB; what a busier time had more of is left to the collector

    private readonly ConcurrentBag<byte[]> _free = [];

    public override int MaxBufferSize => BlockBytes;

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, BlockBytes);
        // Pinned once, and not for each call.
        return new Block(this, _free.TryTake(out byte[]? free) ? free : GC.AllocateUninitializedArray<byte>(BlockBytes, pinned: true));
    }

    protected override void Dispose(bool disposing) => _free.Clear();

    private void Return(byte[] block)
    {
        if (_free.Count < MostKept)
        {
            _free.Add(block);
        }
    }

    private sealed class Block(LargeBlockPool pool, byte[] bytes) : IMemoryOwner<byte>
    {
        private byte[]? _bytes = bytes;

        public Memory<byte> Memory => _bytes ?? throw new ObjectDisposedException(nameof(Block));

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _bytes, null) is { } returned)
            {
                pool.Return(returned);
            }
        }
    }
}

/// <summary>Gives Kestrel pools of large blocks.</summary>
internal sealed class LargeBlockPools : IMemoryPoolFactory<byte>
{
    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => new LargeBlockPool();
}
