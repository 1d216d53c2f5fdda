namespace Strata.Distribution;

public sealed partial class RegistryClient
{
    /// <summary>
    /// Shows a credential to a registry. Answers what to keep: the same, or the refresh token that its token server gave in the place of the password.
    /// </summary>
    /// <exception cref="StrataException">Unauthenticated: it is not taken. Unavailable; NotFound: no registry is there.</exception>
    public async ValueTask<Credential> LoginAsync(string registry, Credential credential, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(credential);
        // Basic's name ends at the first colon. RFC 7617 §2
        if (credential.UserName.Contains(':', StringComparison.Ordinal))
        {
            throw new StrataException(ErrorKind.Invalid, $"log in to {registry}: a user name has no colon");
        }
        using RegistryTransport transport = new(Options, CredentialStore.Of([new(registry, credential), new(CredentialFile.KeyOf(registry), credential)]));
        transport.Auth.WantsRefreshToken = true;
        RegistryEndpoint origin = Mirrors.Origin(registry);
        RegistryRequest ping = new(HttpMethod.Get, "v2/", "");
        using HttpResponseMessage response = await transport.SendAsync(origin, ping, cancellationToken).ConfigureAwait(false);
        if (!response.IsSuccessStatusCode)
        {
            throw await RegistryErrors.ReadAsync(response, RegistryTransport.AddressOf(origin, ping), origin.CredentialKey, transport.Auth.Knows(origin), cancellationToken).ConfigureAwait(false);
        }
        return transport.Auth.RefreshToken is { } token ? credential with { Password = "", IdentityToken = token } : credential;
    }
}
