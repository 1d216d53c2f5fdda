using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Distribution;

/// <summary>
/// A machine of its own for unmodified clients: a network with one address that is not loopback (there clients check certificates and ask for
/// insecure registries to be named), an /etc of its own, a dockerd and a containerd, and five registries: http and TLS, open and with passwords, and one for clients with a certificate.
/// One image, the seed, is in all of them. All of it ends with the processes: nothing is mounted or configured on this machine.
/// </summary>
public sealed class ClientNetwork : IAsyncLifetime
{
    internal const string Host = "192.168.164.131", User = "alice", Password = "secret";

    // htpasswd -nbB -C 4 alice secret
    private const string Passwords = "alice:$2y$04$GhnpbM13mktp13t9oBMqq.dtsXvjr5evpJd951Qm7aYP2SeJQ.Q2K\n";
    private const int StartAttempts = 300; // of 100 ms each: a slow machine's daemons
    private const string SpaceScript = """
        ip link set lo up
        ip address add $2/24 dev lo
        mkdir $1/etc $1/etc-work
        mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/etc,workdir=$1/etc-work" /etc
        : > $1/up
        exec sleep 3600
        """;

    private readonly List<ChildProcess> _processes = [];
    private int _count;

    /// <summary>The five, by whether they speak TLS and want a name.</summary>
    internal enum Registry
    {
        Open = 5001,
        Login = 5002,
        TlsOpen = 5003,
        TlsLogin = 5004,
        Mutual = 5005, // asks clients for a certificate
    }

    // Small letters only: podman and buildah make a layout's folder into an image's name.
    internal string Folder { get; } = Path.Combine(Path.GetTempPath(), "strata-cln-" + Guid.NewGuid().ToString("n")[..12]);

    /// <summary>The digest of the image that is <c>ADDRESS/seed:1</c> everywhere.</summary>
    internal string SeedDigest { get; private set; } = "";

    private string Space => _processes[0].Id.ToString(CultureInfo.InvariantCulture);

    private string DockerSocket => "unix://" + Path.Combine(Folder, "d/sock");

    internal string ContainerdSocket => Path.Combine(Folder, "c/sock");

    internal string AuthFile => Path.Combine(Folder, "auth.json");

    internal string HostsFolder => Path.Combine(Folder, "hosts");

    private string DockerConfig => Path.Combine(Folder, "docker-config");

    private string StrataConfig => Path.Combine(Folder, "strata.toml");

    internal static Registry Of(bool tls, bool login) => (tls, login) switch
    {
        (false, false) => Registry.Open,
        (false, true) => Registry.Login,
        (true, false) => Registry.TlsOpen,
        _ => Registry.TlsLogin,
    };

    internal static string Address(Registry registry) => $"{Host}:{(int)registry}";

    internal static bool HasTls(Registry registry) => registry is Registry.TlsOpen or Registry.TlsLogin or Registry.Mutual;

    internal static bool HasLogin(Registry registry) => registry is Registry.Login or Registry.TlsLogin;

    /// <summary>What a client needs to trust the registry.</summary>
    internal string CertificateOf(Registry registry)
        => registry == Registry.TlsOpen ? Path.Combine(Folder, "store-TlsOpen/registry/tls.crt") : Path.Combine(Folder, "ca.crt");

    private string ClientCertificate => Path.Combine(Folder, "client.cert");

    private string ClientKey => Path.Combine(Folder, "client.key");

    internal string New(string name) => Path.Combine(Folder, $"{Interlocked.Increment(ref _count)}-{name}");

    /// <summary>Runs a program on that machine.</summary>
    internal Outcome Exec(string? input, string program, params string[] arguments)
        => SeedStore.Exec("timeout", input, ["60", "nsenter", "-t", Space, "-m", "-n", "env", "DOCKER_HOST=" + DockerSocket, "DOCKER_CONFIG=" + DockerConfig, "STRATA_CONFIG=" + StrataConfig, program, .. arguments]);

    internal Outcome Docker(params string[] arguments) => Exec(null, "docker", arguments);

    internal Outcome Podman(params string[] arguments) => Exec(null, "podman", ["--root", Folder + "/p", "--runroot", Folder + "/pr", "--tmpdir", Folder + "/pt", "--storage-driver", "vfs", "--events-backend", "none", "--cgroup-manager", "cgroupfs", .. arguments]);

    internal Outcome Buildah(params string[] arguments) => Exec(null, "buildah", ["--root", Folder + "/b", "--runroot", Folder + "/br", "--storage-driver", "vfs", .. arguments]);

    internal Outcome Skopeo(params string[] arguments) => Exec(null, "skopeo", arguments);

