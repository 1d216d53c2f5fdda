using Strata.Linux;
using Strata.Oci;

namespace Strata.Images;

/// <summary>
/// Where an image can be copied from or to, in skopeo's words:
/// <code>
/// NAME, docker://NAME              at a registry
/// oci:DIR[:TAG]                    an OCI layout
/// oci-archive:FILE[:TAG]           an OCI layout in a tar
/// docker-archive:FILE[:NAME]       what docker save writes
/// </code>
/// </summary>
/// <param name="Kind">What it is.</param>
/// <param name="Reference">At a registry, its name.</param>
/// <param name="Path">Elsewhere, the folder or file.</param>
/// <param name="Name">Elsewhere, which image of several, and what it is called there; null: the only one.</param>
public sealed record ImagePlace(ImagePlaceKind Kind, ImageReference? Reference, string? Path, string? Name)
{
    /// <summary>Reads such a text.</summary>
    /// <exception cref="StrataException">Invalid: it is none.</exception>
    public static ImagePlace Parse(string text)
    {
        ArgumentException.ThrowIfNullOrEmpty(text);
        foreach ((string prefix, ImagePlaceKind kind) in ((string, ImagePlaceKind)[])[("oci:", ImagePlaceKind.OciFolder), ("oci-archive:", ImagePlaceKind.OciArchive), ("docker-archive:", ImagePlaceKind.DockerArchive)])
        {
            if (text.StartsWith(prefix, StringComparison.Ordinal))
            {
                string rest = text[prefix.Length..];
                // A colon behind the last slash begins a tag; a name in a docker-archive has slashes and colons of its own.
                int slash = kind == ImagePlaceKind.DockerArchive ? -1 : rest.LastIndexOf('/'), colon = rest.IndexOf(':', slash + 1);
                string path = colon < 0 ? rest : rest[..colon];
                return path.Length > 0
                    ? new ImagePlace(kind, null, LinuxPath.GetFull(path), colon < 0 ? null : rest[(colon + 1)..])
                    : throw new StrataException(ErrorKind.Invalid, $"'{text}' names no {(kind == ImagePlaceKind.OciFolder ? "folder" : "file")}") { Hint = $"write {prefix}PATH" };
            }
        }
        const string Docker = "docker://";
        string name = text.StartsWith(Docker, StringComparison.Ordinal) ? text[Docker.Length..] : text;
        return new ImagePlace(ImagePlaceKind.Registry, ImageReference.Parse(name), null, null);
    }

    /// <inheritdoc/>
    public override string ToString() => Reference?.Familiar ?? Path!;
}

/// <summary>What holds images.</summary>
public enum ImagePlaceKind
{
    /// <summary>A registry.</summary>
    Registry,
    /// <summary>An OCI layout in a folder.</summary>
    OciFolder,
    /// <summary>An OCI layout in a tar.</summary>
    OciArchive,
    /// <summary>An archive as docker save writes it.</summary>
    DockerArchive,
}
