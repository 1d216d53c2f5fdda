using System.Globalization;
using System.Text;
using Strata.Linux;

namespace Strata.Layers;

/// <summary>
/// What extended headers (PAX x and g, GNU L and K) say about the next entry; null where they say nothing. Where two of them speak of one thing,
/// programs differ in which they believe, so they must say the same.
/// </summary>
internal sealed class ExtendedHeader
{
    private const string SchilyXattr = "SCHILY.xattr.";
    private const string LibarchiveXattr = "LIBARCHIVE.xattr.";
    private const string SparsePlaceholder = "GNUSparseFile."; // what readers that know no holes would call the file
    private readonly SortedDictionary<string, byte[]> _libarchive = new(StringComparer.Ordinal);
    private byte[]? _path, _linkPath, _longName, _longLink;
    private bool _hasPax;

    internal long? Size { get; private set; }
    internal long? Uid { get; private set; }
    internal long? Gid { get; private set; }
    internal FileTime? Modified { get; private set; }
    internal SparseRecords? Sparse { get; private set; }
    internal SortedDictionary<string, byte[]> Xattrs { get; } = new(StringComparer.Ordinal);

    /// <summary>Bytes of the headers this was read from.</summary>
    internal long Bytes { get; set; }

    internal bool HasPaxPath => _path is not null;

    /// <summary>The name they give.</summary>
    internal byte[]? Path
    {
        get
        {
            if (Sparse?.Name is not { } name)
            {
                return Agree(_path, _longName, "name");
            }
            return _path is null || IsPlaceholder(_path, name)
                ? Agree(name, _longName, "name")
                : Agree(name, _path, "name");
        }
    }

    // GNU tar calls the entry of a sparse file FOLDER/GNUSparseFile.PID/NAME, cut to what an old header's name field holds: perhaps inside the folder.
    private static bool IsPlaceholder(byte[] path, byte[] name)
    {
        const int NameFieldBytes = 100;
        string said = LinuxPath.Decode(path), folder = LinuxPath.Decode(name);
        return said.Contains(SparsePlaceholder, StringComparison.Ordinal)
            || (path.Length == NameFieldBytes && (folder[..(folder.LastIndexOf('/') + 1)] + SparsePlaceholder).StartsWith(said, StringComparison.Ordinal));
    }

    /// <summary>The link target they give.</summary>
    internal byte[]? LinkPath => Agree(_linkPath, _longLink, "link target");

    /// <summary>Takes GNU's long name or long link target, which ends at its NUL.</summary>
    internal void SetLong(char type, byte[] body)
    {
        int end = Array.IndexOf(body, (byte)0);
        byte[] text = end < 0 ? body : body[..end];
        if (type == 'L')
        {
            _longName = Agree(text, _longName, "name");
        }
        else
        {
            _longLink = Agree(text, _longLink, "link target");
        }
    }

    /// <summary>Reads PAX records: "LENGTH KEY=VALUE\n" each (POSIX pax, extended header).</summary>
    /// <exception cref="FormatException">They are malformed, or say what must not be.</exception>
    internal void ReadPax(ReadOnlySpan<byte> records)
    {
        if (_hasPax)
        {
            throw new FormatException("a second PAX header for one entry"); // some take the first, some the last, some both
        }
        _hasPax = true;
        while (!records.IsEmpty)
        {
            int blank = records.IndexOf((byte)' ');
            if (blank is <= 0 or > 10 || !int.TryParse(records[..blank], NumberStyles.None, CultureInfo.InvariantCulture, out int length)
                || length <= blank + 1 || length > records.Length || records[length - 1] != '\n')
            {
                throw new FormatException("a PAX record's length is wrong");
            }
            ReadOnlySpan<byte> record = records[(blank + 1)..(length - 1)];
            int equals = record.IndexOf((byte)'=');
            if (equals <= 0)
            {
                throw new FormatException("a PAX record has no key");
            }
            if (record[..equals].Contains((byte)0))
            {
                throw new FormatException("a PAX record's key has a NUL");
            }
            Set(LinuxPath.Decode(record[..equals]), record[(equals + 1)..].ToArray());
            records = records[length..];
        }
        MergeXattrs();
    }

    /// <summary>Takes what a global header may say of all entries behind it: owners and times. What it must not say is refused.</summary>
    /// <remarks>Programs differ in whether a second one replaces the first or adds to it: it must not leave anything out.</remarks>
    internal ExtendedHeader Over(ExtendedHeader? before)
    {
        string? wrong = _path is not null ? "path" : _linkPath is not null ? "linkpath" : Size is not null ? "size"
            : Xattrs.Count > 0 ? "extended attributes" : Sparse is not null ? "GNU.sparse" : null;
        if (wrong is not null)
        {
            throw new FormatException($"a global header may not set {wrong}");
        }
        string? missing = before?.Uid is not null && Uid is null ? "uid" : before?.Gid is not null && Gid is null ? "gid"
            : before?.Modified is not null && Modified is null ? "mtime" : null;
        return missing is null ? this : throw new FormatException($"a second global header leaves out {missing}");
    }

    private static byte[]? Agree(byte[]? one, byte[]? other, string what)
        => one is null || other is null || one.AsSpan().SequenceEqual(other) ? one ?? other : throw new FormatException($"two extended headers disagree about the {what}");

