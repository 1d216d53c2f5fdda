using System.Collections.Immutable;
using System.Globalization;
using System.Text.RegularExpressions;
using Strata.Dockerfiles.Lint;

namespace Strata.Dockerfiles;

/// <summary>Nodes to instructions. Wording of errors follows Docker's, so that what people find about them is true here; the hints are our own.</summary>
internal sealed partial class DockerfileParser
{
    private static readonly string[] s_keywords =
        ["ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"];

    private static readonly KnownFlags s_from = new(["platform"], [], []);
    private static readonly KnownFlags s_run = new(["network", "security"], [], ["mount"]);
    private static readonly KnownFlags s_copy = new(["from", "chown", "chmod"], ["link", "parents"], ["exclude"]);
    private static readonly KnownFlags s_add = new(["chown", "chmod", "checksum"], ["link", "keep-git-dir", "unpack"], ["exclude"]);
    private static readonly KnownFlags s_health = new(["interval", "timeout", "start-period", "start-interval", "retries"], [], []);

    private readonly DockerfileLexer _lexer;
    private readonly string _file;

    internal DockerfileParser(string text, string file) => (_lexer, _file) = (new DockerfileLexer(text, file), file);

    internal Dockerfile Parse()
    {
        ImmutableArray<ArgInstruction>.Builder globals = ImmutableArray.CreateBuilder<ArgInstruction>();
        var stages = new List<(Stage Head, List<Instruction> Body)>();
        bool any = false;
        foreach (RawNode node in _lexer.Read())
        {
            any = true;
            if (node.Upper == "FROM")
            {
                stages.Add((ParseFrom(node), []));
                continue;
            }
            foreach (Instruction instruction in ParseInstruction(node))
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
                    throw Error(node, "no build stage in current context", "the first instruction is FROM (only ARG may come before it)");
                }
            }
        }
        if (stages.Count == 0)
        {
            throw new DockerfileException(new SourceSpan(_file, 1, 1), any ? "dockerfile contains no stages to build" : "file with no instructions") { Hint = "a Dockerfile starts with FROM" };
        }
        ImmutableArray<Stage>.Builder finished = ImmutableArray.CreateBuilder<Stage>(stages.Count);
        foreach ((Stage head, List<Instruction> body) in stages)
        {
            finished.Add(head with { Instructions = [.. body] });
        }
        return new Dockerfile(globals.ToImmutable(), finished.MoveToImmutable(), _lexer.Escape, [.. _lexer.Warnings]) { Directives = _lexer.Directives };
    }

    /// <summary>The one instruction of a text: what ONBUILD kept.</summary>
    internal Instruction ParseSingle(SourceSpan span)
    {
        RawNode node = _lexer.Read().FirstOrDefault() ?? throw new DockerfileException(span, "ONBUILD trigger is empty");
        return ParseInstruction(node with { Span = span })[0];
    }

    private static Stage ParseFrom(RawNode node)
    {
        string[] words = [.. node.Arguments];
        bool named = words.Length == 3 && words[1].Equals("AS", StringComparison.OrdinalIgnoreCase);
        if (words.Length != 1 && !named)
        {
            throw Error(node, "FROM requires either one or three arguments", FromHint(node, words), words.Skip(1).FirstOrDefault());
        }
        string? name = named ? words[2].ToLowerInvariant() : null;
        if (name is not null && !StageName().IsMatch(name))
        {
            throw Error(node, $"invalid name for build stage: \"{words[2]}\", name can't start with a number or contain symbols", "a name starts with a letter; letters, digits, - _ and . follow", words[2]);
        }
        var flags = FlagSet.Read(node, s_from);
        return new Stage(name, words[0], flags["platform"], [], node.Span)
        {
            Keyword = node.Keyword, AsKeyword = named ? words[1] : null, WrittenName = named ? words[2] : null, Original = $"{node.Keyword} {node.Text}",
        };
    }

    private static string? FromHint(RawNode node, string[] words)
    {
        int comment = Array.FindIndex(words, w => w.StartsWith('#'));
        string flags = string.Concat(node.Flags.Select(f => f + " "));
        return comment > 0 ? $"a Dockerfile has no comments at the end of a line; write: FROM {flags}{string.Join(' ', words[..comment])}"
            : words.Length == 0 ? "write: FROM IMAGE, or FROM scratch for an empty image"
            : $"write: FROM {flags}{words[0]} or: FROM {flags}{words[0]} AS {(words[^1].Equals("AS", StringComparison.OrdinalIgnoreCase) ? "NAME" : words[^1])}";
    }

    private Instruction[] ParseInstruction(RawNode node)
    {
        if (!s_keywords.Contains(node.Upper))
        {
            throw Unknown(node);
        }
        try
        {
            Instruction[] parsed = node.Upper == "ARG" ? [.. ParseArg(node)] : [ParseOne(node) with { Original = $"{node.Upper} {node.Text}".TrimEnd() }];
            parsed = [.. parsed.Select(i => i with { Keyword = node.Keyword })];
            _lexer.Warnings.AddRange(parsed.SelectMany(InlineComment.Find));
            return parsed;
        }
        catch (FormatException e)
        {
            throw Error(node, e.Message);
        }
    }

    private Instruction ParseOne(RawNode node)
    {
        switch (node.Upper)
        {
            case "RUN":
                return ParseRun(node);
            case "COPY" or "ADD":
                return ParseCopy(node);
            case "ENV":
                return new EnvInstruction(ParsePairs(node), node.Span);
            case "LABEL":
                return new LabelInstruction(ParsePairs(node), node.Span);
            case "HEALTHCHECK":
                return ParseHealthcheck(node);
            case "ONBUILD":
                return ParseOnbuild(node);
        }
        _ = FlagSet.Read(node, KnownFlags.None);
        return node.Upper switch
        {
            "CMD" => new CmdInstruction(CommandOf(node, node.Arguments), node.Span),
            "ENTRYPOINT" => new EntrypointInstruction(CommandOf(node, node.Arguments), node.Span),
            "SHELL" => new ShellInstruction(ParseShell(node), node.Span),
            "EXPOSE" => new ExposeInstruction(AtLeastOne(node), node.Span),
            "VOLUME" => new VolumeInstruction(ParseVolumes(node), node.Span),
            "WORKDIR" => new WorkdirInstruction(One(node), node.Span),
            "USER" => new UserInstruction(One(node), node.Span),
            "STOPSIGNAL" => new StopSignalInstruction(One(node), node.Span),
            "MAINTAINER" => new MaintainerInstruction(One(node), node.Span),
            _ => throw Error(node, "FROM isn't allowed here", null),
        };
    }

    private static RunInstruction ParseRun(RawNode node)
    {
        var flags = FlagSet.Read(node, s_run);
        if (flags["network"]?.ToLowerInvariant() is not (null or "default" or "none" or "host"))
        {
            throw Error(node, $"invalid network mode: {flags["network"]}", "--network takes default, none or host", "--network");
        }
        if (flags["security"]?.ToLowerInvariant() is not (null or "sandbox" or "insecure"))
        {
            throw Error(node, $"security {flags["security"]} is not supported", "--security takes sandbox or insecure", "--security");
        }
        if (node.Arguments.IsEmpty)
        {
            throw Error(node, "RUN requires at least one argument", "write: RUN COMMAND");
        }
        return new RunInstruction(CommandOf(node, node.Arguments), HeredocsOf(node), node.Span)
        {
            Mounts = [.. flags.All("mount").Select(RunMount.Parse)], Network = flags["network"]?.ToLowerInvariant(), Security = flags["security"]?.ToLowerInvariant(),
        };
    }

    private static ImmutableArray<Heredoc> HeredocsOf(RawNode node) => [.. node.Heredocs.Select(h => new Heredoc(h.Marker.Name, h.Value, h.Marker.Expand))];

    private static CopyInstruction ParseCopy(RawNode node)
    {
        bool isAdd = node.Upper == "ADD";
        ImmutableArray<string> words = node.Arguments;
        if (words.Length < 2)
        {
            throw Error(node, words.IsEmpty ? $"{node.Upper} requires at least two arguments, but none were provided. Source and destination could not be determined."
                : $"{node.Upper} requires at least two arguments, but only one was provided. Destination could not be determined.", CopyHint(node));
        }
        var flags = FlagSet.Read(node, isAdd ? s_add : s_copy);
        if (!node.IsJson && DockerfileLexer.TryReadMarker(words[^1], out _, out _, out _))
        {
            throw Error(node, $"{node.Upper} cannot accept a heredoc as a destination", $"write: {node.Upper} {string.Join(' ', words)} DESTINATION", words[^1]);
        }
        return new CopyInstruction(isAdd, words[..^1], words[^1], HeredocsOf(node), node.Span)
        {
            From = flags["from"], Owner = flags["chown"], Mode = flags["chmod"], Checksum = flags["checksum"], Exclude = flags.All("exclude"),
            Link = flags.Switch("link") ?? false, Parents = flags.Switch("parents") ?? false, Unpack = flags.Switch("unpack"), KeepGitDirectory = flags.Switch("keep-git-dir") ?? false,
        };
    }

    // COPY hello/ is mostly COPY hello / with a blank forgotten.
    private static string CopyHint(RawNode node)
    {
        string front = string.Concat(node.Flags.Select(f => f + " "));
        string source = node.Arguments.FirstOrDefault() ?? "SOURCE";
        return source.Length > 1 && source.EndsWith('/') ? $"write: {node.Upper} {front}{source[..^1]} /" : $"write: {node.Upper} {front}{source} DESTINATION";
    }

    private static IEnumerable<ArgInstruction> ParseArg(RawNode node)
    {
        _ = FlagSet.Read(node, KnownFlags.None);
        foreach (string word in AtLeastOne(node))
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? word : word[..equals];
            if (name.Length == 0)
            {
                throw Error(node, "ARG names can not be blank", "write: ARG NAME=VALUE");
            }
            yield return new ArgInstruction(name, equals < 0 ? null : word[(equals + 1)..], node.Span) { Original = "ARG " + word };
        }
    }

    private ImmutableArray<NamedValue> ParsePairs(RawNode node)
    {
        _ = FlagSet.Read(node, KnownFlags.None);
        ImmutableArray<string> words = AtLeastOne(node);
        ImmutableArray<NamedValue>.Builder pairs = ImmutableArray.CreateBuilder<NamedValue>();
        for (int i = 0; i < words.Length; i += 3)
        {
            pairs.Add(new(words[i].Length > 0 ? words[i] : throw Error(node, $"{node.Upper} names can not be blank", $"write: {node.Upper} NAME=VALUE"), words[i + 1]));
        }
        if (node.IsLegacyPair)
        {
            string value = LegacyKeyValueFormat.Quote(words[1], _lexer.Escape);
            _lexer.Warnings.Add(new DockerfileWarning(node.Span, nameof(LegacyKeyValueFormat),
                $"\"{node.Keyword} key=value\" should be used instead of legacy \"{node.Keyword} key value\" format", $"{node.Keyword} {words[0]}={value}"));
        }
        return pairs.ToImmutable();
    }

    private static ImmutableArray<string> ParseShell(RawNode node)
    {
        ImmutableArray<string> words = AtLeastOne(node);
        return node.IsJson ? words
            : throw Error(node, "SHELL requires the arguments to be in JSON form", $"write: SHELL [{string.Join(", ", Words.AtBlanks(words[0]).Select(w => $"\"{w.Trim('"', '\'', '[', ']', ',')}\""))}]");
    }

    private static ImmutableArray<string> ParseVolumes(RawNode node)
        => [.. AtLeastOne(node).Select(v => v.Trim()).Select(v => v.Length > 0 ? v : throw Error(node, "VOLUME specified can not be an empty string", "write: VOLUME /PATH"))];

    private static HealthcheckInstruction ParseHealthcheck(RawNode node)
    {
        string kind = AtLeastOne(node)[0].ToUpperInvariant();
        ImmutableArray<string> words = node.Arguments[1..];
        if (kind == "NONE")
        {
            return words.IsEmpty ? new HealthcheckInstruction(null, node.Span) : throw Error(node, "HEALTHCHECK NONE takes no arguments", "write: HEALTHCHECK NONE");
        }
        var flags = FlagSet.Read(node, s_health);
        if (kind != "CMD")
        {
            throw Error(node, $"Unknown type \"{kind}\" in HEALTHCHECK (try CMD)", $"write: HEALTHCHECK {string.Concat(node.Flags.Select(f => f + " "))}CMD {string.Join(' ', node.Arguments)}");
        }
        if (words.IsEmpty)
        {
            throw Error(node, "Missing command after HEALTHCHECK CMD", "write: HEALTHCHECK CMD COMMAND");
        }
        return new HealthcheckInstruction(CommandOf(node, words), node.Span)
        {
            Interval = Duration(node, flags, "interval"), Timeout = Duration(node, flags, "timeout"), StartPeriod = Duration(node, flags, "start-period"),
            StartInterval = Duration(node, flags, "start-interval"), Retries = Retries(node, flags),
        };
    }

    private static int? Retries(RawNode node, FlagSet flags)
    {
        if (flags["retries"] is not { Length: > 0 } text)
        {
            return null;
        }
        return int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int retries)
            ? retries >= 0 ? retries : throw Error(node, $"--retries cannot be negative ({retries})", "write: --retries=3", "--retries")
            : throw Error(node, $"--retries: \"{text}\" is no number", "write: --retries=3", "--retries");
    }

    private static long? Duration(RawNode node, FlagSet flags, string name)
    {
        if (flags[name] is not { Length: > 0 } text)
        {
            return null;
        }
        const string Hint = "write it like 30s, 1m30s or 500ms";
        long nanoseconds;
        try
        {
            nanoseconds = GoDuration.Parse(text);
        }
        catch (FormatException e)
        {
            throw Error(node, $"--{name}: {e.Message}", text.All(char.IsAsciiDigit) ? $"a unit is missing; write: --{name}={text}s" : Hint, "--" + name);
        }
        // The engine API's smallest; 0 leaves the default.
        return nanoseconds is 0 or >= 1_000_000 ? nanoseconds : throw Error(node, $"Interval \"{name}\" cannot be less than 1ms", Hint, "--" + name);
    }

    private OnbuildInstruction ParseOnbuild(RawNode node)
    {
        if (node.Nested is not { } nested)
        {
            throw Error(node, "ONBUILD requires at least one argument", "write: ONBUILD RUN COMMAND");
        }
        _ = FlagSet.Read(node, KnownFlags.None);
        if (nested.Upper == "ONBUILD")
        {
            throw Error(node, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", $"write: ONBUILD {Words.Head(node.Text).Behind}");
        }
        if (nested.Upper is "FROM" or "MAINTAINER")
        {
            throw Error(node, $"{nested.Upper} isn't allowed as an ONBUILD trigger", null);
        }
        // Wrong now, not only when somebody builds on it.
        Instruction trigger = ParseInstruction(nested with { Span = node.Span, Heredocs = node.Heredocs })[0];
        string documents = string.Concat(node.Heredocs.Select(h => "\n" + h.Content + h.Marker.Name));
        return new OnbuildInstruction(node.Text + documents, node.Span) { Instruction = trigger };
    }

    private static CommandLine CommandOf(RawNode node, ImmutableArray<string> words)
        => node.IsJson ? new CommandLine(words, IsShell: false) : new CommandLine([words.IsEmpty ? "" : words[0]], IsShell: true);

    private static ImmutableArray<string> AtLeastOne(RawNode node)
        => !node.Arguments.IsEmpty ? node.Arguments : throw Error(node, $"{node.Upper} requires at least one argument");

    private static string One(RawNode node) => node.Arguments.Length == 1 ? node.Arguments[0] : throw Error(node, $"{node.Upper} requires exactly one argument");

    private static DockerfileException Unknown(RawNode node)
    {
        string? hint;
        if (s_keywords.FirstOrDefault(k => node.Upper.Length > k.Length && node.Upper.StartsWith(k, StringComparison.Ordinal) && !char.IsAsciiLetterOrDigit(node.Upper[k.Length])) is { } glued)
        {
            hint = $"a blank is missing; write: {glued} {node.Keyword[glued.Length..]} {node.Text}".TrimEnd();
        }
        else if (Suggestion.Find(node.Upper, s_keywords) is { } near)
        {
            hint = $"did you mean: {near} {node.Text}".TrimEnd();
        }
        else
        {
            hint = node.Keyword is ['&', '&', ..] or ['|', ..] or ['-', ..] ? "the line above it does not end in the escape character that would join them" : null;
        }
        return Error(node, $"unknown instruction: {node.Keyword}", hint);
    }

    private static DockerfileException Error(RawNode node, string message, string? hint = null, string? culprit = null) => new(node.Span, message) { Hint = hint, Culprit = culprit };

    [GeneratedRegex(@"\A[a-z][a-z0-9\-_.]*\z")]
    private static partial Regex StageName();
}
