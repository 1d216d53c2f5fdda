using System.Globalization;
using System.Text;
using Strata.Linux;

namespace Strata.Layers;

/// <summary>
/// Writes a layer as an uncompressed tar, reproducibly: equal entries in equal order give equal bytes on every machine (ustar, PAX records only
/// where ustar cannot say it; no user or group names, no process id, no clock). Synchronous.
/// <code>
/// ustar header, 512 bytes: name 100, mode 8, uid 8, gid 8, size 12, mtime 12, checksum 8, type 1, linkname 100,
///                          "ustar\0" 6, "00" 2, uname 32, gname 32, devmajor 8, devminor 8, prefix 155, pad 12
/// PAX record:              "LENGTH KEY=VALUE\n", LENGTH counting itself
/// </code>
/// </summary>
public sealed class LayerWriter : IDisposable
{
    private const int BlockBytes = 512;
    private const int NameBytes = 100;
    private const long MaxOctal7 = 0x1FFFFF;      // 7 octal digits: mode, uid, gid, device numbers
    private const long MaxOctal11 = 0x1FFFFFFFF;  // 11 octal digits: size and mtime
    private const int CopyBytes = 1 << 20;
    private static readonly byte[] s_zeros = new byte[BlockBytes * 2];
    private readonly Stream _tar;
    private readonly byte[] _header = new byte[BlockBytes];
    private byte[]? _copy;
    private bool _finished;

    /// <summary>Starts a layer on <paramref name="tar"/>, which is not disposed.</summary>
    public LayerWriter(Stream tar) => _tar = tar ?? throw new ArgumentNullException(nameof(tar));

    /// <summary>Bytes of regular files written: what <c>history</c> calls the size of a layer.</summary>
    public long ContentBytes { get; private set; }

    /// <summary>Writes an entry; <paramref name="content"/> is read to exactly the size a <see cref="FileEntry"/> states.</summary>
    /// <exception cref="StrataException">Invalid: a name that every reader would take for a whiteout (image-spec/layer.md#whiteouts reserves <c>.wh.</c>).</exception>
    public void Write(LayerEntry entry, Stream? content = null)
    {
        ArgumentNullException.ThrowIfNull(entry);
        RefuseReserved(entry);
        switch (entry)
        {
            case WhiteoutEntry whiteout:
                WriteHeader(Whiteouts.WhiteoutOf(whiteout.Path), '0', s_marker, 0, "", 0, 0);
                break;
            case OpaqueEntry opaque:
                WriteHeader(Whiteouts.OpaqueOf(opaque.Path), '0', s_marker, 0, "", 0, 0);
                break;
            case DirectoryEntry directory:
                WriteHeader(directory.Path.Length == 0 ? "./" : directory.Path + "/", '5', directory.Metadata, 0, "", 0, 0);
                break;
            case FileEntry file:
                WriteHeader(file.Path, '0', file.Metadata, file.Size, "", 0, 0);
                WriteContent(file, content);
                break;
            case SymbolicLinkEntry link:
                WriteHeader(link.Path, '2', link.Metadata, 0, link.Target, 0, 0);
                break;
            case HardLinkEntry link:
                WriteHeader(link.Path, '1', link.Metadata, 0, link.Target, 0, 0);
                break;
            case DeviceEntry device:
                WriteHeader(device.Path, device.Kind switch { FileKind.CharacterDevice => '3', FileKind.BlockDevice => '4', _ => '6' }, device.Metadata, 0, "", device.Major, device.Minor);
                break;
            default:
                throw new System.Diagnostics.UnreachableException(entry.GetType().Name);
        }
    }

