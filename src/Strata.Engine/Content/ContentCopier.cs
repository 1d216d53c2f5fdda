using Strata.Oci;

namespace Strata.Content;

/// <summary>Pull, push, save, load and mirror are all this.</summary>
public static class ContentCopier
{
    /// <summary>Copies <paramref name="root"/> and all that it points to, children before parents, skipping what is there.</summary>
    public static ValueTask CopyAsync(IContentSource source, IContentSink sink, Descriptor root, CopyOptions? options = null, CancellationToken cancellationToken = default)
        => throw new NotImplementedException();
}

/// <summary>How to copy.</summary>
public sealed record CopyOptions
{
    /// <summary>Copy only this platform of an index; all where null.</summary>
    public Platform? Platform { get; init; }
    /// <summary>How many blobs at once.</summary>
    public int Parallelism { get; init; } = 4;
    /// <summary>Told as bytes move.</summary>
    public IProgress<TransferProgress>? Progress { get; init; }
}

/// <summary>How far a blob has come. <see cref="State"/> says what happens to it.</summary>
public readonly record struct TransferProgress(Descriptor Descriptor, long Bytes, TransferState State);

/// <summary>What happens to a blob.</summary>
public enum TransferState
{
    /// <summary>Bytes are moving.</summary>
    Moving,
    /// <summary>The other side had it.</summary>
    AlreadyThere,
    /// <summary>All moved and verified.</summary>
    Done,
}
