using System.Collections.Immutable;
using System.Diagnostics;
using Strata.Containers;
using Strata.Dockerfiles;
using Strata.Oci;

namespace Strata.Build;

/// <summary>Plans one stage: what each instruction does to the config, and which steps the file system needs. An arm for each instruction.</summary>
internal sealed class StagePlanner
{
    private static readonly ImmutableArray<string> s_defaultShell = ["/bin/sh", "-c"];
    private const string DefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    private readonly StageWalk _walk;
    private readonly int _index;
    private readonly Stage _stage;
    private readonly IReadOnlyDictionary<BaseName, BaseImage> _bases;
    private readonly Func<int, StagePlanner> _stageOf;
    private readonly List<NamedValue> _env = [];
    private readonly SortedDictionary<string, string?> _args = new(StringComparer.Ordinal);
    private readonly List<PlannedRow> _history = [];
    private readonly VariableExpander _expander;
    private ContainerConfig _config = new();
    private BuildStep _root = null!;
    private string? _author;
    private int _number, _count = 1;
    private bool _ownCommand;

    internal StagePlanner(StageWalk walk, int index, IReadOnlyDictionary<BaseName, BaseImage> bases, Func<int, StagePlanner> stageOf)
    {
        (_walk, _index, _stage, _bases, _stageOf) = (walk, index, walk.File.Stages[index], bases, stageOf);
        _expander = new VariableExpander(walk.File.Escape, Lookup);
    }

    internal List<string> Warnings { get; } = [];
    internal HashSet<string> UsedArguments { get; } = [];
    internal BuildStep Result => _root;
    private BaseImage? Base { get; set; }

    internal void Run()
    {
        Start();
        ImmutableArray<Instruction> triggers = [.. (_config.OnBuild ?? []).Select(t => Dockerfile.ParseTrigger(t, _stage.Span))];
        _config = _config with { OnBuild = null };
        ImmutableArray<Instruction> all = [.. triggers, .. _stage.Instructions];
        _count = all.Count(i => i is RunInstruction or CopyInstruction or WorkdirInstruction) + 1;
        foreach (Instruction instruction in all)
        {
            Plan(instruction);
        }
        foreach ((string name, string value) in _walk.Options.Labels)
        {
            if (_index == _walk.TargetIndex)
            {
                _config = _config with { Labels = (_config.Labels ?? ImmutableSortedDictionary<string, string>.Empty.WithComparers(StringComparer.Ordinal)).SetItem(name, value) };
            }
        }
    }

    internal BuildGraph ToGraph(ImmutableArray<string> warnings) => new(_root, Base, _config with { Env = EnvOf() }, _author, [.. _history], _walk.Options.Platform, warnings);

    private void Start()
    {
        string name = _walk.BaseOf(_index);
        if (_walk.ContextOf(name) is { } context)
        {
            _root = FromContext(context, Display($"FROM {name}"), _stage.Span, _walk.PlatformOf(_index));
            StartWith(context.Image is null ? null : new BaseName(context.Image, _walk.PlatformOf(_index)));
        }
        else if (_walk.FindStage(name, _index) is { } below)
        {
            StagePlanner parent = _stageOf(below);
            (_root, Base, _config, _author) = (parent._root, parent.Base, parent._config, parent._author);
            _history.AddRange(parent._history);
            _env.AddRange(parent._env);
            foreach ((string argument, string? value) in parent._args)
            {
                _args[argument] = value; // what a stage declares is declared in those that start from it
            }
        }
        else if (name == "scratch")
        {
            _root = new ScratchStep(Display("FROM scratch"), _stage.Span);
        }
        else
        {
            var image = new BaseName(StageWalk.Parse(name, _stage.Span), _walk.PlatformOf(_index));
            string platform = image.Platform is null ? "" : $"--platform={image.Platform} ";
            _root = new ImageStep(_bases[image], Display($"FROM {platform}{_bases[image].Reference.Familiar}"), _stage.Span);
            StartWith(image);
        }
    }

    private void StartWith(BaseName? image)
    {
        if (image is null)
        {
            return;
        }
        Base = _bases[image];
        _config = Base.Config.Config ?? new ContainerConfig();
        foreach (string variable in _config.Env ?? [])
        {
            SetEnv(variable);
        }
    }

