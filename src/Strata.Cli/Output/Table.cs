namespace Strata.Cli.Output;

/// <summary>Columns as Docker aligns them: padded with blanks to the widest cell and three more; the last one is not padded.</summary>
internal sealed class Table(params string[] headers)
{
    private const int Gap = 3;
    private readonly List<string[]> _rows = [];

    internal void Add(params string[] cells) => _rows.Add([.. cells.Select(SafeText.Escape)]);

    internal void Write(TextWriter output, bool withHeader = true)
    {
        int[] widths = [.. headers.Select((h, i) => Math.Max(withHeader ? h.Length : 0, _rows.Select(r => r[i].Length).DefaultIfEmpty(0).Max()))];
        foreach (string[] row in withHeader ? _rows.Prepend(headers) : _rows)
        {
            for (int i = 0; i < row.Length; i++)
            {
                output.Write(i == row.Length - 1 ? row[i] : row[i].PadRight(widths[i] + Gap));
            }
            output.WriteLine();
        }
    }
}
