using System.Globalization;
using Strata.Containers;
using Strata.Linux;

namespace Strata.Rootless;

/// <summary>
/// An ordinary user's way into the namespace where the user is root over subordinate ids (docs/rootless.md). A .NET process has threads and so can neither
/// make nor join a user namespace itself: it becomes nsenter(1), which joins and becomes this program again. All commands of a user are in one namespace, or
/// they could not reach each other's containers.
/// </summary>
public static class UserNamespaceEntry
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    /// <summary>Starts this program again, with the same words, as root of the user's namespace. Does not return.</summary>
    /// <param name="program">This program's path.</param>
    /// <param name="arguments">Its words.</param>
    /// <param name="notify">Gets lines that a user should see and that are no failure.</param>
    /// <exception cref="StrataException">Unsupported: the namespace cannot be made; the message says what is missing.</exception>
    public static void Enter(string program, IReadOnlyList<string> arguments, Action<string> notify)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        ArgumentNullException.ThrowIfNull(notify);
        string root = UserPlaces.RuntimeRoot;
        Directory.CreateDirectory(root, Private);
        string nsenter = Find("nsenter", "util-linux");
        NamespaceHolder holder = Hold(root, notify);
        UserNamespace wanted = new(Host.EffectiveUserId, Host.EffectiveGroupId, root, [], []);
        List<string> environment = [.. OwnEnvironment().Where(e => !e.StartsWith(UserNamespace.Variable + "=", StringComparison.Ordinal)), $"{UserNamespace.Variable}={wanted.Value}"];
        // Credentials stay: the user's own id is root inside, and the groups that give access to files go along.
        Host.Become(nsenter, ["--preserve-credentials", "--user=" + NamespaceHolder.PathOf(holder.ProcessId), "--", program, .. arguments], environment);
    }

    private static NamespaceHolder Hold(string root, Action<string> notify)
    {
        string record = Path.Combine(root, "namespace");
        UserIds ids = UserIds.Read();
        if (NamespaceHolder.TryRead(record) is { IsGood: true } known && known.Map == ids.Words)
        {
            return known;
        }
        using FileLock held = FileLock.AcquireAsync(record + ".lock", exclusive: true).AsTask().GetAwaiter().GetResult();
        NamespaceHolder? last = NamespaceHolder.TryRead(record);
        if (last is { IsGood: true } && last.Map == ids.Words)
        {
            return last;
        }
        if (NamespaceHolder.FindSurvivor(last, root) is { } survivor && TryHold(survivor) is { } again)
        {
            // What runs there has the ids it was started with: those that were added since come when it is over.
            return Keep(again, last?.Map ?? ids.Words, record);
        }
        if (last is { IsThere: true })
        {
            LiveProcess.Signal(last.ProcessId, last.Started, 15); // the file of subordinate ids says something else by now
        }
        ids.TellMissing(notify);
        return Keep(Make(ids), ids.Words, record);
    }

    private static NamespaceHolder Keep(ChildProcess process, string map, string record)
    {
        using (process)
        {
            var holder = NamespaceHolder.Of(process.Id, map);
            holder.Write(record);
            return holder;
        }
    }

    private static string[] Sleep() => [Find("sleep", "coreutils"), ((long)NamespaceHolder.Life.TotalSeconds).ToString(CultureInfo.InvariantCulture)];

    // Null: the last process there ended in this moment.
    private static ChildProcess? TryHold(int processId)
    {
        string? name = NamespaceHolder.NameOf(processId);
        ChildProcess process = Start(Find("nsenter", "util-linux"), ["--preserve-credentials", "--user=" + NamespaceHolder.PathOf(processId), "--", .. Sleep()]);
        if (name is not null && WaitUntil(process, () => NamespaceHolder.NameOf(process.Id) == name))
        {
            return process;
        }
        process.Kill(9);
        process.Wait();
        process.Dispose();
        return null;
    }

    private static ChildProcess Make(UserIds ids)
    {
        ids.FindHelpers();
        string? own = NamespaceHolder.NameOf(Environment.ProcessId);
        ChildProcess process = Start(Find("unshare", "util-linux"), ["--user", "--", .. Sleep()]);
        try
        {
            if (!WaitUntil(process, () => NamespaceHolder.NameOf(process.Id) is { } name && name != own))
            {
                throw UserIds.Refused();
            }
            ids.Map(process.Id);
            return process;
        }
        catch
        {
            process.Kill(9);
            process.Wait();
            process.Dispose();
            throw;
        }
    }

    private static ChildProcess Start(string program, IReadOnlyList<string> arguments)
        => ChildProcess.Start(new ChildStart { Program = program, Arguments = arguments, NewSession = true, WorkingDirectory = "/" });

    private static bool WaitUntil(ChildProcess process, Func<bool> isSo)
    {
        for (long end = Environment.TickCount64 + (long)s_patience.TotalMilliseconds; Environment.TickCount64 < end; Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System).GetAwaiter().GetResult())
        {
            if (isSo())
            {
                return true;
            }
            if (LiveProcess.TryGetStart(process.Id) is null)
            {
                return false;
            }
        }
        return false;
    }

    internal static string Find(string program, string package)
        => ChildProcess.FindProgram(program) ?? throw new StrataException(ErrorKind.Unsupported, $"{program}: needed to work as an ordinary user, and not installed") { Hint = $"apt-get install {package}" };

    // As it was given to us, byte for byte.
    private static IEnumerable<string> OwnEnvironment()
    {
        byte[] bytes = File.ReadAllBytes("/proc/self/environ");
        for (int start = 0; start < bytes.Length;)
        {
            int length = Array.IndexOf(bytes, (byte)0, start) is >= 0 and int end ? end - start : bytes.Length - start;
            if (length > 0)
            {
                yield return LinuxPath.Decode(bytes.AsSpan(start, length));
            }
            start += length + 1;
        }
    }
}