    private void Set(string key, byte[] value)
    {
        switch (key)
        {
            case "path":
                _path = Filled(key, value);
                break;
            case "linkpath":
                _linkPath = Filled(key, value);
                break;
            case "size":
                Size = Integer(key, Filled(key, value));
                break;
            case "uid":
                Uid = Integer(key, Filled(key, value));
                break;
            case "gid":
                Gid = Integer(key, Filled(key, value));
                break;
            case "mtime":
                Modified = Time(key, Filled(key, value));
                break;
            case "atime" or "ctime":
                Time(key, Filled(key, value)); // not kept; GNU tar stops at a bad one
                break;
            case var sparse when SparseRecords.IsOne(sparse):
                (Sparse ??= new SparseRecords()).Set(sparse, value);
                break;
            case var xattr when xattr.StartsWith(SchilyXattr, StringComparison.Ordinal):
                Xattrs[XattrName(XattrKey.Decode(xattr[SchilyXattr.Length..]))] = value;
                break;
            case var xattr when xattr.StartsWith(LibarchiveXattr, StringComparison.Ordinal):
                string name = XattrName(Uri.UnescapeDataString(xattr[LibarchiveXattr.Length..]));
                _libarchive[name] = Base64(name, value);
                break;
        }
    }

    // libarchive writes each attribute twice. With '=' in its name the SCHILY record cannot be told from one with a shorter name.
    private void MergeXattrs()
    {
        foreach ((string name, byte[] value) in _libarchive)
        {
            int equals = name.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0 && Xattrs.TryGetValue(name[..equals], out byte[]? shorter)
                && shorter.AsSpan().SequenceEqual([.. LinuxPath.Encode(name[(equals + 1)..]), (byte)'=', .. value]))
            {
                Xattrs.Remove(name[..equals]);
            }
            if (Xattrs.TryGetValue(name, out byte[]? other) && !other.AsSpan().SequenceEqual(value))
            {
                throw new FormatException($"the extended attribute {name} is stated twice, differently");
            }
            Xattrs[name] = value;
        }
        _libarchive.Clear();
    }

    private static string XattrName(string name)
        => name.Length > 0 && !name.Contains('\0', StringComparison.Ordinal) ? name : throw new FormatException("an extended attribute has no name, or a NUL in it");

    // libarchive leaves the padding away.
    private static byte[] Base64(string name, byte[] text)
    {
        ReadOnlySpan<byte> trimmed = text.AsSpan().TrimEnd("=\n"u8);
        byte[] padded = [.. trimmed, .. "==="u8[..((4 - (trimmed.Length % 4)) % 4)]];
        byte[] value = new byte[System.Buffers.Text.Base64.GetMaxDecodedFromUtf8Length(padded.Length)];
        return System.Buffers.Text.Base64.DecodeFromUtf8(padded, value, out _, out int written) == System.Buffers.OperationStatus.Done
            ? value[..written]
            : throw new FormatException($"the value of the extended attribute {name} is not base64");
    }

    // POSIX: an empty value takes back what was said before. Programs differ in whether it is the header's own field that counts then.
    private static byte[] Filled(string key, byte[] value) => value.Length > 0 ? value : throw new FormatException($"the PAX record {key} is empty");

    private static long Integer(string key, byte[] text)
        => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long value) ? value : throw new FormatException($"the PAX record {key} is no number");

    private static FileTime Time(string key, byte[] text)
    {
        string time = Encoding.ASCII.GetString(text);
        bool negative = time.StartsWith('-');
        string[] parts = (negative ? time[1..] : time).Split('.');
        if (parts.Length > 2 || !long.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out long seconds)
            || (parts.Length == 2 && parts[1].Any(c => !char.IsAsciiDigit(c))))
        {
            throw new FormatException($"the PAX record {key} is no time");
        }
        int nanoseconds = parts.Length == 2 && parts[1].Length > 0 ? int.Parse(parts[1].PadRight(9, '0')[..9], CultureInfo.InvariantCulture) : 0;
        return !negative ? new FileTime(seconds, nanoseconds) : nanoseconds == 0 ? new FileTime(-seconds, 0) : new FileTime(-seconds - 1, 1_000_000_000 - nanoseconds);
    }
}

/// <summary>
/// An attribute's name in a PAX key, where '=' would end it: GNU tar writes "=" as "%3D" and "%" as "%25". Others write the name as it is, so only
/// names that need it are escaped; a lone "%" means itself to both.
/// </summary>
internal static class XattrKey
{
    internal static string Encode(string name)
        => name.Contains('=', StringComparison.Ordinal) || Decode(name) != name
            ? name.Replace("%", "%25", StringComparison.Ordinal).Replace("=", "%3D", StringComparison.Ordinal)
            : name;

    internal static string Decode(string key)
    {
        if (!key.Contains('%', StringComparison.Ordinal))
        {
            return key;
        }
        var name = new StringBuilder(key.Length);
        for (int i = 0; i < key.Length; i++)
        {
            ReadOnlySpan<char> rest = key.AsSpan(i);
            bool isEscape = rest.StartsWith("%3D") || rest.StartsWith("%25");
            name.Append(!isEscape ? key[i] : rest[1] == '3' ? '=' : '%');
            i += isEscape ? 2 : 0;
        }
        return name.ToString();
    }
}
