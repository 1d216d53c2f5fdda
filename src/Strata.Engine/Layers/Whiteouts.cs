namespace Strata.Layers;

/// <summary>
/// The names by which a layer's tar hides what is below (image-spec/layer.md#whiteouts): <c>.wh.NAME</c> hides NAME in the same directory,
/// <c>.wh..wh..opq</c> hides all that lower layers have in the directory.
/// </summary>
internal static class Whiteouts
{
    internal const string Prefix = ".wh.";
    internal const string Opaque = ".wh..wh..opq";
    private const string BookkeepingPrefix = Prefix + Prefix;

    /// <summary>What a path means: itself, a whiteout, an opaque marker, or AUFS' own bookkeeping (.wh..wh.plnk and what is in it), which means nothing.</summary>
    internal enum Meaning
    {
        Plain,
        Whiteout,
        Opaque,
        Bookkeeping,
        /// <summary>It hides nothing that could be.</summary>
        Invalid,
        /// <summary>It lies in a directory whose name hides another.</summary>
        BelowWhiteout,
    }

    /// <summary>Tells what a path means; <paramref name="target"/> is the path that is hidden, or the directory that is opaque.</summary>
    internal static Meaning Read(string path, out string target)
    {
        target = path;
        if (!path.Contains(Prefix, StringComparison.Ordinal))
        {
            return Meaning.Plain; // all but a few
        }
        int slash = path.LastIndexOf('/');
        string directory = slash < 0 ? "" : path[..slash];
        string name = path[(slash + 1)..];
        switch (ReadDirectory(directory))
        {
            case Meaning.Bookkeeping:
                return Meaning.Bookkeeping;
            case Meaning.BelowWhiteout:
                return Meaning.BelowWhiteout;
        }
        if (!name.StartsWith(Prefix, StringComparison.Ordinal))
        {
            return Meaning.Plain;
        }
        if (name == Opaque)
        {
            target = directory;
            return Meaning.Opaque;
        }
        if (name.StartsWith(BookkeepingPrefix, StringComparison.Ordinal))
        {
            return Meaning.Bookkeeping;
        }
        string hidden = name[Prefix.Length..];
        if (hidden is "" or "." or "..")
        {
            return Meaning.Invalid;
        }
        target = slash < 0 ? hidden : $"{directory}/{hidden}";
        return Meaning.Whiteout;
    }

    /// <summary>Whether a component of a path could be no file of a layer: it would be read as a whiteout.</summary>
    internal static bool IsReserved(string path)
        => path.StartsWith(Prefix, StringComparison.Ordinal) || path.Contains("/" + Prefix, StringComparison.Ordinal);

    /// <summary>The path of the entry that hides <paramref name="path"/>.</summary>
    internal static string WhiteoutOf(string path)
    {
        int slash = path.LastIndexOf('/');
        return slash < 0 ? Prefix + path : path[..(slash + 1)] + Prefix + path[(slash + 1)..];
    }

    /// <summary>The path of the entry that makes <paramref name="directory"/> opaque.</summary>
    internal static string OpaqueOf(string directory) => directory.Length == 0 ? Opaque : directory + "/" + Opaque;

    private static Meaning ReadDirectory(string directory)
    {
        Meaning meaning = Meaning.Plain;
        foreach (Range part in directory.AsSpan().Split('/'))
        {
            ReadOnlySpan<char> name = directory.AsSpan(part);
            if (name.StartsWith(BookkeepingPrefix, StringComparison.Ordinal))
            {
                return Meaning.Bookkeeping;
            }
            meaning = name.StartsWith(Prefix, StringComparison.Ordinal) ? Meaning.BelowWhiteout : meaning;
        }
        return meaning;
    }
}
