using System.Collections.Immutable;

namespace Strata.Dockerfiles.Lint;

/// <summary>
/// What a file says about its own checks: <c># check=skip=NAME,NAME;error=true;experimental=NAME</c> at its top (Dockerfile reference, "check"),
/// and hadolint's <c># hadolint ignore=NAME,NAME</c> above an instruction, <c># hadolint global ignore=…</c> anywhere.
/// </summary>
internal sealed record CheckDirective(ImmutableArray<string> Skipped, ImmutableArray<string> Enabled, bool IsError)
{
    private const string Hint = "write: # check=skip=RULE,RULE;error=true";

    /// <exception cref="DockerfileException">The directive is malformed.</exception>
    internal static CheckDirective Of(Dockerfile file, string? given)
    {
        Directive? directive = file.Directives.FirstOrDefault(d => d.Name == "check");
        SourceSpan span = directive?.Span ?? new SourceSpan(file.Stages[0].Span.File, 1, 1);
        string[] skipped = [], enabled = [];
        bool isError = false;
        foreach (string part in (given ?? directive?.Value ?? "").Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            string[] pair = part.Split('=', 2, StringSplitOptions.TrimEntries);
            string value = pair.Length == 2 ? pair[1] : throw new DockerfileException(span, $"invalid check option \"{part}\"") { Hint = Hint };
            switch (pair[0])
            {
                case "skip":
                    skipped = Names(value);
                    break;
                case "experimental":
                    enabled = Names(value);
                    break;
                case "error":
                    isError = value switch { "true" or "1" => true, "false" or "0" => false, _ => throw new DockerfileException(span, $"check option error={value}: it is true or false") { Hint = Hint } };
                    break;
                default:
                    throw new DockerfileException(span, $"invalid check option \"{pair[0]}\"") { Hint = Hint };
            }
        }
        return new CheckDirective([.. skipped], [.. enabled], isError);
    }

    /// <summary>The rules that comments switch off for the lines below them: by the line of the instruction, 0 for all.</summary>
    internal static Dictionary<int, List<string>> Comments(Dockerfile file)
    {
        var found = new Dictionary<int, List<string>>();
        string[] lines = file.Source.Split('\n');
        for (int i = 0; i < lines.Length; i++)
        {
            if (Ignored(lines[i], out bool everywhere) is { Length: > 0 } names)
            {
                int next = everywhere ? -1 : Array.FindIndex(lines, i + 1, l => l.Trim() is { Length: > 0 } line && line[0] != '#');
                int line = everywhere ? 0 : next + 1;
                if (!found.TryGetValue(line, out List<string>? rules))
                {
                    found.Add(line, rules = []);
                }
                rules.AddRange(names);
            }
        }
        return found;
    }

    private static string[] Ignored(string line, out bool everywhere)
    {
        ReadOnlySpan<char> rest = line.AsSpan().Trim().TrimStart("#\uFEFF").TrimStart();
        everywhere = false;
        if (!line.AsSpan().TrimStart('\uFEFF').TrimStart().StartsWith("#") || !rest.StartsWith("hadolint "))
        {
            return [];
        }
        rest = rest["hadolint ".Length..].TrimStart();
        everywhere = rest.StartsWith("global ");
        rest = everywhere ? rest["global ".Length..].TrimStart() : rest;
        return rest.StartsWith("ignore=") ? Names(rest["ignore=".Length..].ToString()) : [];
    }

    private static string[] Names(string value) => value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
}