    private void Plan(Instruction instruction)
    {
        switch (instruction)
        {
            case ArgInstruction arg:
                PlanArg(arg);
                break;
            case EnvInstruction env:
                PlanEnv(env);
                break;
            case LabelInstruction label:
                PlanLabel(label);
                break;
            case RunInstruction run:
                PlanRun(run);
                break;
            case CopyInstruction copy:
                PlanCopy(copy);
                break;
            case WorkdirInstruction workdir:
                PlanWorkdir(workdir);
                break;
            case UserInstruction user:
                _config = _config with { User = Expand(user.User, user) };
                Row($"USER {_config.User}");
                break;
            case CmdInstruction cmd:
                _ownCommand = true;
                _config = _config with { Cmd = InShell(cmd.Command) };
                Row($"CMD {Json(_config.Cmd.Value)}");
                break;
            case EntrypointInstruction entrypoint:
                // An entrypoint of its own makes the base's command meaningless.
                _config = _config with { Entrypoint = InShell(entrypoint.Command), Cmd = _ownCommand ? _config.Cmd : null };
                Row($"ENTRYPOINT {Json(_config.Entrypoint.Value)}");
                break;
            case ShellInstruction shell:
                _config = _config with { Shell = shell.Shell };
                Row($"SHELL {Json(shell.Shell)}");
                break;
            case ExposeInstruction expose:
                PlanExpose(expose);
                break;
            case VolumeInstruction volume:
                PlanVolume(volume);
                break;
            case StopSignalInstruction signal:
                _config = _config with { StopSignal = SignalOf(signal) };
                Row($"STOPSIGNAL {_config.StopSignal}");
                break;
            case HealthcheckInstruction health:
                _config = _config with { Healthcheck = HealthOf(health) };
                Row(health.Original);
                break;
            case OnbuildInstruction onbuild:
                _config = _config with { OnBuild = [.. _config.OnBuild ?? [], onbuild.Trigger] };
                Row($"ONBUILD {onbuild.Trigger}");
                break;
            case MaintainerInstruction maintainer:
                _author = maintainer.Author;
                Row($"MAINTAINER {maintainer.Author}");
                break;
            default:
                throw new UnreachableException(instruction.GetType().Name);
        }
    }

    private void PlanArg(ArgInstruction arg)
    {
        UsedArguments.Add(arg.Name);
        bool given = _walk.Options.Arguments.ContainsKey(arg.Name);
        _args[arg.Name] = given ? _walk.ValueOf(arg.Name) : arg.Default is not null ? Expand(arg.Default, arg) : _walk.ValueOf(arg.Name);
        Row(arg.Original);
    }

    private void PlanEnv(EnvInstruction env)
    {
        // All values of one line see the variables as they were before it.
        ImmutableArray<NamedValue> values = [.. env.Values.Select(v => new NamedValue(Expand(v.Key, env), Expand(v.Value, env)))];
        foreach ((string name, string value) in values)
        {
            SetEnv($"{name}={value}");
        }
        Row("ENV " + string.Join(' ', values.Select(v => $"{v.Key}={v.Value}")));
    }

    private void PlanLabel(LabelInstruction label)
    {
        ImmutableSortedDictionary<string, string> labels = _config.Labels ?? ImmutableSortedDictionary<string, string>.Empty.WithComparers(StringComparer.Ordinal);
        ImmutableArray<NamedValue> values = [.. label.Values.Select(v => new NamedValue(Expand(v.Key, label), Expand(v.Value, label)))];
        foreach ((string name, string value) in values)
        {
            labels = labels.SetItem(name, value);
        }
        _config = _config with { Labels = labels };
        Row("LABEL " + string.Join(' ', values.Select(v => $"{v.Key}={v.Value}")));
    }

