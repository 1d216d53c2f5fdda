using System.IO.Enumeration;
using Strata.Oci;

namespace Strata.Distribution;

/// <summary>
/// Which repositories are to be the same elsewhere, TOML or JSON:
/// <code>
/// [[sync]]
/// from = "docker.io/library/debian"
/// to = "127.0.0.1:5000/debian"
/// tags = ["bookworm*", "!*-slim"]     # all of them where not said; ! leaves out
/// platforms = "host"                  # of each image only this machine's; "all" where not said
/// </code>
/// </summary>
public sealed record SyncFile(IReadOnlyList<SyncEntry> Entries)
{
    /// <summary>Reads such a file.</summary>
    /// <exception cref="StrataException">Invalid: says file, line and column. NotFound: there is no such file.</exception>
    public static SyncFile Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ConfigFile file = ConfigFile.TryRead(path) ?? throw new StrataException(ErrorKind.NotFound, $"read {path}: no such file");
        List<ConfigProblem> problems = [];
        SyncFile sync = Read(file.Parse(), problems);
        return problems.Count == 0 ? sync : throw file.ToException(problems[0]);
    }

    private static SyncFile Read(ConfigNode root, List<ConfigProblem> problems)
    {
        root.Allow(problems, "sync");
        List<SyncEntry> entries = [];
        if (root.Find("sync") is not { Kind: ConfigKind.List, Items.Count: > 0 } list)
        {
            problems.Add(new ConfigProblem(root.Offset, "there is nothing to do in it", "write [[sync]], and from and to below it"));
            return new SyncFile(entries);
        }
        foreach (ConfigNode item in list.Items)
        {
            if (item.Kind != ConfigKind.Table)
            {
                problems.Add(new ConfigProblem(item.Offset, "sync lists tables", "each has from and to"));
                continue;
            }
            item.Allow(problems, "from", "to", "tags", "platforms");
            string? platforms = item.FindText("platforms", problems);
            if (platforms is not (null or "all" or "host"))
            {
                problems.Add(new ConfigProblem(item.Find("platforms")!.Offset, $"platforms: '{Hosts.Printable(platforms)}' is neither all nor host"));
            }
            if (ReadRepository(item, "from", problems) is { } from && ReadRepository(item, "to", problems) is { } to)
            {
                entries.Add(new SyncEntry(from, to) { Patterns = [.. item.FindTexts("tags", problems).Select(t => t.Text)], AllPlatforms = platforms != "host" });
            }
        }
        return new SyncFile(entries);
    }

    private static ImageReference? ReadRepository(ConfigNode entry, string name, List<ConfigProblem> problems)
    {
        if (entry.FindText(name, problems) is not { } text)
        {
            problems.Add(new ConfigProblem(entry.Offset, $"{name} is missing", "write a repository, as in registry.example.com/team/app"));
            return null;
        }
        try
        {
            if (ImageReference.ParseWithoutDefaultTag(text) is { Tag: null, Digest: null } repository)
            {
                return repository;
            }
            problems.Add(new ConfigProblem(entry.Find(name)!.Offset, $"{name}: '{Hosts.Printable(text)}' is one image of a repository", "leave the tag away, and choose by tags = [\"…\"]"));
        }
        catch (StrataException e)
        {
            problems.Add(new ConfigProblem(entry.Find(name)!.Offset, $"{name}: {e.Message}", e.Hint));
        }
        return null;
    }
}

/// <summary>One repository, and where it is to be the same.</summary>
/// <param name="From">The repository that is copied; no tag.</param>
/// <param name="To">The repository that becomes like it; no tag.</param>
public sealed record SyncEntry(ImageReference From, ImageReference To)
{
    /// <summary>Which tags: <c>*</c> and <c>?</c> as in file names, a leading <c>!</c> leaves out; none is all.</summary>
    public IReadOnlyList<string> Patterns { get; init; } = [];
    /// <summary>Whole indexes, not only this machine's image.</summary>
    public bool AllPlatforms { get; init; } = true;

    /// <summary>Whether a tag is one of those. Does no I/O.</summary>
    public bool Takes(string tag)
    {
        string[] wanted = [.. Patterns.Where(p => !p.StartsWith('!'))], unwanted = [.. Patterns.Where(p => p.StartsWith('!')).Select(p => p[1..])];
        return (wanted.Length == 0 || wanted.Any(p => FileSystemName.MatchesSimpleExpression(p, tag, ignoreCase: false)))
            && !unwanted.Any(p => FileSystemName.MatchesSimpleExpression(p, tag, ignoreCase: false));
    }
}
