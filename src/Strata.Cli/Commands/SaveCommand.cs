using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Images;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary><c>strata save</c> and <c>strata load</c>.</summary>
internal static class SaveCommand
{
    private const string FolderFormat = "oci-dir";

    internal static Command Create(CommandContext context)
    {
        Argument<string[]> names = Options.Many("IMAGE", "names or IDs");
        Option<string?> output = Options.Value("--output", "FILE", "write to a file; to a folder with oci-dir", "-o");
        Option<string?> format = Options.Value("--format", "FORMAT", "docker (default), oci, or oci-dir: a folder");
        var command = new Command("save") { names, output, format };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ArchiveFormat kind = parsed.GetValue(format) switch
            {
                null or "docker" or "docker-archive" => ArchiveFormat.DockerArchive, // the longer names are podman's and skopeo's
                "oci" or "oci-archive" or FolderFormat => ArchiveFormat.OciArchive,
                string other => throw new StrataException(ErrorKind.Invalid, $"--format {other}: there are docker, oci and {FolderFormat}"),
            };
            if (parsed.GetValue(format) == FolderFormat)
            {
                using LiveDisplay? shown = context.StartLive();
                shown?.Add($"Saving {string.Join(' ', parsed.GetValue(names))}");
                string folder = parsed.GetValue(output) ?? throw new StrataException(ErrorKind.Invalid, $"--format {FolderFormat} needs a folder to write to") { Hint = "name it with -o" };
                await context.Engine.SaveFolderAsync(parsed.GetValue(names), folder, cancellationToken);
                return 0;
            }
            using LiveDisplay? live = context.StartLive();
            LiveTask? task = live?.Add($"Saving {string.Join(' ', parsed.GetValue(names))}");
            if (parsed.GetValue(output) is not { } path)
            {
                if (Terminal.IsTerminal(1))
                {
                    throw new StrataException(ErrorKind.Invalid, "refusing to write an archive to a terminal") { Hint = "name a file with -o, or send the output on" };
                }
                using Stream stdout = StandardStream.OpenOutput();
                await context.Engine.SaveAsync(parsed.GetValue(names), kind, CountingStream.Of(stdout, task), cancellationToken);
                return 0;
            }
            await OutputFile.WriteAsync(path, file => context.Engine.SaveAsync(parsed.GetValue(names), kind, CountingStream.Of(file, task), cancellationToken).AsTask());
            return 0;
        });
        return command;
    }

    internal static Command CreateLoad(CommandContext context)
    {
        Option<string?> input = Options.Value("--input", "FILE", "an archive, or an OCI layout's folder; standard input where not said", "-i");
        Option<bool> quiet = Options.Flag("--quiet", "print nothing but errors", "-q");
        var command = new Command("load") { input, quiet };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string? path = parsed.GetValue(input);
            if (path is null && Terminal.IsTerminal(0))
            {
                throw new StrataException(ErrorKind.Invalid, "no archive: standard input is a terminal") { Hint = "name a file with -i" };
            }
            if (path is not null && !File.Exists(path) && !Directory.Exists(path))
            {
                throw new StrataException(ErrorKind.NotFound, $"{path}: no such file or directory");
            }
            bool folder = Directory.Exists(path);
            await using Stream? archive = folder ? null : path is null ? Console.OpenStandardInput() : new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            IReadOnlyList<(ImageReference? Name, Digest ImageId)> loaded;
            using (LiveDisplay? live = context.StartLive(parsed.GetValue(quiet)))
            {
                LiveTask? task = live?.Add($"Loading {path ?? "standard input"}", archive is FileStream { CanSeek: true } file ? file.Length : null);
                await using Stream? counted = archive is null ? null : CountingStream.Of(archive, task);
                loaded = await context.Engine.LoadAsync(counted, folder ? path : null, cancellationToken);
            }
            foreach ((ImageReference? name, Digest id) in loaded)
            {
                if (!parsed.GetValue(quiet))
                {
                    context.Out.WriteLine(name is null ? $"Loaded image ID: {id}" : $"Loaded image: {name.Familiar}");
                }
            }
            return 0;
        });
        return command;
    }
}
