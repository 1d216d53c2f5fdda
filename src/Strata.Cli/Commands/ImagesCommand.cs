using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary><c>strata images</c>: Docker's five columns.</summary>
internal static class ImagesCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string?> pattern = Options.Maybe("REPOSITORY[:TAG]", "only images of this name");
        Option<bool> all = Options.Flag("--all", "all images (there are no hidden ones here)", "-a");
        Option<bool> digests = Options.Flag("--digests", "show manifests' digests");
        Option<bool> quiet = Options.Flag("--quiet", "only IDs", "-q");
        Option<bool> full = Options.Flag("--no-trunc", "whole IDs");
        Option<string[]> filter = Options.Values("--filter", "KEY=VALUE", "dangling, reference, before, since, label, until, pinned", "-f");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, table TEMPLATE, or json");
        var command = new Command("images") { pattern, all, digests, quiet, full, filter, format };
        command.SetAction(parsed =>
        {
            ListedImage[] images = context.Engine.ListImages();
            if (parsed.GetValue(pattern) is { } wanted)
            {
                images = Select(images, wanted);
            }
            foreach (string text in parsed.GetValue(filter))
            {
                images = Filter(context, images, text);
            }
            Write(context, images, parsed.GetValue(quiet), parsed.GetValue(full), parsed.GetValue(digests), parsed.GetValue(format));
            return 0;
        });
        return command;
    }

    // What is needed now and then stays a method of its own, whose types are loaded when it is called.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ListedImage[] Select(ListedImage[] images, string pattern) => Array.FindAll(images, i => i.Reference is not null && Matches(i.Reference, pattern));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ListedImage[] Filter(CommandContext context, ListedImage[] images, string text) => CommandContext.Await(ImageFilter.ApplyAsync(context.Engine, images, text));

    private static void Write(CommandContext context, ListedImage[] images, bool quiet, bool full, bool digests, string? format)
    {
        DateTimeOffset now = CommandContext.Time.GetUtcNow();
        if (quiet)
        {
            WriteIds(context, images, full);
        }
        else if (format is not null)
        {
            WriteFormatted(context, images, full, format, now);
        }
        else
        {
            WriteTable(context, images, full, digests, now);
        }
    }

    private static void WriteTable(CommandContext context, ListedImage[] images, bool full, bool digests, DateTimeOffset now)
    {
        Table table = digests ? new Table("REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE") : new Table("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE");
        foreach (ListedImage image in images)
        {
            string repository = image.Reference?.FamiliarName ?? "<none>", tag = image.Reference?.Tag ?? "<none>", id = Id(image, full), created = Ages.Ago(image.Record.Created, now);
            if (digests)
            {
                table.Add(repository, tag, image.Record.Manifest.Digest.ToString(), id, created, Size(image));
            }
            else
            {
                table.Add(repository, tag, id, created, Size(image));
            }
        }
        table.Write(context.Out);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void WriteIds(CommandContext context, ListedImage[] images, bool full)
    {
        foreach (string id in images.Select(i => Id(i, full)).Distinct())
        {
            context.Out.WriteLine(id);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void WriteFormatted(CommandContext context, ListedImage[] images, bool full, string format, DateTimeOffset now)
        => Formatted.Write(context.Out, format, images.Select(i => (JsonNode)Describe(i, full, now)));

    private static JsonObject Describe(ListedImage image, bool full, DateTimeOffset now) => new()
    {
        ["Containers"] = "N/A",
        ["CreatedAt"] = image.Record.Created?.ToString("yyyy-MM-dd HH:mm:ss zzz", CultureInfo.InvariantCulture) ?? "N/A",
        ["CreatedSince"] = Ages.Ago(image.Record.Created, now),
        ["Digest"] = image.Record.Manifest.Digest.ToString(),
        ["ID"] = Id(image, full),
        ["Repository"] = image.Reference?.FamiliarName ?? "<none>",
        ["SharedSize"] = "N/A",
        ["Size"] = Size(image),
        ["Tag"] = image.Reference?.Tag ?? "<none>",
        ["UniqueSize"] = "N/A",
        ["VirtualSize"] = Size(image),
    };

    private static string Size(ListedImage image) => image.Record.Size is { } size ? Sizes.Human(size) : "N/A";

    internal static string Id(ListedImage image, bool full)
    {
        Digest id = image.Record.Config ?? image.Record.Manifest.Digest;
        return full ? id.ToString() : id.Hex[..12].ToString();
    }

    // A name without a tag is all tags of it; wildcards as in a path.
    private static bool Matches(ImageReference image, string pattern)
    {
        bool tagged = pattern.LastIndexOf(':') > pattern.LastIndexOf('/');
        string name = tagged ? pattern[..pattern.LastIndexOf(':')] : pattern, tag = tagged ? pattern[(pattern.LastIndexOf(':') + 1)..] : "*";
        return new[] { image.FamiliarName, image.Name }.Any(n => System.IO.Enumeration.FileSystemName.MatchesSimpleExpression(name, n, ignoreCase: false))
            && System.IO.Enumeration.FileSystemName.MatchesSimpleExpression(tag, image.Tag ?? "", ignoreCase: false);
    }

    /// <summary>The filters of --filter.</summary>
    private static class ImageFilter
    {
        internal static async ValueTask<ListedImage[]> ApplyAsync(Engine engine, ListedImage[] images, string filter)
        {
            string[] parts = filter.Split('=', 2);
            string value = parts.Length == 2 ? parts[1] : throw new StrataException(ErrorKind.Invalid, $"filter {filter}: it needs KEY=VALUE");
            switch (parts[0])
            {
                case "dangling":
                    return Array.FindAll(images, i => i.Reference is null == value is "true" or "1");
                case "pinned":
                    Content.StoreSettings settings = Content.StoreSettings.Read(engine.Layout);
                    return Array.FindAll(images, i => Engine.IsPinned(i, settings) == value is "true" or "1");
                case "reference":
                    return Array.FindAll(images, i => i.Reference is not null && Matches(i.Reference, value));
                case "before" or "since":
                    DateTimeOffset? limit = (await engine.ResolveImageAsync(value)).Record.Created;
                    return Array.FindAll(images, i => parts[0] == "before" ? i.Record.Created < limit : i.Record.Created > limit);
                case "until":
                    DateTimeOffset until = DateTimeOffset.TryParse(value, CultureInfo.InvariantCulture, out DateTimeOffset time) ? time : throw new StrataException(ErrorKind.Invalid, $"filter until={value}: not a time");
                    return Array.FindAll(images, i => i.Record.Created < until);
                case "label":
                    var kept = new List<ListedImage>();
                    foreach (ListedImage image in images)
                    {
                        LocalImage local = await engine.ResolveImageAsync(image.Reference?.ToString() ?? image.Record.Manifest.Digest.ToString());
                        string[] label = value.Split('=', 2);
                        if (local.Config.Config?.Labels is { } labels && labels.TryGetValue(label[0], out string? found) && (label.Length == 1 || found == label[1]))
                        {
                            kept.Add(image);
                        }
                    }
                    return [.. kept];
                default:
                    throw new StrataException(ErrorKind.Invalid, $"filter {filter}: there are dangling, reference, before, since, until, label and pinned");
            }
        }
    }
}
