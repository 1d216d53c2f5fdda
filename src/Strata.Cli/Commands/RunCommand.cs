using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Containers;
using Strata.Containers.Networks;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary><c>strata run</c> and <c>strata create</c>: the same options.</summary>
internal static class RunCommand
{
    internal static Command Create(CommandContext context) => Create(context, "run", runs: true);

    internal static Command CreateOnly(CommandContext context) => Create(context, "create", runs: false);

    private sealed class Set
    {
        internal readonly Argument<string> Image = Options.One("IMAGE", "name or ID");
        internal readonly Argument<string[]> Command = Options.Many("COMMAND", "what to run in place of the image's command", atLeastOne: false);
        internal readonly Option<bool> Remove = Options.Flag("--rm", "remove the container when it ends");
        internal readonly Option<bool> Input = Options.Flag("--interactive", "keep its input open", "-i");
        internal readonly Option<bool> Tty = Options.Flag("--tty", "give it a terminal", "-t");
        internal readonly Option<string?> Name = Options.Value("--name", "NAME", "its name");
        internal readonly Option<string[]> Env = Options.Values("--env", "NAME=VALUE", "environment variable; NAME alone takes ours", "-e");
        internal readonly Option<string[]> EnvFile = Options.Values("--env-file", "FILE", "environment variables, a line each");
        internal readonly Option<string?> Workdir = Options.Value("--workdir", "DIR", "working directory", "-w");
        internal readonly Option<string?> User = Options.Value("--user", "USER[:GROUP]", "who it runs as", "-u");
        internal readonly Option<string[]> Volume = Options.Values("--volume", "SRC:DST[:ro]", "bind a path, or a named volume", "-v");
        internal readonly Option<string[]> Mount = Options.Values("--mount", "type=…,source=…,target=…", "bind a path, a volume or memory, field by field");
        internal readonly Option<string[]> Tmpfs = Options.Values("--tmpfs", "DST", "memory at a path");
        internal readonly Option<string?> Entrypoint = Options.Value("--entrypoint", "PROGRAM", "in place of the image's");
        internal readonly Option<bool> ReadOnly = Options.Flag("--read-only", "its root file system cannot be written to");
        internal readonly NetworkFlags Network = new();
        internal readonly Option<string?> Hostname = Options.Value("--hostname", "NAME", "its host name", "-h");
        internal readonly Option<string[]> Label = Options.Values("--label", "NAME=VALUE", "label", "-l");
        internal readonly Option<string?> StopSignal = Options.Value("--stop-signal", "SIGNAL", "the signal that stop sends");
        internal readonly Option<string[]> CapAdd = Options.Values("--cap-add", "NAME", "more capabilities");
        internal readonly Option<string[]> CapDrop = Options.Values("--cap-drop", "NAME", "fewer capabilities");
        internal readonly Option<string[]> Security = Options.Values("--security-opt", "OPTION", "no-new-privileges, seccomp=FILE, seccomp=unconfined");
        internal readonly Option<bool> Privileged = Options.Flag("--privileged", "all of the host's rights");
        internal readonly Option<string?> Pids = Options.Value("--pids-limit", "N", "most processes (2048; -1: no limit)");
        internal readonly Option<string?> Memory = Options.Value("--memory", "BYTES", "most memory, e.g. 512m", "-m");
        internal readonly Option<string?> CidFile = Options.Value("--cidfile", "FILE", "write the container's ID to a file");
        internal readonly Option<bool> Detach = Options.Flag("--detach", "leave it running, and print its ID", "-d");
        internal readonly Option<bool> SigProxy = Options.FlagOn("--sig-proxy", "pass our signals on (true)");
        internal readonly Option<string?> Platform = Options.Value("--platform", "OS/ARCH", "which of an image's platforms");
        internal readonly RunOptions More = new();
        internal readonly Option<string?> Pull = Options.Value("--pull", "WHEN", "missing (default), always or never");

        internal IEnumerable<Symbol> All => [Image, Command, Remove, Input, Tty, Name, Env, EnvFile, Workdir, User, Volume, Mount, Tmpfs, Entrypoint, ReadOnly, .. Network.All, Hostname, Label, StopSignal, CapAdd, CapDrop, Security,
            Privileged, Pids, Memory, CidFile, Detach, SigProxy, Platform, Pull, .. More.All];
    }

