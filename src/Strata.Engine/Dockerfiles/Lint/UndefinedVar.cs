namespace Strata.Dockerfiles.Lint;

/// <summary>A variable that nothing sets is empty, and mostly a slip.</summary>
internal static class UndefinedVar
{
    private const int LongEnough = 5; // UID is no slip of GID

    internal static IEnumerable<LintFinding> Check(Dockerfile file, LintOptions options)
    {
        var stages = new List<Known>();
        for (int i = 0; i < file.Stages.Length; i++)
        {
            Stage stage = file.Stages[i];
            Known known = StageFacts.ParentOf(file, i) is { } parent ? stages[parent].Child() : Known.Of(stage.BaseName, options);
            stages.Add(known);
            foreach (Instruction instruction in stage.Instructions)
            {
                foreach (LintFinding finding in CheckInstruction(file, instruction, known))
                {
                    yield return finding;
                }
                known.Learn(instruction);
            }
        }
    }

    private static IEnumerable<LintFinding> CheckInstruction(Dockerfile file, Instruction instruction, Known known)
    {
        foreach (string name in TextsOf(instruction).SelectMany(t => UnsetIn(file, t, known)).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
        {
            string? near = Suggestion.Find(name, known.Names);
            // An image that nobody has looked at may set anything; then only a slip of a known name is worth a word.
            if (known.IsComplete || (near is not null && name.Length >= LongEnough))
            {
                yield return new LintFinding(nameof(UndefinedVar), instruction.Span, $"Usage of undefined variable '${name}'{(near is null ? "" : $" (did you mean ${near}?)")}",
                    near is null ? $"declare it: ARG {name}" : $"write: ${near}");
            }
        }
    }

    private static IReadOnlyCollection<string> UnsetIn(Dockerfile file, string text, Known known)
    {
        var expander = new VariableExpander(file.Escape, name => known.Names.Contains(name) ? "x" : null);
        try
        {
            _ = expander.Expand(text);
        }
        catch (FormatException)
        {
            return []; // the build says so, at the same line
        }
        return expander.Unset; // with ${x:-word} too: an x that nothing can set is a word in disguise
    }

    private static IEnumerable<string> TextsOf(Instruction instruction) => instruction switch
    {
        ArgInstruction { Default: { } value } => [value],
        EnvInstruction env => env.Values.SelectMany(v => new[] { v.Key, v.Value }),
        LabelInstruction label => label.Values.SelectMany(v => new[] { v.Key, v.Value }),
        CopyInstruction copy => [.. copy.Sources, copy.Destination, .. new[] { copy.Owner, copy.Mode, copy.Checksum }.OfType<string>(), .. copy.Exclude],
        WorkdirInstruction workdir => [workdir.Path],
        UserInstruction user => [user.User],
        ExposeInstruction expose => expose.Ports,
        VolumeInstruction volume => volume.Paths,
        StopSignalInstruction signal => [signal.Signal],
        RunInstruction run => run.Mounts.SelectMany(m => m.Options.Select(o => o.Value).OfType<string>()),
        _ => [],
    };

    private sealed class Known(HashSet<string> names, bool isComplete)
    {
        private readonly HashSet<string> _arguments = new(StringComparer.Ordinal);

        internal HashSet<string> Names { get; } = names;

        internal bool IsComplete { get; } = isComplete;

        internal static Known Of(string image, LintOptions options)
        {
            IReadOnlyCollection<string>? set = image == "scratch" ? [] : options.BaseVariables(image);
            return new Known(new HashSet<string>([.. set ?? [], "PATH"], StringComparer.Ordinal), set is not null);
        }

        // A stage built on this one has its ENV, not its ARG.
        internal Known Child() => new(new HashSet<string>(Names.Except(_arguments), StringComparer.Ordinal), IsComplete);

        internal void Learn(Instruction instruction)
        {
            if (instruction is ArgInstruction arg && Names.Add(arg.Name))
            {
                _arguments.Add(arg.Name);
            }
            foreach (string name in (instruction as EnvInstruction)?.Values.Select(v => v.Key) ?? [])
            {
                Names.Add(name);
                _arguments.Remove(name);
            }
        }
    }
}