    internal Outcome Ctr(params string[] arguments) => Exec(null, "ctr", ["--address", ContainerdSocket, "--namespace", "test", .. arguments]);

    internal Outcome Strata(string root, params string[] arguments) => Exec(null, SeedStore.Binary, ["--root", root, .. arguments]);

    /// <inheritdoc/>
    public async ValueTask InitializeAsync()
    {
        try
        {
            await StartAsync();
        }
        catch
        {
            await DisposeAsync(); // nobody else does after a failure here
            throw;
        }
    }

    private async Task StartAsync()
    {
        Directory.CreateDirectory(Folder);
        await StartSpaceAsync();
        WriteAuthority();
        await File.WriteAllTextAsync(Path.Combine(Folder, "passwords"), Passwords);
        await File.WriteAllTextAsync(StrataConfig, $"registries.\"{Address(Registry.Open)}\".insecure = true\nregistries.\"{Address(Registry.Login)}\".insecure = true\n");
        string[] passwords = ["--htpasswd", Path.Combine(Folder, "passwords")], certificate = ["--tls-cert", Path.Combine(Folder, "server.crt"), "--tls-key", Path.Combine(Folder, "server.key")];
        Serve(Registry.Open);
        Serve(Registry.Login, [.. passwords, "--plain-http"]);
        Serve(Registry.TlsOpen, "--lan");
        Serve(Registry.TlsLogin, [.. passwords, .. certificate]);
        Serve(Registry.Mutual, [.. certificate, "--tls-client-ca", CertificateOf(Registry.Mutual)]);
        StartDockerd();
        StartContainerd();
        foreach (Registry registry in Enum.GetValues<Registry>())
        {
            await UntilAsync(() => Exec(null, "curl", "-sk", "--cert", ClientCertificate, "--key", ClientKey, "-o", "/dev/null", $"{(HasTls(registry) ? "https" : "http")}://{Address(registry)}/v2/").Code == 0, $"the registry {registry}", $"serve-{registry}.log");
            TrustIn(registry);
        }
        await UntilAsync(() => Docker("version").Code == 0, "dockerd", "dockerd.log");
        await UntilAsync(() => Ctr("version").Code == 0, "containerd", "containerd.log");
        PushSeed();
    }

