using System.Globalization;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Containers;

/// <summary>
/// Forty checks of how far a process is closed off, made by the process itself: fifteen by a shell, twenty-five system calls by a program of the
/// test's own making. The same in a container's first process, in a further one, in a build step and after a restart.
/// </summary>
public sealed class HardeningTests(ContainerStoreFixture store) : IClassFixture<ContainerStoreFixture>
{
    private const int Refused = -1, NoSuchCall = -38; // EPERM, ENOSYS

    // Numbers of x86-64. The arguments do no harm where a call goes through.
    private static readonly (string Name, int Number, uint[] Arguments, int Expected)[] s_calls =
    [
        ("io_uring_setup", 425, [], Refused), ("keyctl", 250, [], Refused), ("add_key", 248, [], Refused), ("request_key", 249, [], Refused), ("bpf", 321, [], Refused),
        ("userfaultfd", 323, [], Refused), ("perf_event_open", 298, [], Refused), ("open_by_handle_at", 304, [], Refused), ("kexec_load", 246, [], Refused),
        ("init_module", 175, [], Refused), ("finit_module", 313, [], Refused), ("delete_module", 176, [], Refused), ("mount", 165, [], Refused), ("umount2", 166, [], Refused),
        ("pivot_root", 155, [], Refused), ("setns", 308, [], Refused), ("unshare of users", 272, [0x10000000], Refused), ("socket of AF_ALG", 41, [38, 5, 0], Refused),
        ("socket of AF_VSOCK", 41, [40, 1, 0], Refused), ("swapon", 167, [], Refused), ("reboot", 169, [], Refused), ("settimeofday", 164, [], Refused), ("fsopen", 430, [], Refused),
        ("clone3", 435, [], NoSuchCall), ("a call that nobody knows", 999, [], NoSuchCall),
    ];

    private const string Script = """
        while read key value; do case $key in CapInh:|CapPrm:|CapEff:|CapBnd:|CapAmb:|NoNewPrivs:|Seccomp:) echo "$key $value";; esac; done < /proc/self/status
        echo "masked: $(cat /proc/keys /proc/timer_list /proc/kcore 2>/dev/null | wc -c) $(ls /sys/firmware | wc -l)"
        for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/irq/default_smp_affinity; do (echo 1 > $f) 2>/dev/null && wrote="$wrote $f"; done
        echo "written:$wrote"
        echo "descriptors: $(ls /proc/self/fd | tr '\n' ' ')"
        echo "devices: $(ls /dev | tr '\n' ' ')"
        for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do mkdir $d/x 2>/dev/null && made="$made $d"; done
        echo "cgroups: ${made:-closed}"
        read a b c < /proc/self/uid_map; echo "users: $a $b $c"
        echo "files: $(ulimit -n)"
        echo "environment: $(env | cut -d= -f1 | grep -c -i -E 'OCI|STRATA|DOTNET|XDG|PROXY|SSH|NOTIFY')"
        /probe | od -An -v -t d8 -w8
        """;

    private static Dictionary<string, string> Expected
    {
        get
        {
            const string Capabilities = "00000000800405fb", None = "0000000000000000";
            return new Dictionary<string, string>
            {
                ["CapInh"] = None, ["CapPrm"] = Capabilities, ["CapEff"] = Capabilities, ["CapBnd"] = Capabilities, ["CapAmb"] = None, ["NoNewPrivs"] = "0", ["Seccomp"] = "2",
                ["masked"] = "0 0", ["written"] = "", ["descriptors"] = "0 1 2 3", // 3 is ls's own
                ["devices"] = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero",
                ["cgroups"] = "closed", ["users"] = "0 0 4294967295", ["files"] = Math.Min(1048576, Host.OpenFileLimit.Hard).ToString(CultureInfo.InvariantCulture), ["environment"] = "0",
            };
        }
    }

    // For each call: its number and arguments into registers, the call, its answer behind the last one; then all answers are written out.
    private static byte[] MakeProbe()
    {
        const uint Answers = 0x500000;
        var code = new List<byte>();
        void Load(byte[] opcode, uint value) => code.AddRange([.. opcode, .. BitConverter.GetBytes(value)]);
        byte[][] registers = [[0xBF], [0xBE], [0xBA], [0x41, 0xBA], [0x41, 0xB8], [0x41, 0xB9]]; // mov edi, esi, edx, r10d, r8d, r9d
        void Call(uint number, params uint[] arguments)
        {
            for (int i = 0; i < registers.Length; i++)
            {
                Load(registers[i], i < arguments.Length ? arguments[i] : 0);
            }
            Load([0xB8], number); // mov eax
            code.AddRange([0x0F, 0x05]); // syscall
        }
        for (int i = 0; i < s_calls.Length; i++)
        {
            Call((uint)s_calls[i].Number, s_calls[i].Arguments);
            Load([0x48, 0x89, 0x04, 0x25], Answers + (uint)i * 8); // mov [address], rax
        }
        Call(1, 1, Answers, (uint)s_calls.Length * 8); // write to standard output
        Call(60, 0); // exit
        return Elf([.. code], Answers);
    }

