namespace Strata.Dockerfiles.Lint;

/// <summary>ENV and ARG are in the image's configuration and history, for everybody to read.</summary>
internal static class SecretsUsedInArgOrEnv
{
    private static readonly HashSet<string> s_secret = new(["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"], StringComparer.OrdinalIgnoreCase);
    private static readonly HashSet<string> s_harmless = new(["public", "file", "version"], StringComparer.OrdinalIgnoreCase);

    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (Instruction instruction in file.Stages.SelectMany(s => s.Instructions))
        {
            string[] names = instruction switch
            {
                EnvInstruction env => [.. env.Values.Select(v => v.Key)],
                ArgInstruction arg => [arg.Name],
                _ => [],
            };
            foreach (string name in names.Where(IsSecret))
            {
                yield return new LintFinding(nameof(SecretsUsedInArgOrEnv), instruction.Span, $"Do not use ARG or ENV instructions for sensitive data ({instruction.Keyword} \"{name}\")",
                    $"hand it to the step that needs it: RUN --mount=type=secret,id={name}");
            }
        }
    }

    private static bool IsSecret(string name)
    {
        string[] parts = name.Split('_');
        return parts.Any(s_secret.Contains) && !parts.Any(s_harmless.Contains);
    }
}
