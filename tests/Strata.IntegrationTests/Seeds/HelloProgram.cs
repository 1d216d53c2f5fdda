using System.Text;

namespace Strata.IntegrationTests.Seeds;

/// <summary>A static x86-64 ELF program that prints a text and ends: the hello-world of the articles, without a compiler.</summary>
internal static class HelloProgram
{
    internal static byte[] Make(string greeting)
    {
        byte[] text = Encoding.UTF8.GetBytes(greeting);
        byte[] code =
        [
            0xBF, 1, 0, 0, 0,                                // mov edi, 1 (standard output)
            0xB8, 1, 0, 0, 0,                                // mov eax, 1 (write)
            0x48, 0x8D, 0x35, 16, 0, 0, 0,                   // lea rsi, [rip + 16]: the text behind the code
            0xBA, .. BitConverter.GetBytes(text.Length),     // mov edx, length
            0x0F, 0x05,                                      // syscall
            0x31, 0xFF,                                      // xor edi, edi
            0xB8, 60, 0, 0, 0,                               // mov eax, 60 (exit)
            0x0F, 0x05,                                      // syscall
        ];
        const ulong Base = 0x400000;
        const int HeaderBytes = 64 /* ELF header */ + 56 /* one program header */;
        ulong size = (ulong)(HeaderBytes + code.Length + text.Length);
        using var file = new MemoryStream();
        using var writer = new BinaryWriter(file);
        writer.Write([0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        writer.Write((ushort)2);  // executable
        writer.Write((ushort)62); // x86-64
        writer.Write(1u);
        writer.Write(Base + HeaderBytes); // entry
        writer.Write(64ul); // program headers follow
        writer.Write(0ul);
        writer.Write(0u);
        writer.Write((ushort)64);
        writer.Write((ushort)56);
        writer.Write((ushort)1);
        writer.Write((ushort)0);
        writer.Write((ushort)0);
        writer.Write((ushort)0);
        writer.Write(1u); // PT_LOAD
        writer.Write(5u); // read, execute
        writer.Write(0ul);
        writer.Write(Base);
        writer.Write(Base);
        writer.Write(size);
        writer.Write(size);
        writer.Write(0x1000ul);
        writer.Write(code);
        writer.Write(text);
        return file.ToArray();
    }
}
