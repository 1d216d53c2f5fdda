using System.Text;
using System.Text.Json;

namespace Strata.Oci;

/// <summary>
/// A value of a JSON text (RFC 8259), read strictly: UTF-8 without a byte order mark, no comments, no trailing commas, no half of a surrogate
/// pair, one value and nothing behind it. Names are kept as often as they occur.
/// </summary>
/// <remarks>
/// The base library's reader makes tables for JSONPath and for searching before its first string, by code that cannot be compiled ahead: more
/// than all the rest of a short command. Records and documents are small, so this one is a page of plain loops.
/// </remarks>
internal sealed class JsonValue
{
    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly byte[] _text;
    private readonly int _start;
    private int _end;

    private JsonValue(byte[] text, int start, JsonValueKind kind)
    {
        (_text, _start, Kind) = (text, start, kind);
    }

    /// <summary>What it is.</summary>
    internal JsonValueKind Kind { get; }

    /// <summary>A string's text; null for every other kind.</summary>
    internal string? Text { get; private set; }

    /// <summary>An object's names, in their order.</summary>
    internal string[] Names { get; private set; } = [];

    /// <summary>An object's values, as <see cref="Names"/>; an array's items.</summary>
    internal JsonValue[] Items { get; private set; } = [];

    /// <summary>The bytes it was read from.</summary>
    internal ReadOnlySpan<byte> Raw => _text.AsSpan(_start, _end - _start);

    /// <summary>Reads a whole text.</summary>
    /// <exception cref="JsonException">It is no JSON, or deeper than <paramref name="maxDepth"/>; names the byte.</exception>
    internal static JsonValue Parse(ReadOnlySpan<byte> json, int maxDepth)
    {
        var parser = new Parser(json.ToArray(), maxDepth);
        return parser.ReadAll();
    }

    /// <summary>The value of a name, the last one where it occurs twice; null where it does not.</summary>
    internal JsonValue? Find(string name)
    {
        for (int i = Names.Length - 1; i >= 0; i--)
        {
            if (Names[i] == name)
            {
                return Items[i];
            }
        }
        return null;
    }

    /// <summary>A number's value where it is whole, as it is written too, and fits.</summary>
    internal bool TryGetUInt64(out ulong number)
    {
        number = 0;
        return Kind == JsonValueKind.Number && TryReadDigits(Raw, out number);
    }

    /// <summary>As <see cref="TryGetUInt64"/>, with a sign.</summary>
    internal bool TryGetInt64(out long number)
    {
        number = 0;
        bool isNegative = Kind == JsonValueKind.Number && Raw[0] == '-';
        if (Kind != JsonValueKind.Number || !TryReadDigits(isNegative ? Raw[1..] : Raw, out ulong digits) || digits > (isNegative ? 1UL << 63 : long.MaxValue))
        {
            return false;
        }
        number = isNegative ? unchecked(-(long)digits) : (long)digits;
        return true;
    }

    private static bool TryReadDigits(ReadOnlySpan<byte> digits, out ulong number)
    {
        number = 0;
        foreach (byte digit in digits)
        {
            if (digit is < (byte)'0' or > (byte)'9' || number > (ulong.MaxValue - (ulong)(digit - '0')) / 10)
            {
                return false;
            }
            number = (number * 10) + (ulong)(digit - '0');
        }
        return true;
    }

    private sealed class Parser(byte[] text, int maxDepth)
    {
        private const int FirstItems = 8;
        private int _at;

        internal JsonValue ReadAll()
        {
            JsonValue value = ReadValue(0);
            SkipSpace();
            return _at == text.Length ? value : throw Unexpected("the end");
        }

        private JsonValue ReadValue(int depth)
        {
            SkipSpace();
            JsonValue value = Peek() switch
            {
                '{' => ReadObject(depth + 1),
                '[' => ReadArray(depth + 1),
                '"' => new JsonValue(text, _at, JsonValueKind.String) { Text = ReadString() },
                't' => ReadWord("true"u8, JsonValueKind.True),
                'f' => ReadWord("false"u8, JsonValueKind.False),
                'n' => ReadWord("null"u8, JsonValueKind.Null),
                '-' or (>= '0' and <= '9') => ReadNumber(),
                _ => throw Unexpected("a value"),
            };
            value._end = _at;
            return value;
        }

        private JsonValue ReadObject(int depth)
        {
            JsonValue value = Open(JsonValueKind.Object, depth);
            string[] names = [];
            JsonValue[] items = [];
            int count = 0;
            for (bool isFirst = true; !Closes('}', isFirst); isFirst = false)
            {
                if (Peek() != '"')
                {
                    throw Unexpected("a field's name in quotes");
                }
                Put(ref names, count, ReadString());
                SkipSpace();
                if (Peek() != ':')
                {
                    throw Unexpected("':'");
                }
                _at++;
                Put(ref items, count++, ReadValue(depth));
            }
            Array.Resize(ref names, count);
            Array.Resize(ref items, count);
            (value.Names, value.Items) = (names, items);
            return value;
        }

        private JsonValue ReadArray(int depth)
        {
            JsonValue value = Open(JsonValueKind.Array, depth);
            JsonValue[] items = [];
            int count = 0;
            for (bool isFirst = true; !Closes(']', isFirst); isFirst = false)
            {
                Put(ref items, count++, ReadValue(depth));
            }
            Array.Resize(ref items, count);
            value.Items = items;
            return value;
        }

