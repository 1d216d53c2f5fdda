using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

namespace Strata.Dockerfiles;

/// <summary>Lines to instructions. Wording of errors follows Docker's, so that what people find about them is true here.</summary>
internal sealed class DockerfileParser
{
    private static readonly string[] s_keywords =
        ["ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"];

    private readonly DockerfileLexer _lexer;
    private readonly string _file;

    internal DockerfileParser(string text, string file) => (_lexer, _file) = (new DockerfileLexer(text, file), file);

    internal Dockerfile Parse()
    {
        ImmutableArray<ArgInstruction>.Builder globals = ImmutableArray.CreateBuilder<ArgInstruction>();
        var stages = new List<(Stage Head, List<Instruction> Body)>();
        foreach (LogicalLine line in _lexer.Read())
        {
            if (line.Keyword.Equals("FROM", StringComparison.OrdinalIgnoreCase))
            {
                stages.Add((ParseFrom(line), []));
                continue;
            }
            foreach (Instruction instruction in ParseInstruction(line))
            {
                if (stages.Count > 0)
                {
                    stages[^1].Body.Add(instruction);
                }
                else if (instruction is ArgInstruction arg)
                {
                    globals.Add(arg);
                }
                else
                {
                    throw Error(line, "no build stage in current context", "the first instruction is FROM (only ARG may come before it)");
                }
            }
        }
        if (stages.Count == 0)
        {
            throw new DockerfileException(new SourceSpan(_file, 1, 1), "file with no instructions") { Hint = "a Dockerfile starts with FROM" };
        }
        return new Dockerfile(globals.ToImmutable(), [.. stages.Select(s => s.Head with { Instructions = [.. s.Body] })], _lexer.Escape, [.. _lexer.Warnings]);
    }

    internal Instruction ParseSingle(SourceSpan span)
    {
        LogicalLine line = _lexer.Read().First() with { Span = span };
        return ParseInstruction(line).First();
    }

