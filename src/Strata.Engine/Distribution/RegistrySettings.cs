namespace Strata.Distribution;

/// <summary>Files that say who vouches for a server, and who we are to it; PEM.</summary>
public sealed record TlsFiles
{
    /// <summary>Certificates of authorities that vouch for it, beside the system's.</summary>
    public IReadOnlyList<string> Authorities { get; init; } = [];

    /// <summary>Our certificate; null where it need not know us.</summary>
    public string? Certificate { get; init; }

    /// <summary>The key of <see cref="Certificate"/>; null where it stands in the same file.</summary>
    public string? Key { get; init; }

    /// <summary>The fingerprint of the one certificate it is to show, whoever vouches for it; null: any that somebody vouches for.</summary>
    public string? Pin { get; init; }

    internal bool IsEmpty => Authorities.Count == 0 && Certificate is null && Pin is null;

    /// <inheritdoc/>
    public bool Equals(TlsFiles? other) => other is not null && Certificate == other.Certificate && Key == other.Key && Pin == other.Pin && Authorities.SequenceEqual(other.Authorities);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Certificate, Key, Pin, Authorities.Count);
}

/// <summary>How a repository is called at a server that holds it under another name: <c>team</c> is <c>mirror/team</c> there.</summary>
internal sealed record RepositoryRewrite(string From, string To)
{
    /// <summary>The path of a request, which begins with <c>v2/</c>.</summary>
    public string Path(string path)
    {
        const string Start = "v2/";
        bool isOfRepository = path.StartsWith(Start, StringComparison.Ordinal) && path.Length > Start.Length && path[Start.Length] != '_';
        return isOfRepository ? Start + Name(path[Start.Length..]) : path;
    }

    /// <summary>The scope of a request: <c>repository:NAME:pull</c>, more of them behind blanks.</summary>
    public string Scope(string scope)
        => string.Join(' ', scope.Split(' ').Select(s => s.Split(':') is ["repository", string name, string actions] ? $"repository:{Name(name)}:{actions}" : s));

    private string Name(string name)
    {
        if (From.Length == 0)
        {
            return To.Length == 0 ? name : $"{To}/{name}";
        }
        return name == From || name.StartsWith(From + "/", StringComparison.Ordinal) ? (To + name[From.Length..]).TrimStart('/') : name;
    }
}

/// <summary>A server that may be asked in place of a registry.</summary>
internal sealed record MirrorSettings(Uri Address)
{
    /// <summary>Without TLS, or with certificates nobody vouches for.</summary>
    public bool IsInsecure { get; init; }

    /// <summary>Whether somebody wrote the scheme; else it is found out.</summary>
    public bool IsSchemeKnown { get; init; } = true;

    /// <summary>It is asked for content only, not what a tag points to.</summary>
    public bool IsForDigests { get; init; }

    /// <summary>Its address has the <c>/v2</c> already, or something in its place.</summary>
    public bool HasOwnPath { get; init; }

    public RepositoryRewrite? Rewrite { get; init; }

    public TlsFiles? Tls { get; init; }
}

/// <summary>What is known of a registry, or of a part of it.</summary>
internal sealed record RegistrySettings(string Key)
{
    public static RegistrySettings Unknown { get; } = new("");

    /// <summary>In the order to ask them.</summary>
    public IReadOnlyList<MirrorSettings> Mirrors { get; init; } = [];

    public bool IsInsecure { get; init; }

    /// <summary>The file that forbids it, or null.</summary>
    public string? BlockedBy { get; init; }

    /// <summary>The server behind the name; null where it is the name itself.</summary>
    public MirrorSettings? Server { get; init; }
}
