using System.Security.Cryptography;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Build;

/// <summary>A file that ADD fetched by http or https, in a folder of its own until disposed.</summary>
internal sealed class FetchedFile : IDisposable
{
    private const long MaxBytes = 16L << 30; // a single download of an image build; a lying server cannot fill more of the disk than this
    private static readonly TimeSpan s_headersTimeout = TimeSpan.FromSeconds(60);

    private FetchedFile(string folder, string name, Digest digest, FileTime modified) => (Folder, Name, Digest, Modified) = (folder, name, digest, modified);

    internal string Folder { get; }
    internal string Name { get; }
    internal Digest Digest { get; }
    internal FileTime Modified { get; }

    internal static bool IsUrl(string source)
        => source.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || source.StartsWith("https://", StringComparison.OrdinalIgnoreCase);

    /// <summary>Fetches; the file gets mode 0600 and the server's Last-Modified, as Docker gives it.</summary>
    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    internal static ValueTask<FetchedFile> FetchAsync(string url, string folder, string what, CancellationToken cancellationToken) => FetchAsync(new Uri(url), folder, what, cancellationToken);

    private static async ValueTask<FetchedFile> FetchAsync(Uri url, string folder, string what, CancellationToken cancellationToken)
    {
        string name = url.AbsolutePath[(url.AbsolutePath.LastIndexOf('/') + 1)..];
        if (name.Length == 0)
        {
            name = "index.html";
        }
        if (name is "." or "..")
        {
            throw new StrataException(ErrorKind.Invalid, $"{what} {url}: the URL names no file");
        }
        Directory.CreateDirectory(folder);
        using RootedDirectory root = RootedDirectory.Open(folder);
        try
        {
            using var handler = new SocketsHttpHandler { UseCookies = false };
            using var http = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
            using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            timeout.CancelAfter(s_headersTimeout);
            using HttpResponseMessage response = await http.GetAsync(url, HttpCompletionOption.ResponseHeadersRead, timeout.Token).ConfigureAwait(false);
            if (!response.IsSuccessStatusCode)
            {
                throw new StrataException(response.StatusCode == System.Net.HttpStatusCode.NotFound ? ErrorKind.NotFound : ErrorKind.Unavailable,
                    $"{what} {url}: the server answered {(int)response.StatusCode} {response.ReasonPhrase}");
            }
            FileTime modified = response.Content.Headers.LastModified is { } time ? FileTime.From(time) : default;
            Digest digest = await SaveAsync(response, root, name, $"{what} {url}", cancellationToken).ConfigureAwait(false);
            root.SetTimes(name, modified);
            return new FetchedFile(folder, name, digest, modified);
        }
        catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            FileSystems.RemoveTree(folder);
            throw new StrataException(ErrorKind.Unavailable, $"{what} {url}: {e.Message}", e);
        }
        catch (Exception)
        {
            FileSystems.RemoveTree(folder);
            throw;
        }
    }

    /// <summary>The content's digest by any algorithm.</summary>
    internal Digest DigestBy(HashAlgorithmName algorithm)
    {
        if (algorithm == HashAlgorithmName.SHA256)
        {
            return Digest;
        }
        using RootedDirectory folder = RootedDirectory.Open(Folder);
        using var file = new FileStream(folder.OpenFile(Name), FileAccess.Read);
        return Digest.FromHash(algorithm, CryptographicOperations.HashData(algorithm, file));
    }

    public void Dispose() => FileSystems.RemoveTree(Folder);

    private static async ValueTask<Digest> SaveAsync(HttpResponseMessage response, RootedDirectory root, string name, string what, CancellationToken cancellationToken)
    {
        Stream body = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        await using (body.ConfigureAwait(false))
        {
            using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var file = new FileStream(root.CreateFile(name, 0b110_000_000), FileAccess.Write);
            await using (file.ConfigureAwait(false))
            {
                byte[] buffer = new byte[1 << 17];
                long total = 0;
                int read;
                while ((read = await body.ReadAsync(buffer, cancellationToken).ConfigureAwait(false)) > 0)
                {
                    if ((total += read) > MaxBytes)
                    {
                        throw new StrataException(ErrorKind.Invalid, $"{what}: more than {MaxBytes} bytes");
                    }
                    hash.AppendData(buffer, 0, read);
                    await file.WriteAsync(buffer.AsMemory(0, read), cancellationToken).ConfigureAwait(false);
                }
            }
            return Digest.FromSha256(hash.GetHashAndReset());
        }
    }
}
