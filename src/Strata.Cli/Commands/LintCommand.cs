using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Dockerfiles;
using Strata.Dockerfiles.Lint;
using Strata.Server;

namespace Strata.Cli.Commands;

/// <summary><c>strata lint</c>: 3 where something was found.</summary>
internal static class LintCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string[]> files = Options.Many("FILE", "Dockerfiles; - reads standard input");
        var command = new Command("lint") { files };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            int found = 0;
            foreach (string file in parsed.GetValue(files))
            {
                if (file != "-" && !File.Exists(file))
                {
                    throw new StrataException(ErrorKind.NotFound, $"{file}: no such file");
                }
                string text = file == "-" ? await Console.In.ReadToEndAsync(cancellationToken) : await File.ReadAllTextAsync(file, cancellationToken);
                foreach (LintFinding finding in DockerfileLinter.Lint(Dockerfile.Parse(text, file == "-" ? "Dockerfile" : file)))
                {
                    found++;
                    context.Out.WriteLine($"{finding.Span}: {finding.Rule}: {SafeText.Escape(finding.Message)}");
                    if (finding.Advice.Length > 0)
                    {
                        context.Out.WriteLine($"    {SafeText.Escape(finding.Advice)}");
                    }
                }
            }
            return found == 0 ? 0 : ErrorTable.CheckFailedExitCode;
        });
        return command;
    }
}
