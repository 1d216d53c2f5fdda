using System.Collections.Immutable;
using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.Containers.Networks;

/// <summary>slirp4netns(1), where pasta is not there: a TCP/IP stack of its own behind 10.0.2.0/24. Ports are published by a socket that takes JSON.</summary>
internal static class Slirp
{
    private const int ReadyDescriptor = 3, MaxAnswer = 1 << 16;

    /// <summary>Starts it by <paramref name="start"/>, for the namespace that is at a path then.</summary>
    /// <returns>Its process id.</returns>
    internal static async ValueTask<int> StartAsync(Func<ChildStart, ChildProcess> start, string program, string namespacePath, string socket, ImmutableArray<PortMapping> ports, CancellationToken cancellationToken)
    {
        (SafeFileHandle read, SafeFileHandle write) = Pipes.Create();
        (SafeFileHandle said, SafeFileHandle says) = Pipes.Create();
        using FileStream ready = new(read, FileAccess.Read, bufferSize: 0), error = new(said, FileAccess.Read, bufferSize: 0);
        ChildProcess process;
        using (write)
        using (says)
        {
            process = start(new ChildStart
            {
                Program = program,
                Arguments = ["--configure", "--mtu=65520", "--disable-host-loopback", "--netns-type=path", "--ready-fd=" + ReadyDescriptor.ToString(CultureInfo.InvariantCulture), "--api-socket=" + socket, namespacePath, "tap0"],
                Descriptors = new Dictionary<int, SafeHandle> { [ReadyDescriptor] = write, [2] = says },
                NewSession = true,
                WorkingDirectory = "/",
            });
        }
        using (process)
        {
            try
            {
                if (await ready.ReadAsync(new byte[1], cancellationToken).ConfigureAwait(false) == 0)
                {
                    using var reader = new StreamReader(error);
                    throw UserNetwork.Failed("slirp4netns", await reader.ReadToEndAsync(cancellationToken).ConfigureAwait(false));
                }
                foreach (PortMapping port in ports.SelectMany(p => p.Each()))
                {
                    await PublishAsync(socket, port, cancellationToken).ConfigureAwait(false);
                }
                return process.Id;
            }
            catch
            {
                process.Kill(9);
                process.Wait();
                throw;
            }
        }
    }

    private static async ValueTask PublishAsync(string path, PortMapping port, CancellationToken cancellationToken)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken).ConfigureAwait(false);
        string request = string.Create(CultureInfo.InvariantCulture, $$$"""{"execute":"add_hostfwd","arguments":{"proto":"{{{port.Protocol}}}","host_addr":"{{{(port.HostAddress.Length == 0 ? "0.0.0.0" : port.HostAddress)}}}","host_port":{{{port.HostPort}}},"guest_port":{{{port.ContainerPort}}}}}""");
        await socket.SendAsync(Encoding.ASCII.GetBytes(request), cancellationToken).ConfigureAwait(false);
        socket.Shutdown(SocketShutdown.Send);
        byte[] answer = new byte[MaxAnswer];
        int length = 0;
        while (length < answer.Length && await socket.ReceiveAsync(answer.AsMemory(length), cancellationToken).ConfigureAwait(false) is > 0 and int received)
        {
            length += received;
        }
        using JsonDocument document = JsonDocument.Parse(answer.AsMemory(0, length));
        if (document.RootElement.TryGetProperty("error", out JsonElement error))
        {
            throw UserNetwork.Failed("slirp4netns", $"publish {port}: {error.GetProperty("desc").GetString()}");
        }
    }
}
