using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Strata.Oci;

/// <summary>An operating system and a CPU architecture, in Go's words: <c>linux/arm64</c>, <c>linux/arm/v7</c>.</summary>
/// <remarks><see href="https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md"/></remarks>
public sealed record Platform(
    string Os,
    string Architecture,
    string? Variant = null) : IParsable<Platform>
{
    /// <summary>Version of the operating system (Windows).</summary>
    public string? OsVersion { get; init; }

    /// <summary>What the operating system must offer.</summary>
    public ImmutableArray<string>? OsFeatures { get; init; }

    /// <summary>What we do not know.</summary>
    public Dictionary<string, JsonElement>? Extra { get; init; }

    /// <summary>The platform this process runs on.</summary>
    public static Platform Host { get; } = new Platform("linux", RuntimeInformation.OSArchitecture switch
    {
        System.Runtime.InteropServices.Architecture.X64 => "amd64",
        System.Runtime.InteropServices.Architecture.X86 => "386",
        System.Runtime.InteropServices.Architecture.Ppc64le => "ppc64le",
        System.Runtime.InteropServices.Architecture.RiscV64 => "riscv64",
        System.Runtime.InteropServices.Architecture.LoongArch64 => "loong64",
        System.Runtime.InteropServices.Architecture.Armv6 => "armel",
        System.Runtime.InteropServices.Architecture other => other.ToString().ToLowerInvariant(),
    }).Normalize();

    /// <summary>
    /// Reads what a person types: <c>linux/arm64/v8</c>, <c>arm64</c> (the operating system is the host's), <c>linux</c> (the architecture is).
    /// The result is normalised: <c>x86_64</c> is <c>amd64</c>, <c>aarch64</c> is <c>arm64</c>, <c>armhf</c> is <c>arm/v7</c>.
    /// </summary>
    /// <exception cref="FormatException">It is not a platform.</exception>
    public static Platform Parse(string s, IFormatProvider? provider = null)
        => TryParse(s, provider, out Platform? platform)
            ? platform
            : throw new FormatException($"'{s}' is not a platform: expected os/architecture or os/architecture/variant, as in linux/arm64");

    /// <inheritdoc/>
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, [MaybeNullWhen(false)] out Platform result)
    {
        result = null;
        string[] parts = (s ?? "").Split('/');
        if (parts.Length > 3 || !Array.TrueForAll(parts, IsPart))
        {
            return false;
        }
        result = parts switch
        {
            [string os, string architecture] => new Platform(os, architecture).Normalize(),
            [string os, string architecture, string variant] => new Platform(os, architecture, variant).Normalize(),
            [string one] when NormalizeOs(one) is { } os && s_systems.Contains(os) => Host with { Os = os },
            [string one] when new Platform(Host.Os, one).Normalize() is { } platform && s_architectures.Contains(platform.Architecture) => platform,
            _ => null,
        };
        return result is not null;
    }

    /// <summary>The same platform in the words that are compared: lowercase, no alias, a variant only where it is not the architecture's usual one (save for arm: always).</summary>
    public Platform Normalize()
    {
        string architecture = Architecture.ToLowerInvariant();
        string? variant = string.IsNullOrEmpty(Variant) ? null : Variant.ToLowerInvariant();
        (architecture, variant) = (architecture, variant) switch
        {
            ("i386" or "i486" or "i586" or "i686", _) => ("386", null),
            ("x86_64" or "x86-64" or "amd64", "v1" or null) => ("amd64", null),
            ("x86_64" or "x86-64", _) => ("amd64", variant),
            ("aarch64" or "arm64", "8" or "v8" or null) => ("arm64", null),
            ("aarch64", _) => ("arm64", variant),
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("arm", "7" or null) => ("arm", "v7"),
            ("arm", "5" or "6" or "8") => ("arm", "v" + variant),
            _ => (architecture, variant),
        };
        return this with { Os = NormalizeOs(Os), Architecture = architecture, Variant = variant };
    }

    /// <summary>Whether content made for <paramref name="offered"/> is content for exactly this platform.</summary>
    public bool Matches(Platform offered)
    {
        ArgumentNullException.ThrowIfNull(offered);
        return Rank(offered, strict: true) == 0;
    }

    /// <summary>
    /// How well content made for <paramref name="offered"/> suits a machine of this platform: 0 is exactly, more is worse, -1 not at all.
    /// A CPU runs what was made for its older variants; a 64-bit one runs the 32-bit code of its family unless <paramref name="strict"/>.
    /// </summary>
    public int Rank(Platform offered, bool strict = false)
    {
        ArgumentNullException.ThrowIfNull(offered);
        Platform wanted = Normalize();
        Platform given = offered.Normalize();
        if (wanted.Os != given.Os)
        {
            return -1;
        }
        if (wanted.Architecture == given.Architecture)
        {
            int steps = Level(wanted) - Level(given);
            return wanted.Variant == given.Variant ? 0 : strict || steps < 0 ? -1 : steps;
        }
        const int OtherWidth = 100;
        return (wanted.Architecture, given.Architecture) switch
        {
            _ when strict => -1,
            ("amd64", "386") => OtherWidth,
            ("arm64", "arm") when Level(given) is >= 5 and <= 8 => OtherWidth + 8 - Level(given),
            _ => -1,
        };
    }

    /// <summary><c>os/architecture[/variant]</c>.</summary>
    public override string ToString() => string.IsNullOrEmpty(Variant) ? $"{Os}/{Architecture}" : $"{Os}/{Architecture}/{Variant}";

    private static readonly HashSet<string> s_systems = ["linux", "windows", "darwin", "freebsd", "openbsd", "netbsd", "solaris", "aix", "android", "plan9", "wasip1"];

    private static readonly HashSet<string> s_architectures =
        ["386", "amd64", "arm", "arm64", "loong64", "mips", "mipsle", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x", "wasm"];

    private static string NormalizeOs(string os) => os.ToLowerInvariant() is "macos" ? "darwin" : os.ToLowerInvariant();

    // v8.2 is more than v8: only the whole number orders the variants of a family.
    private static int Level(Platform platform) => platform.Variant switch
    {
        ['v', char digit, ..] when char.IsAsciiDigit(digit) => digit - '0',
        _ => platform.Architecture == "arm64" ? 8 : 1,
    };

    private static bool IsPart(string part)
        => part.Length > 0 && part.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '-');
}
