using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary><c>strata export</c> and <c>strata import</c>.</summary>
internal static class ExportCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> name = Options.One("NAME", "container or image");
        Option<string?> output = Options.Value("--output", "FILE", "write to a file", "-o");
        var command = new Command("export") { name, output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetValue(output) is null && Terminal.IsTerminal(1))
            {
                throw new StrataException(ErrorKind.Invalid, "refusing to write an archive to a terminal") { Hint = "name a file with -o, or send the output on" };
            }
            using LiveDisplay? live = context.StartLive();
            LiveTask? task = live?.Add($"Exporting {parsed.GetValue(name)}");
            if (parsed.GetValue(output) is { } path)
            {
                await OutputFile.WriteAsync(path, tar => context.Engine.ExportAsync(parsed.GetValue(name)!, CountingStream.Of(tar, task), cancellationToken).AsTask());
                return 0;
            }
            await using Stream stdout = StandardStream.OpenOutput();
            await context.Engine.ExportAsync(parsed.GetValue(name)!, CountingStream.Of(stdout, task), cancellationToken);
            return 0;
        });
        return command;
    }

    internal static Command CreateImport(CommandContext context)
    {
        Argument<string> file = Options.One("FILE", "a tar, compressed or not; - reads standard input");
        Argument<string?> reference = Options.Maybe("NAME", "the image's name");
        Option<string?> message = Options.Value("--message", "TEXT", "why", "-m");
        Option<string[]> changes = Options.Values("--change", "INSTRUCTION", "as of commit", "-c");
        var command = new Command("import") { file, reference, message, changes };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string path = parsed.GetValue(file)!;
            if (path != "-" && !File.Exists(path))
            {
                throw new StrataException(ErrorKind.NotFound, $"{path}: no such file");
            }
            await using Stream tar = path == "-" ? Console.OpenStandardInput() : File.OpenRead(path);
            var options = new CommitOptions { Reference = parsed.GetValue(reference) is { } text ? ImageReference.Parse(text) : null, Message = parsed.GetValue(message) ?? $"Imported from {path}", Changes = [.. parsed.GetValue(changes)] };
            using LiveDisplay? live = context.StartLive();
            LiveTask? task = live?.Add($"Importing {path}", tar is FileStream { CanSeek: true } size ? size.Length : null);
            (_, Digest id) = await context.Engine.ImportImageAsync(CountingStream.Of(tar, task), options, cancellationToken);
            context.Out.WriteLine(id.ToString());
            return 0;
        });
        return command;
    }
}
