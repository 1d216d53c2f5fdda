using Microsoft.Win32.SafeHandles;
using Strata.Layers;
using Strata.Linux;

namespace Strata.Build;

/// <summary>A tar archive in a file, plain or compressed with gzip, zstd, bzip2 or xz (the last two by their Debian programs).</summary>
internal sealed class ArchiveFile : IDisposable
{
    private const int ProbeBytes = 512; // one tar header block
    private readonly Stream _plain;
    private readonly ChildProcess? _decompressor;

    private ArchiveFile(Stream plain, ChildProcess? decompressor)
    {
        (_plain, _decompressor) = (plain, decompressor);
        Reader = new LayerReader(plain) { PassesOverNameless = true };
    }

    /// <summary>Its entries.</summary>
    internal LayerReader Reader { get; }

    /// <summary>Opens an archive; null where the file is something else.</summary>
    internal static ArchiveFile? TryOpen(RootedDirectory root, string path)
    {
        byte[] start = new byte[ProbeBytes];
        using (SafeFileHandle probe = root.OpenFile(path, follow: true))
        {
            int read = RandomAccess.Read(probe, start, 0);
            start = start[..read];
        }
        string? program = start.AsSpan() switch
        {
            [0x42, 0x5A, 0x68, ..] => "bzip2",
            [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00, ..] => "xz",
            _ => null,
        };
        bool compressed = program is not null || Compression.Detect(start) != CompressionKind.None;
        if (!compressed && !LooksLikeTar(start))
        {
            return null;
        }
        if (compressed && !HoldsTar(root, path, program))
        {
            return null;
        }
        return Open(root, path, program);
    }

    public void Dispose()
    {
        Reader.Dispose();
        _plain.Dispose();
        _decompressor?.Dispose();
    }

    private static ArchiveFile Open(RootedDirectory root, string path, string? program)
    {
        (Stream plain, ChildProcess? child) = OpenPlain(root, path, program);
        return new ArchiveFile(plain, child);
    }

    private static (Stream Plain, ChildProcess? Decompressor) OpenPlain(RootedDirectory root, string path, string? program)
    {
        SafeFileHandle file = root.OpenFile(path, follow: true);
        if (program is null)
        {
            return (new FileStream(file, FileAccess.Read, bufferSize: 1 << 16), null);
        }
        using (file)
        {
            string found = ChildProcess.FindProgram(program)
                ?? throw new StrataException(ErrorKind.Unsupported, $"unpacking {path} needs {program}, which is not installed") { Hint = $"apt-get install {(program == "xz" ? "xz-utils" : program)}" };
            (SafeFileHandle read, SafeFileHandle write) = Pipes.Create();
            using (write)
            {
                var start = new ChildStart { Program = found, Arguments = ["-dc"], Descriptors = new Dictionary<int, System.Runtime.InteropServices.SafeHandle> { [0] = file, [1] = write } };
                ChildProcess child = ChildProcess.Start(start);
                return (new FileStream(read, FileAccess.Read, bufferSize: 1 << 16), child);
            }
        }
    }

    private static bool HoldsTar(RootedDirectory root, string path, string? program)
    {
        (Stream plain, ChildProcess? child) = OpenPlain(root, path, program);
        using (child)
        using (plain)
        {
            byte[] block = new byte[ProbeBytes];
            try
            {
                using Stream tar = program is null ? Compression.OpenDecompressor(plain) : plain;
                int read = tar.ReadAtLeast(block, ProbeBytes, throwOnEndOfStream: false);
                return LooksLikeTar(block.AsSpan(0, read));
            }
            catch (InvalidDataException)
            {
                return false; // damaged, or not what its first bytes say: then it is a file like any other
            }
        }
    }

    // The checksum field is the sum of the header's bytes with the field itself as blanks (POSIX ustar); an empty archive starts with zeros.
    private static bool LooksLikeTar(ReadOnlySpan<byte> block)
    {
        const int ChecksumOffset = 148, ChecksumLength = 8;
        if (block.Length < ProbeBytes)
        {
            return false;
        }
        int sum = 0, stated = 0;
        for (int i = 0; i < ProbeBytes; i++)
        {
            sum += i is >= ChecksumOffset and < ChecksumOffset + ChecksumLength ? ' ' : block[i];
        }
        foreach (byte digit in block.Slice(ChecksumOffset, ChecksumLength))
        {
            stated = digit is >= (byte)'0' and <= (byte)'7' ? (stated * 8) + digit - '0' : stated;
        }
        return sum == stated; // a block of zeros has the sum of its blanks and states 0; a first entry may well have no name
    }
}
