using Strata.Cli.Syntax;

namespace Strata.Cli.Commands;

/// <summary>A command by name: how it is built, what it is for, how it is used.</summary>
internal sealed class CommandEntry(string name, Func<CommandContext, Command> create, string summary, params string[] examples)
{
    /// <summary>The word.</summary>
    internal string Name { get; } = name;
    /// <summary>Builds its options and arguments.</summary>
    internal Func<CommandContext, Command> Create { get; } = create;
    /// <summary>One line.</summary>
    internal string Summary { get; } = summary;
    /// <summary>Lines for --help.</summary>
    internal string[] Examples { get; } = examples;
    /// <summary>What stands behind its first argument is a command of somebody else's.</summary>
    internal bool TakesCommand { get; init; }
    /// <summary>Its exit code may be a container's: then the engine's own failures are 125.</summary>
    internal bool IsContainer { get; init; }
    /// <summary>It reads and prints and is over: Ctrl-C may end it as it ends any program, with nothing to tidy up.</summary>
    internal bool IsListing { get; init; }
    /// <summary>It makes the store grow: when it is over the store is brought within its limit, where it has one.</summary>
    internal bool Grows { get; init; }
    /// <summary>It needs no rights over files and processes of containers: an ordinary user does it without entering a user namespace.</summary>
    internal bool IsForAnybody { get; init; }
    /// <summary>The heading it stands under in the list.</summary>
    internal string Group { get; init; } = "";
}

/// <summary>All commands. A new one is a name and a line here, and a file in Commands.</summary>
internal static class CommandTable
{
    /// <summary>The names, in the order help lists them.</summary>
    internal static string[] Names { get; } =
    [
        "build", "publish", "lint", "bootstrap", "run", "create", "exec", "attach", "start", "stop", "restart", "kill", "pause", "unpause", "wait", "ps", "port", "top", "stats", "rm", "rename", "update", "cp", "logs", "diff", "commit", "export", "import", "mount",
        "umount", "container", "network", "volume", "images", "history", "inspect", "layers", "layer", "where", "analyze", "verify", "tag", "rmi", "pin", "unpin", "sbom", "unpack", "save", "load", "pull", "push",
        "copy", "sync", "login", "logout", "search", "tags", "manifest", "mirror", "config", "registry", "system", "sharing", "events", "info", "version", "completion",
    ];

    internal static IEnumerable<CommandEntry> All => Names.Select(n => TryCreate(n)!);

    /// <summary>The one of that name, or null. It alone is made: forty entries with all they refer to take longer than a listing's work.</summary>
    internal static CommandEntry? TryCreate(string name) => TryCreateBuild(name) ?? TryCreateContainer(name) ?? TryCreateImage(name) ?? TryCreateRegistry(name) ?? TryCreateSystem(name);

    internal static string? Nearest(string name)
        => Names.Select(n => (Name: n, Score: Common(n, name))).Where(c => c.Score * 2 > Math.Max(name.Length, c.Name.Length)).OrderByDescending(c => c.Score).Select(c => c.Name).FirstOrDefault();

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

    private static CommandEntry? TryCreateBuild(string name) => name switch
    {
        "build" => new(name, BuildCommand.Create, "Build an image from a Dockerfile", "strata build -t app -f Dockerfile.prod --build-arg VERSION=2 .", "strata build cache ls", "printf 'FROM scratch\\nCOPY app /\\n' | strata build -t app -f - .") { Group = "Build", Grows = true },
        "publish" => new(name, PublishCommand.Create, "Make an image of a .NET project, without a Dockerfile", "strata publish -t app ./App", "strata publish --from bin/Release/net10.0/publish -t app --base debian:bookworm") { Group = "Build", Grows = true },
        "lint" => new(name, LintCommand.Create, "Say what a Dockerfile should do otherwise", "strata lint Dockerfile", "strata lint --fix Dockerfile", "strata lint --format sarif --disable DL3006 Dockerfile") { IsForAnybody = true, Group = "Build", IsListing = true },
        "bootstrap" => new(name, BootstrapCommand.Create, "Make a base image from Debian's packages, or from a root file system", "strata bootstrap debian:bookworm", "strata bootstrap debian:trixie --include curl,ca-certificates", "strata bootstrap --rootfs ./rootfs -t mybase") { Group = "Build", Grows = true },
        _ => null,
    };

