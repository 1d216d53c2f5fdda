namespace Strata.Supply;

/// <summary>Something that was installed, as the tool that installed it wrote it down.</summary>
/// <param name="Kind">Which tool: <c>deb</c>, <c>apk</c> or <c>nuget</c>; package URLs' own words.</param>
/// <param name="Name">Its name.</param>
/// <param name="Version">Its version.</param>
/// <param name="FoundIn">The record it was read from: a path without a leading slash.</param>
public sealed record Package(string Kind, string Name, string Version, string FoundIn)
{
    /// <summary>What it was built for; null where the record does not say.</summary>
    public string? Architecture { get; init; }

    /// <summary>Who maintains it; null where the record does not say.</summary>
    public string? Supplier { get; init; }

    /// <summary>Its license, where the record has one that reads like an SPDX expression.</summary>
    public string? License { get; init; }

    /// <summary>The SHA-512 of the package's file in hexadecimal digits; null where the record does not say.</summary>
    public string? Sha512 { get; init; }

    /// <summary>The package URL (purl-spec).</summary>
    /// <param name="distribution">The image's; null where it says none.</param>
    public string UrlFor(LinuxDistribution? distribution)
    {
        string space = Kind == "nuget" ? "" : Uri.EscapeDataString(distribution?.Id ?? (Kind == "deb" ? "debian" : "alpine")) + "/";
        string[] qualifiers = Kind == "nuget" ? []
            : [.. new[] { Architecture is null ? null : "arch=" + Uri.EscapeDataString(Architecture), distribution is null ? null : "distro=" + Uri.EscapeDataString($"{distribution.Id}-{distribution.Version}") }.OfType<string>()];
        return $"pkg:{Kind}/{space}{Uri.EscapeDataString(Name)}@{Uri.EscapeDataString(Version)}{(qualifiers.Length == 0 ? "" : "?" + string.Join('&', qualifiers))}";
    }
}

/// <summary>What <c>/etc/os-release</c> says of an image.</summary>
/// <param name="Id">In lower case: debian, alpine.</param>
/// <param name="Version">12, 3.20.1; empty where there is none.</param>
public sealed record LinuxDistribution(string Id, string Version)
{
    /// <summary>Reads the lines of os-release(5); null where they name none.</summary>
    internal static LinuxDistribution? Parse(string text)
    {
        string? id = null, version = null;
        foreach (string line in text.Split('\n'))
        {
            int equals = line.IndexOf('=', StringComparison.Ordinal);
            string value = equals < 0 ? "" : line[(equals + 1)..].Trim().Trim('"', '\'');
            id = equals == 2 && line.StartsWith("ID", StringComparison.Ordinal) ? value : id;
            version = line.StartsWith("VERSION_ID=", StringComparison.Ordinal) ? value : version;
        }
        return string.IsNullOrEmpty(id) ? null : new LinuxDistribution(id, version ?? "");
    }
}
