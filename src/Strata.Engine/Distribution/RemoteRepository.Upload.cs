using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using Strata.Oci;

namespace Strata.Distribution;

public sealed partial class RemoteRepository
{
    // What is smaller is sent with the request that ends the upload: one request less, and not much to send again.
    private const long SmallBytes = 4 << 20;

    // Behind the last byte a registry hashes, moves and syncs: silence then means work.
    private const int PatiencesAtEnd = 10;

    private readonly Func<Digest, string?>? _mountsFrom;

    /// <inheritdoc/>
    public ValueTask<bool> WriteAsync(Descriptor descriptor, Func<long, CancellationToken, ValueTask<Stream>> openFrom, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        ArgumentNullException.ThrowIfNull(openFrom);
        return UploadAsync(descriptor, _mountsFrom?.Invoke(descriptor.Digest), openFrom, cancellationToken);
    }

    // Sends a blob, and goes on where it broke off as far as the registry keeps what came. False where the registry took it from another repository.
    // distribution-spec 1.1, "Pushing a blob in chunks": the end of what came is asked for by GET of the session.
    private async ValueTask<bool> UploadAsync(Descriptor descriptor, string? mountFrom, Func<long, CancellationToken, ValueTask<Stream>> openFrom, CancellationToken cancellationToken)
    {
        Uri? session = await StartUploadAsync(descriptor, mountFrom, cancellationToken).ConfigureAwait(false);
        if (session is null)
        {
            return false;
        }
        long sent = 0;
        for (int attempt = 1; ; attempt++)
        {
            StrataException failure;
            try
            {
                if (descriptor.Size > SmallBytes && sent < descriptor.Size)
                {
                    session = await SendPartAsync(descriptor, sent, session, openFrom, cancellationToken).ConfigureAwait(false);
                    sent = descriptor.Size;
                }
                await FinishUploadAsync(descriptor, sent, session, openFrom, cancellationToken).ConfigureAwait(false);
                return true;
            }
            catch (StrataException e) when (IsWorthAnother(e) && attempt < _client.Options.Attempts)
            {
                failure = e;
            }
            TimeSpan wait = _client.Transport.Backoff(attempt);
            _client.Options.OnWait?.Invoke(new RegistryWait(session.Authority, wait, (failure as RegistryException)?.Status, IsAsked: false));
            await Task.Delay(wait, _client.Options.Time, cancellationToken).ConfigureAwait(false);
            if (await ContainsAsync(descriptor, cancellationToken).ConfigureAwait(false))
            {
                return true; // all of it had come; only the answer had not
            }
            long before = sent;
            (session, sent) = await FindEndAsync(session, descriptor, cancellationToken).ConfigureAwait(false)
                ?? (await StartUploadAsync(descriptor, from: null, cancellationToken).ConfigureAwait(false) ?? throw BeforeItBegan(descriptor), 0);
            attempt = sent > before ? 1 : attempt; // it moves, if slowly
        }
    }

    private StrataException BeforeItBegan(Descriptor descriptor) => new(ErrorKind.Unavailable, $"push {descriptor.Digest} to {this}: the registry says it is done before it began");

    // A session that is not known any more, or stands elsewhere than we thought, is begun again.
    private static bool IsWorthAnother(StrataException e) => e.Kind == ErrorKind.Unavailable
        || e is RegistryException { Status: HttpStatusCode.NotFound or HttpStatusCode.RequestedRangeNotSatisfiable or HttpStatusCode.RequestTimeout };

    // Where to send the bytes; null where the registry took the blob from another repository.
    private async ValueTask<Uri?> StartUploadAsync(Descriptor descriptor, string? from, CancellationToken cancellationToken)
    {
        string query = from is null ? "" : $"?mount={descriptor.Digest}&from={Uri.EscapeDataString(from)}";
        string scope = from is null ? PushScope : $"{PushScope} repository:{from}:pull";
        RegistryEndpoint origin = _client.Mirrors.Origin(Registry, Repository);
        // An upload begun twice leaves one session that expires: no harm.
        RegistryRequest request = new(HttpMethod.Post, $"v2/{Repository}/blobs/uploads/{query}", scope) { Content = () => new ByteArrayContent([]) };
        using HttpResponseMessage response = await _client.SendAsync(origin, request, cancellationToken).ConfigureAwait(false);
        return response.StatusCode != HttpStatusCode.Created ? FindSession(response, RegistryTransport.AddressOf(origin, request)) ?? throw new StrataException(ErrorKind.Unavailable, $"push {descriptor.Digest} to {this}: the registry does not say where to send it")
            : from is not null ? null : throw BeforeItBegan(descriptor);
    }

    // Where the upload goes on. Each answer may name another place.
    private Uri? FindSession(HttpResponseMessage response, Uri asked)
    {
        if (response.Headers.Location is not { } location || !Uri.TryCreate(asked, location, out Uri? session) || session.Scheme is not ("http" or "https") || session.UserInfo.Length > 0)
        {
            return null;
        }
        // Behind a proxy that ends TLS, registries often call themselves http: what was https stays so.
        bool isDowngrade = asked.Scheme == Uri.UriSchemeHttps && session.Scheme == Uri.UriSchemeHttp;
        return !isDowngrade ? session
            : session.Host == asked.Host ? new UriBuilder(session) { Scheme = asked.Scheme, Port = asked.Port }.Uri
            : throw new StrataException(ErrorKind.Denied, $"push to {this}: sent from https to http ({session.Authority}): not followed");
    }

