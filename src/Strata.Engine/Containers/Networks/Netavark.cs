using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Containers.Networks;

/// <summary>
/// Drives netavark: bridges, addresses, rules of the kernel's packet filter, and aardvark-dns, which it starts. Its protocol is
/// <c>netavark --file REQUEST setup|teardown NAMESPACE</c> with the same request for both (netavark.1; podman's libnetwork/types has the fields).
/// Callers hold the machine's lock: it has none of its own.
/// </summary>
/// <remarks>
/// A network's namespace goes with the container's last process, and the pair of interfaces with it. What is left is undone in an empty
/// namespace: netavark takes the names and port rules away, complains that the interface is gone, and leaves the bridge. That one complaint is expected.
/// </remarks>
internal sealed class Netavark(string binary = "netavark")
{
    private const string Gone = "failed to delete container veth", NoDevice = "(os error 19)", NoServer = "aardvark pid not found", NoPidFile = "IO error: No such file or directory (os error 2)";
    private string? _program;

    private string Program => _program ??= ChildProcess.FindProgram(binary) ?? throw new ContainerStartException(125, $"{binary}: what makes bridge networks is needed and not installed")
    {
        Hint = "apt-get install netavark aardvark-dns iptables, or do without: --network host or --network none",
    };

    private const string ServerName = "aardvark-dns";
    private const int HangUpSignal = 1;
    private static readonly string[] s_environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"];

    private static string DnsFolder => Path.Combine(NetworkStore.MachineRoot, "dns");

    /// <summary>Makes a container's interfaces, names and rules.</summary>
    /// <exception cref="StrataException">It could not.</exception>
    internal async ValueTask SetUpAsync(string requestFile, SafeFileHandle netNamespace, bool dns, CancellationToken cancellationToken)
    {
        if (dns && ChildProcess.FindProgram(ServerName) is null)
        {
            throw new ContainerStartException(125, "aardvark-dns: what answers for the names of containers is needed and not installed") { Hint = "apt-get install aardvark-dns, or make the network with --disable-dns" };
        }
        CheckServer();
        ChildResult result = await RunAsync("setup", requestFile, netNamespace, cancellationToken).ConfigureAwait(false);
        if (result.ExitCode != 0)
        {
            string said = ErrorOf(result);
            throw new StrataException(ErrorKind.Internal, $"network: netavark: {said}")
            {
                Hint = said.Contains("iptables", StringComparison.OrdinalIgnoreCase) || said.Contains("No such file", StringComparison.Ordinal) ? "apt-get install iptables, or do without: --network host" : "--network host does without it",
            };
        }
    }

    /// <summary>Takes away what <see cref="SetUpAsync"/> made, in the container's own namespace or, where that is gone, in an empty one.</summary>
    /// <exception cref="StrataException">It could not.</exception>
    internal async ValueTask TearDownAsync(string requestFile, SafeFileHandle? netNamespace, CancellationToken cancellationToken)
    {
        bool isServed = CheckServer() is not null;
        using SafeFileHandle? empty = netNamespace is null ? NetworkNamespace.Create() : null;
        ChildResult result = await RunAsync("teardown", requestFile, netNamespace ?? empty!, cancellationToken).ConfigureAwait(false);
        if (result.ExitCode != 0 && ErrorOf(result).Split('\n', StringSplitOptions.TrimEntries).FirstOrDefault(l => IsUnexpected(l) && (isServed || !IsAboutServer(l))) is { } line)
        {
            throw new StrataException(ErrorKind.Internal, $"network: netavark teardown: {line.TrimStart('-', ' ')}");
        }
    }

    // Names are taken out of its files before the server is told: one that was killed has nothing to be told.
    private static bool IsAboutServer(string line) => line.Contains(NoServer, StringComparison.Ordinal) || line.Contains(NoPidFile, StringComparison.Ordinal);

    // netavark sends its signal to whatever has the number in the file: to a zombie, which starts no new server, or to a stranger, whom it ends. So the
    // file has the number of the server that is there, and is gone where there is none; netavark starts a new one then.
    private static int? CheckServer()
    {
        int? server = FindServer();
        if (server is null)
        {
            File.Delete(ServerNumberFile);
        }
        else if (ReadServerNumber() != server)
        {
            AtomicFile.Write(ServerNumberFile, Encoding.ASCII.GetBytes(server.Value.ToString(CultureInfo.InvariantCulture)), durable: false);
        }
        return server;
    }

    private static string ServerNumberFile => Path.Combine(DnsFolder, ServerName, "aardvark.pid");

