using System.Collections.Immutable;
using Strata.Dockerfiles.Lint;

namespace Strata.Cli.Output;

/// <summary>What was found in a file.</summary>
internal sealed record LintedFile(string Name, ImmutableArray<LintFinding> Findings);

/// <summary>Findings for people: where, which rule, what; what to do on a line of its own.</summary>
internal static class LintText
{
    internal static void Write(TextWriter output, IReadOnlyList<LintedFile> files)
    {
        foreach (LintFinding finding in files.SelectMany(f => f.Findings))
        {
            output.WriteLine($"{SafeText.Escape(finding.Span.ToString())}: {finding.Rule}: {SafeText.Escape(finding.Message)}");
            if (finding.Advice.Length > 0)
            {
                output.WriteLine($"    {SafeText.Escape(finding.Advice)}{(finding.Fix is null ? "" : finding.Fix.IsSafe ? " (--fix does it)" : " (--fix --unsafe-fixes does it)")}");
            }
        }
    }
}
