using System.Collections;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.Distribution;

/// <summary>
/// A program that keeps passwords, <c>docker-credential-NAME</c>: told <c>get</c>, <c>store</c> or <c>erase</c>, it reads a server (or a record) from
/// its input and writes its answer, or its complaint, to its output.
/// </summary>
/// <remarks><see href="https://github.com/docker/docker-credential-helpers/blob/master/README.md#development"/></remarks>
internal sealed class CredentialHelper
{
    private const string Prefix = "docker-credential-";
    // How a helper says that a secret is no password but an OAuth2 refresh token.
    private const string TokenUser = "<token>";
    // What fits a pipe is written before the helper reads; passwords and tokens are far smaller.
    private const int MaxInput = 32 << 10;

    private readonly string _program;

    private CredentialHelper(string name, string program) => (Name, _program) = (name, program);

    /// <summary>The program's name without its path.</summary>
    public string Name { get; }

    /// <summary>Finds it.</summary>
    /// <exception cref="StrataException">NotFound: it is not on PATH. Invalid: that is no name of a program.</exception>
    public static CredentialHelper Open(string name, string file)
    {
        // The name becomes part of a program's name: nothing but letters, digits, dots, dashes.
        if (name.Length == 0 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
        {
            throw new StrataException(ErrorKind.Invalid, $"read credentials from {file}: '{Hosts.Printable(name)}' is not the name of a credential helper");
        }
        string program = ChildProcess.FindProgram(Prefix + name)
            ?? throw new StrataException(ErrorKind.NotFound, $"run credential helper {Prefix}{name}: there is no such program on PATH") { Hint = $"install it, or take \"{name}\" out of {file}" };
        return new CredentialHelper(Prefix + name, program);
    }

    /// <summary>What it has for a server, or null.</summary>
    public async ValueTask<Credential?> FindAsync(string server, CancellationToken cancellationToken)
    {
        ChildResult result = await RunAsync("get", Encoding.UTF8.GetBytes(server), cancellationToken).ConfigureAwait(false);
        if (result.ExitCode != 0)
        {
            return IsNotFound(result) ? null : throw Failed("get", server, Complaint(result));
        }
        HelperRecord? record;
        try
        {
            record = JsonSerializer.Deserialize(result.Output, HelperJson.Default.HelperRecord);
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Invalid, $"run credential helper {Name} get for {server}: its answer is no JSON", e);
        }
        return record switch
        {
            null or { Secret: null or "" } => null,
            { Username: TokenUser } => new Credential("", "") { IdentityToken = record.Secret },
            _ => new Credential(record.Username ?? "", record.Secret),
        };
    }

    /// <summary>Gives it a credential to keep.</summary>
    public async ValueTask StoreAsync(string server, Credential credential, CancellationToken cancellationToken)
    {
        HelperRecord record = new() { ServerUrl = server, Username = credential.IdentityToken is null ? credential.UserName : TokenUser, Secret = credential.IdentityToken ?? credential.Password };
        ChildResult result = await RunAsync("store", JsonSerializer.SerializeToUtf8Bytes(record, HelperJson.Default.HelperRecord), cancellationToken).ConfigureAwait(false);
        if (result.ExitCode != 0)
        {
            throw Failed("store", server, Complaint(result));
        }
    }

    /// <summary>Lets it forget a server.</summary>
    public async ValueTask EraseAsync(string server, CancellationToken cancellationToken)
    {
        ChildResult result = await RunAsync("erase", Encoding.UTF8.GetBytes(server), cancellationToken).ConfigureAwait(false);
        if (result.ExitCode != 0 && !IsNotFound(result))
        {
            throw Failed("erase", server, Complaint(result));
        }
    }

    private async ValueTask<ChildResult> RunAsync(string verb, byte[] input, CancellationToken cancellationToken)
    {
        if (input.Length > MaxInput)
        {
            throw new StrataException(ErrorKind.Invalid, $"run credential helper {Name} {verb}: {input.Length} bytes are more than {MaxInput}");
        }
        (SafeFileHandle read, SafeFileHandle write) = Pipes.Create();
        using (read)
        {
            using (write)
            {
                Files.Write(write, input, Name);
            }
            // Helpers talk to key rings and agents that the environment names.
            IEnumerable<string> environment = Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(e => $"{e.Key}={e.Value}");
            ChildStart start = new() { Program = _program, Arguments = [verb], Environment = [.. environment], Descriptors = new Dictionary<int, System.Runtime.InteropServices.SafeHandle> { [0] = read } };
            try
            {
                return await ChildProcess.RunAsync(start, cancellationToken: cancellationToken).ConfigureAwait(false);
            }
            catch (LinuxException e)
            {
                throw new StrataException(ErrorKind.Invalid, $"run credential helper {Name} {verb}: {e.Message}", e);
            }
        }
    }

    // credentials.NewErrCredentialsNotFound of docker-credential-helpers; helpers say it on standard output.
    private static bool IsNotFound(ChildResult result) => result.OutputText.Contains("credentials not found in native keychain", StringComparison.Ordinal);

    private static string Complaint(ChildResult result)
    {
        string said = result.OutputText.Length > 0 ? result.OutputText : result.ErrorText;
        return said.Length == 0 ? $"exit code {result.ExitCode}" : Hosts.Printable(said.Split('\n')[0]);
    }

    private StrataException Failed(string verb, string server, string cause) => new(ErrorKind.Invalid, $"run credential helper {Name} {verb} for {server}: {cause}");
}

internal sealed record HelperRecord
{
    [JsonPropertyName("ServerURL")] public string? ServerUrl { get; init; }
    public string? Username { get; init; }
    public string? Secret { get; init; }
}

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(HelperRecord))]
internal sealed partial class HelperJson : JsonSerializerContext;
