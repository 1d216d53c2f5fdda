using System.Text;

namespace Strata.Cli.Output;

/// <summary>
/// Text to a stream as UTF-8, gathered until <see cref="Flush"/> or, with <paramref name="autoFlush"/>, until the end of a call. What is no
/// character, half of a surrogate pair, is written as U+FFFD. A page of plain loops: the base library's writer brings encoders and vector
/// types that take longer to load than a listing takes to print.
/// </summary>
internal sealed class Utf8Writer(Stream stream, int bufferBytes, bool autoFlush = false) : TextWriter
{
    private const int LongestSequence = 4, Replacement = 0xfffd;
    private readonly byte[] _buffer = new byte[bufferBytes];
    private int _count;
    private char _high; // the first half of a pair whose second half comes with the next call

    public override Encoding Encoding => Encoding.UTF8;

    public override void Write(char value)
    {
        Put(value);
        EndCall();
    }

    public override void Write(string? value)
    {
        PutAll(value);
        EndCall();
    }

    public override void Write(ReadOnlySpan<char> buffer)
    {
        PutAll(buffer);
        EndCall();
    }

    public override void Write(char[] buffer, int index, int count) => Write(buffer.AsSpan(index, count));

    public override void WriteLine()
    {
        Put('\n');
        EndCall();
    }

    public override void WriteLine(string? value)
    {
        PutAll(value);
        WriteLine();
    }

    public override void Flush()
    {
        int count = _count;
        _count = 0; // what could not be written is not tried again by whoever tells of it
        if (count > 0)
        {
            stream.Write(_buffer, 0, count);
        }
    }

    private void EndCall()
    {
        if (autoFlush)
        {
            Flush();
        }
    }

    private void PutAll(ReadOnlySpan<char> text)
    {
        foreach (char c in text)
        {
            Put(c);
        }
    }

    private void Put(char c)
    {
        if (_count > _buffer.Length - (2 * LongestSequence))
        {
            Flush();
        }
        if (c < 0x80 && _high == 0)
        {
            _buffer[_count++] = (byte)c;
            return;
        }
        char high = _high;
        _high = '\0';
        if (high != 0 && char.IsLowSurrogate(c))
        {
            PutSequence(0x10000 + ((high - 0xd800) << 10) + (c - 0xdc00));
            return;
        }
        if (high != 0)
        {
            PutSequence(Replacement);
        }
        if (char.IsHighSurrogate(c))
        {
            _high = c;
            return;
        }
        PutSequence(char.IsLowSurrogate(c) ? Replacement : c);
    }

    // RFC 3629, 3.
    private void PutSequence(int scalar)
    {
        int following = scalar < 0x80 ? 0 : scalar < 0x800 ? 1 : scalar < 0x10000 ? 2 : 3;
        _buffer[_count++] = (byte)(following switch { 0 => scalar, 1 => 0xc0 | (scalar >> 6), 2 => 0xe0 | (scalar >> 12), _ => 0xf0 | (scalar >> 18) });
        for (; following > 0; following--)
        {
            _buffer[_count++] = (byte)(0x80 | ((scalar >> (6 * (following - 1))) & 0x3f));
        }
    }
}
