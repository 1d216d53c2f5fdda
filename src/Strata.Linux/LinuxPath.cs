using System.Text;

namespace Strata.Linux;

/// <summary>
/// File names are bytes on Linux, and strings here. Bytes that are not UTF-8 become lone low surrogates (0x80 is U+DC80, 0xFF is U+DCFF),
/// so that every name survives the way there and back. Everything in this project that passes a name to the kernel encodes it here;
/// the base library's file API does not, and must not see names from outside.
/// </summary>
public static class LinuxPath
{
    private const char FirstEscape = '\uDC80';
    private const char LastEscape = '\uDCFF';
    private const int ShortName = 256;

    /// <summary>A name in a folder; either may be empty, and is left out then.</summary>
    public static string Join(string folder, string name)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(name);
        return folder.Length == 0 ? name : name.Length == 0 ? folder : folder + "/" + name;
    }

    /// <summary>Bytes of a name, as text.</summary>
    public static string Decode(ReadOnlySpan<byte> name)
    {
        return TryDecodeAscii(name) ?? DecodeAny(name);
    }

    private static string DecodeAny(ReadOnlySpan<byte> name)
    {
        if (System.Text.Unicode.Utf8.IsValid(name))
        {
            return Encoding.UTF8.GetString(name);
        }
        var text = new StringBuilder(name.Length);
        Span<char> pair = stackalloc char[2];
        while (!name.IsEmpty)
        {
            if (Rune.DecodeFromUtf8(name, out Rune rune, out int consumed) == System.Buffers.OperationStatus.Done)
            {
                text.Append(pair[..rune.EncodeToUtf16(pair)]);
                name = name[consumed..];
            }
            else
            {
                text.Append((char)(0xDC00 + name[0]));
                name = name[1..];
            }
        }
        return text.ToString();
    }

    // Almost all names. A plain loop: the base library's converters load dozens of vector types before the first of them is read.
    private static string? TryDecodeAscii(ReadOnlySpan<byte> name)
    {
        if (name.Length > ShortName)
        {
            return null;
        }
        Span<char> text = stackalloc char[ShortName];
        for (int i = 0; i < name.Length; i++)
        {
            if (name[i] > sbyte.MaxValue)
            {
                return null;
            }
            text[i] = (char)name[i];
        }
        return new string(text[..name.Length]);
    }

    /// <summary>The bytes of a text that <see cref="Decode"/> made, or of any other. Lone surrogates that stand for no byte are encoded as U+FFFD.</summary>
    public static byte[] Encode(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        byte[] plain = new byte[name.Length];
        int ascii = 0;
        while (ascii < plain.Length && char.IsAscii(name[ascii]))
        {
            plain[ascii] = (byte)name[ascii++];
        }
        return ascii == plain.Length ? plain : EncodeAny(name);
    }

    private static byte[] EncodeAny(string name)
    {
        if (!name.AsSpan().ContainsAnyInRange(FirstEscape, LastEscape))
        {
            return Encoding.UTF8.GetBytes(name);
        }
        var bytes = new List<byte>(name.Length + 8);
        Span<byte> utf8 = stackalloc byte[4];
        for (int i = 0; i < name.Length; i++)
        {
            char c = name[i];
            if (char.IsHighSurrogate(c) && i + 1 < name.Length && char.IsLowSurrogate(name[i + 1]))
            {
                bytes.AddRange(utf8[..new Rune(c, name[++i]).EncodeToUtf8(utf8)]);
            }
            else if (c is >= FirstEscape and <= LastEscape)
            {
                bytes.Add((byte)(c - 0xDC00));
            }
            else
            {
                bytes.AddRange(utf8[..(char.IsSurrogate(c) ? Rune.ReplacementChar : new Rune(c)).EncodeToUtf8(utf8)]);
            }
        }
        return [.. bytes];
    }

    /// <summary>The absolute path of a trusted one. A path that is one already, as most are, is returned as it is.</summary>
    public static string GetFull(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        bool isPlain = path[0] == '/';
        for (int i = 1; i < path.Length && isPlain; i++)
        {
            isPlain = path[i] != '\0' && (path[i - 1] != '/' || path[i] is not ('/' or '.'));
        }
        return isPlain ? path : Path.GetFullPath(path);
    }

    /// <summary>Compares as the bytes would compare: the order in which archives list their entries.</summary>
    public static int Compare(string left, string right)
    {
        ArgumentNullException.ThrowIfNull(left);
        ArgumentNullException.ThrowIfNull(right);
        // UTF-16 and UTF-8 order differ only where surrogates meet characters above them; ASCII names take the short way.
        return System.Text.Ascii.IsValid(left) && System.Text.Ascii.IsValid(right)
            ? string.CompareOrdinal(left, right)
            : Encode(left).AsSpan().SequenceCompareTo(Encode(right));
    }
}
