using System.Globalization;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Rootless;

/// <summary>
/// An ordinary user of this machine, made for a test and removed after it with all that runs for the user, and the real program run as that user. What a
/// desktop has and a test machine may lack is the user's alone: a runtime directory, and a /dev/net/tun that anybody may open, in a mount namespace.
/// </summary>
internal sealed class OrdinaryUser : IDisposable
{
    private const uint RangeLength = 65_536;
    private static int s_count;
    private readonly uint _firstSubordinate;

    /// <param name="subordinates">Whether the user has subordinate ids.</param>
    internal OrdinaryUser(bool subordinates = true)
    {
        int number = Interlocked.Increment(ref s_count);
        Name = string.Create(CultureInfo.InvariantCulture, $"strata-t{Environment.ProcessId}-{number}");
        Folder = Directory.CreateTempSubdirectory("strata-user-").FullName;
        File.SetUnixFileMode(Folder, (UnixFileMode)0b111_101_101);
        _firstSubordinate = 1_000_000_000 + (uint)((Environment.ProcessId % 1000 * 16) + number) * RangeLength;
        SeedStore.Exec("useradd", null, "--create-home", "--home-dir", Path.Combine(Folder, "home"), "--shell", "/bin/sh", "-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0", Name).Ok();
        Uid = uint.Parse(SeedStore.Exec("id", null, "-u", Name).Ok().Out, CultureInfo.InvariantCulture);
        if (subordinates)
        {
            string range = string.Create(CultureInfo.InvariantCulture, $"{_firstSubordinate}-{_firstSubordinate + RangeLength - 1}");
            SeedStore.Exec("usermod", null, "--add-subuids", range, "--add-subgids", range, Name).Ok();
        }
        SeedStore.Exec("install", null, "-d", "-m", "700", "-o", Name, Runtime).Ok();
        SeedStore.Exec("mknod", null, "-m", "666", Tunnel, "c", "10", "200").Ok();
        Program = Reachable();
    }

    internal string Name { get; }

    internal uint Uid { get; }

    internal string Folder { get; }

    /// <summary>Where the user finds strata.</summary>
    internal string Program { get; }

    internal string Home => Path.Combine(Folder, "home");

    internal string Runtime => Path.Combine(Folder, "run");

    private string Tunnel => Path.Combine(Folder, "tun");

    /// <summary>Runs strata as the user.</summary>
    internal Outcome Run(params string[] words) => Exec([Program, .. words]);

    /// <summary>Runs strata as the user, where something else is the case: a shell's lines, run before by root in the mount namespace.</summary>
    internal Outcome RunWhere(string lines, params string[] words) => Exec([Program, .. words], lines);

    /// <summary>Runs a program as the user.</summary>
    internal Outcome Exec(string[] words, string before = ":")
    {
        string script = $"""
            mount --bind {Tunnel} /dev/net/tun && {before} || exit 99
            exec setpriv --reuid {Name} --regid {Name} --init-groups -- env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME={Home} USER={Name} XDG_RUNTIME_DIR={Runtime} LANG=C.UTF-8 "$@"
            """;
        return SeedStore.Exec("unshare", null, ["--mount", "--propagation", "slave", "/bin/sh", "-c", script, "sh", .. words]);
    }

    /// <summary>The processes of the user and of the user's containers, by name.</summary>
    internal (int Id, string Name)[] Processes()
        => [.. Directory.EnumerateDirectories("/proc").Select(d => Path.GetFileName(d)).Where(n => char.IsAsciiDigit(n[0])).Select(n => int.Parse(n, CultureInfo.InvariantCulture)).Where(IsOurs).Select(id => (id, NameOf(id)))];

    /// <summary>Waits until nothing of the user's runs but what holds the namespace: a monitor's exit command may still be at work.</summary>
    internal void ExpectNothingRuns()
    {
        (int Id, string Name)[] left = [];
        for (int attempt = 0; attempt < 100; attempt++)
        {
            left = [.. Processes().Where(p => p.Name != "sleep")];
            if (left.Length == 0)
            {
                return;
            }
            Pause();
        }
        Assert.Fail($"still there: {string.Join(", ", left)}");
    }

    private static void Pause() => Task.Delay(50, CancellationToken.None).GetAwaiter().GetResult();

    /// <summary>Kills those of a name, or all, and waits until they are gone.</summary>
    internal void Kill(params string[] names)
    {
        for (int attempt = 0; attempt < 200; attempt++)
        {
            (int Id, string Name)[] left = [.. Processes().Where(p => names.Length == 0 || names.Contains(p.Name))];
            foreach ((int id, _) in left)
            {
                SeedStore.Exec("kill", null, "-9", id.ToString(CultureInfo.InvariantCulture));
            }
            if (left.Length == 0)
            {
                return;
            }
            Pause();
        }
        Assert.Fail($"processes of {Name} do not die: {string.Join(", ", Processes())}");
    }

    public void Dispose()
    {
        Kill();
        SeedStore.Exec("userdel", null, Name);
        FileSystems.RemoveTree(Folder);
    }

    // The build's folder may be where only root can go.
    private string Reachable()
    {
        if (SeedStore.Exec("setpriv", null, "--reuid", Name, "--regid", Name, "--init-groups", "test", "-x", SeedStore.Binary).Code == 0)
        {
            return SeedStore.Binary;
        }
        SeedStore.Exec("cp", null, "-r", Path.GetDirectoryName(SeedStore.Binary)!, Path.Combine(Folder, "program")).Ok();
        return Path.Combine(Folder, "program", Path.GetFileName(SeedStore.Binary));
    }

    private bool IsOurs(int id)
    {
        try
        {
            string line = File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{id}/status")).First(l => l.StartsWith("Uid:", StringComparison.Ordinal));
            uint user = uint.Parse(line.Split('\t')[1], CultureInfo.InvariantCulture);
            return (user == Uid || (user >= _firstSubordinate && user - _firstSubordinate < RangeLength)) && !File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{id}/stat")).Contains(") Z ", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            return false; // gone meanwhile
        }
    }

    private static string NameOf(int id)
    {
        try
        {
            return File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{id}/comm")).Trim();
        }
        catch (IOException)
        {
            return "";
        }
    }
}