    private static CommandEntry? TryCreateContainer(string name) => name switch
    {
        "run" => new(name, RunCommand.Create, "Run a command in a new container", "strata run --rm debian:bookworm cat /etc/os-release", "strata run --rm -it debian:bookworm bash", "strata run --name web -v data:/srv -e A=1 app") { Group = "Containers", TakesCommand = true, IsContainer = true },
        "create" => new(name, RunCommand.CreateOnly, "Create a container without starting it", "strata create --name box debian:bookworm sleep 60") { Group = "Containers", TakesCommand = true, IsContainer = true },
        "start" => new(name, StartCommand.Create, "Start a container", "strata start box", "strata start -a box") { Group = "Containers", IsContainer = true },
        "exec" => new(name, ExecCommand.Create, "Run a further command in a running container", "strata exec -it box sh", "strata exec -u app -w /srv -e A=1 box env") { Group = "Containers", TakesCommand = true },
        "attach" => new(name, ExecCommand.CreateAttach, "Be with a running container as if it had been started here", "strata attach box", "strata attach --no-stdin --sig-proxy=false box") { Group = "Containers" },
        "restart" => new(name, PauseCommand.CreateRestart, "Stop a container and start it again", "strata restart box", "strata restart -t 2 box") { Group = "Containers" },
        "pause" => new(name, PauseCommand.Create, "Hold a container's processes where they are", "strata pause box") { Group = "Containers" },
        "unpause" => new(name, PauseCommand.CreateUnpause, "Let paused containers go on", "strata unpause box") { Group = "Containers" },
        "top" => new(name, TopCommand.Create, "Show a container's processes", "strata top box", "strata top box -eo pid,comm") { Group = "Containers", TakesCommand = true },
        "stats" => new(name, TopCommand.CreateStats, "Show what containers use", "strata stats", "strata stats --no-stream --format '{{.Name}} {{.MemUsage}}'") { Group = "Containers" },
        "rename" => new(name, PauseCommand.CreateRename, "Give a container another name", "strata rename box crate") { Group = "Containers" },
        "update" => new(name, UpdateCommand.Create, "Change the limits of containers", "strata update --memory 1g --cpus 2 box", "strata update --restart always box") { Group = "Containers" },
        "cp" => new(name, CopyFilesCommand.Create, "Copy files between a container and here", "strata cp box:/etc/hosts .", "strata cp -a ./site box:/srv", "strata cp box:/var/log - | tar t") { Group = "Containers" },
        "container" => new(name, ContainerCommand.Create, "Remove stopped containers; start them at boot", "strata container prune", "strata container units", "strata container boot", "strata container cleanup --wait ID", "strata container health") { Group = "Containers" },
        "stop" => new(name, StopCommand.Create, "Stop a running container", "strata stop box", "strata stop -t 2 box") { Group = "Containers" },
        "kill" => new(name, StopCommand.CreateKill, "Send a signal to a running container", "strata kill -s HUP box") { Group = "Containers" },
        "wait" => new(name, StopCommand.CreateWait, "Wait for a container's end and print its exit code", "strata wait box") { Group = "Containers" },
        "ps" => new(name, PsCommand.Create, "List containers", "strata ps", "strata ps -a --filter status=exited") { IsForAnybody = true, Group = "Containers", IsListing = true },
        "port" => new(name, PortCommand.Create, "Show which ports of the host lead to a container", "strata port web", "strata port web 80") { IsForAnybody = true, Group = "Containers", IsListing = true },
        "network" => new(name, NetworkCommand.Create, "Networks of containers", "strata network create --subnet 10.100.7.0/24 back", "strata network ls", "strata network inspect back", "strata network connect --alias db back box", "strata network disconnect back box", "strata network rm back", "strata network prune -f") { Group = "Containers" },
        "volume" => new(name, VolumeCommand.Create, "Volumes: directories that outlive containers", "strata volume create data", "strata volume ls --filter dangling=true", "strata volume inspect data", "strata volume rm data", "strata volume prune -f") { Group = "Containers" },
        "rm" => new(name, RmCommand.Create, "Remove containers", "strata rm box", "strata rm -f $(strata ps -aq)") { Group = "Containers" },
        "logs" => new(name, LogsCommand.Create, "Show what a container wrote", "strata logs box", "strata logs -f --tail 10 box") { IsForAnybody = true, Group = "Containers" },
        "diff" => new(name, DiffCommand.Create, "List what a container changed", "strata diff box") { Group = "Containers" },
        "commit" => new(name, CommitCommand.Create, "Make an image from what a container changed", "strata commit -m 'with vim' box mine", "strata commit -c 'CMD [\"bash\"]' box mine:2") { Group = "Containers", Grows = true },
        "export" => new(name, ExportCommand.Create, "Write a file system as a tar", "strata export box | tar t", "strata export -o root.tar debian:bookworm") { Group = "Containers" },
        "import" => new(name, ExportCommand.CreateImport, "Make an image of one layer from a tar", "strata import root.tar mybase", "tar c . | strata import - mybase") { Group = "Containers", Grows = true },
        "mount" => new(name, MountCommand.Create, "Mount the files of a container or image", "ls $(strata mount debian:bookworm)", "strata mount --ro box") { Group = "Containers" },
        "umount" => new(name, MountCommand.CreateUnmount, "Unmount what mount mounted", "strata umount box") { Group = "Containers" },
        _ => null,
    };