        private static void Put<T>(ref T[] array, int at, T item) where T : class
        {
            if (at == array.Length)
            {
                Array.Resize(ref array, Math.Max(FirstItems, at * 2));
            }
            array[at] = item;
        }

        private JsonValue Open(JsonValueKind kind, int depth)
            => depth > maxDepth ? throw new JsonException($"more than {maxDepth} levels at byte {_at}") : new JsonValue(text, _at++, kind);

        // Steps over the closing mark and says true; or over the comma, where one has to be, and says false.
        private bool Closes(char mark, bool isFirst)
        {
            SkipSpace();
            if (Peek() == mark)
            {
                _at++;
                return true;
            }
            if (isFirst)
            {
                return false;
            }
            if (Peek() != ',')
            {
                throw Unexpected($"',' or '{mark}'");
            }
            _at++;
            SkipSpace();
            return false;
        }

        private JsonValue ReadWord(ReadOnlySpan<byte> word, JsonValueKind kind)
        {
            if (!text.AsSpan(_at).StartsWith(word))
            {
                throw Unexpected("a value");
            }
            var value = new JsonValue(text, _at, kind);
            _at += word.Length;
            return value;
        }

        private JsonValue ReadNumber()
        {
            var value = new JsonValue(text, _at, JsonValueKind.Number);
            if (Peek() == '-')
            {
                _at++;
            }
            if (Peek() == '0')
            {
                _at++; // no digit may follow
            }
            else
            {
                SkipDigits();
            }
            if (Peek() == '.')
            {
                _at++;
                SkipDigits();
            }
            if (Peek() is 'e' or 'E')
            {
                _at++;
                if (Peek() is '+' or '-')
                {
                    _at++;
                }
                SkipDigits();
            }
            return value;
        }

        private void SkipDigits()
        {
            int start = _at;
            while (Peek() is >= '0' and <= '9')
            {
                _at++;
            }
            if (_at == start)
            {
                throw Unexpected("a digit");
            }
        }

        private string ReadString()
        {
            int start = ++_at;
            bool hasEscapes = false;
            for (; ; _at++)
            {
                int mark = Peek();
                if (mark == '"')
                {
                    break;
                }
                if (mark < ' ')
                {
                    throw Unexpected(mark < 0 ? "'\"'" : "a string without control characters");
                }
                if (mark == '\\')
                {
                    hasEscapes = true;
                    _at++; // a quote behind it ends nothing
                }
            }
            ReadOnlySpan<byte> inside = text.AsSpan(start, _at++ - start);
            return !hasEscapes && TryReadAscii(inside) is { } plain ? plain : ReadAny(inside, hasEscapes, start);
        }

        // Almost all strings, by a plain loop, as LinuxPath has it for names.
        private static string? TryReadAscii(ReadOnlySpan<byte> inside)
        {
            const int Short = 256;
            if (inside.Length > Short)
            {
                return null;
            }
            Span<char> characters = stackalloc char[Short];
            for (int i = 0; i < inside.Length; i++)
            {
                if (inside[i] > sbyte.MaxValue)
                {
                    return null;
                }
                characters[i] = (char)inside[i];
            }
            return new string(characters[..inside.Length]);
        }

        private static string ReadAny(ReadOnlySpan<byte> inside, bool hasEscapes, int start)
        {
            try
            {
                return hasEscapes ? Unescape(inside, start) : s_strict.GetString(inside);
            }
            catch (ArgumentException e) when (e is DecoderFallbackException or EncoderFallbackException)
            {
                // Bytes that are no UTF-8, or an escaped half of a surrogate pair: each reader replaces them in its own way.
                throw new JsonException($"a string at byte {start - 1} is not valid Unicode", e);
            }
        }

        private static string Unescape(ReadOnlySpan<byte> inside, int start)
        {
            var plain = new StringBuilder(inside.Length);
            while (inside.Length > 0)
            {
                int escape = inside.IndexOf((byte)'\\');
                plain.Append(s_strict.GetString(escape < 0 ? inside : inside[..escape]));
                if (escape < 0)
                {
                    break;
                }
                int at = escape + 1;
                plain.Append((char)inside[at] switch
                {
                    '"' => '"',
                    '\\' => '\\',
                    '/' => '/',
                    'b' => '\b',
                    'f' => '\f',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => ReadHex(inside[(at + 1)..], start),
                    _ => throw new JsonException($"a string at byte {start - 1} has an escape that JSON does not know"),
                });
                inside = inside[(at + (inside[at] == 'u' ? 5 : 1))..];
            }
            string text = plain.ToString();
            s_strict.GetByteCount(text); // throws for half of a pair
            return text;
        }

        private static char ReadHex(ReadOnlySpan<byte> digits, int start)
        {
            int value = 0;
            for (int i = 0; i < 4; i++)
            {
                int digit = i < digits.Length && char.IsAsciiHexDigit((char)digits[i]) ? Convert.ToInt32(((char)digits[i]).ToString(), 16)
                    : throw new JsonException($"a string at byte {start - 1} has a \\u without four hexadecimal digits");
                value = (value << 4) | digit;
            }
            return (char)value;
        }

        private int Peek() => _at < text.Length ? text[_at] : -1;

        private void SkipSpace()
        {
            while (Peek() is ' ' or '\t' or '\n' or '\r')
            {
                _at++;
            }
        }

        private JsonException Unexpected(string expected)
            => new(_at >= text.Length ? $"expected {expected}, found the end of the text" : $"expected {expected} at byte {_at}");
    }
}
