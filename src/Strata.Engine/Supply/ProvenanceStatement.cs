using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Strata.Oci;

namespace Strata.Supply;

/// <summary>What is known of a build when it is over.</summary>
public sealed record BuildFacts
{
    /// <summary>The Dockerfile's name.</summary>
    public required string FileName { get; init; }
    /// <summary>The digest of its text.</summary>
    public required Digest FileDigest { get; init; }
    /// <summary>What it was built for.</summary>
    public required Platform Platform { get; init; }
    /// <summary>The stage that was asked for; null for the last.</summary>
    public string? Target { get; init; }
    /// <summary>Arguments that were given. What is in them is in the image's history too; secrets go another way.</summary>
    public required ImmutableSortedDictionary<string, string> Arguments { get; init; }
    /// <summary>What it took from outside.</summary>
    public required ImmutableArray<LockedSource> Sources { get; init; }
    /// <summary>When it began.</summary>
    public required DateTimeOffset Started { get; init; }
    /// <summary>When it ended.</summary>
    public required DateTimeOffset Finished { get; init; }
}

/// <summary>How an image came to be: an in-toto statement v1 with SLSA's provenance v1.</summary>
/// <remarks><see href="https://slsa.dev/spec/v1.0/provenance"/></remarks>
internal static class ProvenanceStatement
{
    /// <summary>The type of the statement as a blob, and of the artifact that holds it.</summary>
    internal const string MediaType = "application/vnd.in-toto+json";

    /// <summary>What the statement says something of.</summary>
    internal const string PredicateType = "https://slsa.dev/provenance/v1";

    private const string BuildType = "https://mobyproject.org/buildkit@v1"; // a Dockerfile, its context and its arguments: the type verifiers know

    /// <summary>Writes the statement.</summary>
    internal static byte[] Write(IEnumerable<string> names, Descriptor image, BuildFacts facts, string tool)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("_type", "https://in-toto.io/Statement/v1");
            json.WriteStartArray("subject");
            foreach (string name in names.DefaultIfEmpty(""))
            {
                json.WriteStartObject();
                if (name.Length > 0)
                {
                    json.WriteString("name", name);
                }
                WriteDigest(json, image.Digest.ToString());
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteString("predicateType", PredicateType);
            json.WriteStartObject("predicate");
            WriteDefinition(json, facts);
            WriteRun(json, facts, tool);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return [.. buffer.WrittenSpan, (byte)'\n'];
    }

    private static void WriteDefinition(Utf8JsonWriter json, BuildFacts facts)
    {
        json.WriteStartObject("buildDefinition");
        json.WriteString("buildType", BuildType);
        json.WriteStartObject("externalParameters");
        json.WriteStartObject("configSource");
        json.WriteString("path", facts.FileName);
        WriteDigest(json, facts.FileDigest.ToString());
        json.WriteEndObject();
        json.WriteStartObject("request");
        json.WriteString("frontend", "dockerfile.v0");
        json.WriteString("platform", facts.Platform.ToString());
        if (facts.Target is not null)
        {
            json.WriteString("target", facts.Target);
        }
        json.WriteStartObject("args");
        foreach ((string name, string value) in facts.Arguments)
        {
            json.WriteString($"build-arg:{name}", value);
        }
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteStartArray("resolvedDependencies");
        foreach (LockedSource source in facts.Sources)
        {
            json.WriteStartObject();
            json.WriteString("uri", UriOf(source));
            WriteDigest(json, source.Digest);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteRun(Utf8JsonWriter json, BuildFacts facts, string tool)
    {
        json.WriteStartObject("runDetails");
        json.WriteStartObject("builder");
        json.WriteString("id", $"urn:strata:builder:{tool.Split(' ')[0]}");
        json.WriteStartObject("version");
        json.WriteString("strata", tool.Split(' ')[^1]);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteStartObject("metadata");
        json.WriteString("startedOn", Time(facts.Started));
        json.WriteString("finishedOn", Time(facts.Finished));
        json.WriteEndObject();
        json.WriteEndObject();
    }

    // pkg:docker/… for images, as BuildKit writes it; what is a URI already stays.
    private static string UriOf(LockedSource source)
    {
        if (source.Kind != SourceKind.Image || !ImageReference.TryParse(source.Name, out ImageReference? image))
        {
            return source.Kind == SourceKind.Git && !source.Name.StartsWith("git+", StringComparison.Ordinal) ? "git+" + source.Name : source.Name;
        }
        string platform = source.Platform is null ? "" : $"?platform={Uri.EscapeDataString(source.Platform)}";
        return $"pkg:docker/{image.FamiliarName}@{Uri.EscapeDataString(image.Tag ?? source.Digest)}{platform}";
    }

    private static void WriteDigest(Utf8JsonWriter json, string digest)
    {
        int colon = digest.IndexOf(':', StringComparison.Ordinal);
        json.WriteStartObject("digest");
        json.WriteString(colon < 0 ? "gitCommit" : digest[..colon], digest[(colon + 1)..]);
        json.WriteEndObject();
    }

    private static string Time(DateTimeOffset time) => time.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
