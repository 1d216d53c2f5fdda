using System.Globalization;

namespace Strata.Dockerfiles.Lint;

/// <summary>How stages hang together.</summary>
internal static class StageFacts
{
    /// <summary>The earlier stage that a stage starts from; null where it is an image.</summary>
    internal static int? ParentOf(Dockerfile file, int index) => Find(file, file.Stages[index].BaseName, index, byNumber: false);

    /// <summary>Whether layers of a stage get into an image: it is the last, or one that others only build on, or that nobody uses but --target.</summary>
    internal static bool[] Shipped(Dockerfile file)
    {
        bool[] copiedFrom = new bool[file.Stages.Length], shipped = new bool[file.Stages.Length];
        for (int i = 0; i < file.Stages.Length; i++)
        {
            foreach (string from in file.Stages[i].Instructions.SelectMany(SourcesOf))
            {
                if (Find(file, from, i, byNumber: true) is { } source)
                {
                    copiedFrom[source] = true;
                }
            }
        }
        for (int i = file.Stages.Length - 1; i >= 0; i--)
        {
            shipped[i] |= i == file.Stages.Length - 1 || (!copiedFrom[i] && !HasChild(file, i));
            if (shipped[i] && ParentOf(file, i) is { } parent)
            {
                shipped[parent] = true;
            }
        }
        return shipped;
    }

    /// <summary>The stages whose layers get into an image.</summary>
    internal static IEnumerable<Stage> ShippedStages(Dockerfile file) => file.Stages.Zip(Shipped(file)).Where(s => s.Second).Select(s => s.First);

    private static bool HasChild(Dockerfile file, int index) => Enumerable.Range(index + 1, file.Stages.Length - index - 1).Any(i => ParentOf(file, i) == index);

    private static IEnumerable<string> SourcesOf(Instruction instruction) => instruction switch
    {
        CopyInstruction { From: { } from } => [from],
        RunInstruction run => run.Mounts.Select(m => m.From).OfType<string>(),
        _ => [],
    };

    private static int? Find(Dockerfile file, string name, int before, bool byNumber)
    {
        for (int i = before - 1; i >= 0; i--)
        {
            if (file.Stages[i].Name is { } stage && stage.Equals(name, StringComparison.OrdinalIgnoreCase))
            {
                return i;
            }
        }
        return byNumber && int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number < before ? number : null;
    }
}
