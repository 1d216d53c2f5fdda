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
        var command = new Command("logs") { name, times, follow, tail, since };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var options = new LogOptions { Follow = parsed.GetValue(follow), Tail = ReadTail(parsed.GetValue(tail)), Since = ReadSince(parsed.GetValue(since)) };
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

    private static DateTimeOffset? ReadSince(string? text)
    {
        if (text is null)
        {
            return null;
        }
        if (DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset at))
        {
            return at;
        }
        TimeSpan? unit = text[^1] switch { 's' => TimeSpan.FromSeconds(1), 'm' => TimeSpan.FromMinutes(1), 'h' => TimeSpan.FromHours(1), 'd' => TimeSpan.FromDays(1), _ => null };
        return unit is { } one && double.TryParse(text.AsSpan(..^1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double count)
            ? CommandContext.Time.GetUtcNow() - one * count : throw new StrataException(ErrorKind.Invalid, $"--since {text}: neither a time nor a duration");
    }
}
