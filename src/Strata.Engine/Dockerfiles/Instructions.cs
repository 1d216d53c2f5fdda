using System.Collections.Immutable;

namespace Strata.Dockerfiles;

/// <summary>One instruction, as written: values are not expanded. The set is closed: a new one is a new record here and a new arm in the planner.</summary>
public abstract record Instruction(SourceSpan Span)
{
    /// <summary>The instruction's text on one line, its keyword in capitals: for history and messages.</summary>
    public string Original { get; init; } = "";

    /// <summary>The keyword as written: its case.</summary>
    public string Keyword { get; init; } = "";
}

/// <summary>A command: words (exec form), or one text that a shell reads (shell form).</summary>
/// <param name="Words">The words; in shell form one.</param>
/// <param name="IsShell">Whether a shell reads it.</param>
public sealed record CommandLine(ImmutableArray<string> Words, bool IsShell);

/// <summary>A document written in the Dockerfile: <c>&lt;&lt;NAME</c>.</summary>
/// <param name="Name">Its name, unquoted; a file's name in COPY and ADD.</param>
/// <param name="Content">Its lines, each with a newline; <c>&lt;&lt;-</c> has taken the tabs off.</param>
/// <param name="Expand">Whether variables in it are expanded (<see cref="VariableExpander.ExpandText"/>): not where the name was quoted.</param>
public sealed record Heredoc(string Name, string Content, bool Expand);

/// <summary><c>RUN</c></summary>
public sealed record RunInstruction(CommandLine Command, ImmutableArray<Heredoc> Heredocs, SourceSpan Span) : Instruction(Span)
{
    /// <summary>--mount, each.</summary>
    public ImmutableArray<RunMount> Mounts { get; init; } = [];
    /// <summary>--network: default, none or host.</summary>
    public string? Network { get; init; }
    /// <summary>--security: sandbox or insecure.</summary>
    public string? Security { get; init; }
}

/// <summary><c>COPY</c> and <c>ADD</c>. A source that is a heredoc's marker stands for that document.</summary>
public sealed record CopyInstruction(bool IsAdd, ImmutableArray<string> Sources, string Destination, ImmutableArray<Heredoc> Heredocs, SourceSpan Span) : Instruction(Span)
{
    /// <summary>--from: a stage, its number, or an image.</summary>
    public string? From { get; init; }
    /// <summary>--chown.</summary>
    public string? Owner { get; init; }
    /// <summary>--chmod.</summary>
    public string? Mode { get; init; }
    /// <summary>--link.</summary>
    public bool Link { get; init; }
    /// <summary>--parents.</summary>
    public bool Parents { get; init; }
    /// <summary>--exclude, each.</summary>
    public ImmutableArray<string> Exclude { get; init; } = [];
    /// <summary>--checksum.</summary>
    public string? Checksum { get; init; }
    /// <summary>--unpack.</summary>
    public bool? Unpack { get; init; }
    /// <summary>--keep-git-dir.</summary>
    public bool KeepGitDirectory { get; init; }
}

/// <summary><c>ARG</c>: one name; a line with several becomes several.</summary>
public sealed record ArgInstruction(string Name, string? Default, SourceSpan Span) : Instruction(Span);

/// <summary>A pair as ENV and LABEL write it. A class: generic code over it is compiled ahead, over a structure it is not.</summary>
public sealed record NamedValue(string Key, string Value);

/// <summary><c>ENV</c>: names and values as written, with their quotes.</summary>
public sealed record EnvInstruction(ImmutableArray<NamedValue> Values, SourceSpan Span) : Instruction(Span);

/// <summary><c>LABEL</c>: names and values as written, with their quotes.</summary>
public sealed record LabelInstruction(ImmutableArray<NamedValue> Values, SourceSpan Span) : Instruction(Span);

/// <summary><c>MAINTAINER</c></summary>
public sealed record MaintainerInstruction(string Author, SourceSpan Span) : Instruction(Span);

/// <summary><c>WORKDIR</c></summary>
public sealed record WorkdirInstruction(string Path, SourceSpan Span) : Instruction(Span);

/// <summary><c>USER</c></summary>
public sealed record UserInstruction(string User, SourceSpan Span) : Instruction(Span);

/// <summary><c>CMD</c></summary>
public sealed record CmdInstruction(CommandLine Command, SourceSpan Span) : Instruction(Span);

/// <summary><c>ENTRYPOINT</c></summary>
public sealed record EntrypointInstruction(CommandLine Command, SourceSpan Span) : Instruction(Span);

/// <summary><c>SHELL</c></summary>
public sealed record ShellInstruction(ImmutableArray<string> Shell, SourceSpan Span) : Instruction(Span);

/// <summary><c>EXPOSE</c></summary>
public sealed record ExposeInstruction(ImmutableArray<string> Ports, SourceSpan Span) : Instruction(Span);

/// <summary><c>VOLUME</c></summary>
public sealed record VolumeInstruction(ImmutableArray<string> Paths, SourceSpan Span) : Instruction(Span);

/// <summary><c>STOPSIGNAL</c></summary>
public sealed record StopSignalInstruction(string Signal, SourceSpan Span) : Instruction(Span);

/// <summary><c>HEALTHCHECK</c>; no command is NONE. Durations in nanoseconds.</summary>
public sealed record HealthcheckInstruction(CommandLine? Command, SourceSpan Span) : Instruction(Span)
{
#pragma warning disable CS1591 // the options' names
    public long? Interval { get; init; }
    public long? Timeout { get; init; }
    public long? StartPeriod { get; init; }
    public long? StartInterval { get; init; }
    public int? Retries { get; init; }
#pragma warning restore CS1591
}

/// <summary><c>ONBUILD</c>: an instruction for those who build on this image, kept as text.</summary>
public sealed record OnbuildInstruction(string Trigger, SourceSpan Span) : Instruction(Span)
{
    /// <summary>The instruction, parsed.</summary>
    public required Instruction Instruction { get; init; }
}
