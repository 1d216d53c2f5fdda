using System.Text.Json;
using System.Text.Json.Serialization;

namespace Strata.Server.Registry;

/// <summary>What may be done in a repository.</summary>
[Flags]
internal enum RegistryRights
{
    None = 0,
    Read = 1,
    /// <summary>To push what is not there yet.</summary>
    Create = 2,
    /// <summary>To make a tag that is there another image.</summary>
    Overwrite = 4,
    Delete = 8,
    All = Read | Create | Overwrite | Delete,
}

/// <summary>
/// Who may do what where:
/// <code>
/// { "rules": [
///   { "repositories": "team/**",    "users": ["alice", "bob"], "actions": ["read", "write", "delete"] },
///   { "repositories": "release/**", "users": ["ci"],           "actions": ["read", "create"] },
///   { "repositories": "base/*",     "users": ["*", "anonymous"], "actions": ["read"] }
/// ] }
/// </code>
/// What no rule allows is forbidden. <c>*</c> is everybody with a name; <c>anonymous</c> who gives none. <c>create</c> pushes new tags and moves none;
/// <c>write</c> does both.
/// </summary>
internal sealed class AccessRules
{
    private const string Everybody = "*", Anonymous = "anonymous";

    private readonly (string Repositories, HashSet<string> Users, RegistryRights Rights)[] _rules;

    private AccessRules((string, HashSet<string>, RegistryRights)[] rules) => _rules = rules;

    /// <summary>Whether somebody without a name may do anything at all.</summary>
    public bool HasAnonymous => _rules.Any(r => r.Users.Contains(Anonymous));

    /// <exception cref="StrataException">Invalid: it says something else; says where.</exception>
    public static AccessRules Parse(ReadOnlySpan<byte> json, string path)
    {
        AccessRulesDocument document;
        try
        {
            document = JsonSerializer.Deserialize(json, AccessRulesJson.Default.AccessRulesDocument) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Invalid, $"{path}: {e.Message}", e);
        }
        List<(string, HashSet<string>, RegistryRights)> rules = [];
        foreach ((int index, AccessRule rule) in document.Rules.Index())
        {
            if (!Glob.IsFit(rule.Repositories))
            {
                throw new StrataException(ErrorKind.Invalid, $"{path}: rule {index + 1}: '{rule.Repositories}' is no pattern of repositories") { Hint = "write team/** for all below team, team/* for those right below it" };
            }
            RegistryRights rights = rule.Actions.Aggregate(RegistryRights.None, (sum, action) => sum | action switch
            {
                "read" => RegistryRights.Read,
                "create" => RegistryRights.Create,
                "write" => RegistryRights.Create | RegistryRights.Overwrite,
                "delete" => RegistryRights.Delete,
                _ => throw new StrataException(ErrorKind.Invalid, $"{path}: rule {index + 1}: '{action}' is none of read, write, create, delete"),
            });
            rules.Add((rule.Repositories, new HashSet<string>(rule.Users, StringComparer.Ordinal), rights));
        }
        return new AccessRules([.. rules]);
    }

    /// <summary>What a user may do; null is who gave no name.</summary>
    public RegistryRights RightsOf(string? user, string repository)
    {
        RegistryRights rights = RegistryRights.None;
        foreach ((string repositories, HashSet<string> users, RegistryRights allowed) in _rules)
        {
            bool isMeant = user is null ? users.Contains(Anonymous) : users.Contains(Everybody) || users.Contains(user);
            if (isMeant && (rights | allowed) != rights && Glob.IsMatch(repositories, repository))
            {
                rights |= allowed;
            }
        }
        return rights;
    }
}

internal sealed record AccessRulesDocument
{
    public required IReadOnlyList<AccessRule> Rules { get; init; }
}

internal sealed record AccessRule
{
    public required string Repositories { get; init; }
    public required IReadOnlyList<string> Users { get; init; }
    public required IReadOnlyList<string> Actions { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(AccessRulesDocument))]
internal sealed partial class AccessRulesJson : JsonSerializerContext;
