using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace Strata.Server.Registry;

/// <summary>Who asks.</summary>
/// <param name="User">Null: nobody by name.</param>
internal sealed record RegistryIdentity(string? User)
{
    public static RegistryIdentity Nobody { get; } = new(User: null);

    /// <summary>What a token of a token service allows, and no more; null: no such token.</summary>
    public IReadOnlyList<TokenGrant>? Grants { get; init; }

    /// <summary>Came with a token, be it one for nobody.</summary>
    public bool HasToken { get; init; }
}

/// <summary>Who may do what. Decides before anything is looked up: what somebody may not see is answered as what is not there.</summary>
internal sealed class RegistryAccess
{
    private const string OwnTokenPrefix = "strata.";
    private static readonly TimeSpan s_ownTokenLife = TimeSpan.FromMinutes(5);

    private readonly RegistryAccessOptions _options;
    private readonly TimeProvider _time;
    private readonly Htpasswd? _passwords;
    private readonly TokenVerifier? _tokens;
    private readonly ReloadedFile<AccessRules>? _rules;
    private readonly byte[] _ownKey = RandomNumberGenerator.GetBytes(32);

    /// <exception cref="StrataException">Invalid: a file that is not what it should be, or options that do not go together.</exception>
    public RegistryAccess(RegistryAccessOptions? options, TimeProvider time, Action<string>? notify)
    {
        _options = options ?? new RegistryAccessOptions();
        _time = time;
        if (_options.RulesFile is { } rules)
        {
            _rules = new([rules], () => AccessRules.Parse(ServerFiles.Read(rules), rules), time, notify);
            if (_options.IsAnonymousRead)
            {
                throw new StrataException(ErrorKind.Invalid, "anonymous read: the rules say who may read") { Hint = """write "users": ["anonymous"] into the rules instead""" };
            }
        }
        if (_options.HtpasswdFile is { } passwords)
        {
            _passwords = new Htpasswd(passwords, time, notify);
        }
        if (_options.TokenKeyFile is { } keys)
        {
            _tokens = new TokenVerifier(keys, _options.TokenIssuer ?? throw Missing("issuer"), _options.TokenService ?? throw Missing("service"), time, notify);
            _ = _options.TokenRealm ?? throw Missing("realm");
        }
        static StrataException Missing(string what) => new(ErrorKind.Invalid, $"token key: the {what} of the tokens is missing") { Hint = $"say --token-{what}" };
    }

    /// <summary>Whether anybody is asked who he is.</summary>
    public bool IsGuarded => _passwords is not null || _tokens is not null;

    /// <summary>Whether one may see what another may not: then a blob is shown in repositories that have it only.</summary>
    public bool IsDivided => _rules is not null || _tokens is not null;

    /// <summary>Whether we hand out tokens: some clients (docker) ask without a name only where a token for nobody can be had.</summary>
    public bool HasOwnTokens => _passwords is not null && _tokens is null && (_options.IsAnonymousRead || _rules?.Value.HasAnonymous == true);

