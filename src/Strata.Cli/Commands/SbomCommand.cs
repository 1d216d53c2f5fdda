using Strata.Cli.Output;
using Strata.Cli.Syntax;

namespace Strata.Cli.Commands;

/// <summary><c>strata sbom</c>: the bill of materials that is attached to an image, or one that is made now.</summary>
internal static class SbomCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> image = Options.One("IMAGE", "name or ID");
        Option<bool> anew = Options.Flag("--anew", "make it now, whatever is attached");
        Option<string?> output = Options.Value("--output", "FILE", "write it to a file", "-o");
        var command = new Command("sbom") { image, anew, output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            byte[] document = await context.Engine.ReadSbomAsync(parsed.GetValue(image), parsed.GetValue(anew), cancellationToken);
            if (parsed.GetValue(output) is { } path)
            {
                await OutputFile.WriteAsync(path, stream => stream.WriteAsync(document, cancellationToken).AsTask());
                return 0;
            }
            using Stream stdout = Console.OpenStandardOutput();
            await stdout.WriteAsync(document, cancellationToken);
            return 0;
        });
        return command;
    }
}