    /// <summary>Writes a file whose content is at hand.</summary>
    /// <exception cref="StrataException">As of the other.</exception>
    public void Write(FileEntry file, ReadOnlySpan<byte> content)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentOutOfRangeException.ThrowIfNotEqual(content.Length, file.Size);
        RefuseReserved(file);
        WriteHeader(file.Path, '0', file.Metadata, file.Size, "", 0, 0);
        ContentBytes += file.Size;
        _tar.Write(content);
        Pad(file.Size);
    }

    /// <summary>Writes the end of the archive. Without it the tar is cut.</summary>
    public void Finish()
    {
        if (!_finished)
        {
            _finished = true;
            _tar.Write(s_zeros);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _copy = null;

    private static void RefuseReserved(LayerEntry entry)
    {
        if (Whiteouts.IsReserved(entry.Path))
        {
            throw new StrataException(ErrorKind.Invalid, $"write layer: «{entry.Path}»: names that start with {Whiteouts.Prefix} mean removed files in a layer");
        }
    }

    private static readonly EntryMetadata s_marker = new(0, 0, 0, default);

    private void WriteHeader(string path, char type, EntryMetadata metadata, long size, string target, uint major, uint minor)
    {
        byte[] name = LinuxPath.Encode(path), link = LinuxPath.Encode(target);
        var records = new SortedDictionary<string, byte[]>(StringComparer.Ordinal);
        bool splits = TrySplit(name, out int slash);
        if (!System.Text.Ascii.IsValid(name) || (name.Length > NameBytes && !splits))
        {
            records["path"] = name;
        }
        if (!System.Text.Ascii.IsValid(link) || link.Length > NameBytes)
        {
            records["linkpath"] = link;
        }
        AddNumber(records, "uid", metadata.Uid, MaxOctal7);
        AddNumber(records, "gid", metadata.Gid, MaxOctal7);
        AddNumber(records, "size", size, MaxOctal11);
        if (metadata.Modified.Nanoseconds != 0 || metadata.Modified.Seconds is < 0 or > MaxOctal11)
        {
            records["mtime"] = Encoding.ASCII.GetBytes(Time(metadata.Modified));
        }
        foreach ((string key, System.Collections.Immutable.ImmutableArray<byte> value) in metadata.Xattrs)
        {
            records["SCHILY.xattr." + XattrKey.Encode(key)] = [.. value];
        }
        if (records.Count > 0)
        {
            WritePax(records, name);
        }
        Fill(name, records.ContainsKey("path"), splits ? slash : -1, metadata.Mode, metadata.Uid, metadata.Gid, size, metadata.Modified.Seconds, type, link, major, minor);
        _tar.Write(_header);
    }

    private void WritePax(SortedDictionary<string, byte[]> records, byte[] name)
    {
        using var body = new MemoryStream();
        foreach ((string key, byte[] value) in records)
        {
            byte[] keyBytes = LinuxPath.Encode(key);
            int rest = 1 /* blank */ + keyBytes.Length + 1 /* = */ + value.Length + 1 /* newline */;
            int length = rest + Digits(rest);
            length = rest + Digits(length);
            body.Write(Encoding.ASCII.GetBytes(length.ToString(CultureInfo.InvariantCulture) + " "));
            body.Write(keyBytes);
            body.WriteByte((byte)'=');
            body.Write(value);
            body.WriteByte((byte)'\n');
        }
        ReadOnlySpan<byte> trimmed = name.AsSpan().TrimEnd((byte)'/');
        byte[] last = trimmed[(trimmed.LastIndexOf((byte)'/') + 1)..].ToArray();
        byte[] header = [.. "PaxHeaders.0/"u8, .. last.Select(b => b < 0x80 ? b : (byte)'_').Take(NameBytes - 13)];
        Fill(header, false, -1, 0b110_100_100, 0, 0, body.Length, 0, 'x', [], 0, 0);
        _tar.Write(_header);
        _tar.Write(body.GetBuffer().AsSpan(0, (int)body.Length));
        Pad(body.Length);
    }

    private void Fill(byte[] name, bool nameInPax, int slash, int mode, uint uid, uint gid, long size, long mtime, char type, byte[] link, uint major, uint minor)
    {
        Span<byte> h = _header;
        h.Clear();
        if (slash > 0 && !nameInPax && name.Length > NameBytes)
        {
            name.AsSpan(slash + 1).CopyTo(h);
            name.AsSpan(0, slash).CopyTo(h[345..]);
        }
        else
        {
            // Beside a PAX path the field is only a hint for readers of old: what is not ASCII has no place in it.
            for (int i = 0; i < Math.Min(name.Length, NameBytes); i++)
            {
                h[i] = name[i] < 0x80 ? name[i] : (byte)'_';
            }
        }
        Octal(h.Slice(100, 8), mode);
        Octal(h.Slice(108, 8), uid > MaxOctal7 ? 0 : uid);
        Octal(h.Slice(116, 8), gid > MaxOctal7 ? 0 : gid);
        Octal(h.Slice(124, 12), size > MaxOctal11 ? 0 : size);
        Octal(h.Slice(136, 12), mtime is < 0 or > MaxOctal11 ? 0 : mtime);
        h.Slice(148, 8).Fill((byte)' ');
        h[156] = (byte)type;
        for (int i = 0; i < Math.Min(link.Length, NameBytes); i++)
        {
            h[157 + i] = link[i] < 0x80 ? link[i] : (byte)'_';
        }
        "ustar\0"u8.CopyTo(h[257..]);
        "00"u8.CopyTo(h[263..]);
        Octal(h.Slice(329, 8), major);
        Octal(h.Slice(337, 8), minor);
        int sum = 0;
        foreach (byte b in h)
        {
            sum += b;
        }
        Octal(h.Slice(148, 7), sum);
        h[155] = (byte)' ';
    }

    private void WriteContent(FileEntry file, Stream? content)
    {
        long left = file.Size;
        ContentBytes += left;
        if (left > 0)
        {
            ArgumentNullException.ThrowIfNull(content);
            _copy ??= new byte[CopyBytes];
        }
        while (left > 0)
        {
            int read = content!.Read(_copy!, 0, (int)Math.Min(left, CopyBytes));
            if (read == 0)
            {
                throw new EndOfStreamException($"{file.Path} became shorter while it was read: {left} of {file.Size} bytes are missing");
            }
            _tar.Write(_copy!, 0, read);
            left -= read;
        }
        Pad(file.Size);
    }

    private void Pad(long size)
    {
        int over = (int)(size % BlockBytes);
        if (over != 0)
        {
            _tar.Write(s_zeros, 0, BlockBytes - over);
        }
    }

    // ustar keeps up to 155 bytes of directory and 100 of name.
    private static bool TrySplit(byte[] name, out int slash)
    {
        const int PrefixBytes = 155;
        slash = -1;
        if (name.Length is <= NameBytes or > PrefixBytes + 1 + NameBytes)
        {
            return false;
        }
        ReadOnlySpan<byte> head = name.AsSpan(0, Math.Min(name.Length - 1, PrefixBytes + 1));
        slash = head.LastIndexOf((byte)'/');
        return slash > 0 && name.Length - slash - 1 <= NameBytes && name.Length - slash - 1 > 0;
    }

    private static void AddNumber(SortedDictionary<string, byte[]> records, string key, long value, long max)
    {
        if (value > max)
        {
            records[key] = Encoding.ASCII.GetBytes(value.ToString(CultureInfo.InvariantCulture));
        }
    }

    private static string Time(FileTime time)
    {
        if (time.Nanoseconds == 0)
        {
            return time.Seconds.ToString(CultureInfo.InvariantCulture);
        }
        // Before 1970 the fraction counts down from the second above: -1.25 is second -2 and 750,000,000 ns.
        (string sign, long seconds, int nanoseconds) = time.Seconds < 0 ? ("-", -(time.Seconds + 1), 1_000_000_000 - time.Nanoseconds) : ("", time.Seconds, time.Nanoseconds);
        return $"{sign}{seconds.ToString(CultureInfo.InvariantCulture)}.{nanoseconds.ToString("D9", CultureInfo.InvariantCulture).TrimEnd('0')}";
    }

    private static int Digits(int number) => number.ToString(CultureInfo.InvariantCulture).Length;

    private static void Octal(Span<byte> field, long value)
    {
        for (int i = field.Length - 2; i >= 0; i--)
        {
            field[i] = (byte)('0' + (value & 7));
            value >>= 3;
        }
        field[^1] = 0;
    }
}
