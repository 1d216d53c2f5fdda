using Strata.Content;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;

namespace Strata.IntegrationTests.Reliability;

/// <summary>
/// What has to be true after a command came to a bad end. "Bad" is defined here, before any run: the check finds something; an image that was there is
/// not listed or does not verify; the command does not succeed when it is repeated; pruning leaves something behind; a message is no message.
/// </summary>
internal static class StoreInspector
{
    // What an empty store has: the rest of it are directories.
    private static readonly string[] s_empty = ["meta.json", "trees/.lock", "containers/names.lock", "trash/.lock", "trash/.sweep", "snapshots/snapshotter.json", "snapshots/erofs.json", "ingest/downloads",
        "containers/events.log", "containers/events.log.1"]; // what happened stays told; it has an end by its size

    /// <summary>Looks at a store after a trial; says what is wrong, nothing where all is well. The store is empty afterwards.</summary>
    internal static async Task<List<string>> FindFaultsAsync(string root, CrashCommand command, bool isThorough)
    {
        var faults = new List<string>();
        await CheckAsync(root, faults);
        string[] images = await VerifyAsync(root, faults);
        faults.AddRange(CrashScene.Images.Where(i => !images.Contains(i) && command.Removes != i && command.Removes != "*").Select(i => $"{i} is not listed any more"));
        if (isThorough)
        {
            await MountAsync(root, images, faults);
        }
        Outcome repeated = await Programs.StrataAsync(root, command.Arguments);
        if (repeated.Code != 0 && (command.RepeatMaySay is null || !repeated.Err.Contains(command.RepeatMaySay, StringComparison.OrdinalIgnoreCase)))
        {
            faults.Add($"the same again ended with {repeated.Code}: {repeated.Err.Trim()}");
        }
        if (command.Makes is { } made && !(await VerifyAsync(root, faults)).Contains(made))
        {
            faults.Add($"{made} was made again and is not listed");
        }
        await EmptyAsync(root, faults);
        return faults;
    }

    /// <summary>The check finds nothing.</summary>
    internal static async Task CheckAsync(string root, List<string> faults)
    {
        Outcome check = await Programs.StrataAsync(root, "system", "check", "--deep");
        if (check.Code != 0)
        {
            faults.Add($"system check ended with {check.Code}: {check.Out.Trim()} {check.Err.Trim()}");
        }
    }

    /// <summary>The names that the store lists, each with all of its documents, layers and unpacked files hashed again.</summary>
    internal static async Task<string[]> VerifyAsync(string root, List<string> faults)
    {
        var names = new List<string>();
        // On another device a store tries anew how it can mount: not in this process, whose half-written things stay for as long as it lives.
        await Programs.StrataAsync(root, "verify", "box:1");
        try
        {
            // The library itself, not a process for each image: the executable's own answer to all this is the check.
            Engine engine = Engine.Open(new EngineOptions { Root = root });
            foreach (ListedImage image in engine.ListImages())
            {
                string name = image.Reference?.Familiar ?? image.Record.Manifest.Digest.ToString();
                names.Add(name);
                IReadOnlyList<StoreProblem> problems = await engine.VerifyAsync(await engine.ResolveImageAsync(name));
                faults.AddRange(problems.Select(p => $"{name}: {p.Path}: {p.What}"));
            }
        }
        catch (StrataException e)
        {
            faults.Add($"verifying: {e.Message}");
        }
        return [.. names];
    }

    // A union of all layers, read through the kernel: what has a shell runs it.
    private static async Task MountAsync(string root, string[] images, List<string> faults)
    {
        foreach (string image in images)
        {
            Outcome used = await Programs.StrataAsync(root, "run", "--rm", image, "/bin/true");
            bool hasNoShell = used.Code == 127 && used.Err.Contains("exec", StringComparison.Ordinal);
            if (used.Code != 0 && !hasNoShell)
            {
                faults.Add($"{used.Command} ended with {used.Code}: {used.Err.Trim()}");
            }
        }
    }

    /// <summary>All containers and images go: then nothing may be left but what an empty store has.</summary>
    internal static async Task EmptyAsync(string root, List<string> faults)
    {
        Outcome list = await Programs.StrataAsync(root, "ps", "-aq");
        Outcome[] steps = [list, .. list.Lines.Length == 0 ? [] : new[] { await Programs.StrataAsync(root, ["rm", "-f", .. list.Lines]) },
            await Programs.StrataAsync(root, "system", "prune", "-af")];
        if (!await CrashScene.WaitForQuietAsync(root + "/"))
        {
            List<int> running = Programs.Naming(root + "/");
            running.ForEach(id => Host.Kill(id, 9));
            faults.Add($"{running.Count} processes are left");
        }
        faults.AddRange(steps.Where(s => s.Code != 0).Select(s => $"{s.Command} ended with {s.Code}: {s.Err.Trim()}"));
        string[] left = [.. Directory.GetFiles(root, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(root, f)).Except(s_empty)];
        if (left.Length > 0)
        {
            faults.Add($"pruning left {left.Length}: {string.Join(", ", left.Take(5))}");
        }
        string[] folders = [.. new[] { "ingest", "trash", "active", "snapshots", "leases" }.Select(f => Path.Combine(root, f)).Where(Directory.Exists).SelectMany(Directory.GetFileSystemEntries).Where(f => !s_empty.Contains(Path.GetRelativePath(root, f)))];
        if (folders.Length > 0)
        {
            faults.Add($"pruning left folders: {string.Join(", ", folders.Take(5))}");
        }
    }
}
