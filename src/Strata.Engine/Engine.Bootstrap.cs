using System.Collections.Immutable;
using Microsoft.Win32.SafeHandles;
using Strata.Content;
using Strata.Images;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;

namespace Strata;

public sealed partial class Engine
{
    private const string DebianMirror = "http://deb.debian.org/debian";

    private static readonly string[] s_helperVariables = ["PATH", "HOME", "LANG", "TMPDIR", "http_proxy", "https_proxy", "no_proxy"];

    // What a container gets from its engine, and what only costs: as the official Debian images leave them.
    private const string TidyHook = """
        rm -f "$1/etc/resolv.conf" "$1/etc/hostname"; : >"$1/etc/machine-id"; rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/log/*.log "$1"/var/log/apt "$1"/var/cache/ldconfig/aux-cache
        """;

    /// <summary>Makes a Debian base image from Debian's own packages with mmdebstrap.</summary>
    /// <exception cref="StrataException">Unsupported: mmdebstrap is not installed; Invalid: it failed, with what it said last.</exception>
    public async ValueTask<(Descriptor Manifest, Digest ImageId)> BootstrapAsync(BootstrapOptions options, Action<string>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        string program = ChildProcess.FindProgram("mmdebstrap") ?? throw new StrataException(ErrorKind.Unsupported, "bootstrap: mmdebstrap is not installed") { Hint = "apt-get install mmdebstrap" };
        // A user makes no devices: that mode binds the machine's.
        List<string> arguments = [UserNamespace.Current is null ? "--mode=root" : "--mode=unshare", "--format=tar", $"--variant={options.Variant}", "--components=main", $"--customize-hook={TidyHook.Trim()}"];
        if (options.Include.Length > 0)
        {
            arguments.Add("--include=" + string.Join(',', options.Include));
        }
        string mirror = options.Mirror ?? HostMirror() ?? DebianMirror;
        if (mirror != DebianMirror)
        {
            // The mirror of this machine is its own affair; the image asks Debian's.
            arguments.Add($"--customize-hook=echo 'deb {DebianMirror} {options.Suite} main' >\"$1/etc/apt/sources.list\"");
        }
        arguments.AddRange([options.Suite, "-", mirror]);
        (SafeFileHandle outRead, SafeFileHandle outWrite) = Pipes.Create();
        (SafeFileHandle errRead, SafeFileHandle errWrite) = Pipes.Create();
        using var output = new FileStream(outRead, FileAccess.Read, bufferSize: 1 << 16);
        using var errors = new StreamReader(new FileStream(errRead, FileAccess.Read, bufferSize: 0));
        ChildProcess child;
        using (outWrite)
        using (errWrite)
        {
            child = ChildProcess.Start(new ChildStart
            {
                Program = program, Arguments = arguments, Environment = [.. HelperEnvironment(), $"SOURCE_DATE_EPOCH={options.Created.ToUnixTimeSeconds()}"],
                Descriptors = new Dictionary<int, System.Runtime.InteropServices.SafeHandle> { [1] = outWrite, [2] = errWrite },
            });
        }
        using (child)
        {
            Task<List<string>> said = ReadLinesAsync(errors, progress);
            try
            {
                (Descriptor, Digest) image = await ImportBaseAsync(output, options, async () =>
                {
                    int code = await child.WaitAsync(cancellationToken).ConfigureAwait(false);
                    if (code != 0)
                    {
                        List<string> lines = await said.ConfigureAwait(false);
                        throw new StrataException(ErrorKind.Invalid, $"bootstrap {options.Suite}: mmdebstrap ended with {code}: {lines.LastOrDefault(l => l.StartsWith("E:", StringComparison.Ordinal)) ?? lines.LastOrDefault() ?? "(it said nothing)"}")
                        {
                            Hint = "is the suite's name right, and can the mirror be reached? name another with --mirror",
                        };
                    }
                }, cancellationToken).ConfigureAwait(false);
                return image;
            }
            catch (Exception)
            {
                child.Kill(15);
                await child.WaitAsync(CancellationToken.None).ConfigureAwait(false);
                throw;
            }
        }
    }

