using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Strata.Containers.Networks;

/// <summary>
/// The host's ports of a container, held by sockets that nobody answers at: what comes for them is led away by the packet filter before. The
/// container's monitor gets the sockets, so that the ports are taken for everybody else for just as long as it lives. It closes them before it runs
/// what starts its container again.
/// </summary>
internal sealed class PortReservation : IDisposable
{
    private readonly List<Socket> _sockets = [];

    /// <summary>The ports, each with the host's port it got.</summary>
    internal ImmutableArray<PortMapping> Ports { get; private set; } = [];

    /// <summary>What the monitor holds.</summary>
    internal IReadOnlyList<SafeHandle> Handles => [.. _sockets.Select(s => s.SafeHandle)];

    /// <summary>Takes all of them, or none.</summary>
    /// <exception cref="StrataException">Conflict: one is taken; Invalid: an address is not this machine's.</exception>
    internal static PortReservation Take(IEnumerable<PortMapping> wanted)
    {
        var reservation = new PortReservation();
        try
        {
            List<PortMapping> ports = [];
            foreach (PortMapping mapping in wanted)
            {
                reservation.Take(mapping, ports);
            }
            reservation.Ports = [.. ports];
            return reservation;
        }
        catch
        {
            reservation.Dispose();
            throw;
        }
    }

    private void Take(PortMapping mapping, List<PortMapping> ports)
    {
        if (mapping.HostPortEnd > mapping.HostPort)
        {
            for (int port = mapping.HostPort; port <= mapping.HostPortEnd; port++)
            {
                if (TryTake(mapping with { HostPort = port }) is not null)
                {
                    ports.Add(mapping with { HostPort = port, HostPortEnd = 0 });
                    return;
                }
            }
            throw new StrataException(ErrorKind.Conflict, $"publish {mapping.HostPort}-{mapping.HostPortEnd}/{mapping.Protocol}: all of them are taken on this machine") { Hint = Hint(mapping) };
        }
        if (mapping.HostPort != 0)
        {
            foreach (PortMapping one in mapping.Each())
            {
                _ = TryTake(one) ?? throw new StrataException(ErrorKind.Conflict, $"publish {one}: port {one.HostPort}/{one.Protocol} is taken on this machine") { Hint = Hint(one) };
            }
            ports.Add(mapping);
            return;
        }
        foreach (PortMapping one in mapping.Each())
        {
            int port = TryTake(one) ?? throw new StrataException(ErrorKind.Conflict, $"publish {one}: no free port") { Hint = Hint(one) };
            ports.Add(one with { HostPort = port });
        }
    }

    private static string Hint(PortMapping port)
        => $"ss -{(port.Protocol == "udp" ? "u" : "t")}lnp 'sport = :{port.HostPort}' and strata ps say by whom; or publish another one: -p {(port.HostPort < 60000 ? port.HostPort + 1000 : port.HostPort - 1000)}:{port.ContainerPort}";

    // The port, or null where it is taken.
    private int? TryTake(PortMapping port)
    {
        if (port.Protocol == "sctp")
        {
            // The base library knows no such sockets, and two containers with one port are told by the sweep of rules only.
            return port.HostPort != 0 ? port.HostPort : throw new StrataException(ErrorKind.Unsupported, $"publish {port}: sctp ports need a port of the host") { Hint = $"-p {port.ContainerPort}:{port.ContainerPort}/sctp" };
        }
        IPAddress address = port.HostAddress.Length == 0 ? IPAddress.Any : IPAddress.Parse(port.HostAddress);
        var socket = new Socket(address.AddressFamily, port.Protocol == "udp" ? SocketType.Dgram : SocketType.Stream, port.Protocol == "udp" ? ProtocolType.Udp : ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(address, port.HostPort));
            if (port.Protocol == "tcp")
            {
                socket.Listen(1); // a bound socket that does not listen is no obstacle to another with SO_REUSEADDR
            }
            _sockets.Add(socket);
            return ((IPEndPoint)socket.LocalEndPoint!).Port;
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.AddressAlreadyInUse)
        {
            socket.Dispose();
            return null;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new StrataException(ErrorKind.Invalid, $"publish {port}: {e.Message}", e) { Hint = e.SocketErrorCode == SocketError.AddressNotAvailable ? "the address must be one of this machine's: ip address" : null };
        }
    }

    public void Dispose() => _sockets.ForEach(s => s.Dispose());
}
