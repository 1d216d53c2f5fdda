namespace Strata.Layers;

/// <summary>
/// Writes a layer as an uncompressed tar, reproducibly: equal entries in equal order give equal bytes on every machine (ustar, PAX records only
/// where ustar cannot say it; no user or group names, no process id, no clock). Synchronous.
/// </summary>
public sealed class LayerWriter : IDisposable
{
    /// <summary>Starts a layer on <paramref name="tar"/>, which is not disposed.</summary>
    public LayerWriter(Stream tar) => throw new NotImplementedException(tar.ToString());

    /// <summary>Writes an entry; <paramref name="content"/> is read to exactly the size a <see cref="FileEntry"/> states.</summary>
    public void Write(LayerEntry entry, Stream? content = null) => throw new NotImplementedException();

    /// <summary>Writes the end of the archive. Without it the tar is cut.</summary>
    public void Finish() => throw new NotImplementedException();

    /// <summary>Bytes of regular files written: what <c>history</c> calls the size of a layer.</summary>
    public long ContentBytes => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Dispose() => throw new NotImplementedException();
}
