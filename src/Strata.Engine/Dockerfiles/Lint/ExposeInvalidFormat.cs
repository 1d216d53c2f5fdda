using System.Text.RegularExpressions;

namespace Strata.Dockerfiles.Lint;

/// <summary>EXPOSE names a container's port; addresses and ports of the host are run's.</summary>
internal static partial class ExposeInvalidFormat
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (ExposeInstruction expose in file.Stages.SelectMany(s => s.Instructions).OfType<ExposeInstruction>())
        {
            string[] right = [.. expose.Ports.Select(Right)];
            foreach ((string port, string written) in expose.Ports.Zip(right).Where(p => p.First != p.Second))
            {
                yield return new LintFinding(nameof(ExposeInvalidFormat), expose.Span, $"EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'", $"write: {written}",
                    new LintFix(expose.Span, $"{expose.Keyword} {string.Join(' ', right)}"));
            }
        }
    }

    // What is behind the last colon, but those in ${NAME:-VALUE}.
    private static string Right(string port)
    {
        int colon = Braces().Replace(port, m => new string('x', m.Length)).LastIndexOf(':');
        return colon < 0 || colon == port.Length - 1 ? port : port[(colon + 1)..];
    }

    [GeneratedRegex(@"\$\{[^}]*\}")]
    private static partial Regex Braces();
}
