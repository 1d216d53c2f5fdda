using System.Globalization;

namespace Strata.Containers;

/// <summary>The keys that leave a container without ending it, and their search in what is typed.</summary>
public sealed class DetachKeys
{
    private readonly byte[] _keys;
    private int _matched;

    private DetachKeys(byte[] keys) => _keys = keys;

    /// <summary>Docker's: Ctrl-P Ctrl-Q.</summary>
    public const string Default = "ctrl-p,ctrl-q";

    /// <summary>Reads <c>a</c>, <c>ctrl-x</c> and lists of them, as Docker writes them; null where it is empty: there are none then.</summary>
    /// <exception cref="StrataException">Invalid: no such key.</exception>
    public static DetachKeys? Parse(string? text)
    {
        string keys = text ?? Default;
        return keys.Length == 0 ? null : new DetachKeys([.. keys.Split(',').Select(k => ParseKey(k, keys))]);
    }

    private static byte ParseKey(string key, string all)
    {
        const string Control = "ctrl-", Special = "@[\\]^_";
        if (key.Length == 1 && key[0] < 0x80)
        {
            return (byte)key[0];
        }
        if (key.Length == Control.Length + 1 && key.StartsWith(Control, StringComparison.OrdinalIgnoreCase))
        {
            char letter = char.ToLower(key[^1], CultureInfo.InvariantCulture);
            if (letter is >= 'a' and <= 'z')
            {
                return (byte)(letter - 'a' + 1);
            }
            if (Special.IndexOf(letter, StringComparison.Ordinal) is >= 0 and int place)
            {
                return place == 0 ? (byte)0 : (byte)(26 + place); // ctrl-[ is 27
            }
        }
        throw new StrataException(ErrorKind.Invalid, $"--detach-keys {all}: '{key}' is no key; write a letter, or ctrl- and one of a-z @ [ \\ ] ^ _");
    }

    /// <summary>
    /// Looks for the keys in what was typed. What may be their beginning is held back, and given out where it was not. <paramref name="pass"/> gets
    /// what is for the container.
    /// </summary>
    /// <returns>True when all keys were typed, one after the other.</returns>
    public bool Filter(ReadOnlySpan<byte> typed, Action<ReadOnlyMemory<byte>> pass)
    {
        ArgumentNullException.ThrowIfNull(pass);
        byte[] kept = new byte[typed.Length + _keys.Length];
        int count = 0;
        foreach (byte key in typed)
        {
            if (key == _keys[_matched])
            {
                if (++_matched == _keys.Length)
                {
                    _matched = 0;
                    pass(kept.AsMemory(0, count));
                    return true;
                }
                continue;
            }
            for (int i = 0; i < _matched; i++)
            {
                kept[count++] = _keys[i];
            }
            _matched = key == _keys[0] ? 1 : 0;
            if (_matched == 0)
            {
                kept[count++] = key;
            }
        }
        pass(kept.AsMemory(0, count));
        return false;
    }
}
