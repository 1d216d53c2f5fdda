using System.Buffers.Binary;
using System.Text;

namespace Strata.Supply;

/// <summary>What a program needs to be started: the loader that an ELF file names (elf(5), PT_INTERP), or what a script's first line names.</summary>
internal static class InterpreterOf
{
    /// <summary>How much of a file's beginning is looked at: headers of programs stand there.</summary>
    internal const int HeadBytes = 4096;

    private const int ProgramInterpreter = 3; // PT_INTERP
    private const int MaxPath = 4096; // PATH_MAX

    /// <summary>The absolute path of the interpreter; null for what has none: static programs, data.</summary>
    internal static string? Read(ReadOnlySpan<byte> head)
    {
        if (head.StartsWith("#!"u8))
        {
            int end = head.IndexOf((byte)'\n');
            string[] words = Encoding.UTF8.GetString(end < 0 ? head[2..] : head[2..end]).Split([' ', '\t', '\r'], StringSplitOptions.RemoveEmptyEntries);
            return words.Length > 0 && words[0].StartsWith('/') ? words[0] : null;
        }
        return head.StartsWith("\u007FELF"u8) && head.Length > 64 ? ReadElf(head) : null;
    }

    private static string? ReadElf(ReadOnlySpan<byte> head)
    {
        bool is64 = head[4] == 2, isLittle = head[5] == 1;
        if (!isLittle)
        {
            return null; // s390x: its images are not looked at on other machines
        }
        long table = is64 ? BinaryPrimitives.ReadInt64LittleEndian(head[32..]) : BinaryPrimitives.ReadUInt32LittleEndian(head[28..]);
        int entryBytes = BinaryPrimitives.ReadUInt16LittleEndian(head[(is64 ? 54 : 42)..]), count = BinaryPrimitives.ReadUInt16LittleEndian(head[(is64 ? 56 : 44)..]);
        for (int i = 0; i < count && entryBytes >= 32; i++)
        {
            long at = table + ((long)i * entryBytes);
            if (at < 0 || at + entryBytes > head.Length)
            {
                return null;
            }
            ReadOnlySpan<byte> entry = head.Slice((int)at, entryBytes);
            if (BinaryPrimitives.ReadInt32LittleEndian(entry) == ProgramInterpreter && (!is64 || entryBytes >= 56))
            {
                long offset = is64 ? BinaryPrimitives.ReadInt64LittleEndian(entry[8..]) : BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]);
                long size = is64 ? BinaryPrimitives.ReadInt64LittleEndian(entry[32..]) : BinaryPrimitives.ReadUInt32LittleEndian(entry[16..]);
                return offset < 0 || size is <= 1 or > MaxPath || offset > head.Length - size ? null : Encoding.UTF8.GetString(head.Slice((int)offset, (int)size)).TrimEnd('\0');
            }
        }
        return null;
    }
}