    /// <summary>Who asks.</summary>
    /// <exception cref="RegistryFault">401: not who he says.</exception>
    public async ValueTask<RegistryIdentity> IdentifyAsync(HttpContext context, string scope)
    {
        string header = context.Request.Headers.Authorization.ToString();
        if (header.Length == 0 || !IsGuarded)
        {
            return RegistryIdentity.Nobody;
        }
        RegistryIdentity? identity = null;
        if (header.StartsWith("Basic ", StringComparison.OrdinalIgnoreCase))
        {
            identity = await VerifyPasswordAsync(header["Basic ".Length..].Trim(), context.RequestAborted);
        }
        else if (header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
        {
            string token = header["Bearer ".Length..].Trim();
            identity = token.StartsWith(OwnTokenPrefix, StringComparison.Ordinal) && HasOwnTokens ? VerifyOwnToken(token) : _tokens?.Verify(token);
        }
        return identity ?? throw Challenge(context, scope, isWrong: true);
    }

    /// <summary>What he may do in a repository.</summary>
    public RegistryRights RightsOf(RegistryIdentity identity, string repository)
    {
        RegistryRights granted = identity.Grants is { } grants ? Granted(grants, repository) : RegistryRights.All;
        if (_rules is not null)
        {
            // A token says what its service allows; what the rules say of tags holds for its bearer as well.
            RegistryRights ruled = _rules.Value.RightsOf(identity.User, repository);
            return granted & ruled;
        }
        return identity.Grants is not null || !IsGuarded || identity.User is not null ? granted
            : _options.IsAnonymousRead ? RegistryRights.Read
            : RegistryRights.None;
    }

    private static RegistryRights Granted(IReadOnlyList<TokenGrant> grants, string repository)
        => grants.Where(g => g.Type == "repository" && g.Name == repository).SelectMany(g => g.Actions).Aggregate(RegistryRights.None, (sum, action) => sum | action switch
        {
            "pull" => RegistryRights.Read,
            "push" => RegistryRights.Create | RegistryRights.Overwrite,
            "delete" => RegistryRights.Delete,
            "*" => RegistryRights.All,
            _ => RegistryRights.None,
        });

    /// <summary>Goes on only where he may.</summary>
    /// <exception cref="RegistryFault">401: he may be somebody who may. 403: he may not.</exception>
    public void Demand(HttpContext context, RegistryIdentity identity, string repository, RegistryRights rights)
    {
        if ((RightsOf(identity, repository) & rights) == rights)
        {
            return;
        }
        bool mayBeElse = IsGuarded && (identity.User is null || identity.Grants is not null);
        throw mayBeElse ? Challenge(context, ScopeOf(repository, rights), isWrong: false) : Denied();
    }

    /// <summary>Goes on only where he may see a list of all; what of it is another question.</summary>
    /// <exception cref="RegistryFault">401, 403.</exception>
    public void DemandCatalog(HttpContext context, RegistryIdentity identity)
    {
        bool may = !IsGuarded || (identity.Grants is { } grants ? grants.Any(g => g is { Type: "registry", Name: "catalog" } && g.Actions.Contains("*")) : identity.User is not null || _options.IsAnonymousRead || _rules?.Value.HasAnonymous == true);
        if (!may)
        {
            throw Challenge(context, "registry:catalog:*", isWrong: false);
        }
    }

    /// <summary>The first question of every client, whose answer tells it how to log in.</summary>
    /// <exception cref="RegistryFault">401.</exception>
    public void DemandKnown(HttpContext context, RegistryIdentity identity)
    {
        if (IsGuarded && identity.User is null && !identity.HasToken)
        {
            throw Challenge(context, "", isWrong: false);
        }
    }

    /// <summary>Whether a repository is there for him. A list for a bearer of a token shows what his service's catalogue right covers: all.</summary>
    public bool MaySee(RegistryIdentity identity, string repository) => identity.Grants is not null
        ? _rules is null || _rules.Value.RightsOf(identity.User, repository).HasFlag(RegistryRights.Read)
        : RightsOf(identity, repository).HasFlag(RegistryRights.Read);

    public static RegistryFault Denied() => new(403, DistributionCodes.Denied, "you may not do this here");

    /// <summary>What a token has to be for, in the words of distribution's token specification.</summary>
    public static string ScopeOf(string repository, RegistryRights rights)
        => $"repository:{repository}:{((rights & RegistryRights.Delete) != 0 ? "delete" : (rights & (RegistryRights.Create | RegistryRights.Overwrite)) != 0 ? "pull,push" : "pull")}";

    private RegistryFault Challenge(HttpContext context, string scope, bool isWrong)
    {
        string what = scope.Length > 0 ? $",scope=\"{scope}\"" : "";
        string error = isWrong && context.Request.Headers.Authorization.ToString().StartsWith("Bearer", StringComparison.OrdinalIgnoreCase) ? ",error=\"invalid_token\"" : "";
        // One only: docker answers all that it is offered, and gives up without a name where one of them wants it. A password is taken all the same.
        context.Response.Headers.WWWAuthenticate = _tokens is not null ? $"Bearer realm=\"{_options.TokenRealm}\",service=\"{_options.TokenService}\"{what}{error}"
            : HasOwnTokens ? $"Bearer realm=\"{context.Request.Scheme}://{context.Request.Host}/token\",service=\"strata\"{what}{error}"
            : "Basic realm=\"strata\"";
        return new RegistryFault(401, DistributionCodes.Unauthorized, isWrong ? "the name, password or token is not right" : "log in first");
    }

    /// <summary><c>GET /token</c>: a token for who has a password, or for nobody.</summary>
    public async Task TokenAsync(HttpContext context)
    {
        if (!HasOwnTokens)
        {
            throw new RegistryFault(404, DistributionCodes.Unsupported, "there are no tokens here");
        }
        string header = context.Request.Headers.Authorization.ToString();
        RegistryIdentity? identity = header.Length == 0 ? RegistryIdentity.Nobody
            : header.StartsWith("Basic ", StringComparison.OrdinalIgnoreCase) ? await VerifyPasswordAsync(header["Basic ".Length..].Trim(), context.RequestAborted)
            : null;
        if (identity is null)
        {
            context.Response.Headers.WWWAuthenticate = "Basic realm=\"strata\"";
            throw new RegistryFault(401, DistributionCodes.Unauthorized, "the name or password is not right");
        }
        DateTimeOffset now = _time.GetUtcNow();
        string token = MakeOwnToken(identity.User, now + s_ownTokenLife);
        RegistryTokenAnswer answer = new(token, token, (int)s_ownTokenLife.TotalSeconds, now.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture));
        context.Response.Headers.CacheControl = "no-store";
        await RegistryAnswers.WriteAsync(context, answer, RegistryServerJson.Default.RegistryTokenAnswer);
    }