    private Stage ParseFrom(LogicalLine line)
    {
        FlagSet flags = FlagSet.Read(line, ["platform"], []);
        string[] words = [.. Words.Split(flags.Rest, _lexer.Escape)];
        if (words.Length is not (1 or 3) || (words.Length == 3 && !words[1].Equals("AS", StringComparison.OrdinalIgnoreCase)))
        {
            int comment = Array.FindIndex(words, w => w.StartsWith('#'));
            string? hint = comment > 0 ? $"a Dockerfile has no comments at the end of a line; write: FROM {string.Join(' ', words[..comment])}"
                : words.Length > 1 ? $"write: FROM {words[0]}   or: FROM {words[0]} AS {words[^1]}" : null;
            throw Error(line, "FROM requires either one or three arguments", hint);
        }
        string? name = words.Length == 3 ? words[2].ToLowerInvariant() : null;
        if (name is not null && !(char.IsAsciiLetter(name[0]) && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.')))
        {
            throw Error(line, $"invalid name for build stage: \"{name}\", name can't start with a number or contain symbols");
        }
        return new Stage(name, words[0], flags["platform"], [], line.Span);
    }

    private IEnumerable<Instruction> ParseInstruction(LogicalLine line)
    {
        string keyword = line.Keyword.ToUpperInvariant();
        if (!s_keywords.Contains(keyword))
        {
            throw Unknown(line);
        }
        if (keyword == "FROM")
        {
            throw Error(line, "FROM isn't allowed here");
        }
        if (line.Rest.Length == 0)
        {
            throw Error(line, keyword is "COPY" or "ADD" ? $"{keyword} requires at least two arguments, but none were provided. Source and destination could not be determined."
                : keyword is "CMD" or "ENTRYPOINT" or "RUN" or "LABEL" or "ENV" or "EXPOSE" or "VOLUME" or "HEALTHCHECK" or "SHELL" or "ARG"
                ? $"{keyword} requires at least one argument" : $"{keyword} requires exactly one argument");
        }
        if (keyword == "ARG")
        {
            return ParseArg(line);
        }
        Instruction instruction = keyword switch
        {
            "RUN" => ParseRun(line),
            "COPY" or "ADD" => ParseCopy(line, keyword),
            "ENV" => new EnvInstruction(ParsePairs(line, keyword), line.Span),
            "LABEL" => new LabelInstruction(ParsePairs(line, keyword), line.Span),
            "CMD" => new CmdInstruction(ParseCommand(line.Rest), line.Span),
            "ENTRYPOINT" => new EntrypointInstruction(ParseCommand(line.Rest), line.Span),
            "SHELL" => new ShellInstruction(TryJson(line.Rest) is { Length: > 0 } shell ? shell : throw Error(line, "SHELL requires the arguments to be in JSON form", "write: SHELL [\"/bin/bash\", \"-c\"]"), line.Span),
            "EXPOSE" => new ExposeInstruction([.. Words.Split(line.Rest, _lexer.Escape)], line.Span),
            "VOLUME" => new VolumeInstruction(TryJson(line.Rest) ?? [.. Words.Split(line.Rest, _lexer.Escape)], line.Span),
            "WORKDIR" => new WorkdirInstruction(line.Rest, line.Span),
            "USER" => new UserInstruction(line.Rest, line.Span),
            "STOPSIGNAL" => new StopSignalInstruction(line.Rest, line.Span),
            "MAINTAINER" => ParseMaintainer(line),
            "HEALTHCHECK" => ParseHealthcheck(line),
            "ONBUILD" => ParseOnbuild(line),
            _ => throw Unknown(line),
        };
        return [instruction with { Original = keyword + " " + line.Rest }];
    }

    private static RunInstruction ParseRun(LogicalLine line)
    {
        FlagSet flags = FlagSet.Read(line, ["network", "security"], ["mount"]);
        if (flags["network"] is not (null or "default" or "none" or "host"))
        {
            throw Error(line, $"invalid network mode: {flags["network"]}", "--network takes default, none or host");
        }
        if (flags.Rest.Length == 0)
        {
            throw Error(line, "RUN requires at least one argument");
        }
        return new RunInstruction(ParseCommand(flags.Rest), line.Heredocs, line.Span) { Mounts = flags.All("mount"), Network = flags["network"], Security = flags["security"] };
    }

    private CopyInstruction ParseCopy(LogicalLine line, string keyword)
    {
        bool isAdd = keyword == "ADD";
        string[] single = isAdd ? ["chown", "chmod", "checksum"] : ["chown", "chmod", "from"];
        FlagSet flags = FlagSet.Read(line, single, ["exclude"], isAdd ? ["link", "keep-git-dir", "unpack"] : ["link", "parents"]);
        string[] words = [.. TryJson(flags.Rest) ?? [.. Words.Split(flags.Rest, _lexer.Escape)]];
        if (words.Length < 2)
        {
            string? hint = words.Length == 1 && words[0].Length > 1 && words[0].EndsWith('/') ? $"write: {keyword} {words[0][..^1]} /" : words.Length == 1 ? $"write: {keyword} {words[0]} DESTINATION" : null;
            throw Error(line, $"{keyword} requires at least two arguments, but {(words.Length == 0 ? "none were" : "only one was")} provided. Destination could not be determined.", hint);
        }
        return new CopyInstruction(isAdd, [.. words[..^1]], words[^1], line.Heredocs, line.Span)
        {
            From = isAdd ? null : flags["from"], Owner = flags["chown"], Mode = flags["chmod"], Checksum = isAdd ? flags["checksum"] : null, Exclude = flags.All("exclude"),
            Link = flags.Switch("link") ?? false, Parents = !isAdd && (flags.Switch("parents") ?? false), Unpack = isAdd ? flags.Switch("unpack") : null,
            KeepGitDirectory = isAdd && (flags.Switch("keep-git-dir") ?? false),
        };
    }

    private IEnumerable<ArgInstruction> ParseArg(LogicalLine line)
    {
        foreach (string word in Words.Split(line.Rest, _lexer.Escape))
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? word : word[..equals];
            if (name.Length == 0)
            {
                throw Error(line, "ARG names can not be blank");
            }
            yield return new ArgInstruction(name, equals < 0 ? null : word[(equals + 1)..], line.Span) { Original = "ARG " + word };
        }
    }

    private ImmutableArray<KeyValuePair<string, string>> ParsePairs(LogicalLine line, string keyword)
    {
        List<string> words = Words.Split(line.Rest, _lexer.Escape);
        if (!words[0].Contains('=', StringComparison.Ordinal))
        {
            // The old form: one name, and the rest of the line is its value.
            string value = line.Rest[words[0].Length..].Trim();
            if (value.Length == 0)
            {
                throw Error(line, $"{keyword} must have two arguments", $"write: {keyword} {words[0]}=VALUE");
            }
            _lexer.Warnings.Add(new DockerfileWarning(line.Span, "LegacyKeyValueFormat", $"\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format", $"{keyword} {words[0]}={value}"));
            return [new(words[0], value)];
        }
        ImmutableArray<KeyValuePair<string, string>>.Builder pairs = ImmutableArray.CreateBuilder<KeyValuePair<string, string>>();
        foreach (string word in words)
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0)
            {
                throw Error(line, $"Syntax error - can't find = in \"{word}\". Must be of the form: name=value", $"quote values that have blanks: {keyword} NAME=\"a b\"");
            }
            if (equals == 0)
            {
                throw Error(line, $"{keyword} names can not be blank");
            }
            pairs.Add(new(word[..equals], word[(equals + 1)..]));
        }
        return pairs.ToImmutable();
    }

    private MaintainerInstruction ParseMaintainer(LogicalLine line)
    {
        int comment = line.Rest.IndexOf(" #", StringComparison.Ordinal);
        if (comment > 0)
        {
            _lexer.Warnings.Add(new DockerfileWarning(line.Span, "InlineComment",
                $"a Dockerfile has no comments at the end of a line: \"{line.Rest[(comment + 1)..]}\" is part of the author's name", $"MAINTAINER {line.Rest[..comment].TrimEnd()}"));
        }
        return new MaintainerInstruction(line.Rest, line.Span);
    }

    private static HealthcheckInstruction ParseHealthcheck(LogicalLine line)
    {
        FlagSet flags = FlagSet.Read(line, ["interval", "timeout", "start-period", "start-interval", "retries"], []);
        int blank = flags.Rest.AsSpan().IndexOfAny(' ', '\t');
        string kind = (blank < 0 ? flags.Rest : flags.Rest[..blank]).ToUpperInvariant(), rest = blank < 0 ? "" : flags.Rest[blank..].Trim();
        if (kind == "NONE")
        {
            return rest.Length == 0 ? new HealthcheckInstruction(null, line.Span) : throw Error(line, "HEALTHCHECK NONE takes no arguments");
        }
        if (kind != "CMD")
        {
            throw Error(line, $"Unknown type \"{kind}\" in HEALTHCHECK (try CMD)", $"write: HEALTHCHECK CMD {flags.Rest}");
        }
        if (rest.Length == 0)
        {
            throw Error(line, "Missing command after HEALTHCHECK CMD");
        }
        return new HealthcheckInstruction(ParseCommand(rest), line.Span)
        {
            Interval = Duration(line, flags, "interval"), Timeout = Duration(line, flags, "timeout"), StartPeriod = Duration(line, flags, "start-period"),
            StartInterval = Duration(line, flags, "start-interval"),
            Retries = flags["retries"] is not { } retries ? null
                : int.TryParse(retries, NumberStyles.None, CultureInfo.InvariantCulture, out int n) ? n : throw Error(line, $"--retries must be a number, not \"{retries}\""),
        };
    }

    private OnbuildInstruction ParseOnbuild(LogicalLine line)
    {
        string keyword = line.Rest.Split([' ', '\t'], 2)[0].ToUpperInvariant();
        if (keyword is "ONBUILD")
        {
            throw Error(line, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
        }
        if (keyword is "FROM" or "MAINTAINER")
        {
            throw Error(line, $"{keyword} isn't allowed as an ONBUILD trigger");
        }
        _ = new DockerfileParser(line.Rest, _file).ParseSingle(line.Span); // wrong now, not when somebody builds on it
        return new OnbuildInstruction(line.Rest, line.Span);
    }

    private static CommandLine ParseCommand(string text) => TryJson(text) is { } words ? new CommandLine(words, IsShell: false) : new CommandLine([text], IsShell: true);

    /// <summary>An array of strings, or null: what is no valid JSON is a shell's text, as Docker has it.</summary>
    private static ImmutableArray<string>? TryJson(string text)
    {
        if (!text.StartsWith('['))
        {
            return null;
        }
        try
        {
            using JsonDocument document = JsonDocument.Parse(text);
            return document.RootElement.EnumerateArray().All(e => e.ValueKind == JsonValueKind.String) ? [.. document.RootElement.EnumerateArray().Select(e => e.GetString()!)] : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static long? Duration(LogicalLine line, FlagSet flags, string name)
        => flags[name] is not { } text ? null : GoDuration.TryParse(text, out long nanoseconds) ? nanoseconds
            : throw Error(line, $"invalid duration \"{text}\" for --{name}", "write it like 30s, 1m30s or 500ms");

    private static DockerfileException Unknown(LogicalLine line)
    {
        string upper = line.Keyword.ToUpperInvariant();
        string? hint = null;
        if (s_keywords.FirstOrDefault(k => upper.StartsWith(k + "[", StringComparison.Ordinal)) is { } glued)
        {
            hint = $"a blank is missing; write: {glued} {line.Text[glued.Length..]}";
        }
        else if (s_keywords.MinBy(k => Distance(k, upper)) is { } near && Distance(near, upper) <= 2)
        {
            hint = $"did you mean: {near} {line.Rest}";
        }
        return Error(line, $"unknown instruction: {line.Keyword}", hint);
    }

    // Edit distance (Levenshtein), for "did you mean".
    private static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int next = Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1));
                (diagonal, row[j]) = (row[j], next);
            }
        }
        return row[^1];
    }

    private static DockerfileException Error(LogicalLine line, string message, string? hint = null) => new(line.Span, message) { Hint = hint };

    /// <summary>The flags in front of an instruction's arguments: <c>--name=value</c>, and switches that need no value.</summary>
    private sealed class FlagSet
    {
        private readonly List<KeyValuePair<string, string>> _values = [];

        internal string Rest { get; private set; } = "";

        internal string? this[string name] => _values.LastOrDefault(v => v.Key == name).Value;

        internal ImmutableArray<string> All(string name) => [.. _values.Where(v => v.Key == name).Select(v => v.Value)];

        internal bool? Switch(string name) => this[name] is { } value ? value != "false" : null;

        internal static FlagSet Read(LogicalLine line, string[] single, string[] repeated, string[]? switches = null)
        {
            var flags = new FlagSet();
            string rest = line.Rest;
            while (rest.StartsWith("--", StringComparison.Ordinal))
            {
                int end = rest.AsSpan().IndexOfAny(' ', '\t');
                string word = end < 0 ? rest : rest[..end];
                rest = end < 0 ? "" : rest[end..].TrimStart();
                if (word == "--")
                {
                    break;
                }
                int equals = word.IndexOf('=', StringComparison.Ordinal);
                string name = equals < 0 ? word[2..] : word[2..equals];
                bool isSwitch = switches?.Contains(name) ?? false;
                if (!isSwitch && !single.Contains(name) && !repeated.Contains(name))
                {
                    string[] known = [.. single, .. repeated, .. switches ?? []];
                    string near = known.MinBy(k => Distance(k, name)) ?? "";
                    throw Error(line, $"unknown flag: --{name}", Distance(near, name) <= 3 ? $"did you mean --{near}" : $"there are: {string.Join(", ", known.Select(k => "--" + k))}");
                }
                if (equals < 0 && !isSwitch)
                {
                    throw Error(line, $"missing a value on flag: --{name}", $"write: --{name}=VALUE");
                }
                string value = equals < 0 ? "true" : word[(equals + 1)..];
                if (isSwitch && value is not ("true" or "false"))
                {
                    throw Error(line, $"expecting boolean value for flag --{name}, not: {value}");
                }
                if (single.Contains(name) && flags[name] is not null)
                {
                    throw Error(line, $"duplicate flag specified: --{name}");
                }
                flags._values.Add(new(name, value));
            }
            flags.Rest = rest;
            return flags;
        }
    }
}

