using System.Text.Json.Nodes;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;

namespace Strata.IntegrationTests.Interop;

/// <summary>
/// Other people's tools on this machine, each with its state in one temporary folder, and a store of ours beside them. What a tool mounts is
/// mounted in a namespace of its own; a tool that is not installed fails the test that needs it (eng/packages.sh installs them).
/// </summary>
public sealed class Peers : IDisposable
{
    private const int StartAttempts = 300; // of 100 ms each: a slow machine's dockerd
    private const string CopyMounted = "mkdir -p \"$1\"; cp -a \"$m\"/. \"$1\"/";
    private readonly Lazy<ChildProcess> _dockerd;
    private int _count;

    public Peers()
    {
        // Small letters only: podman and buildah make a layout's folder into an image's name.
        Folder = Path.Combine(Path.GetTempPath(), "strata-iop-" + Guid.NewGuid().ToString("n")[..12]);
        Directory.CreateDirectory(Folder);
        _dockerd = new Lazy<ChildProcess>(StartDockerd);
        Store = new SeedStore();
    }

    /// <summary>Where everything is.</summary>
    internal string Folder { get; }

    /// <summary>Our store.</summary>
    internal SeedStore Store { get; }

    private string Socket => "unix://" + Path.Combine(Folder, "d/sock");

    /// <summary>A new name in the folder.</summary>
    internal string New(string name) => Path.Combine(Folder, $"{Interlocked.Increment(ref _count)}-{name}");

    internal Outcome Docker(params string[] arguments)
    {
        _ = _dockerd.Value;
        // The builder without BuildKit is the one that Debian's docker.io has.
        return SeedStore.Exec("env", null, ["DOCKER_BUILDKIT=0", "DOCKER_HOST=" + Socket, "docker", .. arguments]);
    }

    /// <summary>A script in a mount namespace of its own; its last argument is the address of the daemon.</summary>
    internal Outcome RunForDocker(string script, params string[] arguments)
    {
        _ = _dockerd.Value;
        return InNamespace(script, [.. arguments, Socket]);
    }

    /// <summary>The same; its last arguments are buildah's own options.</summary>
    internal Outcome RunForBuildah(string script, params string[] arguments) => InNamespace(script, [.. arguments, .. BuildahOptions]);

    internal Outcome Podman(params string[] arguments) => InNamespace("exec \"$@\"", ["podman", .. PodmanOptions, .. arguments]);

    internal Outcome Buildah(params string[] arguments) => InNamespace("exec \"$@\"", ["buildah", .. BuildahOptions, .. arguments]);

    internal static Outcome Skopeo(params string[] arguments) => SeedStore.Exec("skopeo", null, arguments);

    internal static Outcome Umoci(params string[] arguments) => SeedStore.Exec("umoci", null, arguments);

    /// <summary>The files of an image in docker's store: its layers, mounted as docker mounts them.</summary>
    internal SortedDictionary<string, string> DockerFiles(string image)
    {
        JsonNode data = JsonNode.Parse(Docker("image", "inspect", "-f", "{{json .GraphDriver.Data}}", image).Ok().Out)!;
        string upper = data["UpperDir"]!.GetValue<string>(), folder = New("docker-files");
        string[] layers = [upper, .. data["LowerDir"]?.GetValue<string>().Split(':') ?? []];
        string mount = layers.Length == 1 ? "m=\"$2\"" : "m=\"$1.mount\"; mkdir \"$m\"; mount -t overlay overlay -o \"ro,lowerdir=$2\" \"$m\"";
        InNamespace($"{mount}; {CopyMounted}", [folder, string.Join(':', layers)]).Ok();
        return ImageTree.OfDirectory(folder);
    }

    /// <summary>The files of an image in podman's store.</summary>
    internal SortedDictionary<string, string> PodmanFiles(string image)
    {
        string folder = New("podman-files");
        InNamespace($"d=\"$1\" i=\"$2\"; shift 2; m=$(podman \"$@\" image mount \"$i\"); set -- \"$d\" \"$@\"; {CopyMounted}; shift; podman \"$@\" image umount \"$i\"", [folder, image, .. PodmanOptions]).Ok();
        return ImageTree.OfDirectory(folder);
    }