    /// <summary>Makes a base image from a root file system: a folder, or a tar.</summary>
    public async ValueTask<(Descriptor Manifest, Digest ImageId)> BootstrapRootAsync(string path, BootstrapOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (!Directory.Exists(path))
        {
            if (!File.Exists(path))
            {
                throw new StrataException(ErrorKind.NotFound, $"bootstrap --rootfs {path}: no such file or directory");
            }
            using FileStream tar = File.OpenRead(path);
            return await ImportBaseAsync(tar, options, () => ValueTask.CompletedTask, cancellationToken).ConfigureAwait(false);
        }
        string temporary = Layout.NewIngestPath("rootfs");
        try
        {
            using (FileStream tar = File.Create(temporary))
            {
                using RootedDirectory root = RootedDirectory.Open(path);
                using var writer = new LayerWriter(tar);
                TreeArchive.Write(root, writer, cancellationToken);
                writer.Finish();
            }
            using FileStream read = File.OpenRead(temporary);
            return await ImportBaseAsync(read, options, () => ValueTask.CompletedTask, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            FileSystems.RemoveTree(temporary);
        }
    }

    private async ValueTask<(Descriptor, Digest)> ImportBaseAsync(Stream tar, BootstrapOptions options, Func<ValueTask> finished, CancellationToken cancellationToken)
    {
        using StoreLease lease = Content.AcquireLease("bootstrap");
        return await ImportImageAsync(tar, new CommitOptions { Reference = options.Reference, Message = options.Message, Changes = options.Changes }, finished, cancellationToken).ConfigureAwait(false);
    }

    private static async Task<List<string>> ReadLinesAsync(StreamReader errors, Action<string>? progress)
    {
        var kept = new List<string>();
        while (await errors.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            progress?.Invoke(line);
            if (kept.Count < 1000)
            {
                kept.Add(line);
            }
        }
        return kept;
    }

    private static IEnumerable<string> HelperEnvironment()
        => s_helperVariables.Select(n => (n, Environment.GetEnvironmentVariable(n))).Where(v => v.Item2 is not null).Select(v => $"{v.n}={v.Item2}");

    // The mirror that this machine's own apt uses for Debian, in either form of its sources.
    private static string? HostMirror()
    {
        string[] files = ["/etc/apt/sources.list", .. Directory.Exists("/etc/apt/sources.list.d") ? Directory.GetFiles("/etc/apt/sources.list.d") : []];
        foreach (string line in files.Where(File.Exists).SelectMany(File.ReadLines).Select(l => l.Trim()))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            string? url = words is ["deb", ..] ? words.FirstOrDefault(w => w.StartsWith("http", StringComparison.Ordinal)) : words is ["URIs:", string first, ..] ? first : null;
            if (url is not null && url.TrimEnd('/').EndsWith("/debian", StringComparison.Ordinal))
            {
                return url.TrimEnd('/');
            }
        }
        return null;
    }
}

/// <summary>How a base image is made.</summary>
public sealed record BootstrapOptions
{
    /// <summary>The image's name.</summary>
    public required ImageReference Reference { get; init; }
    /// <summary>Debian's suite: bookworm, trixie, sid, …</summary>
    public string Suite { get; init; } = "";
    /// <summary>mmdebstrap's variant.</summary>
    public string Variant { get; init; } = "minbase";
    /// <summary>More packages.</summary>
    public ImmutableArray<string> Include { get; init; } = [];
    /// <summary>Where packages come from while it is made; what this machine's apt uses where null.</summary>
    public string? Mirror { get; init; }
    /// <summary>Config changes, as Dockerfile instructions.</summary>
    public ImmutableArray<string> Changes { get; init; } = [];
    /// <summary>The comment in its history.</summary>
    public string? Message { get; init; }
    /// <summary>SOURCE_DATE_EPOCH for the files that are stamped.</summary>
    public DateTimeOffset Created { get; init; }
}
