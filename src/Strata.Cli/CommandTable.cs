using Strata.Cli.Syntax;

namespace Strata.Cli.Commands;

/// <summary>A command by name: how it is built, what it is for, how it is used.</summary>
/// <param name="Name">The word.</param>
/// <param name="Create">Builds its options and arguments.</param>
/// <param name="Summary">One line.</param>
/// <param name="Examples">Lines for --help.</param>
internal sealed record CommandEntry(string Name, Func<CommandContext, Command> Create, string Summary, params string[] Examples)
{
    /// <summary>What stands behind its first argument is a command of somebody else's.</summary>
    internal bool TakesCommand { get; init; }
    /// <summary>Its exit code may be a container's: then the engine's own failures are 125.</summary>
    internal bool IsContainer { get; init; }
    /// <summary>It reads and prints and is over: Ctrl-C may end it as it ends any program, with nothing to tidy up.</summary>
    internal bool IsListing { get; init; }
    /// <summary>The heading it stands under in the list.</summary>
    internal string Group { get; init; } = "";
}

/// <summary>All commands. A new one is a line here and a file beside this one.</summary>
internal static class CommandTable
{
    private static CommandEntry[]? s_all;

    internal static CommandEntry[] All => s_all ??=
    [
        .. BuildGroup(), .. ContainerGroup(), .. ImageGroup(), .. SystemGroup(),
    ];

    internal static CommandEntry? TryCreate(string name, CommandContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return All.FirstOrDefault(c => c.Name == name);
    }

    internal static string? Nearest(string name)
        => All.Select(c => (c.Name, Score: Common(c.Name, name))).Where(c => c.Score * 2 > Math.Max(name.Length, c.Name.Length)).OrderByDescending(c => c.Score).Select(c => c.Name).FirstOrDefault();

    // Letters in common, in order: enough to find a slip of the finger.
    private static int Common(string a, string b)
    {
        int[,] best = new int[a.Length + 1, b.Length + 1];
        for (int i = 1; i <= a.Length; i++)
        {
            for (int j = 1; j <= b.Length; j++)
            {
                best[i, j] = a[i - 1] == b[j - 1] ? best[i - 1, j - 1] + 1 : Math.Max(best[i - 1, j], best[i, j - 1]);
            }
        }
        return best[a.Length, b.Length];
    }

    private static CommandEntry[] BuildGroup() =>
    [
        new("build", BuildCommand.Create, "Build an image from a Dockerfile", "strata build -t app .", "strata build -t app -f Dockerfile.prod --build-arg VERSION=2 .", "printf 'FROM scratch\\nCOPY app /\\n' | strata build -t app -f - .") { Group = "Build" },
        new("lint", LintCommand.Create, "Say what a Dockerfile should do otherwise", "strata lint Dockerfile") { Group = "Build", IsListing = true },
        new("bootstrap", BootstrapCommand.Create, "Make a base image from Debian's packages, or from a root file system", "strata bootstrap debian:bookworm", "strata bootstrap debian:trixie --include curl,ca-certificates", "strata bootstrap --rootfs ./rootfs -t mybase") { Group = "Build" },
    ];

    private static CommandEntry[] ContainerGroup() =>
    [
        new("run", RunCommand.Create, "Run a command in a new container", "strata run --rm debian:bookworm cat /etc/os-release", "strata run --rm -it debian:bookworm bash", "strata run --name web -v data:/srv -e A=1 app") { Group = "Containers", TakesCommand = true, IsContainer = true },
        new("create", RunCommand.CreateOnly, "Create a container without starting it", "strata create --name box debian:bookworm sleep 60") { Group = "Containers", TakesCommand = true, IsContainer = true },
        new("start", StartCommand.Create, "Start a container", "strata start box", "strata start -a box") { Group = "Containers", IsContainer = true },
        new("stop", StopCommand.Create, "Stop a running container", "strata stop box", "strata stop -t 2 box") { Group = "Containers" },
        new("kill", StopCommand.CreateKill, "Send a signal to a running container", "strata kill -s HUP box") { Group = "Containers" },
        new("wait", StopCommand.CreateWait, "Wait for a container's end and print its exit code", "strata wait box") { Group = "Containers" },
        new("ps", PsCommand.Create, "List containers", "strata ps", "strata ps -a --filter status=exited") { Group = "Containers", IsListing = true },
        new("rm", RmCommand.Create, "Remove containers", "strata rm box", "strata rm -f $(strata ps -aq)") { Group = "Containers" },
        new("logs", LogsCommand.Create, "Show what a container wrote", "strata logs box", "strata logs -f --tail 10 box") { Group = "Containers" },
        new("diff", DiffCommand.Create, "List what a container changed", "strata diff box") { Group = "Containers" },
        new("commit", CommitCommand.Create, "Make an image from what a container changed", "strata commit -m 'with vim' box mine", "strata commit -c 'CMD [\"bash\"]' box mine:2") { Group = "Containers" },
        new("export", ExportCommand.Create, "Write a file system as a tar", "strata export box | tar t", "strata export -o root.tar debian:bookworm") { Group = "Containers" },
        new("import", ExportCommand.CreateImport, "Make an image of one layer from a tar", "strata import root.tar mybase", "tar c . | strata import - mybase") { Group = "Containers" },
        new("mount", MountCommand.Create, "Mount the files of a container or image", "ls $(strata mount debian:bookworm)", "strata mount --ro box") { Group = "Containers" },
        new("umount", MountCommand.CreateUnmount, "Unmount what mount mounted", "strata umount box") { Group = "Containers" },
    ];

