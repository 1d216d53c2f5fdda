using System.Collections.Concurrent;
using System.Security.Cryptography;
using Strata.Content;

namespace Strata.Server.Registry;

/// <summary>Blobs being uploaded, by an id nobody can guess. They live in memory and in the store's ingest folder: a restart forgets them, and clients begin anew.</summary>
internal sealed class UploadSessions(ContentStore content, RegistryServerOptions options) : IDisposable
{
    private const int IdBytes = 16;

    private readonly ConcurrentDictionary<string, UploadSession> _sessions = new(StringComparer.Ordinal);

    /// <summary>How many there are.</summary>
    public int Count => _sessions.Count;

    public UploadSession Start(string repository, string? user)
    {
        Sweep();
        if (_sessions.Count >= options.MaxUploads)
        {
            throw new RegistryFault(429, DistributionCodes.TooManyRequests, $"{_sessions.Count} uploads are under way; {options.MaxUploads} are allowed");
        }
        if (user is not null && _sessions.Values.Count(s => s.User == user) >= options.MaxUploadsPerUser)
        {
            throw new RegistryFault(429, DistributionCodes.TooManyRequests, $"you have {options.MaxUploadsPerUser} uploads under way; no more are allowed");
        }
        UploadSession session = new(RandomNumberGenerator.GetHexString(IdBytes * 2, lowercase: true), repository, user, content.CreateWriter()) { Touched = options.Time.GetTimestamp() };
        _sessions[session.Id] = session;
        return session;
    }

    /// <summary>The session, held: nobody else writes to it until the result is disposed.</summary>
    /// <exception cref="RegistryFault">404: there is none, or it is another user's or repository's.</exception>
    public async ValueTask<HeldUpload> HoldAsync(string repository, string id, string? user, CancellationToken cancellationToken)
    {
        if (_sessions.TryGetValue(id, out UploadSession? session) && session.Repository == repository && session.User == user)
        {
            await session.Lock.WaitAsync(cancellationToken).ConfigureAwait(false);
            // It may have been finished while we waited.
            if (_sessions.ContainsKey(id))
            {
                session.Touched = options.Time.GetTimestamp();
                return new HeldUpload(session);
            }
            session.Lock.Release();
        }
        throw new RegistryFault(404, DistributionCodes.BlobUploadUnknown, "no such upload; begin again");
    }

    /// <summary>Ends a session that is held: finished or given up.</summary>
    public async ValueTask RemoveAsync(UploadSession session)
    {
        if (_sessions.TryRemove(session.Id, out _))
        {
            await session.Writer.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Drops those that nobody touched for their life.</summary>
    public void Sweep()
    {
        foreach (UploadSession session in _sessions.Values.Where(s => options.Time.GetElapsedTime(s.Touched) > options.UploadLife))
        {
            // One that is being written to is not idle.
            if (session.Lock.Wait(0))
            {
                if (_sessions.TryRemove(session.Id, out _))
                {
                    session.Writer.Dispose();
                }
                session.Lock.Release();
            }
        }
    }

    public void Dispose()
    {
        foreach (UploadSession session in _sessions.Values)
        {
            session.Writer.Dispose();
        }
        _sessions.Clear();
    }
}

internal sealed class UploadSession(string id, string repository, string? user, BlobWriter writer)
{
    public string Id { get; } = id;
    public string Repository { get; } = repository;
    public string? User { get; } = user;
    public BlobWriter Writer { get; } = writer;
    public SemaphoreSlim Lock { get; } = new(1);
    public long Touched { get; set; }
}

/// <summary>Lets go of a session when disposed.</summary>
internal readonly struct HeldUpload(UploadSession session) : IDisposable
{
    public UploadSession Session { get; } = session;
    public void Dispose() => Session.Lock.Release();
}
