using System.Text;
using Strata.Cli.Output;
using Xunit;

namespace Strata.Tests.Cli;

public sealed class Utf8WriterTests
{
    [Theory]
    [InlineData("")]
    [InlineData("plain")]
    [InlineData("é ß € 漢字 😀\u0301 end")]
    [InlineData("\ud83d alone, \ude00 alone, \ud83d\ud83d\ude00 twice")]
    [InlineData("\u007f\u0080\u07ff\u0800\uffff")]
    public void Text_is_what_the_base_library_makes_of_it_in_whatever_pieces(string text)
    {
        byte[] expected = Encoding.UTF8.GetBytes(text + "\n");
        foreach (int piece in new[] { 1, 2, 3, 100 })
        {
            using var stream = new MemoryStream();
            using var writer = new Utf8Writer(stream, bufferBytes: 16);
            for (int i = 0; i < text.Length; i += piece)
            {
                writer.Write(text.AsSpan(i, Math.Min(piece, text.Length - i)));
            }
            writer.WriteLine();
            writer.Flush();
            Assert.Equal(expected, stream.ToArray());
        }
    }

    [Fact]
    public void Nothing_is_written_before_flush_unless_it_is_asked_for_and_then_a_line_is_one_write()
    {
        using var gathered = new CountedStream();
        using var patient = new Utf8Writer(gathered, 1 << 10);
        patient.WriteLine("a");
        Assert.Equal(0, gathered.Writes);
        patient.Flush();
        Assert.Equal(1, gathered.Writes);
        using var direct = new CountedStream();
        using var eager = new Utf8Writer(direct, 1 << 10, autoFlush: true);
        eager.WriteLine("a");
        eager.WriteLine($"{1}{'b'}");
        Assert.Equal((2, "a\n1b\n"), (direct.Writes, Encoding.UTF8.GetString(direct.ToArray())));
    }

    private sealed class CountedStream : MemoryStream
    {
        internal int Writes { get; private set; }

        public override void Write(byte[] buffer, int offset, int count)
        {
            Writes++;
            base.Write(buffer, offset, count);
        }
    }
}