    private async ValueTask<Uri> SendPartAsync(Descriptor descriptor, long from, Uri session, Func<long, CancellationToken, ValueTask<Stream>> openFrom, CancellationToken cancellationToken)
    {
        RegistryRequest request = new(HttpMethod.Patch, "", PushScope)
        {
            Absolute = session,
            IsRepeatable = false, // what came of it has to be asked for first
            IsLong = true,
            // The first part says no range, as docker's: some registries take nothing else.
            ContentRange = from == 0 ? null : string.Create(CultureInfo.InvariantCulture, $"{from}-{descriptor.Size - 1}"),
        };
        using HttpResponseMessage response = await SendBodyAsync(request, descriptor, from, openFrom, cancellationToken).ConfigureAwait(false);
        return FindSession(response, session) ?? session;
    }

    private async ValueTask FinishUploadAsync(Descriptor descriptor, long from, Uri session, Func<long, CancellationToken, ValueTask<Stream>> openFrom, CancellationToken cancellationToken)
    {
        string separator = session.Query.Length > 0 ? "&" : "?";
        RegistryRequest request = new(HttpMethod.Put, "", PushScope)
        {
            Absolute = new Uri($"{session.AbsoluteUri}{separator}digest={Uri.EscapeDataString(descriptor.Digest.ToString())}"),
            IsRepeatable = false,
            IsLong = true,
        };
        using HttpResponseMessage response = await SendBodyAsync(request, descriptor, from, openFrom, cancellationToken).ConfigureAwait(false);
        if (response.StatusCode != HttpStatusCode.Created && response.StatusCode != HttpStatusCode.NoContent)
        {
            throw new StrataException(ErrorKind.Unavailable, $"push {descriptor.Digest} to {this}: {(int)response.StatusCode} instead of 201");
        }
    }

    private async ValueTask<HttpResponseMessage> SendBodyAsync(RegistryRequest request, Descriptor descriptor, long from, Func<long, CancellationToken, ValueTask<Stream>> openFrom, CancellationToken cancellationToken)
    {
        TimeSpan patience = _client.Options.Patience;
        using CancellationTokenSource stall = new(patience, _client.Options.Time), either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, stall.Token);
        try
        {
            RegistryRequest whole = request with { Content = () => new UploadContent(openFrom, from, descriptor.Size, isAtEnd => stall.CancelAfter(isAtEnd ? patience * PatiencesAtEnd : patience)) };
            return await _client.SendAsync(_client.Mirrors.Origin(Registry, Repository), whole, either.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException e) when (stall.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new StrataException(ErrorKind.Unavailable, $"push {descriptor.Digest} to {this}: it stands still for {patience.TotalSeconds:0} s", e);
        }
    }

    // How much of it the registry has, and where to send the rest; null where it has nothing, or does not say.
    private async ValueTask<(Uri Session, long End)?> FindEndAsync(Uri session, Descriptor descriptor, CancellationToken cancellationToken)
    {
        RegistryRequest request = new(HttpMethod.Get, "", PushScope) { Absolute = session };
        using HttpResponseMessage response = await _client.Transport.SendAsync(_client.Mirrors.Origin(Registry, Repository), request, cancellationToken).ConfigureAwait(false);
        string? range = response.IsSuccessStatusCode && response.Headers.TryGetValues("Range", out IEnumerable<string>? values) ? values.First() : null;
        string? last = range is null ? null : range[(range.IndexOf('-', StringComparison.Ordinal) + 1)..];
        // "0-0" is said of nothing as well as of one byte.
        return long.TryParse(last, NumberStyles.None, CultureInfo.InvariantCulture, out long end) && end > 0 && end < descriptor.Size ? (FindSession(response, session) ?? session, end + 1) : null;
    }
}

/// <summary>The rest of a blob as the body of a request, opened when it is sent.</summary>
internal sealed class UploadContent : HttpContent
{
    private const int BufferBytes = 256 << 10;

    private readonly Func<long, CancellationToken, ValueTask<Stream>> _openFrom;
    private readonly long _from, _size;
    private readonly Action<bool> _moved;

    /// <param name="openFrom">Opens the blob at a byte.</param>
    /// <param name="from">Which.</param>
    /// <param name="size">How long the whole blob is.</param>
    /// <param name="moved">Told after each part that was sent whether it was the last one.</param>
    public UploadContent(Func<long, CancellationToken, ValueTask<Stream>> openFrom, long from, long size, Action<bool> moved)
    {
        (_openFrom, _from, _size, _moved) = (openFrom, from, size, moved);
        Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
    }

    protected override bool TryComputeLength(out long length)
    {
        length = _size - _from;
        return true;
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        long left = _size - _from;
        if (left > 0)
        {
            Stream content = await _openFrom(_from, cancellationToken).ConfigureAwait(false);
            await using (content.ConfigureAwait(false))
            {
                byte[] buffer = System.Buffers.ArrayPool<byte>.Shared.Rent((int)Math.Min(BufferBytes, left));
                try
                {
                    while (left > 0)
                    {
                        int read = await content.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, left)), cancellationToken).ConfigureAwait(false);
                        if (read == 0)
                        {
                            throw new StrataException(ErrorKind.Corrupt, $"push: the content ends {left} bytes too early");
                        }
                        await stream.WriteAsync(buffer.AsMemory(0, read), cancellationToken).ConfigureAwait(false);
                        left -= read;
                        _moved(left == 0);
                    }
                }
                finally
                {
                    System.Buffers.ArrayPool<byte>.Shared.Return(buffer);
                }
            }
        }
        _moved(true);
    }
}

/// <summary>A stream that belongs to somebody else.</summary>
internal sealed class Undisposed(Stream inner) : Stream
{
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => inner.ReadAsync(buffer, cancellationToken);
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => inner.ReadAsync(buffer, offset, count, cancellationToken);
    public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, count);
    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
