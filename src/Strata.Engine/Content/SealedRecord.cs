using System.Text;
using System.Text.Json;
using Strata.Oci;

namespace Strata.Content;

/// <summary>
/// Small records that say when they were changed by anyone but us: their last field is a seal, 64 bits of the SHA-256 of their place in the store and of
/// all that is before it. A flipped bit, or one record in another one's place, is found at the first read. It keeps out accidents, not attackers.
/// A record without a seal is read as it is; system check --deep tells of it.
/// </summary>
internal static class SealedRecord
{
    private const int Digits = 16;
    private static ReadOnlySpan<byte> Field => "\"seal\":\""u8;
    private static ReadOnlySpan<byte> End => "\"}"u8;

    /// <summary>The bytes of a record that will be at <paramref name="place"/>.</summary>
    internal static byte[] Serialize<T>(string place, T record, Action<JsonFieldsWriter, T> write) where T : class
    {
        ReadOnlySpan<byte> fields = JsonFieldsWriter.Serialize(record, write).AsSpan()[..^1];
        bool isEmpty = fields.Length == 1;
        byte[] text = new byte[fields.Length + (isEmpty ? 0 : 1) + Field.Length + Digits + End.Length];
        fields.CopyTo(text);
        int at = fields.Length;
        if (!isEmpty)
        {
            text[at++] = (byte)',';
        }
        Field.CopyTo(text.AsSpan(at));
        at += Field.Length;
        Seal(place, text.AsSpan(0, at), text.AsSpan(at, Digits));
        End.CopyTo(text.AsSpan(at + Digits));
        return text;
    }

    /// <summary>Parses what was read at a place.</summary>
    /// <exception cref="JsonException">It is no record, or was changed.</exception>
    internal static JsonFields Parse(string place, ReadOnlySpan<byte> text)
    {
        JsonFields fields = JsonFields.Parse(text);
        return IsSealed(text) && !IsIntact(place, text) ? throw new JsonException("it was changed: its seal is that of another text") : fields;
    }

    /// <summary>Whether it has a seal, right or wrong.</summary>
    internal static bool IsSealed(ReadOnlySpan<byte> text)
        => text.Length > Field.Length + Digits + End.Length && text.EndsWith(End) && text[..^(Digits + End.Length)].EndsWith(Field);

    private static bool IsIntact(string place, ReadOnlySpan<byte> text)
    {
        Span<byte> seal = stackalloc byte[Digits];
        int at = text.Length - Digits - End.Length;
        Seal(place, text[..at], seal);
        return text.Slice(at, Digits).SequenceEqual(seal);
    }

    private static void Seal(string place, ReadOnlySpan<byte> text, Span<byte> digits)
    {
        byte[] sealedText = new byte[Encoding.UTF8.GetByteCount(place) + 1 + text.Length];
        int length = Encoding.UTF8.GetBytes(place, sealedText);
        text.CopyTo(sealedText.AsSpan(length + 1));
        Encoding.ASCII.GetBytes(Digest.Of(sealedText).Hex[..Digits].ToString(), digits);
    }
}
