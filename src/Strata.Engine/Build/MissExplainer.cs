using System.Collections.Immutable;
using System.Text;
using Strata.Oci;

namespace Strata.Build;

/// <summary>Why a step was not in the cache.</summary>
/// <param name="Kind">new, asked, gone, instruction, variable, base, input, mount, file or epoch.</param>
/// <param name="Name">Which one: a variable, a file, a mount.</param>
/// <param name="Old">What it was; null where it was not there.</param>
/// <param name="New">What it is; null where it is not there any more.</param>
public sealed record MissCause(string Kind, string? Name = null, string? Old = null, string? New = null)
{
    /// <inheritdoc/>
    public override string ToString() => Kind switch
    {
        "new" => "nothing was made at this place before, or its record is pruned",
        "asked" => "the cache is not to be used",
        "gone" => "its record is there, its layer is not any more",
        "base" => $"base changed: {Old} is {New} now",
        _ => $"{Kind} {(Name is null ? "" : Name + " ")}{(Old is null ? $"is new: {New}" : New is null ? $"is gone: {Old}" : $"changed: {Old} is {New} now")}",
    };
}

/// <summary>
/// Compares what a step's key is made of with the nearest record: of the same instruction in the same stage of the same Dockerfile, else of what stood
/// at its place there.
/// </summary>
internal sealed class MissExplainer(BuildCache cache, string dockerfile)
{
    private const int MostFiles = 20; // of those that changed; one more tells how many there are besides

    /// <summary>Notes what was made, and of which files: a list that <see cref="BuildCache.WriteFiles"/> wrote, or null.</summary>
    internal void Note(BuildStep step, CacheKey key, string? files)
    {
        if (files is not null)
        {
            cache.KeepFiles(key, files);
        }
        foreach (string slot in SlotsOf(step))
        {
            cache.NoteLast(slot, key);
        }
    }

    /// <summary>Says what is different.</summary>
    internal ImmutableArray<MissCause> Explain(BuildStep step, CacheKey key, IReadOnlyList<string> fields, IStepWork work)
    {
        foreach (string slot in SlotsOf(step))
        {
            if (cache.FindLast(slot) is { } last && cache.TryFind(last) is { Fields.IsEmpty: false } record)
            {
                return last == key ? [new MissCause("gone")] : [.. Compare(record.Fields, fields, last, work)];
            }
        }
        return [new MissCause("new")];
    }

    // Both by what the instruction says and by where it stands: a line that is put before it must not hide its own record.
    private string[] SlotsOf(BuildStep step)
    {
        string text = step.Display[(step.Display.IndexOf(']', StringComparison.Ordinal) + 1)..];
        return [Hash($"{dockerfile}\0{step.Stage}\0{text}"), Hash($"{dockerfile}\0{step.Stage}\0#{step.Number}")];
    }

    private static string Hash(string text)
    {
        const int Digits = 32;
        return Digest.Of(Encoding.UTF8.GetBytes(text)).Hex[..Digits].ToString();
    }

    private IEnumerable<MissCause> Compare(ImmutableArray<string> oldFields, IReadOnlyList<string> newFields, CacheKey last, IStepWork work)
    {
        ILookup<string, string[]> before = Group(oldFields), now = Group(newFields);
        foreach (string name in before.Select(g => g.Key).Union(now.Select(g => g.Key)))
        {
            string[][] one = [.. before[name]], other = [.. now[name]];
            if (one.Length == other.Length && one.Zip(other).All(p => p.First.SequenceEqual(p.Second)))
            {
                continue;
            }
            IReadOnlyList<MissCause> causes = name switch
            {
                "input" => [.. CompareInputs(one, other)],
                "env" => [.. CompareVariables([.. one.SelectMany(v => v)], [.. other.SelectMany(v => v)])],
                "content" => CompareFiles(last, work),
                "mount" => [new MissCause("mount", null, Text(one), Text(other))],
                "epoch" => [new MissCause("epoch", "SOURCE_DATE_EPOCH", Text(one), Text(other))],
                _ => [new MissCause("instruction", name, Text(one), Text(other))],
            };
            foreach (MissCause cause in causes)
            {
                yield return cause;
            }
        }
    }

    private static ILookup<string, string[]> Group(IEnumerable<string> fields) => fields.Select(f => f.Split(CacheKeyBuilder.Separator)).ToLookup(f => f[0], f => f[1..]);

    private static string? Text(string[][] values) => values.Length == 0 ? null : string.Join("; ", values.Select(v => string.Join(' ', v)));

    private static IEnumerable<MissCause> CompareInputs(string[][] before, string[][] now)
    {
        for (int i = 0; i < Math.Max(before.Length, now.Length); i++)
        {
            string? one = i < before.Length ? before[i][0] : null, other = i < now.Length ? now[i][0] : null;
            if (one != other)
            {
                yield return i == 0 ? new MissCause("base", null, Named(one), Named(other)) : new MissCause("input", i.ToString(System.Globalization.CultureInfo.InvariantCulture), Named(one), Named(other));
            }
        }
        static string? Named(string? chain) => chain is "" ? "empty" : chain;
    }

    private static IEnumerable<MissCause> CompareVariables(string[] before, string[] now)
    {
        Dictionary<string, string> old = before.Select(v => v.Split('=', 2)).ToDictionary(v => v[0], v => v[^1], StringComparer.Ordinal);
        Dictionary<string, string> current = now.Select(v => v.Split('=', 2)).ToDictionary(v => v[0], v => v[^1], StringComparer.Ordinal);
        return old.Keys.Union(current.Keys).Where(n => old.GetValueOrDefault(n) != current.GetValueOrDefault(n))
            .Select(n => new MissCause("variable", n, old.GetValueOrDefault(n), current.GetValueOrDefault(n)));
    }

    private List<MissCause> CompareFiles(CacheKey last, IStepWork work)
    {
        Dictionary<string, string> old = cache.ReadFiles(last).Select(l => l.Split('\t', 2)).Where(l => l.Length == 2).DistinctBy(l => l[1]).ToDictionary(l => l[1], l => l[0], StringComparer.Ordinal);
        var differences = new Differences(old);
        work.WriteFiles(differences);
        differences.Flush();
        List<MissCause> causes = [.. differences.Causes, .. old.Keys.Except(differences.Seen).Select(n => new MissCause("file", n, old[n]))];
        return causes.Count <= MostFiles ? causes : [.. causes.Take(MostFiles), new MissCause("file", $"({causes.Count - MostFiles} more)", "", "")];
    }

    /// <summary>Reads lines as they are written: the new list is never whole in memory.</summary>
    private sealed class Differences(Dictionary<string, string> old) : StringWriter(System.Globalization.CultureInfo.InvariantCulture)
    {
        internal List<MissCause> Causes { get; } = [];
        internal HashSet<string> Seen { get; } = new(StringComparer.Ordinal);

        public override void Write(string? value)
        {
            if (value?.TrimEnd('\n').Split('\t', 2) is [string content, string name] && Seen.Add(name))
            {
                string? before = old.GetValueOrDefault(name);
                if (before != content)
                {
                    Causes.Add(new MissCause("file", name, before, content));
                }
            }
        }
    }
}
