using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Containers;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary><c>strata commit</c>.</summary>
internal static class CommitCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> name = Options.One("CONTAINER", "name or ID");
        Argument<string?> reference = Options.Maybe("NAME", "the image's name");
        Option<string?> author = Options.Value("--author", "TEXT", "who made it", "-a");
        Option<string?> message = Options.Value("--message", "TEXT", "why", "-m");
        Option<string[]> changes = Options.Values("--change", "INSTRUCTION", "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, USER, VOLUME, WORKDIR", "-c");
        Option<bool> quiet = Options.Flag("--quiet", "nothing but the ID (as without)", "-q");
        Option<bool> pause = Options.FlagOn("--pause", "hold its processes meanwhile (true)", "-p");
        Option<bool> squash = Options.Flag("--squash", "one layer in place of the image's and one more");
        Option<bool> volumes = Options.Flag("--with-volumes", "what its volumes hold, too");
        var command = new Command("commit") { name, reference, author, message, changes, pause, squash, volumes, quiet };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var options = new CommitOptions { Reference = parsed.GetValue(reference) is { } text ? ImageReference.Parse(text) : null, Author = parsed.GetValue(author), Message = parsed.GetValue(message), Changes = [.. parsed.GetValue(changes)], Pause = parsed.GetValue(pause), Squash = parsed.GetValue(squash), WithVolumes = parsed.GetValue(volumes) };
            if (!options.WithVolumes)
            {
                WarnOfVolumes(context, context.Engine.GetContainer(parsed.GetValue(name)).Record);
            }
            using LiveDisplay? live = context.StartLive(parsed.GetValue(quiet));
            live?.Add($"Committing {parsed.GetValue(name)}");
            (_, Digest id) = await context.Engine.CommitContainerAsync(parsed.GetValue(name)!, options, cancellationToken);
            context.Out.WriteLine(id.ToString());
            return 0;
        });
        return command;
    }

    private static void WarnOfVolumes(CommandContext context, ContainerRecord record)
    {
        foreach (ContainerMount mount in context.Engine.GetVolumesWithData(record))
        {
            context.Error.WriteLine($"warning: the volume at {SafeText.Escape(mount.Target)} holds data, which is no part of the image (--with-volumes puts it there)");
        }
    }
}
