using Strata.Dockerfiles;

namespace Strata.Tests.Dockerfiles;

/// <summary>An instruction as one line, for tables: what it holds, not how it was written. <c>sh:</c> is the shell form, <c>|</c> stands between the words of the exec form.</summary>
internal static class ShownInstruction
{
    internal static string Of(Instruction instruction) => instruction switch
    {
        RunInstruction run => $"{string.Concat(run.Mounts.Select(m => $"mount:{m} "))}{Flag("network", run.Network)}{Flag("security", run.Security)}{Of(run.Command)}{Of(run.Heredocs)}",
        CopyInstruction copy => $"{(copy.IsAdd ? "add " : "copy ")}{Flag("from", copy.From)}{Flag("chown", copy.Owner)}{Flag("chmod", copy.Mode)}{Flag("checksum", copy.Checksum)}{(copy.Link ? "link " : "")}"
            + $"{(copy.Parents ? "parents " : "")}{string.Concat(copy.Exclude.Select(e => Flag("exclude", e)))}{(copy.Unpack is { } unpack ? $"unpack:{unpack} " : "")}{(copy.KeepGitDirectory ? "git " : "")}"
            + $"{string.Join('|', copy.Sources)} -> {copy.Destination}{Of(copy.Heredocs)}",
        ArgInstruction arg => arg.Default is null ? arg.Name : $"{arg.Name}={arg.Default}",
        EnvInstruction env => Of(env.Values),
        LabelInstruction label => Of(label.Values),
        MaintainerInstruction maintainer => maintainer.Author,
        WorkdirInstruction workdir => workdir.Path,
        UserInstruction user => user.User,
        CmdInstruction cmd => Of(cmd.Command),
        EntrypointInstruction entrypoint => Of(entrypoint.Command),
        ShellInstruction shell => string.Join('|', shell.Shell),
        ExposeInstruction expose => string.Join('|', expose.Ports),
        VolumeInstruction volume => string.Join('|', volume.Paths),
        StopSignalInstruction signal => signal.Signal,
        HealthcheckInstruction health => health.Command is null ? "none"
            : $"{Flag("interval", health.Interval)}{Flag("timeout", health.Timeout)}{Flag("start-period", health.StartPeriod)}{Flag("start-interval", health.StartInterval)}{Flag("retries", health.Retries)}{Of(health.Command)}",
        OnbuildInstruction onbuild => $"{onbuild.Instruction.GetType().Name[..^"Instruction".Length]} {onbuild.Trigger}",
        _ => throw new ArgumentException(instruction.GetType().Name),
    };

    private static string Of(CommandLine command) => command.IsShell ? "sh:" + command.Words[0] : string.Join('|', command.Words);

    private static string Of(IEnumerable<NamedValue> values) => string.Join(';', values.Select(v => $"{v.Key}={v.Value}"));

    private static string Of(IEnumerable<Heredoc> documents) => string.Concat(documents.Select(d => $" <{d.Name}{(d.Expand ? "" : "!")}:{d.Content.Replace("\n", "\\n", StringComparison.Ordinal)}>"));

    private static string Flag(string name, object? value) => value is null ? "" : $"{name}:{value} ";
}