    private static CommandEntry? TryCreateImage(string name) => name switch
    {
        "images" => new(name, ImagesCommand.Create, "List images", "strata images", "strata images --filter dangling=true", "strata images --format '{{.Repository}}:{{.Tag}} {{.Size}}'") { IsForAnybody = true, Group = "Images", IsListing = true },
        "history" => new(name, HistoryCommand.Create, "Show which instruction added what", "strata history app") { IsForAnybody = true, Group = "Images", IsListing = true },
        "inspect" => new(name, InspectCommand.Create, "Show all that is known of images and containers", "strata inspect app", "strata inspect -f '{{json .Config.Env}}' app") { Group = "Images", IsListing = true },
        "layers" => new(name, LayersCommand.Create, "Show what each layer added, changed and deleted", "strata layers app", "strata layers -v app") { Group = "Images" },
        "layer" => new(name, LayersCommand.CreateLayer, "List the entries of one layer, or unpack one", "strata layer ls app 2", "strata layer unpack layer.tar.gz ./files") { Group = "Images" },
        "where" => new(name, WhereCommand.Create, "Say which layer answers a read of a path", "strata where app /etc/passwd") { Group = "Images", IsListing = true },
        "analyze" => new(name, AnalyzeCommand.Create, "Say which bytes of an image nobody can see", "strata analyze app", "strata analyze --format '{{.WastedBytes}}' app") { Group = "Images" },
        "verify" => new(name, AnalyzeCommand.CreateVerify, "Hash an image and its files again", "strata verify app") { Group = "Images" },
        "tag" => new(name, TagCommand.Create, "Give an image another name", "strata tag app 127.0.0.1:5000/app:1") { IsForAnybody = true, Group = "Images" },
        "rmi" => new(name, RmiCommand.Create, "Remove images", "strata rmi app", "strata rmi -f 3f53bb00af94") { Group = "Images" },
        "pin" => new(name, PinCommand.Create, "Keep images from going by themselves", "strata pin debian:bookworm app:1") { IsForAnybody = true, Group = "Images" },
        "unpin" => new(name, PinCommand.CreateUnpin, "Let pinned images go again", "strata unpin app:1") { IsForAnybody = true, Group = "Images" },
        "sbom" => new(name, SbomCommand.Create, "Print what is installed in an image, as SPDX", "strata sbom app", "strata sbom -o app.spdx.json app") { Group = "Images" },
        "unpack" => new(name, UnpackCommand.Create, "Put an image's files into a folder", "strata unpack debian:bookworm ./rootfs") { Group = "Images" },
        "save" => new(name, SaveCommand.Create, "Write images into an archive", "strata save -o app.tar app", "strata save app | ssh host strata load", "strata save --format oci-dir -o ./layout app") { Group = "Images" },
        "load" => new(name, SaveCommand.CreateLoad, "Take images from an archive", "strata load -i app.tar") { Group = "Images", Grows = true },
        "pull" => new(name, PullCommand.Create, "Bring an image here from a registry", "strata pull debian:bookworm", "strata pull 127.0.0.1:5000/app:1") { Group = "Images", Grows = true },
        "push" => new(name, PullCommand.CreatePush, "Bring an image to a registry", "strata push 127.0.0.1:5000/app:1") { Group = "Images" },
        _ => null,
    };

