namespace Strata.Layers;

/// <summary>
/// The names by which a layer's tar hides what is below (image-spec/layer.md#whiteouts): <c>.wh.NAME</c> hides NAME in the same directory,
/// <c>.wh..wh..opq</c> hides all that lower layers have in the directory.
/// </summary>
internal static class Whiteouts
{
    internal const string Prefix = ".wh.";
    internal const string Opaque = ".wh..wh..opq";

    /// <summary>What a name means: itself, a whiteout, an opaque marker, or AUFS' own bookkeeping (.wh..wh.plnk and the like), which means nothing.</summary>
    internal enum Meaning
    {
        Plain,
        Whiteout,
        Opaque,
        Bookkeeping,
        Invalid,
    }

    /// <summary>Tells what a path's last name means; <paramref name="target"/> is the path that is hidden, or the directory that is opaque.</summary>
    internal static Meaning Read(string path, out string target)
    {
        int slash = path.LastIndexOf('/');
        ReadOnlySpan<char> name = path.AsSpan(slash + 1);
        string directory = slash < 0 ? "" : path[..slash];
        target = path;
        if (!name.StartsWith(Prefix, StringComparison.Ordinal))
        {
            return Meaning.Plain;
        }
        if (name.SequenceEqual(Opaque))
        {
            target = directory;
            return Meaning.Opaque;
        }
        ReadOnlySpan<char> hidden = name[Prefix.Length..];
        if (hidden is "" or "." or "..")
        {
            return Meaning.Invalid;
        }
        if (hidden.StartsWith(Prefix, StringComparison.Ordinal))
        {
            return Meaning.Bookkeeping;
        }
        target = slash < 0 ? hidden.ToString() : $"{directory}/{hidden}";
        return Meaning.Whiteout;
    }

    /// <summary>The path of the entry that hides <paramref name="path"/>.</summary>
    internal static string WhiteoutOf(string path)
    {
        int slash = path.LastIndexOf('/');
        return slash < 0 ? Prefix + path : path[..(slash + 1)] + Prefix + path[(slash + 1)..];
    }

    /// <summary>The path of the entry that makes <paramref name="directory"/> opaque.</summary>
    internal static string OpaqueOf(string directory) => directory.Length == 0 ? Opaque : directory + "/" + Opaque;
}
