using System.Text;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Distribution;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary>What a registry has, without a store: <c>strata tags</c>, <c>strata manifest inspect</c>, <c>strata registry rm</c>.</summary>
internal static class RemoteCommand
{
    internal static Command CreateTags(CommandContext context)
    {
        Argument<string> name = Options.One("REPOSITORY", "its name, without tag");
        var command = new Command("tags") { name };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ImageReference reference = ImageReference.ParseWithoutDefaultTag(parsed.GetValue(name));
            if (reference is not { Tag: null, Digest: null })
            {
                throw new StrataException(ErrorKind.Invalid, $"'{parsed.GetValue(name)}' is one image of a repository") { Hint = $"strata tags {reference.FamiliarName}" };
            }
            await foreach (string tag in context.Registries.GetRepository(reference).ListTagsAsync(cancellationToken))
            {
                context.Out.WriteLine(tag);
            }
            return 0;
        });
        return command;
    }

    internal static Command CreateManifest(CommandContext context)
    {
        Argument<string> name = Options.One("IMAGE", "name at a registry");
        Option<string?> platform = Options.Value("--platform", "OS/ARCH", "of an index, the manifest for a platform");
        Option<bool> verbose = Options.Flag("--verbose", "its type, digest and size first, on standard error", "-v");
        var inspect = new Command("inspect", "Print a manifest or an index byte for byte as the registry has it") { name, platform, verbose };
        inspect.SetAction(async (parsed, cancellationToken) =>
        {
            ImageReference reference = ImageReference.Parse(parsed.GetValue(name));
            Platform? wanted = parsed.GetValue(platform) is { } text ? Platform.Parse(text) : null;
            (Descriptor descriptor, byte[] bytes) = await context.Registries.ReadDocumentAsync(reference, wanted, cancellationToken);
            if (parsed.GetValue(verbose))
            {
                context.Error.WriteLine($"{descriptor.MediaType} {descriptor.Digest} {descriptor.Size}");
            }
            context.Out.Write(Encoding.UTF8.GetString(bytes));
            if (Terminal.IsTerminal(1))
            {
                context.Out.WriteLine(); // into a pipe or a file go the bytes that the digest is of
            }
            return 0;
        });
        return new Command("manifest") { inspect, CreateReferrers(context) };
    }

    private static Command CreateReferrers(CommandContext context)
    {
        Argument<string> name = Options.One("IMAGE", "name at a registry");
        Option<string?> type = Options.Value("--type", "TYPE", "only artifacts of a type");
        var command = new Command("referrers", "List what refers to an image at a registry: signatures, bills of materials, other artifacts") { name, type };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ImageReference reference = ImageReference.Parse(parsed.GetValue(name));
            RemoteRepository repository = context.Registries.GetRepository(reference);
            Digest subject = reference.Digest ?? (await repository.ResolveAsync(reference.Tag!, cancellationToken)).Digest;
            var table = new Table("DIGEST", "TYPE", "SIZE");
            foreach (Descriptor referrer in await repository.ListReferrersAsync(subject, parsed.GetValue(type), cancellationToken))
            {
                table.Add(referrer.Digest.ToString(), SafeText.OneLine(referrer.ArtifactType ?? ""), Sizes.Human(referrer.Size));
            }
            table.Write(context.Out);
            return 0;
        });
        return command;
    }

    internal static Command CreateRemove(CommandContext context)
    {
        Argument<string[]> names = Options.Many("IMAGE", "name with a tag, or with a digest for all its tags");
        var command = new Command("rm", "Remove tags or images from a registry") { names };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            foreach (string name in parsed.GetValue(names))
            {
                // What goes is never guessed: no "latest" unless it was written.
                ImageReference reference = ImageReference.ParseWithoutDefaultTag(name);
                if (reference is { Tag: null, Digest: null })
                {
                    throw new StrataException(ErrorKind.Invalid, $"'{name}' has neither tag nor digest") { Hint = $"strata tags {name} lists its tags" };
                }
                ImageReference gone = await context.Registries.DeleteAsync(reference, cancellationToken);
                context.Out.WriteLine(gone.Digest is null ? $"Untagged: {gone.Familiar}" : $"Deleted: {gone.Familiar}");
            }
            return 0;
        });
        return command;
    }
}
