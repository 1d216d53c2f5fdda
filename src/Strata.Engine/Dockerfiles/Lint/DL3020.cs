namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: use COPY instead of ADD for files and folders. ADD unpacks archives and fetches URLs, which a reader does not see.</summary>
internal static class DL3020
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (CopyInstruction add in file.Stages.SelectMany(s => s.Instructions).OfType<CopyInstruction>().Where(c => c.IsAdd && !c.Sources.Any(NeedsAdd)))
        {
            string[] lines = SourceLines.Of(file, add.Span);
            int at = lines[0].IndexOf(add.Keyword, StringComparison.Ordinal);
            bool onlyCopyCan = add.Checksum is null && add.Unpack is null && !add.KeepGitDirectory;
            lines[0] = at < 0 ? lines[0] : lines[0].Remove(at, add.Keyword.Length).Insert(at, add.Keyword.Any(char.IsAsciiLetterLower) ? "copy" : "COPY");
            yield return new LintFinding(nameof(DL3020), add.Span, "Use COPY instead of ADD for files and folders", $"write: COPY {add.Original["ADD ".Length..].Split('\n')[0]}",
                at < 0 || !onlyCopyCan ? null : new LintFix(add.Span, string.Join('\n', lines)) { IsSafe = add.Sources.All(IsSurelyNoArchive) });
        }
    }

    private static bool NeedsAdd(string source)
        => source.Contains("://", StringComparison.Ordinal) || source.StartsWith("git@", StringComparison.Ordinal) || DL3010.IsArchive(source) || source.Contains('$', StringComparison.Ordinal)
            || source.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) || source.EndsWith(".xz", StringComparison.OrdinalIgnoreCase) || source.EndsWith(".bz2", StringComparison.OrdinalIgnoreCase)
            || source.EndsWith(".zst", StringComparison.OrdinalIgnoreCase);

    // ADD looks into a file to see whether it is an archive; a name that ends in a known way is as good as none.
    private static bool IsSurelyNoArchive(string source)
    {
        string name = source.TrimEnd('/').Split('/')[^1];
        int dot = name.LastIndexOf('.');
        return source.EndsWith('/') || name is "." or ".." or "" || source.StartsWith("<<", StringComparison.Ordinal) || (dot > 0 && dot < name.Length - 1 && !name.AsSpan().ContainsAny("*?["));
    }
}
