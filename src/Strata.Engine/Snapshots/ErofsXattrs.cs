using System.Text;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>The sets of attributes that inodes have, each kept once however many have it.</summary>
internal sealed class ErofsXattrs
{
    private readonly Dictionary<string, int> _pairIds = new(StringComparer.Ordinal), _setIds = new(StringComparer.Ordinal) { [""] = 0 };
    private readonly List<ErofsXattr> _pairs = [];
    private readonly List<int[]> _sets = [[]];

    internal IReadOnlyList<ErofsXattr> Pairs => _pairs;

    /// <summary>The pairs of a set, by their places among <see cref="Pairs"/>.</summary>
    internal int[] Set(int set) => _sets[set];

    /// <summary>The set that another becomes when a name is set.</summary>
    /// <exception cref="LinuxException">ENOTSUP: a name that EROFS cannot say, as ext4 cannot; E2BIG: more than an inode holds.</exception>
    internal int With(int set, string path, string name, ReadOnlySpan<byte> value)
    {
        if (ErofsFormat.SplitXattr(name) is not var (index, bytes))
        {
            throw new LinuxException("setxattr", path, Errno.ENOTSUP, name);
        }
        if (value.Length > ushort.MaxValue)
        {
            throw new LinuxException("setxattr", path, Errno.E2BIG, name);
        }
        string key = name + "\0" + Encoding.Latin1.GetString(value);
        if (!_pairIds.TryGetValue(key, out int pair))
        {
            pair = _pairs.Count;
            _pairs.Add(new ErofsXattr(index, name, bytes, value.ToArray()));
            _pairIds.Add(key, pair);
        }
        int[] pairs = [.. _sets[set].Where(p => _pairs[p].FullName != name).Append(pair).OrderBy(p => _pairs[p].FullName, StringComparer.Ordinal)];
        if (pairs.Sum(p => (long)_pairs[p].Bytes) > ErofsFormat.MaxXattrUnits)
        {
            throw new LinuxException("setxattr", path, Errno.E2BIG, "the attributes of one file have more than 65,535 bytes");
        }
        string setKey = string.Join(',', pairs);
        if (!_setIds.TryGetValue(setKey, out int id))
        {
            id = _sets.Count;
            _sets.Add(pairs);
            _setIds.Add(setKey, id);
        }
        return id;
    }
}

/// <summary>An attribute.</summary>
/// <param name="Index">The number of its prefix.</param>
/// <param name="FullName">With the prefix.</param>
/// <param name="Name">Without.</param>
/// <param name="Value">Its bytes.</param>
internal sealed record ErofsXattr(byte Index, string FullName, byte[] Name, byte[] Value)
{
    /// <summary>On disk, with padding.</summary>
    internal int Bytes => (int)ErofsFormat.RoundUp(ErofsFormat.XattrEntryBytes + Name.Length + Value.Length, ErofsFormat.XattrEntryBytes);

    internal void Write(Span<byte> at)
    {
        at[0] = (byte)Name.Length;
        at[1] = Index;
        ErofsFormat.Write16(at, 2, Value.Length);
        Name.CopyTo(at[ErofsFormat.XattrEntryBytes..]);
        Value.CopyTo(at[(ErofsFormat.XattrEntryBytes + Name.Length)..]);
    }
}
