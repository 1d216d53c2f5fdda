using System.Globalization;
using System.Text;

namespace Strata.Cli.Output;

/// <summary>Columns as Docker aligns them: as wide as the widest cell and three blanks, at least ten; the last cell of a row is not padded.</summary>
internal sealed class Table(params string[] headers)
{
    private const int Gap = 3, MinWidth = 10, FirstCombining = 0x300;
    private string[][] _rows = [headers];
    private int _count = 1;

    /// <summary>Adds a row; a row may have fewer cells, or more, than there are headers. Cells are escaped here.</summary>
    internal void Add(params string[] cells)
    {
        string[] row = new string[cells.Length];
        for (int i = 0; i < row.Length; i++)
        {
            row[i] = SafeText.Escape(cells[i]);
        }
        if (_count == _rows.Length)
        {
            Array.Resize(ref _rows, _count * 4);
        }
        _rows[_count++] = row;
    }

    internal void Write(TextWriter output)
    {
        int[] widths = [];
        for (int row = 0; row < _count; row++)
        {
            Array.Resize(ref widths, Math.Max(widths.Length, _rows[row].Length));
            for (int i = 0; i < _rows[row].Length; i++)
            {
                widths[i] = Math.Max(widths[i], Math.Max(WidthOf(_rows[row][i]) + Gap, MinWidth));
            }
        }
        for (int row = 0; row < _count; row++)
        {
            for (int i = 0; i < _rows[row].Length; i++)
            {
                string cell = _rows[row][i];
                output.Write(cell);
                for (int blanks = i == _rows[row].Length - 1 ? 0 : widths[i] - WidthOf(cell); blanks > 0; blanks--)
                {
                    output.Write(' ');
                }
            }
            output.WriteLine();
        }
    }

    /// <summary>Columns a text takes on a terminal: East Asian wide characters two, combining marks none.</summary>
    internal static int WidthOf(string text)
    {
        foreach (char c in text)
        {
            if (c >= FirstCombining)
            {
                return WidthOfAny(text);
            }
        }
        return text.Length;
    }

    private static int WidthOfAny(string text)
    {
        int width = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            width += rune.Value < FirstCombining ? 1 : WidthOf(rune);
        }
        return width;
    }

    private static int WidthOf(Rune rune) => rune.Value switch
    {
        _ when Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format => 0,
        (>= 0x1100 and <= 0x115f) or (>= 0x2e80 and <= 0xa4cf and not 0x303f) or (>= 0xac00 and <= 0xd7a3) or (>= 0xf900 and <= 0xfaff)
            or (>= 0xfe30 and <= 0xfe6f) or (>= 0xff00 and <= 0xff60) or (>= 0xffe0 and <= 0xffe6) or (>= 0x1f300 and <= 0x1faff) or (>= 0x20000 and <= 0x3fffd) => 2,
        _ => 1,
    };
}
