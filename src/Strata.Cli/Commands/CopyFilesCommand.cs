using Strata.Cli.Syntax;
using Strata.Images;
using Strata.Linux;

namespace Strata.Cli.Commands;

/// <summary><c>strata cp</c>.</summary>
internal static class CopyFilesCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> source = Options.One("SOURCE", "CONTAINER:PATH, a path, or - (a tar)");
        Argument<string> target = Options.One("TARGET", "a path, CONTAINER:PATH, or - (a tar)");
        Option<bool> archive = Options.Flag("--archive", "keep owners", "-a");
        Option<bool> follow = Options.Flag("--follow-link", "copy what SOURCE leads to, where it is a link", "-L");
        Option<bool> quiet = Options.Flag("--quiet", "nothing but errors", "-q");
        var command = new Command("cp") { source, target, archive, follow, quiet };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var options = new CopyFilesOptions { Archive = parsed.GetValue(archive), FollowLink = parsed.GetValue(follow) };
            (string? fromContainer, string from) = Split(parsed.GetValue(source));
            (string? toContainer, string to) = Split(parsed.GetValue(target));
            Engine engine = context.Engine;
            switch (fromContainer, toContainer)
            {
                case (null, { } container) when from == "-":
                    using (Stream input = new FileStream(new Microsoft.Win32.SafeHandles.SafeFileHandle(0, ownsHandle: false), FileAccess.Read, bufferSize: 0))
                    {
                        await engine.CopyIntoContainerAsync(input, container, to, options, cancellationToken);
                    }
                    break;
                case ({ } container, null) when to == "-":
                    using (Stream output = StandardStream.OpenOutput())
                    {
                        await engine.CopyFromContainerAsync(container, from, output, options, cancellationToken);
                    }
                    break;
                case (null, { } container):
                    await engine.CopyIntoContainerAsync(from, container, to, options, cancellationToken);
                    Tell(context, parsed.GetValue(quiet), parsed.GetValue(target));
                    break;
                case ({ } container, null):
                    await engine.CopyFromContainerAsync(container, from, to, options, cancellationToken);
                    Tell(context, parsed.GetValue(quiet), to);
                    break;
                default:
                    throw new StrataException(ErrorKind.Invalid, fromContainer is null ? "one of the two must be CONTAINER:PATH" : "copying between containers is not supported") { Hint = "strata cp A:/path - | strata cp - B:/path" };
            }
            return 0;
        });
        return command;
    }

    // Docker tells it on a terminal only.
    private static void Tell(CommandContext context, bool quiet, string target)
    {
        if (!quiet && Terminal.IsTerminal(2))
        {
            context.Error.WriteLine($"Successfully copied to {Output.SafeText.Escape(target)}");
        }
    }

    // As Docker: a colon behind what is no path. "./a:b" and "/a:b" are paths.
    private static (string? Container, string Path) Split(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        return colon <= 0 || text[0] is '/' or '.' ? (null, text) : (text[..colon], text[(colon + 1)..] is { Length: > 0 } path ? path : "/");
    }
}
