namespace Strata.Content;

/// <summary>Small records (names, snapshots, containers, cache): replaced whole by rename, so a reader sees the old or the new one.</summary>
public static class AtomicFile
{
    /// <summary>
    /// Writes beside the target, then renames. <paramref name="durable"/>: file and directory (and directories made for it) are synced, so that it
    /// survives a power cut when this returns; false for what may be lost with the machine's run (a container that is removed when it ends).
    /// </summary>
    public static void Write(string path, ReadOnlySpan<byte> content, bool durable = true) => throw new NotImplementedException(path);

    /// <summary>Reads a record, or null where it is not there. At most <paramref name="limit"/> bytes: a longer one throws Corrupt.</summary>
    public static byte[]? TryRead(string path, int limit = 4 << 20) => throw new NotImplementedException(path);
}
