namespace Strata.Dockerfiles.Lint;

/// <summary>Protocols are written in lower case.</summary>
internal static class ExposeProtoCasing
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (ExposeInstruction expose in file.Stages.SelectMany(s => s.Instructions).OfType<ExposeInstruction>())
        {
            string[] right = [.. expose.Ports.Select(Lower)];
            foreach ((string port, string lower) in expose.Ports.Zip(right).Where(p => p.First != p.Second))
            {
                yield return new LintFinding(nameof(ExposeProtoCasing), expose.Span, $"Defined protocol '{port}' in EXPOSE instruction should be lowercase", $"write: {lower}",
                    new LintFix(expose.Span, $"{expose.Keyword} {string.Join(' ', right)}"));
            }
        }
    }

#pragma warning disable CA1308 // a protocol's name is lower case
    private static string Lower(string port)
    {
        int slash = port.LastIndexOf('/');
        return slash < 0 || port.AsSpan(slash).Contains('$') ? port : port[..slash] + port[slash..].ToLowerInvariant();
    }
#pragma warning restore CA1308
}