    private static byte[] Elf(byte[] code, uint data)
    {
        const ulong Base = 0x400000, HeaderBytes = 64 + 2 * 56;
        using var file = new MemoryStream();
        using var writer = new BinaryWriter(file);
        writer.Write([0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 62, 0, 1, 0, 0, 0]);
        writer.Write(Base + HeaderBytes); // entry
        writer.Write(64ul);
        writer.Write(0ul);
        writer.Write(0u);
        foreach (ushort field in (ushort[])[64, 56, 2, 0, 0, 0])
        {
            writer.Write(field);
        }
        void Segment(uint flags, ulong address, ulong fileBytes, ulong bytes)
        {
            writer.Write(1u); // PT_LOAD
            writer.Write(flags);
            foreach (ulong field in (ulong[])[0, address, address, fileBytes, bytes, 0x1000])
            {
                writer.Write(field);
            }
        }
        Segment(5, Base, HeaderBytes + (ulong)code.Length, HeaderBytes + (ulong)code.Length); // read, execute
        Segment(6, data, 0, 0x1000); // read, write
        writer.Write(code);
        return file.ToArray();
    }

    private async Task<string> MakeImageAsync()
    {
        string root = Path.Combine(store.Folder, "probe-root");
        if (!Directory.Exists(root))
        {
            Directory.CreateDirectory(root);
            BusyboxRoot.Create(root);
            await File.WriteAllBytesAsync(root + "/probe", MakeProbe(), TestContext.Current.CancellationToken);
            File.SetUnixFileMode(root + "/probe", (UnixFileMode)0b111_101_101);
            await File.WriteAllTextAsync(root + "/probe.sh", Script, TestContext.Current.CancellationToken);
            await store.ImportAsync(root, "probe", "ENV PATH=/bin");
        }
        return "probe";
    }

    private static void AssertForty(string output)
    {
        string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        Dictionary<string, string> said = lines.Where(l => l.Contains(':', StringComparison.Ordinal)).Select(l => l.Split(':', 2)).ToDictionary(l => l[0], l => l[1].Trim());
        string[] answers = [.. lines.Where(l => !l.Contains(':', StringComparison.Ordinal))];
        List<string> wrong = [.. Expected.Where(e => said.GetValueOrDefault(e.Key) != e.Value).Select(e => $"{e.Key} is '{said.GetValueOrDefault(e.Key)}', not '{e.Value}'")];
        wrong.AddRange(s_calls.Select((c, i) => (c, Answer: answers.ElementAtOrDefault(i))).Where(p => p.Answer != p.c.Expected.ToString(CultureInfo.InvariantCulture)).Select(p => $"{p.c.Name} gave {p.Answer}, not {p.c.Expected}"));
        Assert.Equal((40, ""), (Expected.Count + s_calls.Length, string.Join("; ", wrong)));
    }

    [Fact]
    public async Task A_container_passes_forty_checks_and_a_further_process_and_after_a_restart()
    {
        Assert.SkipUnless(System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.X64, "the probe is a program of x86-64");
        string image = await MakeImageAsync();
        var program = new StrataProgram(store);
        AssertForty((await program.OkAsync("run", "--rm", "--network", "none", image, "sh", "/probe.sh")).OutputText);
        await program.OkAsync("run", "-d", "--name", "probed", "--network", "none", image, "sleep", "1000");
        AssertForty((await program.OkAsync("exec", "probed", "sh", "/probe.sh")).OutputText);
        await program.OkAsync("restart", "-t", "0", "probed");
        AssertForty((await program.OkAsync("exec", "-i", "probed", "sh", "/probe.sh")).OutputText);
        await program.OkAsync("rm", "-f", "probed");
        store.AssertNothingLeft();
    }

    [Fact]
    public async Task A_build_step_passes_forty_checks()
    {
        Assert.SkipUnless(System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.X64, "the probe is a program of x86-64");
        string image = await MakeImageAsync();
        var program = new StrataProgram(store);
        string context = Path.Combine(store.Folder, "probe-context");
        Directory.CreateDirectory(context);
        await File.WriteAllTextAsync(Path.Combine(context, "Dockerfile"), $"FROM {image}\nRUN sh /probe.sh > /out\n", TestContext.Current.CancellationToken);
        await program.OkAsync("build", "-q", "-t", "probed-build", context);
        AssertForty((await program.OkAsync("run", "--rm", "--network", "none", "probed-build", "cat", "/out")).OutputText);
    }
}
