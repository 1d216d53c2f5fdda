using Strata.Linux;

namespace Strata.Build;

/// <summary>An agent that --ssh names: one that is there, or OpenSSH's own, started for the length of a build to hold keys.</summary>
internal sealed class SshAgent : IDisposable
{
    private const int SIGTERM = 15;
    private readonly ChildProcess? _process;
    private readonly string? _folder;

    private SshAgent(string id, string socket, ChildProcess? process, string? folder) => (Id, Socket, _process, _folder) = (id, socket, process, folder);

    internal string Id { get; }
    internal string Socket { get; }

    /// <summary>Reads <c>--ssh default|ID[=SOCKET|KEY[,KEY]]</c> and opens it; a socket is that of SSH_AUTH_SOCK where none is named.</summary>
    /// <exception cref="StrataException">NotFound: no such socket or key. Invalid: a key cannot be used.</exception>
    internal static async ValueTask<SshAgent> OpenAsync(string text, CancellationToken cancellationToken)
    {
        string[] parts = text.Split('=', 2);
        if (parts.Length == 1)
        {
            return Environment.GetEnvironmentVariable("SSH_AUTH_SOCK") is { Length: > 0 } socket && FileSystems.TryGetStatus(socket, follow: true) is { Kind: FileKind.Socket }
                ? new SshAgent(parts[0], socket, null, null)
                : throw new StrataException(ErrorKind.NotFound, $"--ssh {text}: SSH_AUTH_SOCK names no agent's socket") { Hint = "start one: eval $(ssh-agent); ssh-add" };
        }
        string[] paths = parts[1].Split(',');
        foreach (string path in paths)
        {
            switch (FileSystems.TryGetStatus(Path.GetFullPath(path), follow: true))
            {
                case null:
                    throw new StrataException(ErrorKind.NotFound, $"--ssh {text}: {path}: no such file");
                case { Kind: FileKind.Socket } when paths.Length == 1:
                    return new SshAgent(parts[0], Path.GetFullPath(path), null, null);
                case { Kind: not FileKind.Regular }:
                    throw new StrataException(ErrorKind.Invalid, $"--ssh {text}: {path}: neither a key's file nor the only socket");
            }
        }
        return await StartAsync(parts[0], paths, cancellationToken).ConfigureAwait(false);
    }

    public void Dispose()
    {
        if (_process is not null)
        {
            _process.Kill(SIGTERM);
            _process.Wait();
            _process.Dispose();
        }
        if (_folder is not null)
        {
            FileSystems.RemoveTree(_folder);
        }
    }

    private static async ValueTask<SshAgent> StartAsync(string id, string[] keys, CancellationToken cancellationToken)
    {
        string agent = ChildProcess.FindProgram("ssh-agent") ?? throw Missing(), add = ChildProcess.FindProgram("ssh-add") ?? throw Missing();
        string folder = Directory.CreateTempSubdirectory("strata-ssh-").FullName, socket = Path.Combine(folder, "agent");
        var started = new SshAgent(id, socket, ChildProcess.Start(new ChildStart { Program = agent, Arguments = ["-D", "-a", socket] }), folder);
        try
        {
            const int Tries = 200, PauseMilliseconds = 10;
            for (int i = 0; i < Tries && FileSystems.TryGetStatus(socket) is null; i++)
            {
                await Task.Delay(PauseMilliseconds, cancellationToken).ConfigureAwait(false);
            }
            foreach (string key in keys)
            {
                ChildResult result = await ChildProcess.RunAsync(new ChildStart
                {
                    Program = add, Arguments = ["-q", Path.GetFullPath(key)], NewSession = true, Environment = ["SSH_AUTH_SOCK=" + socket, "PATH=/usr/bin:/bin", "HOME=/nonexistent"],
                }, cancellationToken: cancellationToken).ConfigureAwait(false);
                if (result.ExitCode != 0)
                {
                    throw new StrataException(ErrorKind.Invalid, $"--ssh {id}: {key}: {result.ErrorText}") { Hint = "a key with a passphrase has to be in an agent already: ssh-add, then --ssh default" };
                }
            }
            return started;
        }
        catch
        {
            started.Dispose();
            throw;
        }
    }

    private static StrataException Missing() => new(ErrorKind.Unsupported, "--ssh with a key needs ssh-agent, which is not installed") { Hint = "apt-get install openssh-client" };
}

/// <summary>The agents of a build.</summary>
internal sealed class SshAgents : IDisposable
{
    private readonly List<SshAgent> _all = [];

    internal async ValueTask OpenAsync(IEnumerable<string> texts, CancellationToken cancellationToken)
    {
        foreach (string text in texts)
        {
            _all.Add(await SshAgent.OpenAsync(text, cancellationToken).ConfigureAwait(false));
        }
    }

    /// <summary>Sockets by id; of two with one id the last counts.</summary>
    internal System.Collections.Immutable.ImmutableDictionary<string, string> Sockets
    {
        get
        {
            System.Collections.Immutable.ImmutableDictionary<string, string> sockets = System.Collections.Immutable.ImmutableDictionary<string, string>.Empty;
            foreach (SshAgent agent in _all)
            {
                sockets = sockets.SetItem(agent.Id, agent.Socket);
            }
            return sockets;
        }
    }

    public void Dispose() => _all.ForEach(a => a.Dispose());
}