    private void PushSeed()
    {
        string tree = New("tree"), tar = New("seed.tar"), store = Path.Combine(Folder, "author");
        Directory.CreateDirectory(Path.Combine(tree, "etc"));
        File.WriteAllText(Path.Combine(tree, "etc/greeting"), "hello");
        Exec(null, "tar", "-C", tree, "-cf", tar, "etc").Ok();
        Strata(store, "import", tar, "seed:1").Ok();
        foreach (Registry registry in Enum.GetValues<Registry>())
        {
            if (HasLogin(registry))
            {
                Exec(Password, SeedStore.Binary, "--root", store, "login", "--username", User, "--password-stdin", Address(registry)).Ok();
                Docker("login", "--username", User, "--password", Password, Address(registry)).Ok();
                string verify = $"--tls-verify={(HasTls(registry) ? "true" : "false")}";
                Podman("login", "--authfile", AuthFile, verify, "--username", User, "--password", Password, Address(registry)).Ok();
            }
            string name = Address(registry) + "/seed:1";
            Strata(store, "tag", "seed:1", name).Ok();
            string digest = Strata(store, "push", name).Ok().Lines[^1].Split(' ')[2];
            Assert.True(SeedDigest.Length == 0 || SeedDigest == digest);
            SeedDigest = digest;
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        // The daemons first: what they hold is in the namespace that ends last.
        foreach (ChildProcess process in Enumerable.Reverse(_processes))
        {
            process.Kill(15);
            process.Wait();
            process.Dispose();
        }
        _processes.Clear(); // after a failure of the start this is called twice
        FileSystems.RemoveTree(Folder);
        return ValueTask.CompletedTask;
    }

    private async Task StartSpaceAsync()
    {
        string folder = Folder;
        _processes.Add(ChildProcess.Start(new ChildStart
        {
            Program = ChildProcess.FindProgram("unshare")!,
            Arguments = ["-m", "-n", "sh", "-ec", SpaceScript, "sh", folder, Host],
            NewSession = true,
        }));
        await UntilAsync(() => File.Exists(Path.Combine(folder, "up")), "the network", "");
    }

    private void Serve(Registry registry, params string[] options)
        => StartDaemon($"serve-{registry}", SeedStore.Binary, ["--root", Path.Combine(Folder, $"store-{registry}"), "registry", "serve", "--addr", Address(registry), .. options]);

    private void StartDockerd()
    {
        string home = Path.Combine(Folder, "d");
        StartDaemon("dockerd", "dockerd", ["--data-root", home + "/data", "--exec-root", home + "/exec", "--pidfile", home + "/pid", "-H", DockerSocket, "--iptables=false", "--ip6tables=false", "--bridge=none",
            "--storage-driver", "vfs", "--insecure-registry", Address(Registry.Open), "--insecure-registry", Address(Registry.Login)]);
    }

    private void StartContainerd()
    {
        string home = Path.Combine(Folder, "c"), config = Path.Combine(Folder, "containerd.toml");
        Directory.CreateDirectory(home);
        File.WriteAllText(config, $"""
            version = 2
            root = "{home}/root"
            state = "{home}/state"
            disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
            [grpc]
            address = "{ContainerdSocket}"
            """);
        StartDaemon("containerd", "containerd", ["--config", config]);
    }

    private void StartDaemon(string name, string program, string[] arguments)
        => _processes.Add(ChildProcess.Start(new ChildStart
        {
            Program = ChildProcess.FindProgram("nsenter")!,
            Arguments = ["-t", Space, "-m", "-n", "sh", "-c", "log=$1; shift; exec \"$@\" >\"$log\" 2>&1", "sh", Path.Combine(Folder, name + ".log"),
                ChildProcess.FindProgram(program) ?? throw new InvalidOperationException($"{program} is not installed"), .. arguments],
            Environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"],
            NewSession = true,
        }));

    private async Task UntilAsync(Func<bool> isUp, string what, string log)
    {
        for (int i = 0; !isUp(); i++)
        {
            string path = Path.Combine(Folder, log);
            if (i >= StartAttempts)
            {
                throw new InvalidOperationException($"{what} did not come up\n{(File.Exists(path) ? await File.ReadAllTextAsync(path) : "")}");
            }
            await Task.Delay(100);
        }
    }

    // What each client reads: docker's and podman's folders of certificates, containerd's folder of hosts.
    private void TrustIn(Registry registry)
    {
        string hosts = Path.Combine(HostsFolder, Address(registry)), scheme = HasTls(registry) ? "https" : "http";
        Directory.CreateDirectory(hosts);
        string ca = HasTls(registry) ? $"  ca = \"{CertificateOf(registry)}\"\n" : "", client = registry == Registry.Mutual ? $"  client = [[\"{ClientCertificate}\", \"{ClientKey}\"]]\n" : "";
        File.WriteAllText(Path.Combine(hosts, "hosts.toml"), $"server = \"{scheme}://{Address(registry)}\"\n[host.\"{scheme}://{Address(registry)}\"]\n  capabilities = [\"pull\", \"resolve\", \"push\"]\n{ca}{client}");
        if (HasTls(registry))
        {
            foreach (string folder in (string[])["/etc/docker/certs.d", "/etc/containers/certs.d"])
            {
                Exec(null, "mkdir", "-p", $"{folder}/{Address(registry)}").Ok();
                Exec(null, "cp", CertificateOf(registry), $"{folder}/{Address(registry)}/ca.crt").Ok();
                if (registry == Registry.Mutual)
                {
                    Exec(null, "cp", ClientCertificate, ClientKey, $"{folder}/{Address(registry)}/").Ok();
                }
            }
        }
    }

    // An authority, and a certificate of it for the address.
    private void WriteAuthority()
    {
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        using ECDsa authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256), serverKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var authority = new CertificateRequest("CN=test authority", authorityKey, HashAlgorithmName.SHA256);
        authority.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        using X509Certificate2 root = authority.CreateSelfSigned(now.AddDays(-1), now.AddDays(2));
        var server = new CertificateRequest("CN=registry", serverKey, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Parse(Host));
        server.CertificateExtensions.Add(names.Build());
        using X509Certificate2 leaf = server.Create(root, now.AddDays(-1), now.AddDays(1), Encoding.ASCII.GetBytes("strata01"));
        using ECDsa clientKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 client = new CertificateRequest("CN=client", clientKey, HashAlgorithmName.SHA256).Create(root, now.AddDays(-1), now.AddDays(1), Encoding.ASCII.GetBytes("strata02"));
        File.WriteAllText(ClientCertificate, client.ExportCertificatePem() + "\n");
        File.WriteAllText(ClientKey, clientKey.ExportPkcs8PrivateKeyPem() + "\n");
        File.WriteAllText(Path.Combine(Folder, "ca.crt"), root.ExportCertificatePem() + "\n");
        File.WriteAllText(Path.Combine(Folder, "server.crt"), leaf.ExportCertificatePem() + "\n");
        File.WriteAllText(Path.Combine(Folder, "server.key"), serverKey.ExportPkcs8PrivateKeyPem() + "\n");
    }
}
