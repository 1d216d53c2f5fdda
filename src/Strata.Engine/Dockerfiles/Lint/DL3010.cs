namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: use ADD for extracting archives into an image. The archive that COPY brought stays in its layer, beside what was in it.</summary>
internal static class DL3010
{
    private static readonly string[] s_archives = [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tar.Z", ".tar.lz", ".tar.lzma"];

    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (Stage stage in StageFacts.ShippedStages(file))
        {
            string folder = "";
            var copied = new List<(string Path, CopyInstruction By)>();
            foreach (Instruction instruction in stage.Instructions)
            {
                folder = instruction is WorkdirInstruction workdir ? LayerPaths.Combine(folder, workdir.Path) : folder;
                if (instruction is CopyInstruction { IsAdd: false, From: null } copy && copy.Sources.Any(IsArchive))
                {
                    copied.AddRange(LayerPaths.MadeBy(copy, folder).Where(IsArchive).Select(p => (p, copy)));
                }
                foreach (ShellCommand command in instruction is RunInstruction run ? ShellCommands.Of(run).Where(c => c.Program is "tar" or "bsdtar") : [])
                {
                    string here = folder;
                    (string Path, CopyInstruction By)? found = copied.FirstOrDefault(c => command.Words.Any(w => LayerPaths.Combine(here, w) == c.Path));
                    if (found is { By: { } by } && copied.RemoveAll(c => c.By == by) > 0)
                    {
                        yield return new LintFinding(nameof(DL3010), by.Span, $"Use ADD for extracting archives into an image: {found.Value.Path} stays in this layer, beside what line {instruction.Span.FirstLine} takes out of it",
                            "write: ADD ARCHIVE FOLDER, or mount it: RUN --mount=type=bind,target=/src tar xf /src/ARCHIVE");
                    }
                }
            }
        }
    }

    /// <summary>Whether a name is an archive's that ADD would unpack.</summary>
    internal static bool IsArchive(string name) => s_archives.Any(a => name.EndsWith(a, StringComparison.OrdinalIgnoreCase));
}
