namespace Strata.Linux;

/// <summary>The terminal this process runs in.</summary>
public static class Terminal
{
    /// <summary>Whether a descriptor (0, 1, 2) is a terminal.</summary>
    public static bool IsTerminal(int descriptor) => throw new NotImplementedException(descriptor.ToString());

    /// <summary>Rows and columns (TIOCGWINSZ), or null where there is no terminal.</summary>
    public static (int Rows, int Columns)? TryGetSize(int descriptor) => throw new NotImplementedException(descriptor.ToString());

    /// <summary>Puts a terminal into raw mode until disposed (also on the way out of the process by signal where it can be caught).</summary>
    public static IDisposable EnterRawMode(int descriptor) => throw new NotImplementedException(descriptor.ToString());
}
