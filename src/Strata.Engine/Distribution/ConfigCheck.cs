namespace Strata.Distribution;

/// <summary>Something wrong in a configuration file.</summary>
/// <param name="Place">File, line and column: <c>/etc/docker/daemon.json:4:5</c>.</param>
/// <param name="Message">What is wrong.</param>
/// <param name="Hint">What to do; null where the corrected text shows it.</param>
public sealed record ConfigMistake(string Place, string Message, string? Hint);

/// <summary>
/// Says what is wrong in a file about registries, and how it would be right: our own (TOML or JSON), Docker's daemon.json, containerd's hosts.toml,
/// registries.conf. Does no I/O but for the file.
/// </summary>
/// <remarks>
/// Mistakes of the pen (a comma that is missing, a brace) are mended by trial: at the first place where the text is wrong each small edit is tried,
/// and that after which most of the text is right is kept.
/// </remarks>
public sealed class ConfigCheck
{
    // A file with more mistakes is another kind of file.
    private const int MostMistakes = 100;

    private ConfigCheck(IReadOnlyList<ConfigMistake> mistakes, string? corrected) => (Mistakes, Corrected) = (mistakes, corrected);

    /// <summary>In the order of the file; none: the file is right.</summary>
    public IReadOnlyList<ConfigMistake> Mistakes { get; }

    /// <summary>The whole text without the mistakes; null where we do not know it.</summary>
    public string? Corrected { get; }

    /// <summary>Checks a file.</summary>
    /// <exception cref="StrataException">NotFound: there is none. Invalid: it cannot be read.</exception>
    public static ConfigCheck Read(string path)
        => Check(ConfigFile.TryRead(path) ?? throw new StrataException(ErrorKind.NotFound, $"read {path}: no such file"));

    /// <summary>Checks a text; <paramref name="name"/> says of which kind it is, where the text does not.</summary>
    public static ConfigCheck Check(string text, string name) => Check(new ConfigFile(name, text));

    private static ConfigCheck Check(ConfigFile original)
    {
        List<ConfigMistake> mistakes = [];
        List<ConfigEdit> edits = [];
        ConfigFile file = original;
        bool isMended = true;
        while (file.TryParse(out ConfigProblem? problem) is null)
        {
            (ConfigEdit? edit, string? said) = mistakes.Count < MostMistakes ? Mend(file, problem!) : (null, null);
            mistakes.Add(new ConfigMistake(original.PlaceOf(Back(edits, problem!.Offset)), said ?? problem.Message, edit is null ? problem.Hint : null));
            if (edit is null)
            {
                return new ConfigCheck(mistakes, null);
            }
            file = Apply(file, edit);
            edits.Add(edit);
        }
        List<ConfigProblem> problems = [];
        Make(file, problems);
        foreach (ConfigProblem problem in problems.OrderByDescending(p => p.Offset))
        {
            isMended &= problem.Edit is not null;
            mistakes.Add(new ConfigMistake(original.PlaceOf(Back(edits, problem.Offset)), problem.Message, problem.Hint));
        }
        foreach (ConfigEdit edit in problems.Select(p => p.Edit).OfType<ConfigEdit>().OrderByDescending(e => e.Offset))
        {
            file = Apply(file, edit);
        }
        return new ConfigCheck(InOrder(mistakes), mistakes.Count > 0 && isMended && IsRight(file) ? file.Text : null);
    }

    private static bool IsRight(ConfigFile file)
    {
        List<ConfigProblem> problems = [];
        if (file.TryParse(out _) is null)
        {
            return false;
        }
        Make(file, problems);
        return problems.Count == 0;
    }

    private static ConfigMistake[] InOrder(List<ConfigMistake> mistakes)
    {
        static int Part(string place, int fromEnd) => int.Parse(place.Split(':')[^fromEnd], System.Globalization.CultureInfo.InvariantCulture);
        return [.. mistakes.OrderBy(m => Part(m.Place, 2)).ThenBy(m => Part(m.Place, 1))];
    }

    // What the file means, to whom it is meant.
    private static void Make(ConfigFile file, List<ConfigProblem> problems)
    {
        ConfigNode root = file.TryParse(out _)!;
        string name = Path.GetFileName(file.Name);
        bool isOurs = root.Find("registries") is not null || name is "registries.json" or "strata.toml" or "strata.json";
        if (file.IsJson && !isOurs)
        {
            DockerDaemonFile.Read(root, file.Name, problems);
        }
        else if (name == "hosts.toml" || root.Find("host") is not null || root.Find("server") is not null)
        {
            HostsTomlFile.Read(root, Path.GetFullPath(file.Name), problems);
        }
        else if (name == "registries.conf" || root.Find("registry") is not null || root.Find("unqualified-search-registries") is not null || root.Find("aliases") is not null)
        {
            ContainersRegistriesFile.Read(root, file.Name, problems);
        }
        else
        {
            RegistryConfiguration.Read(root, Path.GetDirectoryName(Path.GetFullPath(file.Name)) ?? "/", problems);
        }
    }