    private static Command Create(CommandContext context, string verb, bool runs)
    {
        var set = new Set();
        var command = new Command(verb);
        foreach (Symbol symbol in set.All)
        {
            command.Add(symbol);
        }
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ContainerOptions options = Read(parsed, set);
            if (options.Isolation.Privileged || options.Isolation is { Seccomp: false })
            {
                context.Error.WriteLine("warning: this container is not closed off from the host as containers are");
            }
            await PullIfAskedAsync(context, options.Image, parsed.GetValue(set.Pull), parsed.GetValue(set.Platform), cancellationToken);
            if (!runs)
            {
                ContainerRecord record = await context.Engine.CreateContainerAsync(options, cancellationToken);
                WriteId(parsed.GetValue(set.CidFile), record.Id);
                context.Out.WriteLine(record.Id);
                return 0;
            }
            if (parsed.GetValue(set.Detach))
            {
                ContainerRecord record = await context.Engine.RunDetachedAsync(options, cancellationToken);
                WriteId(parsed.GetValue(set.CidFile), record.Id);
                context.Out.WriteLine(record.Id);
                return 0;
            }
            var how = new Foreground(options.Input, options.Terminal) { DetachKeys = options is { Terminal: true, Input: true } ? set.More.Keys(parsed) : null, PassSignals = parsed.GetValue(set.SigProxy) };
            return await ForegroundAsync(context, how, (streams, started) => context.Engine.RunContainerAsync(options, streams, session =>
            {
                WriteId(parsed.GetValue(set.CidFile), session.Record.Id);
                started(session);
            }, cancellationToken));
        });
        return command;
    }

    /// <summary>Passes streams, signals and the terminal's size to a process in a container for as long as it runs.</summary>
    internal static async Task<int> ForegroundAsync(CommandContext context, Foreground how, Func<ContainerStreams, Action<ContainerSession>, ValueTask<int>> run)
    {
        if (how is { Terminal: true, Input: true } && !Terminal.IsTerminal(0))
        {
            throw new StrataException(ErrorKind.Invalid, "the input device is not a terminal") { Hint = "leave out -t where the input is a file or a pipe" };
        }
        context.Flush();
        using Stream output = StandardStream.OpenOutput(), error = StandardStream.OpenError();
        // The file itself: Console's stream would read lines from a terminal, and put it into a mode of its own for that.
        using Stream? stdin = how.Input ? new FileStream(new SafeFileHandle(0, ownsHandle: false), FileAccess.Read, bufferSize: 0) : null;
        bool keyboard = how.Terminal && Terminal.IsTerminal(0);
        using IDisposable? raw = keyboard && how.Input ? Terminal.EnterRawMode(0) : null;
        context.ReleaseInterrupt();
        // Before there is a container: a signal that comes while it starts is kept for it, so that none ends us and leaves the container alone.
        using SignalForwarder? signals = how.PassSignals ? new SignalForwarder(how.Terminal) : null;
        var streams = new ContainerStreams(stdin, output, error)
        {
            TerminalSize = how.Terminal ? Terminal.TryGetSize(1) ?? Terminal.TryGetSize(0) : null,
            DetachKeys = keyboard && how.Input ? how.DetachKeys : null,
        };
        return await run(streams, session => signals?.Begin(session));
    }

    /// <summary>Passes our signals to a container. With a terminal, keys reach it as bytes; without, what is sent to us is meant for it.</summary>
    private sealed class SignalForwarder : IDisposable
    {
        private static readonly (PosixSignal Signal, int Number)[] s_forwarded =
            [(PosixSignal.SIGINT, 2), (PosixSignal.SIGTERM, 15), (PosixSignal.SIGHUP, 1), (PosixSignal.SIGQUIT, 3), ((PosixSignal)10, 10), ((PosixSignal)12, 12)]; // SIGUSR1, SIGUSR2

        private readonly List<PosixSignalRegistration> _registrations = [];
        private readonly Lock _lock = new();
        private readonly Queue<int> _early = new();
        private ContainerSession? _session;

        internal SignalForwarder(bool terminal)
        {
            foreach ((PosixSignal signal, int number) in s_forwarded)
            {
                _registrations.Add(PosixSignalRegistration.Create(signal, received =>
                {
                    received.Cancel = true;
                    Send(number);
                }));
            }
            if (terminal)
            {
                _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => Resize()));
            }
        }

        /// <summary>The container runs: what was kept goes to it.</summary>
        internal void Begin(ContainerSession session)
        {
            lock (_lock)
            {
                _session = session;
                while (_early.TryDequeue(out int number))
                {
                    session.Signal(number);
                }
            }
        }

        private void Send(int number)
        {
            lock (_lock)
            {
                if (_session is null)
                {
                    _early.Enqueue(number);
                    return;
                }
                _session.Signal(number);
            }
        }

        private void Resize()
        {
            lock (_lock)
            {
                if (Terminal.TryGetSize(1) is (int rows, int columns))
                {
                    _session?.Resize(rows, columns);
                }
            }
        }

        public void Dispose() => _registrations.ForEach(r => r.Dispose());
    }

    private static ContainerOptions Read(ParseResult parsed, Set set)
    {
        string? entrypoint = parsed.GetValue(set.Entrypoint);
        (NetworkMode network, NetworkOptions networking) = set.Network.Read(parsed);
        return set.More.Apply(parsed, new ContainerOptions
        {
            Image = parsed.GetValue(set.Image),
            Command = [.. parsed.GetValue(set.Command)],
            Entrypoint = entrypoint is null ? null : entrypoint.Length == 0 ? [] : [entrypoint],
            Name = parsed.GetValue(set.Name),
            Environment = [.. parsed.GetValue(set.EnvFile).SelectMany(ReadEnvFile), .. parsed.GetValue(set.Env).Select(Variable).OfType<string>()],
            WorkingDirectory = parsed.GetValue(set.Workdir),
            User = parsed.GetValue(set.User),
            Hostname = parsed.GetValue(set.Hostname),
            Volumes = [.. parsed.GetValue(set.Volume)],
            Mounts = [.. parsed.GetValue(set.Mount)],
            Tmpfs = [.. parsed.GetValue(set.Tmpfs)],
            Labels = parsed.GetValue(set.Label) is { Length: > 0 } labels ? ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, Options.Pairs(labels)) : ImmutableSortedDictionary<string, string>.Empty,
            StopSignal = parsed.GetValue(set.StopSignal),
            Input = parsed.GetValue(set.Input),
            Terminal = parsed.GetValue(set.Tty),
            Remove = parsed.GetValue(set.Remove),
            Isolation = ReadIsolation(parsed, set) with { Network = network },
            Networking = networking,
        });
    }

    private static IsolationOptions ReadIsolation(ParseResult parsed, Set set)
    {
        string[] security = parsed.GetValue(set.Security);
        (bool noNewPrivileges, bool seccomp, string? profile) = security.Length == 0 ? (false, true, null) : ReadSecurity(security);
        return new IsolationOptions
        {
            SeccompProfile = profile,
            Capabilities = Capabilities.Resolve(parsed.GetValue(set.CapAdd), parsed.GetValue(set.CapDrop)),
            NoNewPrivileges = noNewPrivileges,
            Seccomp = seccomp,
            Privileged = parsed.GetValue(set.Privileged),
            ReadOnlyRoot = parsed.GetValue(set.ReadOnly),
            PidsLimit = parsed.GetValue(set.Pids) is not { } pids ? new IsolationOptions().PidsLimit : long.TryParse(pids, out long n) ? n <= 0 ? null : n : throw new StrataException(ErrorKind.Invalid, $"--pids-limit {pids}: not a number"),
            MemoryLimit = parsed.GetValue(set.Memory) is { } memory ? ParseBytes(memory, "--memory") : null,
        };
    }

    // Docker takes = and : behind a name.
    private static (bool NoNewPrivileges, bool Seccomp, string? Profile) ReadSecurity(string[] options)
    {
        bool noNewPrivileges = false, seccomp = true;
        string? profile = null;
        foreach (string option in options)
        {
            int sign = option.IndexOfAny(['=', ':']);
            (string name, string? value) = sign < 0 ? (option, null) : (option[..sign], option[(sign + 1)..]);
            switch (name, value)
            {
                case ("no-new-privileges", null or "true" or "false"):
                    noNewPrivileges = value != "false";
                    break;
                case ("seccomp", "unconfined"):
                    seccomp = false;
                    break;
                case ("seccomp", { Length: > 0 }) when value != "builtin":
                    profile = File.Exists(value) ? File.ReadAllText(value) : throw new StrataException(ErrorKind.NotFound, $"--security-opt {option}: no such file");
                    break;
                case ("seccomp", "builtin") or ("apparmor", "unconfined") or ("label", "disable") or ("systempaths", "") or ("label", { }):
                    break; // what there is already: no label and no AppArmor profile is ever put on a container here
                case ("apparmor", { }):
                    throw new StrataException(ErrorKind.Unsupported, $"--security-opt {option}: containers here run without AppArmor profiles; capabilities, the system call filter and hidden paths close them off") { Hint = "leave it out, or say apparmor=unconfined" };
                default:
                    throw new StrataException(ErrorKind.Unsupported, $"--security-opt {option}: there are no-new-privileges, seccomp=FILE, seccomp=unconfined, apparmor=unconfined and label=…");
            }
        }
        return (noNewPrivileges, seccomp, profile);
    }

    internal static long ParseBytes(string text, string option)
    {
        long scale = char.ToLowerInvariant(text.Length == 0 ? ' ' : text[^1]) switch { 'k' => 1L << 10, 'm' => 1L << 20, 'g' => 1L << 30, 't' => 1L << 40, _ => 1 };
        return long.TryParse(scale == 1 ? text : text[..^1], out long number) && number > 0 ? number * scale : throw new StrataException(ErrorKind.Invalid, $"{option} {text}: write it like 512m or 2g");
    }

    internal static string? Variable(string text) => text.Contains('=', StringComparison.Ordinal) ? text : Environment.GetEnvironmentVariable(text) is { } value ? $"{text}={value}" : null;

    internal static IEnumerable<string> ReadEnvFile(string path)
        => (File.Exists(path) ? File.ReadLines(path) : throw new StrataException(ErrorKind.NotFound, $"--env-file {path}: no such file"))
            .Select(l => l.TrimStart()).Where(l => l.Length > 0 && !l.StartsWith('#')).Select(Variable).OfType<string>();

    private static void WriteId(string? path, string id)
    {
        if (path is not null)
        {
            File.WriteAllText(path, id);
        }
    }

    // Names that are not here are pulled, as people are used to; what cannot be pulled says both.
    private static async Task PullIfAskedAsync(CommandContext context, string image, string? when, string? platform, CancellationToken cancellationToken)
    {
        if (when is not (null or "missing" or "always" or "never"))
        {
            throw new StrataException(ErrorKind.Invalid, $"--pull {when}: there are missing, always and never");
        }
        try
        {
            if (when != "always")
            {
                if (platform is not null)
                {
                    await CheckPlatformAsync(context, image, platform, cancellationToken);
                    return;
                }
                // One look where it is a name that is here, which is nearly always so; the run itself reads the image.
                if (!ImageReference.TryParse(image, out ImageReference? reference) || context.Engine.Images.TryRead(reference) is null)
                {
                    await context.Engine.ResolveImageAsync(image, cancellationToken);
                }
                return;
            }
        }
        catch (StrataException e) when (e.Kind == ErrorKind.NotFound && when != "never")
        {
            context.Error.WriteLine($"Unable to find image '{SafeText.Escape(image)}' locally");
            try
            {
                await PullAsync(context, image, platform, cancellationToken);
                return;
            }
            catch (Exception pull) when (pull is StrataException or HttpRequestException or IOException)
            {
                throw new StrataException(ErrorKind.NotFound, $"{e.Message}, and it cannot be pulled: {pull.Message}", pull) { Hint = e.Hint };
            }
        }
        await PullAsync(context, image, platform, cancellationToken);
    }

    private static async Task PullAsync(CommandContext context, string image, string? platform, CancellationToken cancellationToken)
        => await context.Engine.PullAsync(ImageReference.Parse(image), platform is null ? null : new PullOptions { Platform = Oci.Platform.Parse(platform) }, cancellationToken);

    private static async Task CheckPlatformAsync(CommandContext context, string image, string platform, CancellationToken cancellationToken)
    {
        Platform wanted = Oci.Platform.Parse(platform), found = (await context.Engine.ResolveImageAsync(image, cancellationToken)).Config.Platform;
        if (found.Os != wanted.Os || found.Architecture != wanted.Architecture || (wanted.Variant is not null && found.Variant != wanted.Variant))
        {
            throw new StrataException(ErrorKind.NotFound, $"{image}: what is here is for {found}, not for {platform}");
        }
    }
}
