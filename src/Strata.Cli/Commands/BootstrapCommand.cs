using System.Collections.Immutable;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary><c>strata bootstrap</c>.</summary>
internal static class BootstrapCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string?> suite = Options.Maybe("debian:SUITE", "what to make, e.g. debian:bookworm");
        Option<string?> tag = Options.Value("--tag", "NAME", "the image's name; as the argument where not said", "-t");
        Option<string?> variant = Options.Value("--variant", "NAME", "mmdebstrap's: minbase (default), apt, essential, standard …");
        Option<string[]> include = Options.Values("--include", "A,B", "more packages");
        Option<string?> mirror = Options.Value("--mirror", "URL", "where packages come from while it is made");
        Option<string?> rootfs = Options.Value("--rootfs", "DIR|TAR", "make it from a root file system that is there");
        Option<bool> quiet = Options.Flag("--quiet", "print only the image's ID", "-q");
        var command = new Command("bootstrap") { suite, tag, variant, include, mirror, rootfs, quiet };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string? wanted = parsed.GetValue(suite), root = parsed.GetValue(rootfs);
            string name = parsed.GetValue(tag) ?? wanted ?? throw new StrataException(ErrorKind.Invalid, "what should be made?") { Hint = "strata bootstrap debian:bookworm   or: strata bootstrap --rootfs DIR -t NAME" };
            ImageReference reference = ImageReference.Parse(name);
            var options = new BootstrapOptions { Reference = reference, Created = CommandContext.Time.GetUtcNow() };
            bool silent = parsed.GetValue(quiet);
            using LiveDisplay? live = context.StartLive(silent);
            LiveTask? task = live?.Add($"Making {reference.Familiar}");
            Action<string>? said = silent ? null : task is null ? line => context.Error.WriteLine(SafeText.Escape(line)) : task.Say;
            (Descriptor _, Digest id) = root is not null
                ? await context.Engine.BootstrapRootAsync(root, options with { Message = "strata bootstrap --rootfs", Changes = ["CMD [\"/bin/sh\"]"] }, cancellationToken)
                : await DebianAsync(context, wanted!, options, parsed.GetValue(variant), [.. parsed.GetValue(include).SelectMany(i => i.Split(','))], parsed.GetValue(mirror), said, cancellationToken);
            live?.Dispose();
            context.Out.WriteLine(id.ToString());
            if (!silent)
            {
                context.Error.WriteLine($"made {reference.Familiar}");
            }
            return 0;
        });
        return command;
    }

    private static async Task<(Descriptor, Digest)> DebianAsync(CommandContext context, string wanted, BootstrapOptions options, string? variant, ImmutableArray<string> include, string? mirror, Action<string>? said,
        CancellationToken cancellationToken)
    {
        ImageReference asked = ImageReference.Parse(wanted);
        if (asked.Repository.Split('/')[^1] != "debian")
        {
            throw new StrataException(ErrorKind.Unsupported, $"bootstrap {wanted}: only Debian can be made from its packages") { Hint = "strata bootstrap debian:bookworm   or, from a root file system: strata bootstrap --rootfs DIR -t NAME" };
        }
        string suite = asked.Tag is null or "latest" ? "stable" : asked.Tag.Split('-')[0];
        return await context.Engine.BootstrapAsync(options with
        {
            Suite = suite, Variant = variant ?? "minbase", Include = include, Mirror = mirror, Message = $"strata bootstrap {wanted}", Changes = ["CMD [\"bash\"]"],
        }, said, cancellationToken);
    }
}
