namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: avoid additional packages by --no-install-recommends. Other packages are installed then: the fix is made on request.</summary>
internal static class DL3015
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        HashSet<SourceSpan> shipped = [.. StageFacts.ShippedStages(file).SelectMany(s => s.Instructions).Select(i => i.Span)];
        return PackageSteps.Lacking(file, nameof(DL3015), c => DL3009.IsApt(c) && c.Has("install") && !Says(c), "Avoid additional packages: apt installs what packages recommend too", "--no-install-recommends", "install")
            .Where(f => shipped.Contains(f.Span)).Select(f => f with { Fix = f.Fix is null ? null : f.Fix with { IsSafe = false } });
    }

    private static bool Says(ShellCommand command)
        => command.HasAny("--no-install-recommends", "--without-recommends", "-R") || command.Words.Any(w => w.Contains("Install-Recommends=", StringComparison.OrdinalIgnoreCase));
}