    private static CommandEntry? TryCreateRegistry(string name) => name switch
    {
        "login" => new(name, LoginCommand.Create, "Log in to a registry", "strata login registry.example.com:5000", "cat password.txt | strata login -u me --password-stdin registry.example.com", "strata login --pin sha256:FINGERPRINT 192.168.1.10:5000") { IsForAnybody = true, Group = "Registries" },
        "logout" => new(name, LoginCommand.CreateLogout, "Forget the password of a registry", "strata logout registry.example.com:5000") { IsForAnybody = true, Group = "Registries" },
        "search" => new(name, SearchCommand.Create, "Find images at a registry", "strata search nginx", "strata search 127.0.0.1:5000/ngi", "strata search --registry 127.0.0.1:5000 ngi") { IsForAnybody = true, Group = "Registries" },
        "copy" => new(name, CopyCommand.Create, "Copy an image from a registry, layout or archive to another", "strata copy debian:bookworm 127.0.0.1:5000/debian:bookworm", "strata copy --all --referrers debian:bookworm 127.0.0.1:5000/debian:bookworm", "strata copy 127.0.0.1:5000/app:1 oci:./layout:1") { Group = "Registries" },
        "sync" => new(name, CopyCommand.CreateSync, "Make repositories at a registry like others", "strata sync mirror.toml", "strata sync --delete --dry-run mirror.toml") { Group = "Registries" },
        "tags" => new(name, RemoteCommand.CreateTags, "List the tags of a repository at a registry", "strata tags 127.0.0.1:5000/app") { IsForAnybody = true, Group = "Registries" },
        "manifest" => new(name, RemoteCommand.CreateManifest, "Print documents as a registry has them", "strata manifest inspect 127.0.0.1:5000/app:1", "strata manifest inspect --platform linux/arm64 debian:bookworm", "strata manifest referrers 127.0.0.1:5000/app:1") { IsForAnybody = true, Group = "Registries" },
        "mirror" => new(name, ConfigCommand.CreateMirror, "Show which servers a pull asks", "strata mirror explain debian:bookworm") { IsForAnybody = true, Group = "Registries" },
        "config" => new(name, ConfigCommand.Create, "Check files about registries and mirrors", "strata config check /etc/docker/daemon.json") { IsForAnybody = true, Group = "Registries" },
        _ => null,
    };

    private static CommandEntry? TryCreateSystem(string name) => name switch
    {
        "registry" => new(name, RegistryCommand.Create, "Serve this store as a registry; remove images from one", "strata registry serve --addr 127.0.0.1:5000", "strata registry retain retain.json --dry-run", "strata registry rm 127.0.0.1:5000/app:1") { Group = "System" },
        "system" => new(name, SystemCommand.Create, "Disk usage, pruning, limits, checking", "strata system df", "strata system prune", "strata system budget --max-size 20GB --keep 72h", "strata system check --deep", "STRATA_SNAPSHOTTER=erofs strata system migrate", "strata system dedupe --dry-run") { Group = "System" },
        "sharing" => new(name, SharingCommand.Create, "Show which layers on disk images and running containers share", "strata sharing", "strata sharing --format json") { Group = "System" },
        "events" => new(name, EventsCommand.Create, "Show what happens to containers", "strata events", "strata events --since 10m --until 0s --filter event=die") { IsForAnybody = true, Group = "System" },
        "info" => new(name, InfoCommand.Create, "Show this machine as strata sees it", "strata info") { Group = "System", IsListing = true },
        "version" => new(name, InfoCommand.CreateVersion, "Show the version", "strata version") { IsForAnybody = true, Group = "System", IsListing = true },
        "completion" => new(name, Completion.Create, "Print a completion script for a shell", "strata completion bash >/etc/bash_completion.d/strata") { IsForAnybody = true, Group = "System" },
        _ => null,
    };
}