    private string MakeOwnToken(string? user, DateTimeOffset end)
    {
        byte[] content = Encoding.UTF8.GetBytes($"{end.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture)}:{user}");
        return $"{OwnTokenPrefix}{Base64Url.EncodeToString(content)}.{Base64Url.EncodeToString(HMACSHA256.HashData(_ownKey, content))}";
    }

    private RegistryIdentity? VerifyOwnToken(string token)
    {
        string[] parts = token[OwnTokenPrefix.Length..].Split('.');
        if (parts.Length != 2 || !Base64Url.IsValid(parts[0]) || !Base64Url.IsValid(parts[1]))
        {
            return null;
        }
        byte[] content = Base64Url.DecodeFromChars(parts[0]);
        if (!CryptographicOperations.FixedTimeEquals(HMACSHA256.HashData(_ownKey, content), Base64Url.DecodeFromChars(parts[1])))
        {
            return null;
        }
        string[] said = Encoding.UTF8.GetString(content).Split(':', 2);
        bool isNow = long.Parse(said[0], CultureInfo.InvariantCulture) > _time.GetUtcNow().ToUnixTimeSeconds();
        return isNow ? new RegistryIdentity(said[1].Length == 0 ? null : said[1]) { HasToken = true } : null;
    }

    private async ValueTask<RegistryIdentity?> VerifyPasswordAsync(string encoded, CancellationToken cancellationToken)
    {
        const int Most = 4 << 10;
        byte[] bytes = new byte[Most];
        if (_passwords is null || !Convert.TryFromBase64String(encoded, bytes, out int length))
        {
            return null;
        }
        string[] pair = Encoding.UTF8.GetString(bytes.AsSpan(0, length)).Split(':', 2);
        return pair.Length == 2 && pair[0].Length > 0 && await _passwords.VerifyAsync(pair[0], pair[1], cancellationToken) ? new RegistryIdentity(pair[0]) : null;
    }
}
