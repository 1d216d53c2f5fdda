using System.Text;
using System.Text.Json;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

[assembly: AssemblyFixture(typeof(SeedStore))]

namespace Strata.IntegrationTests.Seeds;

/// <summary>What a command said and how it ended.</summary>
internal sealed record Outcome(string Command, int Code, string Out, string Err)
{
    /// <summary>The output's lines.</summary>
    internal string[] Lines => Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Asserts that it ended with 0.</summary>
    internal Outcome Ok()
    {
        Assert.True(Code == 0, $"{Command}\nended with {Code}\n{Out}\n{Err}");
        return this;
    }

    /// <summary>Asserts that it ran well and the answer was no (3), or any other code that is an answer.</summary>
    internal Outcome Answers(int code)
    {
        Assert.True(Code == code, $"{Command}\nended with {Code}, not {code}\n{Out}\n{Err}");
        return this;
    }

    /// <summary>Asserts that it failed with this code, with a message and without a stack trace.</summary>
    internal Outcome Fails(int code)
    {
        Assert.True(Code == code, $"{Command}\nended with {Code}, not {code}\n{Out}\n{Err}");
        Assert.NotEmpty(Err);
        Assert.DoesNotContain("   at ", Err, StringComparison.Ordinal);
        return this;
    }
}

/// <summary>
/// The store that the rows of the checklist share, with base images made on this machine: a busybox one (generated) and Debian (mmdebstrap).
/// The commands are the real executable's: STRATA_BIN, or what the build left.
/// </summary>
public sealed class SeedStore : IDisposable
{
    private readonly Lazy<string> _debian;
    private readonly Lazy<string> _busybox;

    public SeedStore()
    {
        Folder = Directory.CreateTempSubdirectory("strata-seeds-").FullName;
        Root = Path.Combine(Folder, "store");
        _debian = new Lazy<string>(MakeDebian);
        _busybox = new Lazy<string>(() => MakeBusybox("box:1", "busybox"));
    }

    /// <summary>A folder for contexts and files.</summary>
    internal string Folder { get; }

    /// <summary>The store.</summary>
    internal string Root { get; }

    /// <summary>The executable.</summary>
    internal static string Binary { get; } = StrataBinary.Path;

    /// <summary>A Debian base, made once: <c>debian:bookworm</c>.</summary>
    internal string Debian => _debian.Value;

    /// <summary>A small base with busybox as every program: <c>box:1</c>.</summary>
    internal string Busybox => _busybox.Value;

    /// <summary>Runs a command on this store.</summary>
    internal Outcome Run(params string[] arguments) => RunIn(Root, null, arguments);

    /// <summary>Runs a command on this store with a text as its input.</summary>
    internal Outcome RunWithInput(string input, params string[] arguments) => RunIn(Root, input, arguments);

    /// <summary>Runs a command on some store.</summary>
    internal static Outcome RunIn(string root, string? input, params string[] arguments) => Exec(Binary, input, ["--root", root, .. arguments]);

    /// <summary>Runs any program.</summary>
    internal static Outcome Exec(string program, string? input, params string[] arguments)
    {
        string folder = Directory.CreateTempSubdirectory("strata-io-").FullName;
        string inputPath = Path.Combine(folder, "in");
        File.WriteAllText(inputPath, input ?? "");
        using FileStream stdin = File.OpenRead(inputPath);
        var start = new ChildStart
        {
            Program = ChildProcess.FindProgram(program) ?? throw new InvalidOperationException($"{program} is not installed"),
            Arguments = arguments,
            Environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"],
            Descriptors = new Dictionary<int, System.Runtime.InteropServices.SafeHandle> { [0] = stdin.SafeFileHandle },
        };
        ChildResult result = ChildProcess.Run(start, 64 << 20);
        Directory.Delete(folder, recursive: true);
        return new Outcome($"{Path.GetFileName(program)} {string.Join(' ', arguments)}", result.ExitCode, Encoding.UTF8.GetString(result.Output), Encoding.UTF8.GetString(result.Error));
    }

    /// <summary>Makes a build context from names and texts; returns its folder.</summary>
    internal string Context(params (string Name, string Content)[] files)
    {
        string folder = Directory.CreateTempSubdirectory("strata-context-").FullName;
        string inside = Path.Combine(Folder, Path.GetFileName(folder));
        Directory.Move(folder, inside);
        foreach ((string name, string content) in files)
        {
            string path = Path.Combine(inside, name);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, content);
        }
        return inside;
    }

    /// <summary>Builds a Dockerfile (text) with a context.</summary>
    internal Outcome Build(string tag, string dockerfile, params (string Name, string Content)[] files)
    {
        string context = Context([.. files, ("Dockerfile", dockerfile)]);
        return Run("build", "-t", tag, context);
    }

    /// <summary>A Go template's answer about an image or container.</summary>
    internal string Inspect(string name, string format) => Run("inspect", "-f", format, name).Ok().Out.TrimEnd('\n');

    /// <summary>The diff IDs of an image, bottom first.</summary>
    internal string[] Layers(string image)
    {
        using JsonDocument layers = JsonDocument.Parse(Inspect(image, "{{json .RootFS.Layers}}"));
        return [.. layers.RootElement.EnumerateArray().Select(l => l.GetString()!)];
    }

    /// <summary>Makes an image whose programs are all busybox; <paramref name="id"/> is what its os-release says.</summary>
    internal string MakeBusybox(string tag, string id, params (string Name, string Content)[] more)
    {
        string tree = Context([("etc/os-release", $"ID={id}\nPRETTY_NAME=\"{id}\"\n"), ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"),
            ("etc/group", "root:x:0:\napp:x:1000:\n"), ("etc/motd", "welcome\n"), .. more]);
        foreach (string directory in new[] { "bin", "dev", "proc", "sys", "root", "home/app", "tmp", "usr/share/doc" })
        {
            Directory.CreateDirectory(Path.Combine(tree, directory));
        }
        File.Copy("/bin/busybox", Path.Combine(tree, "bin/busybox"), overwrite: true);
        foreach (string applet in Exec("/bin/busybox", null, "--list").Ok().Lines.Where(a => a != "busybox"))
        {
            string link = Path.Combine(tree, "bin", applet);
            if (!File.Exists(link))
            {
                File.CreateSymbolicLink(link, "busybox");
            }
        }
        foreach ((string name, _) in more)
        {
            File.SetUnixFileMode(Path.Combine(tree, name), (UnixFileMode)0b111_101_101);
        }
        Run("bootstrap", "--rootfs", tree, "-t", tag).Ok();
        return tag;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (string container in Directory.Exists(Root) ? Run("ps", "-aq").Lines : [])
        {
            Run("rm", "-f", container);
        }
        FileSystems.RemoveTree(Folder);
    }

    private string MakeDebian()
    {
        Run("bootstrap", "debian:bookworm", "--quiet").Ok();
        return "debian:bookworm";
    }
}