/// <summary>Go's durations: <c>1h2m3.5s</c>, <c>500ms</c>.</summary>
internal static class GoDuration
{
    private static readonly System.Buffers.SearchValues<char> s_number = System.Buffers.SearchValues.Create("0123456789.");

    internal static bool TryParse(string text, out long nanoseconds)
    {
        nanoseconds = 0;
        ReadOnlySpan<char> rest = text;
        if (rest is "0")
        {
            return true;
        }
        bool any = false;
        while (!rest.IsEmpty)
        {
            int digits = rest.IndexOfAnyExcept(s_number);
            if (digits <= 0 || !decimal.TryParse(rest[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number))
            {
                return false;
            }
            rest = rest[digits..];
            int unitEnd = rest.IndexOfAny(s_number);
            ReadOnlySpan<char> unit = unitEnd < 0 ? rest : rest[..unitEnd];
            decimal scale = unit switch { "h" => 3600e9m, "m" => 60e9m, "s" => 1e9m, "ms" => 1e6m, "us" or "µs" => 1e3m, "ns" => 1, _ => 0 };
            if (scale == 0 || number * scale > long.MaxValue - nanoseconds)
            {
                return false;
            }
            nanoseconds += (long)(number * scale);
            rest = rest[unit.Length..];
            any = true;
        }
        return any;
    }
}
