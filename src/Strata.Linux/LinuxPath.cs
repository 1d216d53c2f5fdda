namespace Strata.Linux;

/// <summary>
/// File names are bytes on Linux, and strings here. Bytes that are not UTF-8 become lone low surrogates (0x80 is U+DC80, 0xFF is U+DCFF),
/// so that every name survives the way there and back. Everything in this project that passes a name to the kernel encodes it here;
/// the base library's file API does not, and must not see names from outside.
/// </summary>
public static class LinuxPath
{
    /// <summary>Bytes of a name, as text.</summary>
    public static string Decode(ReadOnlySpan<byte> name) => throw new NotImplementedException(name.Length.ToString());

    /// <summary>The bytes of a text that <see cref="Decode"/> made, or of any other. Lone surrogates that stand for no byte are encoded as U+FFFD.</summary>
    public static byte[] Encode(string name) => throw new NotImplementedException(name);

    /// <summary>Compares as the bytes would compare: the order in which archives list their entries.</summary>
    public static int Compare(string left, string right) => throw new NotImplementedException(left + right);
}
