using System.Collections.Immutable;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata.Supply;

/// <summary>Something that an image takes from below: a path, and who asks for it.</summary>
/// <param name="Path">Absolute: a loader, an interpreter, a program.</param>
/// <param name="By">Who needs it, the first few.</param>
/// <param name="Count">How many do.</param>
public sealed record ImageNeed(string Path, ImmutableArray<string> By, int Count);

/// <summary>What an image's own layers need of the image below, found in its files, its configuration and its history.</summary>
internal static class ImageNeeds
{
    private const int NamedUsers = 3;
    private const int Executable = 0b001_001_001;

    // Programs of package managers that instructions call; what they install is in the image, but it cannot be built again without them.
    private static readonly string[] s_managers = ["apt-get", "apt", "apk", "dnf", "yum", "microdnf", "zypper"];

    private static readonly string[] s_folders = ["bin", "usr/bin", "sbin", "usr/sbin", "usr/local/bin"];

    /// <summary>Looks at the layers above the base.</summary>
    /// <param name="stack">The image's files.</param>
    /// <param name="config">Its configuration.</param>
    /// <param name="baseLayers">How many of its layers are the base's.</param>
    internal static ImmutableArray<ImageNeed> Find(LayerStack stack, ImageConfig config, int baseLayers)
    {
        var needs = new SortedDictionary<string, List<string>>(StringComparer.Ordinal);
        void Add(string path, string by)
        {
            if (!needs.TryGetValue(path, out List<string>? users))
            {
                needs.Add(path, users = []);
            }
            users.Add(by);
        }
        foreach (LayerNode node in stack.Walk())
        {
            if (node.Layer >= baseLayers && node.Status.Kind == FileKind.Regular && (node.Status.Mode & Executable) != 0 && InterpreterOf.Read(Head(stack, node)) is { } interpreter)
            {
                Add(interpreter, "/" + node.Path);
            }
        }
        foreach (string program in (config.Config?.Entrypoint ?? []).Concat(config.Config?.Cmd ?? []).Take(1).Where(p => p.StartsWith('/')))
        {
            Add(program, "the command");
        }
        string[] steps = [.. config.History.Where(h => !h.EmptyLayer).Skip(baseLayers).Select(h => h.CreatedBy ?? "")];
        foreach (string manager in s_managers.Where(m => steps.Any(s => s.Split([' ', ';', '&', '\t', '\n'], StringSplitOptions.RemoveEmptyEntries).Contains(m))))
        {
            Add(manager, "instructions");
        }
        // What is in its own layers it does not need of others.
        return [.. needs.Where(n => !(n.Key.StartsWith('/') && stack.TryFind(n.Key[1..], follow: true) is { } found && found.Layer >= baseLayers))
            .Select(n => new ImageNeed(n.Key, [.. n.Value.Take(NamedUsers)], n.Value.Count))];
    }

    /// <summary>Which of the needs another base does not have.</summary>
    internal static ImmutableArray<ImageNeed> Missing(ImmutableArray<ImageNeed> needs, LayerStack? stack)
        => [.. needs.Where(n => stack is null || (n.Path.StartsWith('/') ? stack.TryFind(n.Path[1..], follow: true) is null : !Has(stack, n.Path)))];

    /// <summary>The C library of a base: glibc, musl, or null.</summary>
    internal static string? LibcOf(LayerStack stack)
        => Names(stack, "lib").Concat(Names(stack, "lib64")).Any(n => n.StartsWith("ld-musl-", StringComparison.Ordinal)) ? "musl"
            : Names(stack, "lib").Concat(Names(stack, "lib64")).Any(n => n.StartsWith("ld-linux", StringComparison.Ordinal)) || Names(stack, "lib").Any(n => n.EndsWith("-linux-gnu", StringComparison.Ordinal)) ? "glibc" : null;

    /// <summary>The first of these programs that a base has; null where it has none.</summary>
    internal static string? ProgramOf(LayerStack stack, params string[] names) => names.FirstOrDefault(n => Has(stack, n));

    /// <summary>The package manager of a base.</summary>
    internal static string? ManagerOf(LayerStack stack) => ProgramOf(stack, s_managers);

    private static bool Has(LayerStack stack, string program)
        => s_folders.Any(folder => stack.TryFind($"{folder}/{program}", follow: true) is { Status.Kind: FileKind.Regular });

    private static IReadOnlyList<string> Names(LayerStack stack, string folder) => stack.TryFind(folder, follow: true) is { Status.Kind: FileKind.Directory } found ? stack.GetNames(found) : [];

    private static byte[] Head(LayerStack stack, LayerNode node)
    {
        using Stream file = stack.OpenFile(node);
        byte[] head = new byte[Math.Min(InterpreterOf.HeadBytes, node.Status.Size)];
        int read = file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
        return head[..read];
    }
}
