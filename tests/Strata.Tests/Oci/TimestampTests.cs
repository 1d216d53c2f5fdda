using System.Globalization;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Oci;

public sealed class TimestampTests
{
    [Fact]
    public void Times_are_written_as_the_base_library_writes_them_and_read_back()
    {
        var random = new Random(7);
        for (int i = 0; i < 5_000; i++)
        {
            long fraction = random.Next(4) switch { 0 => 0, 1 => random.Next(1000) * TimeSpan.TicksPerMillisecond, _ => random.Next(10_000_000) };
            var time = new DateTimeOffset((random.NextInt64(DateTime.MaxValue.Ticks) / TimeSpan.TicksPerSecond * TimeSpan.TicksPerSecond) + fraction, TimeSpan.Zero);
            string? text = Timestamps.Format(time);
            Assert.Equal(time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", CultureInfo.InvariantCulture), text);
            Assert.Equal(time, Timestamps.Parse(text));
        }
    }

    [Theory]
    [InlineData("2024-02-29T23:59:59Z", "2024-02-29T23:59:59.0000000+00:00")]
    [InlineData("2022-03-19T16:12:58.923371954+02:00", "2022-03-19T14:12:58.9233719+00:00")]
    [InlineData("2022-03-19T16:12:58-11:30", "2022-03-20T03:42:58.0000000+00:00")]
    [InlineData("2023-02-29T00:00:00Z", null)]
    [InlineData("2023-13-01T00:00:00Z", null)]
    [InlineData("2023-00-01T00:00:00Z", null)]
    [InlineData("0000-01-01T00:00:00Z", null)]
    [InlineData("2023-01-01T24:00:00Z", null)]
    [InlineData("2023-01-01T00:60:00Z", null)]
    [InlineData("2023-01-01T00:00:60Z", null)]
    [InlineData("2023-01-01 00:00:00Z", null)]
    [InlineData("2023-01-01T00:00:00", null)]
    [InlineData("2023-01-01T00:00:00.Z", null)]
    [InlineData("2023-01-01T00:00:00+24:00", null)]
    [InlineData("2023-01-01T00:00:00+0100", null)]
    [InlineData("2023-01-01T00:00:00+01:60", null)]
    [InlineData("+023-01-01T00:00:00Z", null)]
    [InlineData("0001-01-01T00:00:00+01:00", null)]
    public void Times_of_others_are_read_or_refused(string text, string? expected)
        => Assert.Equal(expected, Timestamps.Parse(text)?.ToString("o", CultureInfo.InvariantCulture));
}