    private static int? ReadServerNumber()
        => FileSystems.TryRead(ServerNumberFile, 32) is { } bytes && int.TryParse(Encoding.ASCII.GetString(bytes), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;

    // The one with the number; else any with this folder: a server that ends for want of names takes the file away, which may be its successor's by then.
    private static int? FindServer()
    {
        if (ReadServerNumber() is { } number && LiveProcess.TryGetStart(number) is not null && LiveProcess.IsNamed(number, ServerName))
        {
            return number;
        }
        string folder = Path.Combine(DnsFolder, ServerName);
        foreach (string path in Directory.GetDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(path.AsSpan()), NumberStyles.None, CultureInfo.InvariantCulture, out int id) && LiveProcess.IsNamed(id, ServerName)
                && FileSystems.TryRead(Path.Combine(path, "cmdline"), 1 << 16) is { } line && Encoding.UTF8.GetString(line).Split('\0').Contains(folder))
            {
                return id;
            }
        }
        return null;
    }

    /// <summary>Tells the server once more that there are new names, or starts it: the one that netavark told may have been on its way out.</summary>
    internal static async ValueTask WakeServerAsync(CancellationToken cancellationToken)
    {
        if (CheckServer() is { } server)
        {
            LiveProcess.Signal(server, LiveProcess.TryGetStart(server) ?? 0, HangUpSignal);
            return;
        }
        ChildResult started = await ChildProcess.RunAsync(new ChildStart
        {
            Program = ChildProcess.FindProgram(ServerName)!,
            Arguments = ["--config", Path.Combine(DnsFolder, ServerName), "-p", "53", "run"], // returns when it serves
            Environment = s_environment,
            WorkingDirectory = "/",
            NewSession = true,
        }, cancellationToken: cancellationToken).ConfigureAwait(false);
        if (started.ExitCode != 0)
        {
            throw new StrataException(ErrorKind.Internal, $"network: {ServerName}: {started.ErrorText.Trim()}") { Hint = "what answers for the names of containers does not start; --network host does without it" };
        }
    }

    private static bool IsUnexpected(string line)
        => !line.StartsWith("netavark encountered multiple errors", StringComparison.Ordinal) && !(line.Contains(Gone, StringComparison.Ordinal) && line.Contains(NoDevice, StringComparison.Ordinal));

    private ValueTask<ChildResult> RunAsync(string verb, string requestFile, SafeFileHandle netNamespace, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(DnsFolder);
        string path = NetworkNamespace.PathOf(netNamespace);
        return ChildProcess.RunAsync(new ChildStart
        {
            Program = Program,
            Arguments = ["--config", DnsFolder, "--aardvark-binary", ChildProcess.FindProgram(ServerName) ?? "", "--file", requestFile, verb, path],
            Environment = s_environment,
            WorkingDirectory = "/",
        }, cancellationToken: cancellationToken);
    }

    private static string ErrorOf(ChildResult result)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(result.Output);
            return document.RootElement.TryGetProperty("error", out JsonElement error) ? error.GetString() ?? "" : result.OutputText;
        }
        catch (JsonException)
        {
            return result.ErrorText.Length > 0 ? result.ErrorText : string.Create(CultureInfo.InvariantCulture, $"it ended with {result.ExitCode}");
        }
    }

    /// <summary>The request for a container's places in networks. Networks go by the first digits of their ids: names are unique in a store only, and all stores share the rules.</summary>
    /// <param name="root">The store that the container is in; for those who tidy up.</param>
    /// <param name="id">The container's id.</param>
    /// <param name="name">The container's name.</param>
    /// <param name="endpoints">Its places, each with its network.</param>
    /// <param name="ports">Its published ports.</param>
    internal static byte[] Request(string root, string id, string name, IReadOnlyList<(NetworkEndpoint Endpoint, NetworkRecord Network)> endpoints, ImmutableArray<PortMapping> ports)
        => JsonFieldsWriter.Serialize(id, (writer, _) =>
        {
            writer.Field("strata_root", root);
            writer.Field("container_id", id);
            writer.Field("container_name", name);
            writer.Objects("port_mappings", ports, (w, port) =>
            {
                w.Field("host_ip", port.HostAddress);
                w.Field("host_port", port.HostPort);
                w.Field("container_port", port.ContainerPort);
                w.Field("protocol", port.Protocol);
                w.Field("range", port.Count);
            });
            writer.WriteStartObject("networks");
            foreach ((NetworkEndpoint endpoint, NetworkRecord network) in endpoints)
            {
                writer.Object(network.ShortId, endpoint, (w, e) =>
                {
                    w.Field("static_ips", [.. e.Addresses.Select(a => a.Address.ToString())]);
                    w.Field("static_mac", e.MacAddress);
                    w.Field("interface_name", e.Interface);
                    w.Field("aliases", [.. e.Attachment.Aliases, id[..12]]);
                });
            }
            writer.WriteEndObject();
            writer.WriteStartObject("network_info");
            foreach (NetworkRecord network in endpoints.Select(e => e.Network))
            {
                writer.Object(network.ShortId, network, WriteNetwork);
            }
            writer.WriteEndObject();
        });

    private static void WriteNetwork(JsonFieldsWriter writer, NetworkRecord network)
    {
        writer.Field("name", network.ShortId);
        writer.Field("id", network.Id);
        writer.Field("driver", "bridge");
        writer.Field("network_interface", network.Bridge);
        writer.Objects("subnets", network.Subnets, (w, s) =>
        {
            w.Field("subnet", s.Subnet.ToString());
            w.Field("gateway", s.Gateway.ToString());
        });
        writer.Field("ipv6_enabled", network.HasIPv6);
        writer.Field("internal", network.Internal);
        writer.Field("dns_enabled", network.Dns);
        writer.WriteStartObject("ipam_options");
        writer.Field("driver", "host-local");
        writer.WriteEndObject();
        writer.Field("options", network.Options);
    }
}
