using System.CommandLine;

namespace Strata.Cli.Commands;

/// <summary><c>strata logs</c>: conmon's k8s-file lines, each "TIME STREAM F|P TEXT" (P: the line goes on in the next).</summary>
internal static class LogsCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> name = Options.One("CONTAINER", "name or ID");
        Option<bool> times = Options.Flag("--timestamps", "when each line was written", "-t");
        var command = new Command("logs") { name, times };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string path = context.Engine.Containers.LogOf(context.Engine.GetContainer(parsed.GetValue(name)!).Record.Id);
            if (!File.Exists(path))
            {
                return 0;
            }
            await foreach (string line in File.ReadLinesAsync(path, cancellationToken))
            {
                string[] parts = line.Split(' ', 4);
                if (parts.Length == 4)
                {
                    TextWriter output = parts[1] == "stderr" ? context.Error : context.Out;
                    await output.WriteAsync((parsed.GetValue(times) ? parts[0] + " " : "") + parts[3] + (parts[2] == "P" ? "" : "\n"));
                }
            }
            return 0;
        });
        return command;
    }
}
