using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Strata.Linux;

namespace Strata.Distribution;

/// <summary>
/// The file that login writes: REGISTRY_AUTH_FILE, or Docker's config.json. Replaced whole, readable by its owner alone; whatever else stands in
/// it stays. Where the file names a credential helper, the helper gets the password and the file does not.
/// </summary>
public sealed class LoginFile
{
    internal const string PathVariable = "REGISTRY_AUTH_FILE";

    // As docker and podman write it.
    private static readonly JsonWriterOptions s_form = new() { Indented = true, IndentCharacter = '\t', IndentSize = 1, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>A file, which need not be there.</summary>
    public LoginFile(string path) => FilePath = path;

    /// <summary>Where it is.</summary>
    public string FilePath { get; }

    /// <summary>The one of this user.</summary>
    public static LoginFile OfUser() => new(Environment.GetEnvironmentVariable(PathVariable) is { Length: > 0 } named ? named : DockerPath);

    internal static string Home => Environment.GetEnvironmentVariable("HOME") is { Length: > 0 } home ? home : "/root";

    internal static string DockerPath => Path.Combine(Environment.GetEnvironmentVariable("DOCKER_CONFIG") is { Length: > 0 } docker ? docker : Path.Combine(Home, ".docker"), "config.json");

    /// <summary>Under which name a server stands in the file: <c>h:5000</c> for <c>https://h:5000/v2/</c>; nothing is Docker Hub.</summary>
    /// <exception cref="StrataException">Invalid: it is not the name of a registry.</exception>
    public static string KeyOf(string? server)
    {
        if (string.IsNullOrEmpty(server))
        {
            return CredentialFile.DockerHubKey;
        }
        int scheme = server.IndexOf("://", StringComparison.Ordinal);
        string name = scheme < 0 ? server : server[(scheme + 3)..].Split('/')[0];
        name = name.TrimEnd('/');
        if (!Oci.ImageReference.TryParse(name + "/x", out Oci.ImageReference? place) || place.Tag != Oci.ImageReference.DefaultTag || (name + "/x" != place.Name && name is not ("docker.io" or "index.docker.io")))
        {
            throw new StrataException(ErrorKind.Invalid, $"'{server}' is not the name of a registry") { Hint = "write host and port, as in registry.example.com:5000; a name without dot and port is only localhost" };
        }
        return CredentialFile.KeyOf(name);
    }

    /// <summary>The registry (host and port) of such a key.</summary>
    public static string RegistryOf(string key) => key == CredentialFile.DockerHubKey ? Oci.ImageReference.DefaultRegistry : key.Split('/')[0];

    /// <summary>Keeps a credential. Answers the helper that keeps it now, or null where it is in the file as it is, readable for whoever may read the file.</summary>
    /// <exception cref="StrataException">Invalid: what is there is not of Docker's form, or the helper failed. NotFound: the helper is not there.</exception>
    public async ValueTask<string?> SaveAsync(string key, Credential credential, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(credential);
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(FilePath))!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using FileLock turn = await FileLock.AcquireAsync(FilePath + ".lock", exclusive: true, cancellationToken).ConfigureAwait(false);
        CredentialHelper? helper = File.Exists(FilePath) ? CredentialFile.Read(FilePath).HelperOf(key) : null;
        if (helper is not null)
        {
            await helper.StoreAsync(key, credential, cancellationToken).ConfigureAwait(false);
        }
        JsonObject document = ReadDocument();
        // Docker looks here for whether there is anything to ask a helper for.
        AuthsOf(document)[key] = helper is not null ? new JsonObject() : EntryOf(credential);
        Replace(document);
        return helper?.Name;
    }

    /// <summary>Forgets what is kept for a key. Answers whether there was anything.</summary>
    /// <exception cref="StrataException">Invalid: what is there is not of Docker's form, or the helper failed. NotFound: the helper is not there.</exception>
    public async ValueTask<bool> RemoveAsync(string key, CancellationToken cancellationToken = default)
    {
        if (!File.Exists(FilePath))
        {
            return false;
        }
        using FileLock turn = await FileLock.AcquireAsync(FilePath + ".lock", exclusive: true, cancellationToken).ConfigureAwait(false);
        CredentialHelper? helper = CredentialFile.Read(FilePath).HelperOf(key);
        bool wasKept = helper is not null && await helper.FindAsync(key, cancellationToken).ConfigureAwait(false) is not null;
        if (wasKept)
        {
            await helper!.EraseAsync(key, cancellationToken).ConfigureAwait(false);
        }
        JsonObject document = ReadDocument();
        JsonObject auths = AuthsOf(document);
        bool isRemoved = false;
        foreach (string name in CredentialFile.NamesOf(key).SelectMany(CredentialFile.Spellings))
        {
            isRemoved |= auths.Remove(name);
        }
        if (isRemoved)
        {
            Replace(document);
        }
        return isRemoved || wasKept;
    }

    private static JsonObject EntryOf(Credential credential)
    {
        JsonObject entry = new() { ["auth"] = Convert.ToBase64String(Encoding.UTF8.GetBytes($"{credential.UserName}:{credential.Password}")) };
        if (credential.IdentityToken is { } token)
        {
            entry["identitytoken"] = token;
        }
        return entry;
    }

    private JsonObject ReadDocument()
    {
        if (!File.Exists(FilePath) || File.ReadAllBytes(FilePath) is not { Length: > 0 } bytes)
        {
            return [];
        }
        try
        {
            return JsonNode.Parse(bytes, documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false }) as JsonObject ?? throw new JsonException("it is no object");
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Invalid, $"read credentials from {FilePath}: {e.Message}", e);
        }
    }

    private JsonObject AuthsOf(JsonObject document)
    {
        switch (document["auths"])
        {
            case JsonObject auths:
                return auths;
            case null:
                JsonObject made = [];
                document["auths"] = made;
                return made;
            default:
                throw new StrataException(ErrorKind.Invalid, $"read credentials from {FilePath}: its \"auths\" is no object");
        }
    }

    private void Replace(JsonObject document)
    {
        // Where it is a link (dotfiles in a repository) the file behind it is replaced, not the link.
        string target = (File.Exists(FilePath) ? File.ResolveLinkTarget(FilePath, returnFinalTarget: true)?.FullName : null) ?? Path.GetFullPath(FilePath);
        string aside = $"{target}.{Guid.NewGuid():N}";
        try
        {
            FileStreamOptions options = new() { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite };
            using (FileStream file = new(aside, options))
            {
                using (Utf8JsonWriter writer = new(file, s_form))
                {
                    document.WriteTo(writer);
                }
                file.Write("\n"u8);
                file.Flush();
                Durability.SyncFile(file.SafeFileHandle, aside);
            }
            Durability.Rename(aside, target, replace: true);
            Durability.SyncDirectory(Path.GetDirectoryName(target)!);
        }
        catch
        {
            File.Delete(aside);
            throw;
        }
    }
}
