using System.Text.Json;
using System.Text.Json.Serialization;
using Strata.Content;

namespace Strata.Server.Registry;

/// <summary>One rule: of the tags it means, which go.</summary>
/// <param name="Repositories">A pattern.</param>
/// <param name="Tags">A pattern.</param>
/// <param name="KeepLast">So many of the newest stay in each repository.</param>
/// <param name="OlderThan">Of the others those that were pushed longer ago; null: all.</param>
/// <param name="NotPulledFor">And of these those that were not pulled for so long; null: all.</param>
internal sealed record RetentionRule(string Repositories, string Tags, int KeepLast, TimeSpan? OlderThan, TimeSpan? NotPulledFor)
{
    /// <summary>Manifests that no tag leads to go when they are so old; null: they stay.</summary>
    public TimeSpan? Untagged { get; init; }
}

/// <summary>
/// Which tags go by themselves. For each tag the first rule counts whose patterns fit it; where none does it stays.
/// <code>
/// { "rules": [
///   { "repositories": "ci/**", "tags": "build-*", "keepLast": 10, "olderThan": "72h" },
///   { "repositories": "**",    "tags": "pr-*",    "notPulledFor": "30d", "untagged": "7d" }
/// ] }
/// </code>
/// </summary>
internal sealed class RetentionRules(IReadOnlyList<RetentionRule> rules)
{
    public IReadOnlyList<RetentionRule> Rules { get; } = rules;

    /// <exception cref="StrataException">Invalid: it says something else; says where.</exception>
    public static RetentionRules Parse(ReadOnlySpan<byte> json, string path)
    {
        RetentionDocument document;
        try
        {
            document = JsonSerializer.Deserialize(json, RetentionJson.Default.RetentionDocument) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Invalid, $"{path}: {e.Message}", e);
        }
        List<RetentionRule> rules = [];
        foreach ((int index, RetentionEntry entry) in document.Rules.Index())
        {
            string where = $"{path}: rule {index + 1}";
            string tags = entry.Tags ?? "*";
            if (!Glob.IsFit(entry.Repositories) || !Glob.IsFit(tags))
            {
                throw new StrataException(ErrorKind.Invalid, $"{where}: '{entry.Repositories}' or '{tags}' is no pattern");
            }
            if (entry.KeepLast is null && entry.OlderThan is null && entry.NotPulledFor is null && entry.Untagged is null)
            {
                throw new StrataException(ErrorKind.Invalid, $"{where}: it does not say what goes") { Hint = "say keepLast, olderThan, notPulledFor or untagged" };
            }
            if (entry.KeepLast < 0)
            {
                throw new StrataException(ErrorKind.Invalid, $"{where}: keepLast is {entry.KeepLast}");
            }
            bool meansTags = entry.KeepLast is not null || entry.OlderThan is not null || entry.NotPulledFor is not null;
            rules.Add(new RetentionRule(entry.Repositories, tags, meansTags ? entry.KeepLast ?? 0 : int.MaxValue,
                Duration(entry.OlderThan, where + ": olderThan"), Duration(entry.NotPulledFor, where + ": notPulledFor")) { Untagged = Duration(entry.Untagged, where + ": untagged") });
        }
        return new RetentionRules(rules);
    }

    private static TimeSpan? Duration(string? text, string where) => text is null ? null : StoreSettings.ParseDuration(text, where);
}

internal sealed record RetentionDocument
{
    public required IReadOnlyList<RetentionEntry> Rules { get; init; }
}

internal sealed record RetentionEntry
{
    public required string Repositories { get; init; }
    public string? Tags { get; init; }
    public int? KeepLast { get; init; }
    public string? OlderThan { get; init; }
    public string? NotPulledFor { get; init; }
    public string? Untagged { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(RetentionDocument))]
internal sealed partial class RetentionJson : JsonSerializerContext;
