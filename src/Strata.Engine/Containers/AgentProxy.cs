using System.Net.Sockets;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>
/// A socket for one step that leads to an SSH agent: the step's user need not be one whom the agent's own socket lets in, and the socket ends with
/// the step.
/// </summary>
internal sealed class AgentProxy : IAsyncDisposable
{
    private readonly Socket _listener;
    private readonly CancellationTokenSource _end = new();
    private readonly Task _serving;

    private AgentProxy(Socket listener, string socket)
    {
        _listener = listener;
        _serving = ServeAsync(socket, _end.Token);
    }

    /// <summary>Listens at a path.</summary>
    internal static AgentProxy Start(StepAgent agent, string path)
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            listener.Bind(new UnixDomainSocketEndPoint(path));
            using (RootedDirectory folder = RootedDirectory.Open(Path.GetDirectoryName(path)!))
            {
                folder.SetOwner(Path.GetFileName(path), agent.Uid, agent.Gid);
                folder.SetMode(Path.GetFileName(path), agent.Mode);
            }
            listener.Listen();
            return new AgentProxy(listener, agent.Socket);
        }
        catch
        {
            listener.Dispose();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync().ConfigureAwait(false);
        await _serving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _listener.Dispose();
        _end.Dispose();
    }

    private async Task ServeAsync(string socket, CancellationToken cancellationToken)
    {
        var open = new List<Task>();
        try
        {
            while (true)
            {
                Socket client = await _listener.AcceptAsync(cancellationToken).ConfigureAwait(false);
                open.RemoveAll(t => t.IsCompleted);
                open.Add(PassAsync(client, socket, cancellationToken));
            }
        }
        finally
        {
            await ((Task)Task.WhenAll(open)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private static async Task PassAsync(Socket client, string socket, CancellationToken cancellationToken)
    {
        using var step = new NetworkStream(client, ownsSocket: true);
        using var agent = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await agent.ConnectAsync(new UnixDomainSocketEndPoint(socket), cancellationToken).ConfigureAwait(false);
        using var stream = new NetworkStream(agent, ownsSocket: false);
        // Either side's end is the end of both: an agent's talk is question and answer.
        await Task.WhenAny(step.CopyToAsync(stream, cancellationToken), stream.CopyToAsync(step, cancellationToken)).ConfigureAwait(false);
    }
}