    private static CommandEntry[] ImageGroup() =>
    [
        new("images", ImagesCommand.Create, "List images", "strata images", "strata images --filter dangling=true", "strata images --format '{{.Repository}}:{{.Tag}} {{.Size}}'") { Group = "Images", IsListing = true },
        new("history", HistoryCommand.Create, "Show which instruction added what", "strata history app") { Group = "Images", IsListing = true },
        new("inspect", InspectCommand.Create, "Show all that is known of images and containers", "strata inspect app", "strata inspect -f '{{json .Config.Env}}' app") { Group = "Images", IsListing = true },
        new("layers", LayersCommand.Create, "Show what each layer added, changed and deleted", "strata layers app", "strata layers -v app") { Group = "Images" },
        new("layer", LayersCommand.CreateLayer, "List the entries of one layer", "strata layer ls app 2") { Group = "Images" },
        new("where", WhereCommand.Create, "Say which layer answers a read of a path", "strata where app /etc/passwd") { Group = "Images", IsListing = true },
        new("analyze", AnalyzeCommand.Create, "Say which bytes of an image nobody can see", "strata analyze app", "strata analyze --format '{{.WastedBytes}}' app") { Group = "Images" },
        new("verify", AnalyzeCommand.CreateVerify, "Hash an image and its files again", "strata verify app") { Group = "Images" },
        new("tag", TagCommand.Create, "Give an image another name", "strata tag app 127.0.0.1:5000/app:1") { Group = "Images" },
        new("rmi", RmiCommand.Create, "Remove images", "strata rmi app", "strata rmi -f 3f53bb00af94") { Group = "Images" },
        new("save", SaveCommand.Create, "Write images into an archive", "strata save -o app.tar app", "strata save app | ssh host strata load", "strata save --format oci-dir -o ./layout app") { Group = "Images" },
        new("load", SaveCommand.CreateLoad, "Take images from an archive", "strata load -i app.tar") { Group = "Images" },
        new("pull", PullCommand.Create, "Bring an image here from a registry", "strata pull debian:bookworm", "strata pull 127.0.0.1:5000/app:1") { Group = "Images" },
        new("push", PullCommand.CreatePush, "Bring an image to a registry", "strata push 127.0.0.1:5000/app:1") { Group = "Images" },
    ];

    private static CommandEntry[] SystemGroup() =>
    [
        new("registry", RegistryCommand.Create, "Serve this store as a registry", "strata registry serve --addr 127.0.0.1:5000") { Group = "System" },
        new("system", SystemCommand.Create, "Disk usage, pruning, checking", "strata system df", "strata system prune", "strata system check --deep") { Group = "System" },
        new("sharing", SharingCommand.Create, "Show which layers on disk images and running containers share", "strata sharing", "strata sharing --format json") { Group = "System" },
        new("info", InfoCommand.Create, "Show this machine as strata sees it", "strata info") { Group = "System", IsListing = true },
        new("version", InfoCommand.CreateVersion, "Show the version", "strata version") { Group = "System", IsListing = true },
        new("completion", Completion.Create, "Print a completion script for a shell", "strata completion bash >/etc/bash_completion.d/strata") { Group = "System" },
    ];
}
