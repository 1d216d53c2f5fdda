using Strata.Layers;
using Xunit;

namespace Strata.Tests.Layers;

/// <summary>What is written on by another thread comes whole, in order, and its failures come back.</summary>
public sealed class WriteBehindTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(512 << 10)]
    [InlineData((512 << 10) + 1)]
    [InlineData(10_000_000)]
    public void All_bytes_come_in_their_order(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        using MemoryStream target = new();
        using (WriteBehind behind = new(target))
        {
            Random sizes = new(1);
            for (int at = 0, count; at < length; at += count)
            {
                count = Math.Min(sizes.Next(1, 300_000), length - at);
                behind.Write(bytes.AsSpan(at, count));
            }
            behind.Complete();
            Assert.Equal(length, behind.Length);
        }
        Assert.Equal(bytes, target.ToArray());
    }

    [Theory]
    [InlineData(1_000)]
    [InlineData(5_000_000)]
    public void A_target_that_fails_is_told_of_and_nobody_waits_for_ever(int length)
    {
        using WriteBehind behind = new(new FullStream(600_000 % length));
        IOException failure = Assert.Throws<IOException>(() =>
        {
            for (int i = 0; i < 20; i++)
            {
                behind.Write(new byte[length]);
            }
            behind.Complete();
        });
        Assert.Equal("full", failure.Message);
    }

    [Fact]
    public void What_was_not_completed_is_forgotten()
    {
        using MemoryStream target = new();
        using (WriteBehind behind = new(target))
        {
            behind.Write(new byte[1000]);
        }
        Assert.Equal(0, target.Length);
    }

    private sealed class FullStream(int room) : MemoryStream
    {
        public override void Write(byte[] buffer, int offset, int count)
        {
            if (Length + count > room)
            {
                throw new IOException("full");
            }
            base.Write(buffer, offset, count);
        }
    }
}