    private void PlanRun(RunInstruction run)
    {
        Allow(run.Security is "insecure", "security.insecure", run);
        Allow(run.Network is "host" && _walk.Options.NoNetwork, "network.host", run);
        ImmutableArray<string> arguments = run.Heredocs.IsEmpty ? InShell(run.Command) : InShell(new CommandLine([HeredocScript(run)], IsShell: true));
        InlineFile? program = ProgramOf(run);
        List<NamedValue> args = ArgumentsOf();
        ImmutableArray<string> environment = [.. EnvOf(), .. args.Select(a => $"{a.Key}={a.Value}")];
        string shown = args.Count == 0 ? string.Join(' ', arguments) : $"|{args.Count} {string.Join(' ', args.Select(a => $"{a.Key}={a.Value}"))} {string.Join(' ', arguments)}";
        string command = run.Command.IsShell ? run.Command.Words[0] : Json(run.Command.Words);
        ImmutableArray<string> started = program is null ? arguments : InShell(new CommandLine([$"{RunStep.ProgramFolder}/{program.Name}"], IsShell: true));
        _root = new RunStep(_root, started, environment, [.. _walk.Proxies], WorkingDirectory, _config.User, run.Network is "none" || (_walk.Options.NoNetwork && run.Network is not "host"), command,
            Display($"RUN {command}"), run.Span)
        {
            Program = program, Stage = StageName, Number = _number, Mounts = [.. run.Mounts.Select((mount, i) => PlanMount(mount, run))], Insecure = run.Security is "insecure", Limits = _walk.Options.Limits,
        };
        Row("RUN " + shown, _root);
    }

    private string StageName => _stage.Name ?? _index.ToString(System.Globalization.CultureInfo.InvariantCulture);

    private void Allow(bool isAsked, string entitlement, RunInstruction run)
    {
        if (isAsked && !_walk.Options.Allowed.Contains(entitlement))
        {
            throw new DockerfileException(run.Span, $"{entitlement} is not allowed") { Hint = $"the Dockerfile asks for more than a build has: add --allow {entitlement} if you trust it" };
        }
    }

    private StepMount PlanMount(RunMount written, RunInstruction run)
    {
        MountOptions options;
        try
        {
            options = written.Resolve(_expander.Expand);
        }
        catch (FormatException e)
        {
            throw new DockerfileException(run.Span, $"--mount={written}: {e.Message}");
        }
        if (options.Target is null && options.Kind is MountKind.Cache or MountKind.Tmpfs)
        {
            throw new DockerfileException(run.Span, $"--mount={written}: it has no target") { Hint = "add target=PATH: where the command finds it" };
        }
        string id = options.Id ?? options.Source ?? (options.Target is { } path ? path[(path.LastIndexOf('/') + 1)..] : "default");
        options = options.Kind switch
        {
            MountKind.Cache => options with { Id = options.Id is { Length: > 0 } given ? given : Clean(options.Target!) },
            MountKind.Secret => options with { Id = id, Source = null },
            MountKind.Ssh => options with { Id = options.Id ?? options.Source ?? "default", Source = null },
            _ => options,
        };
        string target = options.Kind switch
        {
            MountKind.Secret when options.Target is null => options.Environment is null ? "/run/secrets/" + id[(id.LastIndexOf('/') + 1)..] : "",
            MountKind.Ssh when options.Target is null => "/run/buildkit/ssh_agent." + run.Mounts.TakeWhile(m => m != written).Count(m => m.Type == "ssh"),
            _ => Absolute(options.Target ?? ""),
        };
        if (target == "/")
        {
            throw new DockerfileException(run.Span, $"--mount={written}: invalid mount target \"/\"") { Hint = "a mount cannot take the place of the whole file system: name a folder" };
        }
        BuildStep? from = options.From is null ? null : From(options.From, run.Span);
        return new StepMount(options, target) { From = from };
    }

    private static string Clean(string path) => (path.StartsWith('/') ? "/" : "") + string.Join('/', path.Split('/', StringSplitOptions.RemoveEmptyEntries));

    // A heredoc that is the whole command and names its interpreter is a program of its own (Dockerfile reference, "Here-Documents").
    private static InlineFile? ProgramOf(RunInstruction run)
        => IsWholeCommand(run) && run.Heredocs[0].Content.StartsWith("#!", StringComparison.Ordinal) ? new InlineFile(run.Heredocs[0].Name, run.Heredocs[0].Content) : null;

