using System.Buffers;
using System.Collections.Immutable;
using System.Text.Json;
using Strata.Oci;

namespace Strata.Supply;

/// <summary>What kind of thing a build takes from outside.</summary>
public enum SourceKind
{
    /// <summary>An image: FROM, COPY --from.</summary>
    Image,
    /// <summary>A file: ADD of a URL.</summary>
    Url,
    /// <summary>A repository: ADD of a git address.</summary>
    Git,
}

/// <summary>Something a build took from outside, and what it was.</summary>
/// <param name="Kind">What kind of thing.</param>
/// <param name="Name">An image's whole name, a URL, a repository with its branch.</param>
/// <param name="Digest">The manifest's, the file's; git's commit.</param>
public sealed record LockedSource(SourceKind Kind, string Name, string Digest)
{
    /// <summary>What an image was chosen for; null for all else.</summary>
    public string? Platform { get; init; }
}

/// <summary>
/// <c>Dockerfile.lock</c>: what a build's names meant when it was made, so that they mean the same again. JSON:
/// <code>{ "version": 1, "sources": [ { "kind": "image", "name": "docker.io/library/debian:bookworm", "platform": "linux/amd64", "digest": "sha256:…" } ] }</code>
/// Ordered by kind and name, so that equal builds write equal files and a change is a line in a diff.
/// </summary>
public sealed record SourceLock(ImmutableArray<LockedSource> Sources)
{
    private const int Version = 1;

    /// <summary>Reads a lock file.</summary>
    /// <param name="json">Its bytes.</param>
    /// <param name="name">Its name, for messages.</param>
    /// <exception cref="StrataException">Invalid: it is malformed, or of a later version.</exception>
    public static SourceLock Parse(ReadOnlySpan<byte> json, string name)
    {
        try
        {
            var root = JsonFields.Parse(json);
            int version = root.Int32("version");
            return version == Version ? new SourceLock(root.Has("sources") ? root.Objects("sources", ReadSource) : throw root.Missing("sources"))
                : throw new StrataException(ErrorKind.Unsupported, $"{name}: version {version}; this strata knows {Version}");
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Invalid, $"{name}: {e.Message}", e) { Hint = "strata build --lock writes it anew" };
        }
    }

    /// <summary>The file's bytes.</summary>
    public byte[] Serialize()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteNumber("version", Version);
            writer.WriteStartArray("sources");
            foreach (LockedSource source in Sources.OrderBy(s => s.Kind).ThenBy(s => s.Name, StringComparer.Ordinal).ThenBy(s => s.Platform, StringComparer.Ordinal))
            {
                writer.WriteStartObject();
                writer.WriteString("kind", WordOf(source.Kind));
                writer.WriteString("name", source.Name);
                if (source.Platform is not null)
                {
                    writer.WriteString("platform", source.Platform);
                }
                writer.WriteString("digest", source.Digest);
                writer.WriteEndObject();
            }
            writer.WriteEndArray();
            writer.WriteEndObject();
        }
        return [.. buffer.WrittenSpan, (byte)'\n'];
    }

    internal static string WordOf(SourceKind kind) => kind switch { SourceKind.Image => "image", SourceKind.Url => "url", _ => "git" };

    private static LockedSource ReadSource(JsonFields source)
    {
        SourceKind kind = source.String("kind") switch
        {
            "image" => SourceKind.Image,
            "url" => SourceKind.Url,
            "git" => SourceKind.Git,
            string other => throw new JsonException($"sources: kind {other}: there are image, url and git"),
        };
        return new LockedSource(kind, source.String("name"), source.String("digest")) { Platform = source.MaybeString("platform") };
    }
}
