using System.Runtime.InteropServices;
using Strata.Cli.Output;
using Strata.Distribution;
using Strata.Linux;

namespace Strata.Cli;

/// <summary>What every command has: the streams, the engine (opened when first asked for), cancellation by Ctrl-C.</summary>
internal sealed class CommandContext : IDisposable
{
    private CancellationTokenSource? _cancel;
    private PosixSignalRegistration? _interrupt, _terminate;
    private Engine? _engine;
    private RegistryClient? _registries;

    internal CommandContext(GlobalOptions global)
    {
        Global = global;
        Out = new Utf8Writer(StandardStream.OpenOutput(), bufferBytes: 1 << 14);
        Error = new Utf8Writer(StandardStream.OpenError(), bufferBytes: 1 << 10, autoFlush: true);
    }

    internal GlobalOptions Global { get; }
    internal TextWriter Out { get; }
    internal TextWriter Error { get; }
    internal static TimeProvider Time => TimeProvider.System;

    /// <summary>The engine; opening it makes the store where it is missing.</summary>
    internal Engine Engine => _engine ??= Engine.Open(new EngineOptions { Root = Global.Root, Runtime = Global.Runtime, Snapshotter = Global.Snapshotter, Program = ProgramWords(Global), Notify = line => Error.WriteLine("strata: " + line), Registries = Answers is null && !ForeignLayers ? null : WayToRegistries() });

    // Apart, as its caller is every command's: what is only for registries is loaded where one is asked.
    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private RegistryOptions WayToRegistries() => new() { OnWait = TellWait, Answers = Answers, ForeignLayers = ForeignLayers };

    /// <summary>How this program is called with the store, runtime and snapshotter of this call.</summary>
    internal static string[] ProgramWords(GlobalOptions global)
    {
        string[] words = [Environment.ProcessPath ?? "/proc/self/exe", "--root", global.Root, "--runtime", global.Runtime];
        return global.Snapshotter is { } snapshotter ? [.. words, "--snapshotter", snapshotter] : words;
    }

    /// <summary>Told of every answer of a registry; set before the engine is asked for.</summary>
    internal IProgress<RegistryAnswer>? Answers { get; set; }

    /// <summary>Whether layers are fetched from where a manifest says; set before the engine is asked for.</summary>
    internal bool ForeignLayers { get; set; }

    /// <summary>The way to registries, for commands that need no store.</summary>
    internal RegistryClient Registries => _registries ??= new RegistryClient(new RegistryOptions { OnWait = TellWait });

    private void TellWait(RegistryWait wait)
    {
        if (wait.IsLong)
        {
            Error.WriteLine("strata: " + wait);
        }
    }

    /// <summary>Whether the engine was opened: a command whose words were wrong has not done anything.</summary>
    internal bool HasEngine => _engine is not null;

    internal CancellationToken Cancellation
    {
        get
        {
            CancellationTokenSource cancel = _cancel ??= new CancellationTokenSource();
            // Registered at the first use: a listing is over sooner than a signal handler stands.
            _interrupt ??= PosixSignalRegistration.Create(PosixSignal.SIGINT, signal =>
            {
                signal.Cancel = true;
                cancel.Cancel();
            });
            _terminate ??= PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal =>
            {
                signal.Cancel = true;
                cancel.Cancel();
            });
            return cancel.Token;
        }
    }

    /// <summary>Lets Ctrl-C through to a container that gets its signals itself.</summary>
    internal void ReleaseInterrupt()
    {
        _interrupt?.Dispose();
        _terminate?.Dispose();
        (_interrupt, _terminate) = (null, null);
    }

    /// <summary>Whether Ctrl-C was pressed while somebody listened for it.</summary>
    internal bool IsCancelled => _cancel is { IsCancellationRequested: true };

    /// <summary>For commands that are done before they could wait, almost always: the thread the program starts with has nothing else to do.</summary>
    internal static T Await<T>(ValueTask<T> work) => work.AsTask().GetAwaiter().GetResult();

    internal void Flush() => Out.Flush();

    /// <summary>Lines that tell what is going on, where there is a terminal to draw them on and somebody wants them; else null, and nothing of it is made.</summary>
    internal LiveDisplay? StartLive(bool quiet = false) => !quiet && LiveDisplay.IsPossible ? new LiveDisplay(Error, () => Terminal.TryGetSize(2), Time) : null;

    /// <summary>Whether a failure says that whoever read our output has gone: no fault of ours, and there is nobody to tell.</summary>
    internal static bool IsReaderGone(IOException e) => (e is LinuxException { Errno: var errno } ? errno : (Errno)(e.HResult & 0xffff)) is Errno.EPIPE;

    public void Dispose()
    {
        _interrupt?.Dispose();
        _terminate?.Dispose();
        _engine?.Dispose();
        _registries?.Dispose();
        _cancel?.Dispose();
    }
}
