using System.Collections.Immutable;
using Strata.Dockerfiles;

namespace Strata.Build;

/// <summary>Stages that name each other: what comes later cannot be copied from, and what goes round has no beginning. In BuildKit's words.</summary>
internal static class StageOrder
{
    /// <summary>Looks at all stages, also those that the target does not need.</summary>
    /// <exception cref="DockerfileException">A stage needs itself, perhaps by way of others.</exception>
    internal static void Check(StageWalk walk)
    {
        for (int index = 0; index < walk.File.Stages.Length; index++)
        {
            foreach ((string from, SourceSpan span) in walk.OriginsOf(index))
            {
                if (walk.ContextOf(from) is null && Later(walk, from, index) is { } later && Needs(walk, later, index))
                {
                    throw Circle(walk, later, index, span, from);
                }
            }
        }
    }

    /// <summary>The failure of a copy from a stage that is not there yet.</summary>
    internal static DockerfileException TooEarly(StageWalk walk, int later, int index, SourceSpan span, string from)
        => Needs(walk, later, index) ? Circle(walk, later, index, span, from)
            : new DockerfileException(span, $"cannot copy from stage \"{from}\", it needs to be defined before current stage \"{walk.NameOf(index)}\"")
            {
                Hint = $"move stage {walk.NameOf(later)} (line {walk.File.Stages[later].Span.FirstLine}) above line {walk.File.Stages[index].Span.FirstLine}", Culprit = from,
            };

    /// <summary>Which stages there are before one, and which of them may be meant.</summary>
    internal static string HintFor(StageWalk walk, string written, int index) => HintFor(written, walk.NamesBefore(index), index);

    /// <summary>The same, where the names are known.</summary>
    internal static string HintFor(string written, ImmutableArray<string> names, int count)
        => names.IsEmpty ? count == 0 ? "there is no stage before this one" : $"the stages before this one have no names; they are 0 to {count - 1}"
            : $"the stages before this one are: {string.Join(", ", names)}" + (Suggestion.Find(written.ToLowerInvariant(), names.Select(n => n.ToLowerInvariant())) is { } near ? $"; did you mean {near}?" : "");

    private static DockerfileException Circle(StageWalk walk, int later, int index, SourceSpan span, string from)
        => new(span, $"circular dependency detected on stage: {walk.NameOf(index)}")
        {
            Hint = later == index ? "a stage cannot copy from itself: what it has is there already" : $"stage {walk.NameOf(later)} needs stage {walk.NameOf(index)}: one of them has to do without the other", Culprit = from,
        };

    // The stage that is not before this one, where the name means such a one.
    private static int? Later(StageWalk walk, string from, int index)
    {
        if (walk.FindStage(from, index) is not null)
        {
            return null;
        }
        int? found = walk.FindStage(from, walk.File.Stages.Length)
            ?? (int.TryParse(from, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out int number) && number < walk.File.Stages.Length ? number : null);
        return found >= index ? found : null;
    }

    // Whether a stage needs another one, whatever their order.
    private static bool Needs(StageWalk walk, int stage, int other)
    {
        var pending = new Stack<int>([stage]);
        var seen = new HashSet<int>();
        while (pending.TryPop(out int index))
        {
            if (index == other)
            {
                return true;
            }
            if (!seen.Add(index))
            {
                continue;
            }
            if (walk.FindStage(walk.BaseOf(index), index) is { } below)
            {
                pending.Push(below);
            }
            foreach ((string from, _) in walk.OriginsOf(index))
            {
                if ((walk.FindStage(from, index) ?? Later(walk, from, index)) is { } needed)
                {
                    pending.Push(needed);
                }
            }
        }
        return false;
    }
}
