using Strata.Cli.Output;
using Strata.Images;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary>One -o of <c>strata build</c>, as buildx writes it: <c>type=TYPE,NAME=VALUE,…</c>, a folder's path, or <c>-</c> for a tar on standard output.</summary>
internal sealed record BuildOutput(string Type)
{
    private static readonly string[] s_types = ["local", "tar", "oci", "docker", "image", "registry"];

    /// <summary>What --push says.</summary>
    internal static BuildOutput Registry { get; } = new("registry") { Push = true };

    /// <summary>A path; null or <c>-</c>: standard output.</summary>
    internal string? Destination { get; private init; }
    /// <summary>Names, where they are not those of -t.</summary>
    internal string[] Names { get; private init; } = [];
    /// <summary>Goes to its registry.</summary>
    internal bool Push { get; private init; }
    /// <summary>Under its digest only.</summary>
    internal bool ByDigest { get; private init; }
    /// <summary>oci: a tar, not a folder.</summary>
    internal bool IsTar { get; private init; } = true;

    internal bool TakesStandardOutput => Type is "tar" or "oci" or "docker" && Destination is null or "-";

    /// <exception cref="StrataException">Invalid: it cannot be understood.</exception>
    internal static BuildOutput Parse(string text)
    {
        if (!text.Contains('=', StringComparison.Ordinal))
        {
            return text == "-" ? new BuildOutput("tar") : new BuildOutput("local") { Destination = text };
        }
        var output = new BuildOutput("");
        foreach (string field in text.Split(','))
        {
            string[] parts = field.Split('=', 2);
            string value = parts.Length == 2 ? parts[1] : "true";
            output = parts[0] switch
            {
                "type" => output with { Type = value },
                "dest" => output with { Destination = value },
                "name" => output with { Names = [.. output.Names, value] },
                "push" => output with { Push = value == "true" },
                "push-by-digest" => output with { ByDigest = value == "true" },
                "tar" => output with { IsTar = value != "false" },
                _ => throw new StrataException(ErrorKind.Invalid, $"--output {text}: there is no {parts[0]}") { Hint = "there are type, dest, name, push, push-by-digest and tar" },
            };
        }
        output = output.Type == "registry" ? output with { Push = true } : output;
        return !s_types.Contains(output.Type) ? throw new StrataException(ErrorKind.Invalid, $"--output {text}: the types are {string.Join(", ", s_types)}")
            : output is { Type: "local", Destination: null or "-" } or { IsTar: false, Destination: null or "-" } ? throw new StrataException(ErrorKind.Invalid, $"--output {text}: it needs a folder") { Hint = "add dest=FOLDER" }
            : output;
    }

    /// <summary>Said before anything is built.</summary>
    /// <exception cref="StrataException">Invalid: the format has no place for what will be built.</exception>
    internal void Check(BuildRequest request)
    {
        if (Type == "docker" && request.Platforms.Distinct().Count() > 1)
        {
            throw new StrataException(ErrorKind.Invalid, "--output type=docker: Docker's archive holds images of one platform, and several are asked for") { Hint = "use type=oci, which holds all of them, or one --platform" };
        }
    }

    internal async Task WriteAsync(CommandContext context, BuildRequest request, BuildResult result, CancellationToken cancellationToken)
    {
        // CSV has no place for a second name but its own comma: name="a,b" comes as two fields, and so as name=a and b=true.
        ImageReference[] names = Names.Length > 0 ? [.. Names.Select(ImageReference.Parse)] : [.. request.Tags];
        switch (Type)
        {
            case "local":
                await context.Engine.WriteFilesAsync(result, Destination!, cancellationToken);
                break;
            case "tar":
                await WriteToAsync(stream => context.Engine.WriteTarAsync(result, stream, cancellationToken).AsTask());
                break;
            case "oci" when result.IsIndex:
                await NameAllAsync(context, result, cancellationToken);
                await (IsTar ? WriteToAsync(stream => context.Engine.SaveIndexAsync(result, names, stream, cancellationToken).AsTask()) : context.Engine.SaveIndexAsync(result, names, Destination!, cancellationToken).AsTask());
                break;
            case "oci" or "docker":
                string[] images = names.Length > 0 ? [.. names.Select(n => n.ToString())] : [result.ImageId.ToString()];
                await NameAllAsync(context, result, cancellationToken);
                await (IsTar ? WriteToAsync(stream => context.Engine.SaveAsync(images, Type == "oci" ? ArchiveFormat.OciArchive : ArchiveFormat.DockerArchive, stream, cancellationToken).AsTask())
                    : context.Engine.SaveFolderAsync(images, Destination!, cancellationToken).AsTask());
                break;
            default:
                await NameAllAsync(context, result, cancellationToken);
                await PushAsync(context, names, result, cancellationToken);
                break;
        }
    }

    private async Task NameAllAsync(CommandContext context, BuildResult result, CancellationToken cancellationToken)
    {
        foreach (string name in ByDigest ? [] : Names)
        {
            await context.Engine.NameAsync(result, ImageReference.Parse(name), cancellationToken);
        }
    }

    private async Task PushAsync(CommandContext context, ImageReference[] names, BuildResult result, CancellationToken cancellationToken)
    {
        if (Push && names.Length == 0)
        {
            throw new StrataException(ErrorKind.Invalid, "push: the image has no name") { Hint = "give it one with -t HOST:PORT/NAME" };
        }
        foreach (ImageReference name in Push ? names : [])
        {
            if (ByDigest)
            {
                await context.Engine.PushByDigestAsync(result, name, cancellationToken);
            }
            else
            {
                await context.Engine.PushAsync(name, null, cancellationToken);
            }
        }
    }

    private async Task WriteToAsync(Func<Stream, Task> write)
    {
        if (!TakesStandardOutput)
        {
            await OutputFile.WriteAsync(Destination!, write);
            return;
        }
        if (Terminal.IsTerminal(1))
        {
            throw new StrataException(ErrorKind.Invalid, "refusing to write an archive to a terminal") { Hint = "name a file with dest=, or send the output on" };
        }
        using Stream stdout = StandardStream.OpenOutput();
        await write(stdout);
    }
}
