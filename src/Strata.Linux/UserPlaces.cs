using System.Globalization;

namespace Strata.Linux;

/// <summary>Where things are, for root and for an ordinary user, who is the same one inside and outside of the namespace (<see cref="UserNamespace"/>).</summary>
public static class UserPlaces
{
    /// <summary>Where running things of all stores are, for root.</summary>
    public const string RootsRuntimeRoot = "/run/strata";
    private const int OthersBits = 0b000_111_111;
    private static string? s_runtimeRoot;

    /// <summary>Whether this process works for an ordinary user.</summary>
    public static bool IsRootless => Host.EffectiveUserId != 0 || UserNamespace.Current is not null;

    /// <summary>The store that is used where none is named.</summary>
    public static string StoreRoot => !IsRootless ? "/var/lib/strata" : Path.Combine(Folder("XDG_DATA_HOME\0"u8) ?? Path.Combine(Home, ".local/share"), "strata");

    /// <summary>
    /// Where running things are: a directory that is the user's alone and gone after a boot. <c>$XDG_RUNTIME_DIR/strata</c>, where that is not the user's own
    /// <c>/run/user/UID/strata</c>, and without both <c>/tmp/strata-UID</c>, which anybody could have made: it is looked at closely.
    /// </summary>
    /// <exception cref="LinuxException">EPERM: the last one is there, and not the user's alone.</exception>
    public static string RuntimeRoot => s_runtimeRoot ??= !IsRootless ? RootsRuntimeRoot : UserNamespace.Current?.RuntimeRoot ?? Find(Host.EffectiveUserId, Folder("XDG_RUNTIME_DIR\0"u8), "/tmp");

    internal static string Find(uint user, string? named, string temporary)
    {
        string usual = string.Create(CultureInfo.InvariantCulture, $"/run/user/{user}");
        foreach (string? folder in (string?[])[named, usual])
        {
            if (folder is not null && IsOwn(folder, user))
            {
                return Path.Combine(folder, "strata");
            }
        }
        string last = Path.Combine(temporary, string.Create(CultureInfo.InvariantCulture, $"strata-{user}"));
        if (FileSystems.TryGetStatus(last) is not null && !IsOwn(last, user))
        {
            throw new LinuxException("use", last, Errno.EPERM, string.Create(CultureInfo.InvariantCulture, $"it must be a directory of user {user} that nobody else can enter; set XDG_RUNTIME_DIR to one that is"));
        }
        return last;
    }

    // As it is, not where a link leads; entered by nobody else.
    private static bool IsOwn(string path, uint user)
        => FileSystems.TryGetStatus(path) is { Kind: FileKind.Directory } status && status.Uid == user && (status.Mode & OthersBits) == 0;

    private static string Home => Folder("HOME\0"u8) ?? throw new LinuxException("find", "$HOME", Errno.ENOENT, "the store of a user is in the home directory: set HOME, or name a store with --root");

    private static string? Folder(ReadOnlySpan<byte> variable) => Host.GetVariable(variable) is ['/', ..] path ? path : null;
}