    private static bool IsWholeCommand(RunInstruction run) => run.Heredocs.Length == 1 && DockerfileLexer.TryReadMarker(run.Command.Words[0], out _, out _, out _);

    // A heredoc without a command is the command; behind one it is its input, as a shell would have it.
    private static string HeredocScript(RunInstruction run)
    {
        string command = run.Command.Words[0];
        if (IsWholeCommand(run))
        {
            return run.Heredocs[0].Content;
        }
        return command + "\n" + string.Concat(run.Heredocs.Select(h => h.Content + h.Name + "\n"));
    }

    private void PlanCopy(CopyInstruction copy)
    {
        if (copy.Link)
        {
            Warnings.Add($"{copy.Span}: --link changes nothing here: layers are shared and rebased without it");
        }
        string keyword = copy.IsAdd ? "ADD" : "COPY";
        ImmutableArray<string> sources = [.. copy.Sources.Where(s => !copy.Heredocs.Any(h => IsMarkerOf(s, h))).Select(s => Expand(s, copy))];
        string destination = Expand(copy.Destination, copy);
        string absolute = Absolute(destination);
        if (destination.EndsWith('/') || destination is "." or ".." || destination.EndsWith("/.", StringComparison.Ordinal))
        {
            absolute = absolute.TrimEnd('/') + "/";
        }
        if (copy.Mode is { } mode && !ModeExpression.IsValid(Expand(mode, copy)))
        {
            throw new DockerfileException(copy.Span, $"invalid chmod parameter: '{mode}'. it should be octal string and between 0 and 07777") { Hint = "write it like 755 or u=rwx,go=rx" };
        }
        var rules = new CopyRules
        {
            IsAdd = copy.IsAdd, Unpack = copy.Unpack, Parents = copy.Parents, Exclude = [.. copy.Exclude.Select(e => Expand(e, copy))],
            Owner = copy.Owner is null ? null : Expand(copy.Owner, copy), Mode = copy.Mode is null ? null : Expand(copy.Mode, copy),
            KeepGitDirectory = copy.KeepGitDirectory,
        };
        rules = copy.Checksum is null ? rules : WithChecksum(rules, Expand(copy.Checksum, copy), sources, copy);
        string display = $"{keyword} {(copy.From is null ? "" : $"--from={copy.From} ")}{string.Join(' ', copy.Sources)} {copy.Destination}";
        if (!copy.Heredocs.IsEmpty)
        {
            InlineFile[] files = [.. copy.Heredocs.Select(h => new InlineFile(h.Name, h.Expand ? ExpandText(h.Content, copy) : h.Content))];
            _root = new CopyStep(_root, new InlineOrigin([.. files]), [], absolute, rules, Display(display), copy.Span) { Stage = StageName, Number = _number };
        }
        if (!sources.IsEmpty)
        {
            string? from = copy.From is null ? null : Expand(copy.From, copy);
            CopyOrigin origin = from is null ? new ContextOrigin() : _walk.ContextOf(from) is { Image: null } context ? new ContextOrigin(context.Name) : new StepOrigin(From(from, copy.Span));
            _root = new CopyStep(_root, origin, sources, absolute, rules, Display(display), copy.Span) { Stage = StageName, Number = _number };
        }
        Row(display, _root);
    }

    private static CopyRules WithChecksum(CopyRules rules, string checksum, ImmutableArray<string> sources, CopyInstruction copy)
    {
        if (sources is not [string source])
        {
            throw new DockerfileException(copy.Span, "checksum can't be specified for multiple sources") { Hint = "write an ADD for each" };
        }
        if (GitSource.TryParse(source) is not null)
        {
            const int ShortestCommit = 7;
            return checksum.Length >= ShortestCommit && checksum.All(char.IsAsciiHexDigitLower) ? rules with { Commit = checksum }
                : throw new DockerfileException(copy.Span, $"--checksum={checksum}: not a commit");
        }
        return !FetchedFile.IsUrl(source) ? throw new DockerfileException(copy.Span, "checksum requires HTTP(S) or Git sources")
            : Digest.TryParse(checksum, null, out Digest digest) ? rules with { Checksum = digest }
            : throw new DockerfileException(copy.Span, $"--checksum={checksum}: not a digest");
    }

