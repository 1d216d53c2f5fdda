using System.Buffers.Binary;
using System.Collections.Immutable;

namespace Strata.Containers;

/// <summary>
/// Compiles the policy to classic BPF for x86-64 and i386, as seccomp(2) takes it. libseccomp needs 20 ms for such a policy, at each start of a
/// container; this needs less than one. Each instruction is 8 bytes: <c>u16 code, u8 jump-if-true, u8 jump-if-false, u32 k</c> (linux/filter.h).
/// Per architecture: a binary search over ranges of numbers with the same rule, so that a call costs 7 or 8 comparisons.
/// </summary>
internal static class SeccompProgram
{
    private const ushort LoadWord = 0x20, JumpEqual = 0x15, JumpGreaterOrEqual = 0x35, JumpSet = 0x45, Jump = 0x05, Return = 0x06; // BPF_LD|W|ABS, BPF_JMP|JEQ|K, …
    private const uint NumberOffset = 0, ArchitectureOffset = 4, FirstArgumentOffset = 16; // struct seccomp_data; the low half comes first
    private const uint AuditArchX64 = 0xC000003E, AuditArchX86 = 0x40000003; // linux/audit.h
    private const uint ReturnAllow = 0x7fff0000, ReturnErrno = 0x00050000, Eperm = 1, Enosys = 38;

    private readonly record struct Instruction(ushort Code, byte True, byte False, uint K);
    private readonly record struct Stretch(uint Start, SyscallRule Rule);

    /// <summary>The program for a container with these capabilities.</summary>
    public static byte[] Compile(IReadOnlyCollection<string> capabilities)
    {
        RuledCall[] rules = SeccompPolicy.For(capabilities);
        List<Instruction> x64 = Search(rules, call => call.X64), x86 = Search(rules, call => call.X86);
        List<Instruction> program =
        [
            new(LoadWord, 0, 0, ArchitectureOffset),
            new(JumpEqual, 0, 1, AuditArchX64),
            new(Jump, 0, 0, 3), // over the next three
            new(JumpEqual, 0, 1, AuditArchX86),
            new(Jump, 0, 0, (uint)x64.Count + 2), // over the next one, the load and the first search
            new(Return, 0, 0, ReturnErrno | Enosys),
            new(LoadWord, 0, 0, NumberOffset),
            .. x64,
            new(LoadWord, 0, 0, NumberOffset),
            .. x86,
        ];
        byte[] bytes = new byte[program.Count * 8];
        for (int i = 0; i < program.Count; i++)
        {
            Span<byte> at = bytes.AsSpan(i * 8, 8);
            BinaryPrimitives.WriteUInt16LittleEndian(at, program[i].Code);
            (at[2], at[3]) = (program[i].True, program[i].False);
            BinaryPrimitives.WriteUInt32LittleEndian(at[4..], program[i].K);
        }
        return bytes;
    }

    private static List<Instruction> Search(RuledCall[] calls, Func<Syscall, int?> numberOf)
    {
        const int End = 1024; // above all numbers of both architectures
        var rules = new SyscallRule[End]; // Unknown where nothing is said
        foreach (RuledCall ruled in calls)
        {
            if (numberOf(ruled.Call) is { } number)
            {
                rules[number] = ruled.Rule;
            }
        }
        var spans = new List<Stretch> { new(0, rules[0]) };
        for (int number = 1; number < End; number++)
        {
            if (rules[number] != rules[number - 1])
            {
                spans.Add(new Stretch((uint)number, rules[number]));
            }
        }
        return Search(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(spans));
    }

    private static List<Instruction> Search(ReadOnlySpan<Stretch> spans)
    {
        if (spans.Length == 1)
        {
            return Leaf(spans[0].Rule);
        }
        int middle = spans.Length / 2;
        List<Instruction> below = Search(spans[..middle]);
        List<Instruction> fromMiddle = Search(spans[middle..]);
        // A conditional jump reaches 255 instructions, an unconditional one any distance.
        List<Instruction> result = below.Count <= byte.MaxValue
            ? [new(JumpGreaterOrEqual, (byte)below.Count, 0, spans[middle].Start)]
            : [new(JumpGreaterOrEqual, 0, 1, spans[middle].Start), new(Jump, 0, 0, (uint)below.Count)];
        result.AddRange(below);
        result.AddRange(fromMiddle);
        return result;
    }

    private static List<Instruction> Leaf(SyscallRule rule) => rule switch
    {
        SyscallRule.Allow => [new(Return, 0, 0, ReturnAllow)],
        SyscallRule.Refuse => [new(Return, 0, 0, ReturnErrno | Eperm)],
        SyscallRule.Unknown or SyscallRule.Hide => [new(Return, 0, 0, ReturnErrno | Enosys)],
        SyscallRule.CloneWithoutNamespaces =>
        [
            new(LoadWord, 0, 0, FirstArgumentOffset), new(JumpSet, 0, 1, SeccompPolicy.NamespaceFlags),
            new(Return, 0, 0, ReturnErrno | Eperm), new(Return, 0, 0, ReturnAllow),
        ],
        SyscallRule.KnownPersonality => OneOf(SeccompPolicy.Personalities, found: ReturnAllow, other: ReturnErrno | Eperm),
        SyscallRule.SocketFamily => OneOf(SeccompPolicy.RefusedFamilies, found: ReturnErrno | Eperm, other: ReturnAllow),
        _ => throw new System.Diagnostics.UnreachableException(rule.ToString()),
    };

    private static List<Instruction> OneOf(ImmutableArray<uint> values, uint found, uint other)
    {
        List<Instruction> program = [new(LoadWord, 0, 0, FirstArgumentOffset)];
        for (int i = 0; i < values.Length; i++)
        {
            program.Add(new Instruction(JumpEqual, (byte)(values.Length - i), 0, values[i]));
        }
        program.Add(new(Return, 0, 0, other));
        program.Add(new(Return, 0, 0, found));
        return program;
    }
}
