using System.Globalization;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Containers;
using Strata.Linux;

namespace Strata.Cli.Commands;

/// <summary><c>strata top</c> and <c>strata stats</c>.</summary>
internal static class TopCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> name = Options.One("CONTAINER", "name or ID");
        Argument<string[]> words = Options.Many("PS_OPTION", "options of the host's ps", atLeastOne: false);
        var command = new Command("top") { name, words };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            IReadOnlyList<ProcessRow> rows = context.Engine.GetProcesses(parsed.GetValue(name));
            if (parsed.GetValue(words) is { Length: > 0 } options)
            {
                await WriteOfPsAsync(context, options, [.. rows.Select(r => r.Pid)], cancellationToken);
                return 0;
            }
            var table = new Table("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD");
            DateTimeOffset now = CommandContext.Time.GetUtcNow();
            foreach (ProcessRow row in rows)
            {
                DateTimeOffset started = row.Started.ToLocalTime();
                table.Add(UserName(row.Uid), Text(row.Pid), Text(row.ParentPid), Text(row.CpuShare), started.ToString(now - started < TimeSpan.FromDays(1) ? "HH:mm" : "MMMdd", CultureInfo.InvariantCulture), Tty(row.Terminal),
                    row.CpuTime.ToString(@"hh\:mm\:ss", CultureInfo.InvariantCulture), row.CommandLine);
            }
            table.Write(context.Out);
            return 0;
        });
        return command;
    }

    // As Docker does: the host's ps with the options asked for, and of its lines those of the container's processes.
    private static async Task WriteOfPsAsync(CommandContext context, string[] options, HashSet<int> processes, CancellationToken cancellationToken)
    {
        string program = ChildProcess.FindProgram("ps") ?? throw new StrataException(ErrorKind.Unsupported, "options of ps need the program ps") { Hint = "apt-get install procps" };
        ChildResult result = await ChildProcess.RunAsync(new ChildStart { Program = program, Arguments = options }, cancellationToken: cancellationToken);
        string[] lines = result.OutputText.Split('\n');
        int column = Array.IndexOf(lines[0].Split(' ', StringSplitOptions.RemoveEmptyEntries), "PID");
        if (result.ExitCode != 0 || column < 0)
        {
            throw new StrataException(ErrorKind.Invalid, result.ExitCode != 0 ? $"ps: {result.ErrorText}" : "ps with these options tells no PID");
        }
        context.Out.WriteLine(SafeText.Escape(lines[0]));
        foreach (string line in lines.Skip(1))
        {
            string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length > column && int.TryParse(fields[column], out int id) && processes.Contains(id))
            {
                context.Out.WriteLine(SafeText.Escape(line));
            }
        }
    }

    internal static Command CreateStats(CommandContext context)
    {
        Argument<string[]> names = Options.Many("CONTAINER", "names or IDs; all that run where none is given", atLeastOne: false);
        Option<bool> all = Options.Flag("--all", "stopped ones too", "-a");
        Option<bool> once = Options.Flag("--no-stream", "once, not on and on");
        Option<bool> full = Options.Flag("--no-trunc", "whole IDs");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, table TEMPLATE, or json");
        var command = new Command("stats") { names, all, once, full, format };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string[] asked = parsed.GetValue(names);
            Func<IReadOnlyList<Container>> find = () => asked.Length > 0 ? [.. asked.Select(context.Engine.GetContainer)]
                : [.. context.Engine.ListContainers().Where(c => parsed.GetValue(all) || c.State.Status == ContainerStatus.Running)];
            bool endless = !parsed.GetValue(once);
            do
            {
                List<JsonObject> rows = await MeasureAsync(context, find(), parsed.GetValue(full), cancellationToken);
                if (endless && Terminal.IsTerminal(1))
                {
                    context.Out.Write("\u001b[H\u001b[J"); // as Docker: from the top of the screen
                }
                WriteStats(context, parsed.GetValue(format), rows);
                context.Flush();
            }
            while (endless);
            return 0;
        });
        return command;
    }

    // A share of the processor needs two looks.
    private static async Task<List<JsonObject>> MeasureAsync(CommandContext context, IReadOnlyList<Container> containers, bool full, CancellationToken cancellationToken)
    {
        long begun = CommandContext.Time.GetTimestamp();
        ContainerUsage[] before = [.. containers.Select(c => context.Engine.GetUsage(c.Record))];
        await Task.Delay(TimeSpan.FromSeconds(1), CommandContext.Time, cancellationToken);
        double seconds = CommandContext.Time.GetElapsedTime(begun).TotalSeconds;
        var rows = new List<JsonObject>();
        for (int i = 0; i < containers.Count; i++)
        {
            rows.Add(Describe(containers[i], before[i], context.Engine.GetUsage(containers[i].Record), seconds, full));
        }
        return rows;
    }

    private static JsonObject Describe(Container container, ContainerUsage before, ContainerUsage now, double seconds, bool full)
    {
        string id = full ? container.Record.Id : container.Record.ShortId;
        double cpu = Math.Max(0, now.CpuNanoseconds - before.CpuNanoseconds) / (seconds * 1e9) * 100;
        double memory = now.MemoryLimit > 0 ? now.MemoryBytes * 100.0 / now.MemoryLimit : 0;
        return new JsonObject
        {
            ["Container"] = id,
            ["ID"] = id,
            ["Name"] = container.Record.Name,
            ["CPUPerc"] = Percent(cpu),
            ["MemUsage"] = $"{Binary(now.MemoryBytes)} / {Binary(now.MemoryLimit)}",
            ["MemPerc"] = Percent(memory),
            ["NetIO"] = $"{Sizes.Human(now.NetworkReceived)} / {Sizes.Human(now.NetworkSent)}",
            ["BlockIO"] = $"{Sizes.Human(now.BlockRead)} / {Sizes.Human(now.BlockWritten)}",
            ["PIDs"] = Text(now.Processes),
        };
    }

    private static void WriteStats(CommandContext context, string? format, List<JsonObject> rows)
    {
        if (format is not null)
        {
            Formatted.Write(context.Out, format, rows);
            return;
        }
        string[] columns = ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];
        var table = new Table("CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS");
        rows.ForEach(r => table.Add([.. columns.Select(c => (string)r[c]!)]));
        table.Write(context.Out);
    }

    // docker stats counts memory in powers of 1024.
    private static string Binary(long bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB"];
        double value = bytes;
        int unit = 0;
        for (; value >= 1024 && unit < units.Length - 1; unit++)
        {
            value /= 1024;
        }
        string digits = value >= 1000 ? "0" : value >= 100 ? "0.#" : value >= 10 ? "0.##" : "0.###";
        return value.ToString(digits, CultureInfo.InvariantCulture) + units[unit];
    }

    private static string Percent(double value) => value.ToString("0.00", CultureInfo.InvariantCulture) + "%";

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Tty(int device) => device == 0 ? "?" : (device >> 8 & 0xFFF) is >= 136 and < 144 ? $"pts/{device & 0xFF}" : "?";

    // The host's names, as Docker's ps shows them.
    private static string UserName(uint uid)
    {
        foreach (string line in File.Exists("/etc/passwd") ? File.ReadLines("/etc/passwd") : [])
        {
            string[] fields = line.Split(':');
            if (fields.Length > 2 && fields[2] == Text(uid))
            {
                return fields[0];
            }
        }
        return Text(uid);
    }
}