    /// <summary>The files of an image in buildah's store.</summary>
    internal SortedDictionary<string, string> BuildahFiles(string image)
    {
        string folder = New("buildah-files");
        InNamespace($"d=\"$1\" i=\"$2\"; shift 2; c=$(buildah \"$@\" from --pull-never \"$i\"); m=$(buildah \"$@\" mount \"$c\"); set -- \"$d\" \"$@\"; {CopyMounted}; shift; buildah \"$@\" umount \"$c\"; buildah \"$@\" rm \"$c\"", [folder, image, .. BuildahOptions]).Ok();
        return ImageTree.OfDirectory(folder);
    }

    /// <summary>The files of an OCI layout's image, unpacked by umoci.</summary>
    internal SortedDictionary<string, string> UmociFiles(string layout, string tag)
    {
        string bundle = New("umoci-bundle");
        Umoci("unpack", "--image", $"{layout}:{tag}", bundle).Ok();
        return ImageTree.OfDirectory(Path.Combine(bundle, "rootfs"));
    }

    /// <summary>The files of an image in a store of ours.</summary>
    internal SortedDictionary<string, string> StrataFiles(string root, string image)
    {
        string tar = New("strata.tar");
        SeedStore.RunIn(root, null, "export", "-o", tar, image).Ok();
        return ImageTree.OfTar(tar, New("strata-files"));
    }

    /// <summary>The configuration of an image in a store of ours: the blob's bytes.</summary>
    internal static ImageDocument StrataDocument(string root, string image) => ImageDocument.Parse(StrataConfig(root, image));

    /// <summary>The same as bytes.</summary>
    internal static byte[] StrataConfig(string root, string image)
    {
        string hex = SeedStore.RunIn(root, null, "inspect", "-f", "{{.Id}}", image).Ok().Out.Trim()["sha256:".Length..];
        return File.ReadAllBytes(Path.Combine(root, "blobs/sha256", hex[..2], hex));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_dockerd.IsValueCreated)
        {
            _dockerd.Value.Kill(15);
            _dockerd.Value.Wait();
            _dockerd.Value.Dispose();
        }
        Store.Dispose();
        FileSystems.RemoveTree(Folder);
    }

    // overlay, not the machine's storage.conf; nothing of the network is asked.
    private string[] PodmanOptions => ["--root", Path.Combine(Folder, "p"), "--runroot", Path.Combine(Folder, "pr"), "--tmpdir", Path.Combine(Folder, "pt"), "--storage-driver", "overlay", "--events-backend", "none", "--cgroup-manager", "cgroupfs"];

    private string[] BuildahOptions => ["--root", Path.Combine(Folder, "b"), "--runroot", Path.Combine(Folder, "br"), "--storage-driver", "overlay"];

    private static Outcome InNamespace(string script, string[] arguments) => SeedStore.Exec("unshare", null, ["-m", "sh", "-ec", script, "sh", .. arguments]);

    private ChildProcess StartDockerd()
    {
        string log = Path.Combine(Folder, "dockerd.log"), home = Path.Combine(Folder, "d");
        string[] missing = [.. ((string[])["dockerd", "docker", "containerd", "runc"]).Where(p => ChildProcess.FindProgram(p) is null)];
        if (missing.Length > 0)
        {
            throw new InvalidOperationException($"{string.Join(", ", missing)}: not installed (docker.io)");
        }
        ChildProcess process = ChildProcess.Start(new ChildStart
        {
            Program = ChildProcess.FindProgram("unshare")!,
            Arguments = ["-m", "sh", "-c", "log=$1; shift; exec \"$@\" >\"$log\" 2>&1", "sh", log, "dockerd", "--data-root", home + "/data", "--exec-root", home + "/exec", "--pidfile", home + "/pid",
                "-H", Socket, "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver", "overlay2"],
            Environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"],
            NewSession = true,
        });
        for (int i = 0; i < StartAttempts; i++)
        {
            if (SeedStore.Exec("docker", null, "-H", Socket, "version").Code == 0)
            {
                return process;
            }
            Thread.Sleep(100);
        }
        process.Kill(15);
        process.Wait();
        process.Dispose();
        throw new InvalidOperationException($"dockerd did not come up:\n{File.ReadAllText(log)}");
    }
}
