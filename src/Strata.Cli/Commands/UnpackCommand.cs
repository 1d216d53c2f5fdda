using Strata.Cli.Output;
using Strata.Cli.Syntax;

namespace Strata.Cli.Commands;

/// <summary><c>strata unpack</c> and <c>strata layer unpack</c>.</summary>
internal static class UnpackCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> image = Options.One("IMAGE", "name or ID");
        Argument<string> folder = Options.One("DIR", "an empty folder, or one that is to be made");
        var command = new Command("unpack") { image, folder };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using LiveDisplay? live = context.StartLive();
            live?.Add($"Unpacking {parsed.GetValue(image)}");
            await context.Engine.UnpackAsync(parsed.GetValue(image)!, parsed.GetValue(folder)!, cancellationToken);
            return 0;
        });
        return command;
    }

    internal static Command CreateLayer(CommandContext context)
    {
        Argument<string> file = Options.One("FILE", "a layer's archive, compressed or not; - reads standard input");
        Argument<string> folder = Options.One("DIR", "an empty folder, or one that is to be made");
        var command = new Command("unpack", "Unpack a layer's archive into a folder and print its diff ID") { file, folder };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string path = parsed.GetValue(file)!;
            if (path != "-" && !File.Exists(path))
            {
                throw new StrataException(ErrorKind.NotFound, $"{path}: no such file");
            }
            await using Stream archive = path == "-" ? Console.OpenStandardInput() : new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            using LiveDisplay? live = context.StartLive();
            LiveTask? task = live?.Add($"Unpacking {path}", archive is FileStream { CanSeek: true } size ? size.Length : null);
            context.Out.WriteLine((await Engine.UnpackLayerAsync(CountingStream.Of(archive, task), parsed.GetValue(folder)!, cancellationToken)).ToString());
            return 0;
        });
        return command;
    }
}
