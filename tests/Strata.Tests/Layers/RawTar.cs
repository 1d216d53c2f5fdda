using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Strata.Layers;
using Strata.Linux;

namespace Strata.Tests.Layers;

/// <summary>What was read of one entry.</summary>
internal sealed record ReadEntry(LayerEntry Entry, byte[] Content);

/// <summary>A tar by hand, header by header: what no careful writer would write.</summary>
internal sealed class RawTar
{
    internal const int BlockBytes = 512;
    private readonly List<byte> _bytes = [];

    /// <summary>A header; <paramref name="edit"/> changes the block before its checksum is made.</summary>
    internal RawTar Header(char type, string name, long size = 0, string link = "", Action<byte[]>? edit = null)
    {
        byte[] block = new byte[BlockBytes];
        Put(block, 0, 100, LinuxPath.Encode(name));
        Put(block, 100, 8, "0000644\0"u8);
        Put(block, 108, 8, "0000000\0"u8);
        Put(block, 116, 8, "0000000\0"u8);
        Put(block, 124, 12, Octal(size, 11));
        Put(block, 136, 12, "00000000000\0"u8);
        block[156] = (byte)type;
        Put(block, 157, 100, LinuxPath.Encode(link));
        Put(block, 257, 8, "ustar\000"u8);
        edit?.Invoke(block);
        Sum(block);
        return Raw(block);
    }

    /// <summary>A regular file with its content.</summary>
    internal RawTar File(string name, string content = "", Action<byte[]>? edit = null)
        => Header('0', name, Encoding.UTF8.GetByteCount(content), edit: edit).Body(Encoding.UTF8.GetBytes(content));

    /// <summary>Bytes, and zeros to the end of their block.</summary>
    internal RawTar Body(ReadOnlySpan<byte> body)
    {
        _bytes.AddRange(body);
        _bytes.AddRange(new byte[(BlockBytes - (body.Length % BlockBytes)) % BlockBytes]);
        return this;
    }

    internal RawTar Raw(ReadOnlySpan<byte> bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    internal RawTar Pax(params string[] records) => Records('x', [.. records.Select(LinuxPath.Encode)]);

    internal RawTar Global(params string[] records) => Records('g', [.. records.Select(LinuxPath.Encode)]);

    internal RawTar Records(char type, params byte[][] records)
    {
        byte[] body = [.. records.SelectMany(Record)];
        return Header(type, "PaxHeaders/x", body.Length).Body(body);
    }

    /// <summary>GNU's long name (L) or long link (K).</summary>
    internal RawTar Long(char type, string text)
    {
        byte[] body = [.. LinuxPath.Encode(text), 0];
        return Header(type, "././@LongLink", body.Length, edit: MakeGnu).Body(body);
    }

    internal byte[] End() => [.. Raw(new byte[2 * BlockBytes])._bytes];

    internal byte[] ToArray() => [.. _bytes];

    /// <summary>The magic of GNU's own format, which has no prefix.</summary>
    internal static void MakeGnu(byte[] block) => Put(block, 257, 8, "ustar  \0"u8);

    internal static void Sum(byte[] block)
    {
        Put(block, 148, 8, "        "u8);
        Put(block, 148, 8, [.. Octal(block.Sum(b => b), 6), (byte)' ']);
    }

    internal static void Put(byte[] block, int offset, int length, ReadOnlySpan<byte> value)
        => value[..Math.Min(length, value.Length)].CopyTo(block.AsSpan(offset));

    internal static byte[] Octal(long value, int digits) => [.. Encoding.ASCII.GetBytes(Convert.ToString(value, 8).PadLeft(digits, '0')), 0];

    internal static IReadOnlyList<ReadEntry> Read(byte[] blob, LayerLimits? limits = null)
    {
        using var stream = new MemoryStream(blob);
        return Read(stream, limits, out _);
    }

    /// <summary>Reads all of a blob, contents too.</summary>
    internal static IReadOnlyList<ReadEntry> Read(Stream blob, LayerLimits? limits, out string diffId)
    {
        using var reader = new LayerReader(blob, limits);
        var entries = new List<ReadEntry>();
        while (reader.Read() is { } entry)
        {
            using var content = new MemoryStream();
            if (entry is FileEntry)
            {
                try
                {
                    reader.Content.CopyTo(content);
                }
                catch (InvalidDataException e)
                {
                    throw new StrataException(ErrorKind.Corrupt, e.Message, e); // as the extractor says it
                }
            }
            entries.Add(new ReadEntry(entry, content.ToArray()));
        }
        diffId = reader.DiffId.ToString();
        return entries;
    }

    internal static string DigestOf(byte[] plain) => "sha256:" + Convert.ToHexStringLower(SHA256.HashData(plain));

    private static byte[] Record(byte[] record)
    {
        int rest = record.Length + 2, length = rest + 1;
        while (length != rest + length.ToString(CultureInfo.InvariantCulture).Length)
        {
            length++;
        }
        return [.. Encoding.ASCII.GetBytes(length.ToString(CultureInfo.InvariantCulture)), (byte)' ', .. record, (byte)'\n'];
    }
}
