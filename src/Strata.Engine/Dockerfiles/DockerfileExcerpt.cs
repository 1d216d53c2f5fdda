using System.Globalization;
using System.Text;

namespace Strata.Dockerfiles;

/// <summary>The line of a Dockerfile that a message is about, with a mark at the column.</summary>
/// <param name="Line">Its number, from 1.</param>
/// <param name="Column">Where in it, in characters, from 1.</param>
/// <param name="Text">The line and the mark below it.</param>
public sealed record DockerfileExcerpt(int Line, int Column, string Text)
{
    private const int MaxShown = 160; // of a line: more would wrap, and the mark stand below something else

    /// <summary>Finds the line.</summary>
    /// <param name="source">The file's text.</param>
    /// <param name="span">The instruction.</param>
    /// <param name="culprit">The word in it that is wrong; null or not found: the instruction's first.</param>
    /// <returns>Null where the text has no such line.</returns>
    internal static DockerfileExcerpt? Find(string source, SourceSpan span, string? culprit)
    {
        string[] lines = (source.StartsWith('\uFEFF') ? source[1..] : source).Split('\n');
        if (span.FirstLine < 1 || span.FirstLine > lines.Length)
        {
            return null;
        }
        int number = span.FirstLine, at = -1;
        for (int i = span.FirstLine; culprit is { Length: > 0 } && at < 0 && i <= Math.Min(span.LastLine, lines.Length); i++)
        {
            (number, at) = (i, lines[i - 1].IndexOf(culprit, StringComparison.Ordinal));
        }
        if (at < 0)
        {
            number = span.FirstLine;
            at = lines[number - 1].Length - lines[number - 1].TrimStart().Length;
        }
        string line = lines[number - 1].TrimEnd('\r');
        at = Math.Min(at, line.Length);
        int column = new StringInfo(line[..at]).LengthInTextElements + 1;
        return new DockerfileExcerpt(number, column, Draw(line, number, at, column));
    }

    private static string Draw(string line, int number, int at, int column)
    {
        int from = at < MaxShown / 2 ? 0 : at - (MaxShown / 4);
        string shown = line[from..Math.Min(line.Length, from + MaxShown)];
        var mark = new StringBuilder();
        foreach (char c in shown.AsSpan(0, at - from))
        {
            mark.Append(c == '\t' ? '\t' : ' ');
        }
        return string.Create(CultureInfo.InvariantCulture, $"{number,6} | {shown}\n       | {mark}^ column {column}");
    }
}
