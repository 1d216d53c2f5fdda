namespace Strata.Dockerfiles.Lint;

/// <summary>What FROM lines know: the platform's variables, and ARG before the first FROM with their defaults.</summary>
internal sealed class FromVariables
{
    private static readonly string[] s_platform =
        ["BUILDPLATFORM", "BUILDOS", "BUILDOSVERSION", "BUILDARCH", "BUILDVARIANT", "TARGETPLATFORM", "TARGETOS", "TARGETOSVERSION", "TARGETARCH", "TARGETVARIANT", "TARGETSTAGE"];

    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);

    internal FromVariables(Dockerfile file)
    {
        Names = [.. s_platform, .. file.GlobalArgs.Select(a => a.Name)];
        foreach (string name in s_platform)
        {
            _values[name] = "platform"; // any word that can be part of a name
        }
        foreach (ArgInstruction arg in file.GlobalArgs)
        {
            if (arg.Default is not null && Expand(file, arg.Default, out _) is { } value)
            {
                _values[arg.Name] = value;
            }
        }
    }

    /// <summary>All that are declared, with a value or without.</summary>
    internal IReadOnlyList<string> Names { get; }

    /// <summary>The text with defaults in it, and the names that had none; null where it cannot be expanded.</summary>
    internal string? Expand(Dockerfile file, string text, out IReadOnlyCollection<string> unset)
    {
        var expander = new VariableExpander(file.Escape, _values.GetValueOrDefault);
        unset = expander.Unset;
        try
        {
            return expander.Expand(text);
        }
        catch (FormatException)
        {
            return null; // the build says so, at the same line
        }
    }
}
