using System.Security.Cryptography;
using Strata.Layers;
using Xunit;

namespace Strata.Tests.Layers;

public sealed class HashingPipeTests
{
    private const int SeveralBuffers = 20 << 20;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1 << 20)]
    [InlineData((1 << 20) + 1)]
    [InlineData(SeveralBuffers)]
    public void What_is_read_or_skipped_is_hashed(int size)
    {
        byte[] bytes = new byte[size];
        new Random(size).NextBytes(bytes);
        using var source = new MemoryStream(bytes);
        using var pipe = new HashingPipe(source);
        byte[] head = new byte[size / 2];
        pipe.ReadExactly(head);
        Assert.Equal(bytes[..(size / 2)], head);
        Assert.Equal(size - (size / 2), pipe.Skip(long.MaxValue));
        Assert.Equal(size, pipe.BytesRead);
        Assert.Equal(0, pipe.Read(new byte[1]));
        Assert.Equal(SHA256.HashData(bytes), pipe.Finish());
    }

    [Fact]
    public async Task A_hash_that_fails_is_told_to_the_reader_and_hangs_nobody()
    {
        IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.Dispose();
        using var source = new MemoryStream(new byte[SeveralBuffers]);
        var reading = new TaskCompletionSource<Exception?>(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            using var pipe = new HashingPipe(source, hash: hash);
            reading.SetResult(Record.Exception(() => pipe.CopyTo(Stream.Null)));
        }) { IsBackground = true };
        thread.Start();
        Assert.IsType<ObjectDisposedException>(await reading.Task.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        Assert.True(thread.Join(s_patience));
    }

    [Fact]
    public void A_source_that_fails_is_told_behind_what_came_before_and_again_after()
    {
        using var source = new FailingStream(3 << 20);
        using var pipe = new HashingPipe(source);
        Assert.Equal(3 << 20, pipe.Skip(3 << 20));
        for (int i = 0; i < 2; i++)
        {
            Assert.Throws<IOException>(() => pipe.Read(new byte[1]));
        }
        Assert.Throws<IOException>(() => pipe.Finish());
    }

    [Fact]
    public void Leaving_early_ends_the_threads()
    {
        using var source = new MemoryStream(new byte[SeveralBuffers]);
        var pipe = new HashingPipe(source);
        Assert.Equal(1, pipe.Read(new byte[1]));
        pipe.Dispose();
        Assert.True(source.Position <= 6 << 20);
    }

    [Fact]
    public void More_bytes_than_may_be_are_not_handed_out()
    {
        using var source = new MemoryStream(new byte[SeveralBuffers]);
        using var pipe = new HashingPipe(source, 5000);
        Assert.Equal(5000, pipe.Skip(5000));
        Assert.Throws<StrataException>(() => pipe.Read(new byte[1]));
        Assert.Throws<StrataException>(() => pipe.Skip(1));
    }

    private sealed class FailingStream(int good) : Stream
    {
        private int _left = good;
        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count)
        {
            int step = Math.Min(count, _left);
            _left -= step;
            return step > 0 ? step : throw new IOException("the disk is gone");
        }

        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
