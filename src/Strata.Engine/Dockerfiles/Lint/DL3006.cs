namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: always tag the version of an image.</summary>
internal static class DL3006
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        for (int i = 0; i < file.Stages.Length; i++)
        {
            string image = file.Stages[i].BaseName;
            bool isImage = image != "scratch" && !image.Contains('$', StringComparison.Ordinal) && StageFacts.ParentOf(file, i) is null;
            if (isImage && TagOf(image) is null && !image.Contains('@', StringComparison.Ordinal))
            {
                yield return new LintFinding(nameof(DL3006), file.Stages[i].Span, $"Always tag the version of an image explicitly: {image} is whatever it is today", $"write: FROM {image}:VERSION");
            }
        }
    }

    /// <summary>The tag of a name as FROM has it; null where there is none.</summary>
    internal static string? TagOf(string image)
    {
        string name = image.Split('@')[0];
        int colon = name.LastIndexOf(':');
        return colon > name.LastIndexOf('/') ? name[(colon + 1)..] : null;
    }
}
