namespace Strata.Dockerfiles.Lint;

/// <summary>In shell form a shell is the first process, and signals do not reach the program.</summary>
internal static class JsonArgsRecommended
{
    // The name is BuildKit's, whose documentation people find.
    private const string Rule = "JSONArgsRecommended";

    internal static IEnumerable<LintFinding> Check(Stage stage)
    {
        foreach (Instruction instruction in stage.Instructions)
        {
            (string keyword, CommandLine? command) = instruction switch
            {
                CmdInstruction cmd => ("CMD", cmd.Command),
                EntrypointInstruction entrypoint => ("ENTRYPOINT", entrypoint.Command),
                _ => ("", null),
            };
            if (command is { IsShell: true })
            {
                string words = string.Join(", ", command.Words[0].Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(w => $"\"{w}\""));
                yield return new LintFinding(Rule, instruction.Span, $"JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals", $"write: {keyword} [{words}]");
            }
        }
    }
}
