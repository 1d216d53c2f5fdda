using System.Globalization;
using System.Text;
using Strata.Cli.Syntax;
using Strata.Containers;
using Strata.Linux;

namespace Strata.Cli.Commands;

/// <summary><c>strata logs</c>: the bytes as the container wrote them.</summary>
internal static class LogsCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> name = Options.One("CONTAINER", "name or ID");
        Option<bool> times = Options.Flag("--timestamps", "when each line was written", "-t");
        Option<bool> follow = Options.Flag("--follow", "go on until the container is over", "-f");
        Option<string?> tail = Options.Value("--tail", "N", "only the last lines (all)", "-n");
        Option<string?> since = Options.Value("--since", "TIME", "only lines from then on (2026-01-31T10:00:00Z, or 10m: so long ago)");
        Option<string?> until = Options.Value("--until", "TIME", "only lines to then");
        var command = new Command("logs") { name, times, follow, tail, since, until };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var options = new LogOptions { Follow = parsed.GetValue(follow), Tail = ReadTail(parsed.GetValue(tail)), Since = Durations.Time(parsed.GetValue(since), "--since"), Until = Durations.Time(parsed.GetValue(until), "--until") };
            await using Stream output = StandardStream.OpenOutput(), error = StandardStream.OpenError();
            bool atStart = true;
            await foreach (LogLine line in context.Engine.ReadContainerLogAsync(parsed.GetValue(name)!, options, cancellationToken))
            {
                Stream target = line.IsError ? error : output;
                if (parsed.GetValue(times) && atStart)
                {
                    target.Write(Encoding.ASCII.GetBytes(line.Time + " "));
                }
                target.Write(line.Text.Span);
                if (!line.IsPartial)
                {
                    target.WriteByte((byte)'\n');
                }
                atStart = !line.IsPartial;
            }
            return 0;
        });
        return command;
    }

    private static int? ReadTail(string? text) => text is null or "all" or "-1" ? null
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int lines) ? lines : throw new StrataException(ErrorKind.Invalid, $"--tail {text}: not a number of lines");
}