    private BuildStep From(string from, SourceSpan span)
    {
        if (_walk.ContextOf(from) is { } context)
        {
            return FromContext(context, $"FROM {from}", span);
        }
        (int? stage, ImageReference? image) = _walk.ResolveFrom(from, _index, span);
        if (stage is { } index)
        {
            return _stageOf(index).Result;
        }
        return _bases.TryGetValue(new BaseName(image!), out BaseImage? found) ? new ImageStep(found, $"FROM {image!.Familiar}", span)
            : throw new DockerfileException(span, $"a trigger of the base image (ONBUILD) copies from {image!.Familiar}, which is no stage here") { Hint = "name a stage so: FROM IMAGE AS NAME, before this one" };
    }

    // Files of this machine as a file system: all of them, copied into an empty one.
    private BuildStep FromContext(NamedContext context, string display, SourceSpan span, Platform? platform = null)
        => context.Image is { } image ? new ImageStep(_bases[new BaseName(image, platform)], display, span)
            : new CopyStep(new ScratchStep("FROM scratch", span), new ContextOrigin(context.Name), ["."], "/", new CopyRules(), display, span);

    private static bool IsMarkerOf(string source, Heredoc heredoc) => DockerfileLexer.TryReadMarker(source, out string name, out _, out _) && name == heredoc.Name;

    private void PlanWorkdir(WorkdirInstruction workdir)
    {
        string path = Absolute(Expand(workdir.Path, workdir));
        _config = _config with { WorkingDir = path };
        if (path != "/")
        {
            _root = new DirectoryStep(_root, path, Display($"WORKDIR {path}"), workdir.Span) { Stage = StageName, Number = _number };
        }
        Row($"WORKDIR {path}", path == "/" ? null : _root);
    }

    private void PlanExpose(ExposeInstruction expose)
    {
        ImmutableSortedDictionary<string, EmptyObject> ports = _config.ExposedPorts ?? ImmutableSortedDictionary<string, EmptyObject>.Empty.WithComparers(StringComparer.Ordinal);
        var shown = new List<string>();
        foreach (string word in expose.Ports.SelectMany(p => ExpandWords(p, expose)))
        {
            foreach (string port in ExposedPort.Parse(word) ?? throw new DockerfileException(expose.Span, $"invalid containerPort: {word}") { Hint = "write it like 80, 80/udp or 8000-8010" })
            {
                ports = ports.SetItem(port, new EmptyObject());
            }
            shown.Add(word);
        }
        _config = _config with { ExposedPorts = ports };
        Row("EXPOSE " + string.Join(' ', shown));
    }

    private void PlanVolume(VolumeInstruction volume)
    {
        ImmutableSortedDictionary<string, EmptyObject> volumes = _config.Volumes ?? ImmutableSortedDictionary<string, EmptyObject>.Empty.WithComparers(StringComparer.Ordinal);
        string[] paths = [.. volume.Paths.Select(p => Expand(p, volume))];
        foreach (string path in paths)
        {
            volumes = path.Length > 0 ? volumes.SetItem(path, new EmptyObject()) : throw new DockerfileException(volume.Span, "VOLUME specified can not be an empty string");
        }
        _config = _config with { Volumes = volumes };
        Row($"VOLUME {Json([.. paths])}");
    }

    private static HealthcheckConfig HealthOf(HealthcheckInstruction health) => new()
    {
        Test = health.Command is null ? ["NONE"] : health.Command.IsShell ? ["CMD-SHELL", health.Command.Words[0]] : ["CMD", .. health.Command.Words],
        Interval = health.Interval, Timeout = health.Timeout, StartPeriod = health.StartPeriod, StartInterval = health.StartInterval, Retries = health.Retries,
    };

    private string SignalOf(StopSignalInstruction instruction)
    {
        string text = Expand(instruction.Signal, instruction);
        try
        {
            _ = Signals.Parse(text);
            return text;
        }
        catch (StrataException)
        {
            throw new DockerfileException(instruction.Span, $"invalid signal: {text}") { Hint = "write it like SIGTERM or 15", Culprit = instruction.Signal };
        }
    }

