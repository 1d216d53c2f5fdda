using System.Diagnostics.CodeAnalysis;
using System.Text;
using Strata.Content;
using Strata.Linux;

namespace Strata.Distribution;

/// <summary>
/// Servers whose certificate somebody compared once: exactly that one is trusted, whoever vouches for it or for another. A line for each:
/// <c>registry.example.com:5000 sha256:HEX</c>, the hash of the certificate's bytes (DER).
/// </summary>
public sealed class PinFile
{
    private const string Algorithm = "sha256:";

    /// <summary>A file, which need not be there.</summary>
    public PinFile(string path) => FilePath = path;

    /// <summary>Where it is.</summary>
    public string FilePath { get; }

    /// <summary>The one of this user: <c>~/.config/strata/pins</c>.</summary>
    public static PinFile OfUser() => new(RegistryFiles.OfUser().Pins!);

    /// <summary>A fingerprint in the one form it is kept in: <c>sha256:</c> and 64 small letters and digits. Colons between bytes, as openssl writes them, are taken too.</summary>
    /// <exception cref="StrataException">Invalid: it is none.</exception>
    public static string Normalize(string fingerprint)
    {
        ArgumentNullException.ThrowIfNull(fingerprint);
        return TryNormalize(fingerprint, out string? normal) ? normal
            : throw new StrataException(ErrorKind.Invalid, $"'{Hosts.Printable(fingerprint)}' is not the fingerprint of a certificate") { Hint = "the registry prints it when it starts: sha256: and 64 digits; or: openssl x509 -in tls.crt -noout -fingerprint -sha256" };
    }

    /// <summary>What is pinned, by host and port.</summary>
    /// <exception cref="StrataException">Invalid: a line is no pin; says which.</exception>
    public IReadOnlyDictionary<string, string> Read()
    {
        var pins = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        if (ConfigFile.TryRead(FilePath) is not { } file)
        {
            return pins;
        }
        int number = 0;
        foreach (string line in file.Text.Split('\n'))
        {
            number++;
            if (line.Trim().Length > 0)
            {
                // One bad line must not turn into "trust whoever the system trusts".
                pins[line.Split(' ')[0]] = line.Split(' ') is [_, string pin] && TryNormalize(pin, out string? normal) ? normal
                    : throw new StrataException(ErrorKind.Invalid, $"{FilePath}:{number}: not a server and the fingerprint of its certificate") { Hint = "take the line out, and pin again: strata login --pin FINGERPRINT SERVER" };
            }
        }
        return pins;
    }

    /// <summary>Pins a server's certificate; null takes the pin away. Answers whether there was one.</summary>
    /// <exception cref="StrataException">Invalid: what is in the file is not of its form, or the fingerprint is none.</exception>
    public async ValueTask<bool> SetAsync(string server, string? fingerprint, CancellationToken cancellationToken = default)
    {
        string? normal = fingerprint is null ? null : Normalize(fingerprint);
        if (normal is null && !File.Exists(FilePath))
        {
            return false;
        }
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(FilePath))!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using FileLock turn = await FileLock.AcquireAsync(FilePath + ".lock", exclusive: true, cancellationToken).ConfigureAwait(false);
        var pins = new SortedDictionary<string, string>(new Dictionary<string, string>(Read()), StringComparer.OrdinalIgnoreCase);
        bool wasThere = pins.Remove(server);
        if (normal is not null)
        {
            pins[server] = normal;
        }
        AtomicFile.Write(FilePath, Encoding.UTF8.GetBytes(string.Concat(pins.Select(p => $"{p.Key} {p.Value}\n"))));
        return wasThere;
    }

    internal static bool TryNormalize(string text, [NotNullWhen(true)] out string? normal)
    {
        string hex = (text.StartsWith(Algorithm, StringComparison.OrdinalIgnoreCase) ? text[Algorithm.Length..] : text).Replace(":", "", StringComparison.Ordinal).Trim();
        bool isOne = hex.Length == 64 && hex.All(char.IsAsciiHexDigit);
        normal = isOne ? Algorithm + hex.ToLowerInvariant() : null;
        return isOne;
    }
}
