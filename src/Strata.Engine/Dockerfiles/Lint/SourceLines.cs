using System.Runtime.CompilerServices;

namespace Strata.Dockerfiles.Lint;

/// <summary>The lines of a file, for rules that change them.</summary>
internal static class SourceLines
{
    private static readonly ConditionalWeakTable<Dockerfile, string[]> s_lines = []; // asked for once for each instruction and rule

    /// <summary>The lines of a range, without their ends.</summary>
    internal static string[] Of(Dockerfile file, SourceSpan span)
        => [.. s_lines.GetValue(file, static f => Split(f.Source)).AsSpan(span.FirstLine - 1, span.LastLine - span.FirstLine + 1).ToArray().Select(l => l.TrimEnd('\r').TrimStart('\uFEFF'))];

    /// <summary>The text with lines replaced; of two fixes that touch the same line the first counts. Line ends stay what they are.</summary>
    internal static string Apply(Dockerfile file, IEnumerable<LintFix> fixes)
    {
        List<string> lines = [.. Split(file.Source)];
        string newline = lines.Count > 1 && lines[0].EndsWith('\r') ? "\r\n" : "\n";
        var taken = new List<LintFix>();
        foreach (LintFix fix in fixes)
        {
            if (!taken.Any(t => t.Span.FirstLine <= fix.Span.LastLine && fix.Span.FirstLine <= t.Span.LastLine))
            {
                taken.Add(fix);
            }
        }
        foreach (LintFix fix in taken.OrderByDescending(f => f.Span.FirstLine))
        {
            string mark = fix.Span.FirstLine == 1 && lines[0].StartsWith('\uFEFF') ? "\uFEFF" : "";
            string end = newline == "\r\n" && fix.Span.LastLine < lines.Count ? "\r" : "";
            lines.RemoveRange(fix.Span.FirstLine - 1, fix.Span.LastLine - fix.Span.FirstLine + 1);
            lines.Insert(fix.Span.FirstLine - 1, mark + fix.Text.Replace("\n", newline, StringComparison.Ordinal) + end);
        }
        return string.Join('\n', lines);
    }

    private static string[] Split(string text) => text.Split('\n');
}