    private string WorkingDirectory => string.IsNullOrEmpty(_config.WorkingDir) ? "/" : _config.WorkingDir;

    private string Absolute(string path)
    {
        string joined = path.StartsWith('/') ? path : WorkingDirectory + "/" + path;
        var parts = new List<string>();
        foreach (string part in joined.Split('/'))
        {
            if (part == ".." && parts.Count > 0)
            {
                parts.RemoveAt(parts.Count - 1);
            }
            else if (part is not ("" or "." or ".."))
            {
                parts.Add(part);
            }
        }
        return "/" + string.Join('/', parts);
    }

    private ImmutableArray<string> InShell(CommandLine command) => command.IsShell ? [.. _config.Shell is { IsEmpty: false } shell ? shell : s_defaultShell, command.Words[0]] : command.Words;

    // The ARGs that have a value and that no ENV hides, by name.
    private List<NamedValue> ArgumentsOf()
    {
        var found = new List<NamedValue>();
        foreach ((string name, string? value) in _args)
        {
            if (value is not null && !_env.Exists(e => e.Key == name))
            {
                found.Add(new NamedValue(name, value));
            }
        }
        return found;
    }

    private ImmutableArray<string> EnvOf()
        => _env.Any(e => e.Key == "PATH") ? [.. _env.Select(e => $"{e.Key}={e.Value}")] : [DefaultPath, .. _env.Select(e => $"{e.Key}={e.Value}")];

    private void SetEnv(string variable)
    {
        int equals = variable.IndexOf('=', StringComparison.Ordinal);
        NamedValue pair = equals < 0 ? new(variable, "") : new(variable[..equals], variable[(equals + 1)..]);
        int at = _env.FindIndex(e => e.Key == pair.Key);
        if (at < 0)
        {
            _env.Add(pair);
        }
        else
        {
            _env[at] = pair;
        }
    }

    private string? Lookup(string name)
    {
        int at = _env.FindIndex(e => e.Key == name);
        return at >= 0 ? _env[at].Value : _args.TryGetValue(name, out string? value) ? value : name == "PATH" ? DefaultPath[5..] : null;
    }

    private string Expand(string text, Instruction instruction) => StageWalk.Expand(_expander, text, instruction.Span);

    // Text of a heredoc: variables are expanded, quotes and blanks stay.
    private string ExpandText(string text, Instruction instruction) => InFile(_expander.ExpandText, text, instruction);

    private IReadOnlyList<string> ExpandWords(string text, Instruction instruction) => InFile(_expander.ExpandWords, text, instruction);

    private static T InFile<T>(Func<string, T> expand, string text, Instruction instruction)
    {
        try
        {
            return expand(text);
        }
        catch (FormatException e)
        {
            throw new DockerfileException(instruction.Span, e.Message);
        }
    }

    private void Row(string createdBy, BuildStep? step = null) => _history.Add(new PlannedRow(createdBy, step));

    private string Display(string text)
    {
        _number++;
        string stage = _stage.Name ?? (_walk.File.Stages.Length > 1 ? $"stage-{_index}" : "");
        return $"[{(stage.Length > 0 ? stage + " " : "")}{_number}/{Math.Max(_count, 1)}] {text}";
    }

    private static string Json(ImmutableArray<string> words)
        => "[" + string.Join(" ", words.Select(w => "\"" + w.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal) + "\"")) + "]";
}

/// <summary>EXPOSE's ports: <c>80</c>, <c>80/udp</c>, <c>8000-8010/tcp</c>.</summary>
internal static class ExposedPort
{
    internal static IEnumerable<string>? Parse(string text)
    {
        string[] parts = text.Split('/');
        string protocol = parts.Length == 2 ? parts[1].ToLowerInvariant() : "tcp";
        string[] range = parts[0].Split('-');
        bool valid = parts.Length <= 2 && protocol is "tcp" or "udp" or "sctp" && range.Length <= 2;
        if (!valid || !ushort.TryParse(range[0], out ushort first) || !ushort.TryParse(range[^1], out ushort last) || last < first)
        {
            return null;
        }
        return Enumerable.Range(first, last - first + 1).Select(port => $"{port}/{protocol}");
    }
}