    private static (ConfigEdit? Edit, string? Said) Mend(ConfigFile file, ConfigProblem problem)
    {
        int best = problem.Offset, at = problem.Offset;
        (ConfigEdit?, string?) found = (null, null);
        foreach ((ConfigEdit edit, string said) in Candidates(file, at))
        {
            ConfigFile mended = Apply(file, edit);
            int reached = mended.TryParse(out ConfigProblem? next) is not null ? int.MaxValue : next!.Offset - edit.Insert.Length + edit.Remove;
            // At the end of the text there is no further place to be wrong at: fewer open brackets are progress too.
            bool isFurther = reached > best || (reached == best && found.Item1 is null && at >= file.Text.TrimEnd().Length && edit.Insert.Trim() is "}" or "]" && Closes(file.Text, edit.Insert.Trim()[0]));
            if (isFurther)
            {
                (best, found) = (reached, (edit, said));
            }
        }
        return found;
    }

    private static IEnumerable<(ConfigEdit Edit, string Said)> Candidates(ConfigFile file, int at)
    {
        string text = file.Text;
        int end = at;
        while (end > 0 && char.IsWhiteSpace(text[end - 1]))
        {
            end--;
        }
        yield return (new ConfigEdit(end, 0, ","), "a comma is missing before this");
        yield return (new ConfigEdit(at, 0, ","), "a comma is missing before this");
        if (at < text.Length)
        {
            (char wrong, string right) = (text[at], Plain(text[at]));
            if (right.Length > 0)
            {
                yield return (new ConfigEdit(at, 1, right), $"'{wrong}' is not '{right}', as it looks");
                yield return (WholeLine(text, at), "here are quotes, commas or colons of a word processor");
            }
            if (char.IsAscii(wrong) && char.IsPunctuation(wrong))
            {
                yield return (new ConfigEdit(at, 1, ""), $"'{wrong}' is too much here");
            }
            if (file.IsJson && (wrong is '/' or '#'))
            {
                int line = text.IndexOf('\n', at) is >= 0 and int found ? found : text.Length;
                yield return (new ConfigEdit(at, line - at, ""), "JSON has no comments");
            }
        }
        if (end > 0 && text[end - 1] == ',')
        {
            yield return (new ConfigEdit(end - 1, 1, ""), "there is nothing behind the last comma");
        }
        yield return (new ConfigEdit(end, 0, file.IsJson ? ":" : " ="), file.IsJson ? "a colon is missing before this" : "an equals sign is missing before this");
        foreach (string quote in (string[])["\"", "\","])
        {
            int line = text.IndexOf('\n', at) is >= 0 and int found ? found : text.Length;
            int before = line;
            while (before > at && (char.IsWhiteSpace(text[before - 1]) || (quote.Length > 1 && text[before - 1] == ',')))
            {
                before--;
            }
            yield return (new ConfigEdit(before, 0, quote[..1]), "the closing quote is missing in this line");
        }
        string lineEnd = end < text.Length || text.Contains('\n', StringComparison.Ordinal) ? "\n" : "";
        foreach (char close in "]}")
        {
            yield return (new ConfigEdit(end, 0, lineEnd + close), $"the closing {close} is missing");
        }
    }

    // How much is open: '{' more often than '}'. In texts there may be some; it is one trial of several.
    private static bool Closes(string text, char close) => text.Count(c => c == (close == '}' ? '{' : '[')) > text.Count(c => c == close);

    private static string Plain(char c) => c switch
    {
        '\u201C' or '\u201D' or '\u201E' or '\uFF02' or '\u2018' or '\u2019' => "\"",
        '\uFF0C' or '\u3001' => ",",
        '\uFF1A' => ":",
        '\u00A0' or '\u3000' => " ",
        _ => "",
    };

    private static ConfigEdit WholeLine(string text, int at)
    {
        int end = text.IndexOf('\n', at) is >= 0 and int found ? found : text.Length;
        return new ConfigEdit(at, end - at, string.Concat(text[at..end].Select(c => Plain(c) is { Length: > 0 } plain ? plain : c.ToString())));
    }

    private static ConfigFile Apply(ConfigFile file, ConfigEdit edit)
        => file with { Text = string.Concat(file.Text.AsSpan(0, edit.Offset), edit.Insert, file.Text.AsSpan(edit.Offset + edit.Remove)) };

    // Where a place of the mended text was in the original.
    private static int Back(List<ConfigEdit> edits, int offset)
    {
        for (int i = edits.Count - 1; i >= 0; i--)
        {
            offset -= edits[i].Offset < offset ? edits[i].Insert.Length - edits[i].Remove : 0;
        }
        return offset;
    }
}
