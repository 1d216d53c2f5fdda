using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.Containers.Networks;

/// <summary>
/// Waits for aardvark-dns to have read what netavark has just written: netavark sends it a signal and does not wait, so a program that asks for a name as
/// soon as it starts could be told that there is none. The server gives names only to whoever is in the network, so it is asked from inside.
/// </summary>
internal static class NameServer
{
    private const int Port = 53, Tries = 20, PatienceMilliseconds = 20, HeaderBytes = 12;
    private const int TypeA = 1, TypeAaaa = 28, ClassInternet = 1;

    /// <summary>Waits until each of <paramref name="servers"/> knows <paramref name="name"/>, but not long; false where one of them does not.</summary>
    internal static Task<bool> WaitUntilKnownAsync(SafeFileHandle netNamespace, IReadOnlyList<IPAddress> servers, string name)
        => Task.Factory.StartNew(() => servers.All(s => WaitUntilKnown(netNamespace, s, name)), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private static bool WaitUntilKnown(SafeFileHandle netNamespace, IPAddress server, string name)
    {
        byte[] answer = new byte[512]; // RFC 1035, 4.2.1
        using var socket = new Socket(NetworkNamespace.OpenDatagramSocket(netNamespace, server.AddressFamily)) { ReceiveTimeout = PatienceMilliseconds };
        for (int attempt = 1; attempt <= Tries; attempt++)
        {
            try
            {
                // Not connected: nobody at the port yet is silence, too.
                socket.SendTo(Question((ushort)attempt, name, server.AddressFamily == AddressFamily.InterNetwork ? TypeA : TypeAaaa), new IPEndPoint(server, Port));
                if (IsAnswer(answer.AsSpan(0, socket.Receive(answer)), (ushort)attempt))
                {
                    return true;
                }
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock)
            {
                // asked again
            }
        }
        return false;
    }

    /// <summary>A question for one name (RFC 1035, 4.1): id, "recursion desired", one question.</summary>
    internal static byte[] Question(ushort id, string name, int type)
    {
        var question = new List<byte> { (byte)(id >> 8), (byte)id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
        foreach (string label in name.Split('.'))
        {
            question.Add((byte)label.Length);
            question.AddRange(Encoding.ASCII.GetBytes(label));
        }
        question.AddRange([0, 0, (byte)type, 0, ClassInternet]);
        return [.. question];
    }

    /// <summary>Whether this answers that question with at least one record.</summary>
    internal static bool IsAnswer(ReadOnlySpan<byte> message, ushort id)
        => message.Length > HeaderBytes && ((message[0] << 8) | message[1]) == id && (message[2] & 0x80) != 0 && (message[3] & 0x0f) == 0 && ((message[6] << 8) | message[7]) > 0;
}
