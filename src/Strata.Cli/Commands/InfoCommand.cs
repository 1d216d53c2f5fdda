using System.Reflection;
using System.Runtime.CompilerServices;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Containers.Networks;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata.Cli.Commands;

/// <summary><c>strata info</c> and <c>strata version</c>.</summary>
internal static class InfoCommand
{
    private static readonly string[] s_programs = ["crun", "conmon", "mmdebstrap"];

    internal static Command Create(CommandContext context)
    {
        var command = new Command("info");
        command.SetAction(parsed =>
        {
            Engine engine = context.Engine;
            FileSystemSpace space = FileSystems.GetSpace(engine.Layout.Root);
            TextWriter o = context.Out;
            o.WriteLine($"Version:      {Version} ({(RuntimeFeature.IsDynamicCodeSupported ? "with a runtime that compiles" : "machine code")})");
            o.WriteLine($"Store:        {engine.Layout.Root} ({space.Type}, {Sizes.Human(space.FreeBytes)} of {Sizes.Human(space.TotalBytes)} free)");
            o.WriteLine($"Snapshotter:  {engine.Snapshotter.Snapshotter.Name} ({engine.Snapshotter.Reason})");
            if (engine.Snapshotter.Snapshotter.Name != "erofs")
            {
                o.WriteLine($"EROFS:        not used ({ErofsReason(engine)})");
            }
            if (UserNamespace.Current is { } user)
            {
                WriteUser(o, user);
            }
            o.WriteLine($"Kernel:       {Host.KernelRelease} {Host.Machine}");
            o.WriteLine($"Cgroups:      {Cgroups()}");
            o.WriteLine($"Images:       {engine.ListImages().Length}");
            o.WriteLine($"Containers:   {engine.ListContainers().Count}");
            foreach (string program in s_programs)
            {
                o.WriteLine($"{program + ":",-13} {Describe(program)}");
            }
            return 0;
        });
        return command;
    }

    internal static Command CreateVersion(CommandContext context)
    {
        var command = new Command("version");
        command.SetAction(parsed =>
        {
            context.Out.WriteLine($"strata {Version}");
            return 0;
        });
        return command;
    }

    private static void WriteUser(TextWriter o, UserNamespace user)
    {
        o.WriteLine($"Rootless:     user {user.OwnerUid}, running things in {user.RuntimeRoot}");
        o.WriteLine($"Users:        {Ranges(user.Uids)}");
        o.WriteLine($"Groups:       {Ranges(user.Gids)}");
        o.WriteLine($"Network:      {UserNetwork.Helper ?? "pasta and slirp4netns are not installed: --network host or none (apt-get install passt)"}");
    }

    // As many as there are, and which of the host's they are.
    private static string Ranges(IReadOnlyList<IdRange> ranges)
        => string.Join(", ", ranges.Select(r => r.Count == 1 ? $"{r.Inside} is {r.Outside}" : $"{r.Inside}-{r.Inside + (r.Count - 1)} are {r.Outside}-{r.Outside + (r.Count - 1)}")) + (ranges.Sum(r => (long)r.Count) == 1 ? " (no subordinate ids)" : "");

    private static string ErofsReason(Engine engine)
        => UserNamespace.Current is not null ? "only root may mount it" : ErofsProbe.Make(engine.Layout) is { Mounts: false } not ? not.Reason : "it mounts here: strata --snapshotter erofs takes it";

    private static string Version => typeof(InfoCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "unknown";

    private static string Cgroups() => File.Exists("/sys/fs/cgroup/cgroup.controllers") ? "version 2" + NotForUser : Directory.Exists("/sys/fs/cgroup/unified") ? "version 1, with an empty version 2 tree (hybrid)" + NotForUser : "version 1" + NotForUser;

    private static string NotForUser => UserNamespace.Current is null ? "" : "; not for this user's containers: no limits, no pause";

    private static string Describe(string program)
    {
        if (ChildProcess.FindProgram(program) is not { } path)
        {
            return $"not installed (apt-get install {program})";
        }
        ChildResult said = ChildProcess.Run(new ChildStart { Program = path, Arguments = ["--version"] });
        return $"{path} ({said.OutputText.Split('\n')[0]})";
    }
}
