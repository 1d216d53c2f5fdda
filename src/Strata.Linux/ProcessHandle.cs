using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>Any process, held by a pidfd: its number may be reused, the handle still means the one that was opened.</summary>
public sealed unsafe class ProcessHandle : IDisposable
{
    private const short POLLIN = 1;
    private readonly SafeFileHandle _handle;

    private ProcessHandle(SafeFileHandle handle, int id) => (_handle, Id) = (handle, id);

    /// <summary>The process id it had when it was opened.</summary>
    public int Id { get; }

    internal SafeFileHandle Handle => _handle;

    /// <summary>Opens a process.</summary>
    /// <exception cref="LinuxException">ESRCH: there is none.</exception>
    public static ProcessHandle Open(int processId)
    {
        int fd = (int)Native.syscall(Native.SYS_pidfd_open, processId, 0, 0, 0, 0, 0);
        return fd >= 0 ? new ProcessHandle(fd.ToHandle(), processId) : throw Native.Failure("pidfd_open", $"(process {processId})");
    }

    /// <summary>Opens a process, or null where there is none.</summary>
    public static ProcessHandle? TryOpen(int processId)
    {
        int fd = (int)Native.syscall(Native.SYS_pidfd_open, processId, 0, 0, 0, 0, 0);
        // EINVAL, and ENOENT since Linux 6.9: the number is that of a thread now, so the process is gone (kernel/pid.c, pidfd_prepare).
        return fd >= 0 ? new ProcessHandle(fd.ToHandle(), processId) : Native.LastErrno is Errno.ESRCH or Errno.EINVAL or Errno.ENOENT ? null : throw Native.Failure("pidfd_open", $"(process {processId})");
    }

    /// <summary>Whether it has ended (perhaps unreaped).</summary>
    public bool HasExited => Poll(0);

    /// <summary>Waits until it ends: the pidfd becomes readable. A waiting thread of its own wakes within microseconds.</summary>
    public Task WaitForExitAsync(CancellationToken cancellationToken = default)
    {
        if (HasExited)
        {
            return Task.CompletedTask;
        }
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        CancellationTokenRegistration cancelled = cancellationToken.Register(() => done.TrySetCanceled(cancellationToken));
        var waiter = new Thread(() =>
        {
            const int WakeMilliseconds = 200; // how soon a cancelled wait lets its thread go
            while (!done.Task.IsCompleted)
            {
                if (Poll(WakeMilliseconds))
                {
                    done.TrySetResult();
                }
            }
            cancelled.Dispose();
        }, maxStackSize: 1 << 16)
        { IsBackground = true };
        bool added = false;
        _handle.DangerousAddRef(ref added);
        done.Task.ContinueWith(_ => _handle.DangerousRelease(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        waiter.Start();
        return done.Task;
    }

    /// <summary>Sends a signal. Gone already is no error.</summary>
    public void Kill(int signal)
    {
        if (Native.syscall(Native.SYS_pidfd_send_signal, _handle.Fd(), signal, 0, 0, 0, 0) != 0 && Native.LastErrno is not Errno.ESRCH)
        {
            throw Native.Failure("pidfd_send_signal", $"(process {Id})");
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    private bool Poll(int milliseconds)
    {
        var request = new Native.PollFd { Fd = _handle.Fd(), Events = POLLIN };
        int ready = Native.poll(&request, 1, milliseconds);
        return ready > 0 || (ready < 0 && Native.LastErrno is not Errno.EINTR ? throw Native.Failure("poll", $"(process {Id})") : false);
    }
}
