namespace Strata.Linux;

/// <summary>The terminal this process runs in.</summary>
public static unsafe class Terminal
{
    private const int TermiosBytes = 60; // struct termios of glibc: four flag words, line discipline, 32 characters, two speeds
    private const int TCSADRAIN = 1;
    private const nuint TIOCGWINSZ = 0x5413;

    /// <summary>Whether a descriptor (0, 1, 2) is a terminal.</summary>
    public static bool IsTerminal(int descriptor) => Native.isatty(descriptor) == 1;

    /// <summary>Rows and columns (TIOCGWINSZ), or null where there is no terminal.</summary>
    public static (int Rows, int Columns)? TryGetSize(int descriptor)
    {
        ushort* size = stackalloc ushort[4]; // struct winsize: rows, columns, pixels
        return Native.ioctl(descriptor, TIOCGWINSZ, (nint)size) == 0 && size[0] > 0 ? (size[0], size[1]) : null;
    }

    /// <summary>Puts a terminal into raw mode until disposed (also at the end of the process).</summary>
    public static IDisposable EnterRawMode(int descriptor) => Change(descriptor, static settings =>
    {
        fixed (byte* changed = settings)
        {
            Native.cfmakeraw(changed);
        }
    });

    /// <summary>Lets a terminal not show what is typed, until disposed (also at the end of the process): for passwords.</summary>
    public static IDisposable HideInput(int descriptor) => Change(descriptor, static settings =>
    {
        const int LocalFlags = 3 * sizeof(uint) /* behind c_iflag, c_oflag, c_cflag */;
        const byte ECHO = 0x08, ECHONL = 0x40;
        int lowest = BitConverter.IsLittleEndian ? LocalFlags : LocalFlags + sizeof(uint) - 1;
        settings[lowest] = (byte)(settings[lowest] & ~(ECHO | ECHONL));
    });

    private static RawMode Change(int descriptor, Action<byte[]> change)
    {
        byte[] before = new byte[TermiosBytes];
        byte[] after = new byte[TermiosBytes];
        fixed (byte* saved = before)
        fixed (byte* changed = after)
        {
            if (Native.tcgetattr(descriptor, saved) != 0)
            {
                throw Native.Failure("tcgetattr", "(terminal)");
            }
            before.CopyTo(after, 0);
            change(after);
            if (Native.tcsetattr(descriptor, TCSADRAIN, changed) != 0)
            {
                throw Native.Failure("tcsetattr", "(terminal)");
            }
        }
        return new RawMode(descriptor, before);
    }

    private sealed class RawMode : IDisposable
    {
        private readonly int _descriptor;
        private byte[]? _before;

        internal RawMode(int descriptor, byte[] before)
        {
            (_descriptor, _before) = (descriptor, before);
            AppDomain.CurrentDomain.ProcessExit += OnExit;
        }

        public void Dispose()
        {
            AppDomain.CurrentDomain.ProcessExit -= OnExit;
            Restore();
        }

        private void OnExit(object? sender, EventArgs e) => Restore();

        private void Restore()
        {
            if (Interlocked.Exchange(ref _before, null) is { } before)
            {
                fixed (byte* saved = before)
                {
                    _ = Native.tcsetattr(_descriptor, TCSADRAIN, saved); // the terminal may be gone; there is nobody to tell
                }
            }
        }
    }
}
