using System.Text.Json;
using Strata.Dockerfiles;
using Strata.Dockerfiles.Lint;
using Xunit;

namespace Strata.Tests.Dockerfiles;

/// <summary>Dockerfiles of other projects, and what BuildKit makes of them.</summary>
public sealed class ParserSuiteTests
{
    [Fact]
    public void Nodes_are_those_of_BuildKit()
    {
        var wrong = new List<string>();
        int count = 0;
        foreach (string folder in Directory.EnumerateDirectories(Suites.File("parser", "testfiles")))
        {
            count++;
            string expected = File.ReadAllText(Path.Combine(folder, "result")).Trim();
            string actual = NodeDump.Dump(NodeDump.Read(File.ReadAllText(Path.Combine(folder, "Dockerfile"))));
            if (expected != actual)
            {
                wrong.Add($"{Path.GetFileName(folder)}:\n{expected}\n--- ours\n{actual}");
            }
        }
        Assert.True(wrong.Count == 0 && count > 30, string.Join("\n\n", wrong));
    }

    [Fact]
    public void What_BuildKit_refuses_is_refused()
    {
        foreach (string folder in Directory.EnumerateDirectories(Suites.File("parser", "testfiles-negative")))
        {
            Assert.Throws<DockerfileException>(() => Dockerfile.Parse(File.ReadAllText(Path.Combine(folder, "Dockerfile"))));
        }
    }

    [Fact]
    public void Lines_are_counted_as_BuildKit_counts_them()
    {
        List<RawNode> nodes = NodeDump.Read(File.ReadAllText(Path.Combine(Suites.File("parser", "testfile-line"), "Dockerfile")));
        Assert.Equal([(5, 5), (11, 12), (17, 31)], nodes.Select(n => (n.Span.FirstLine, n.Span.LastLine)));
    }

    public static TheoryData<string> Aspects => ["dump", "nodes", "stages", "errors", "lint"];

    [Theory]
    [MemberData(nameof(Aspects))]
    public void Real_Dockerfiles_mean_what_they_mean_to_BuildKit(string aspect)
    {
        var wrong = new List<string>();
        int count = 0;
        string root = Suites.File("dockerfiles");
        foreach (string path in Directory.EnumerateFiles(Path.Combine(root, "expected"), "*.json", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            count++;
            string name = Path.GetRelativePath(Path.Combine(root, "expected"), path)[..^".json".Length];
            using var expected = JsonDocument.Parse(File.ReadAllText(path));
            string text = File.ReadAllText(Path.Combine(root, name));
            string? problem = aspect switch
            {
                "dump" => Difference(expected.RootElement.GetProperty("dump").GetString()!, NodeDump.Dump(NodeDump.Read(text))),
                "nodes" => CompareNodes(expected.RootElement, NodeDump.Read(text)),
                "stages" => CompareStages(expected.RootElement, text),
                "errors" => CompareErrors(expected.RootElement, text),
                _ => CompareLint(expected.RootElement, text),
            };
            if (problem is not null)
            {
                wrong.Add($"{name}: {problem}");
            }
        }
        Assert.True(wrong.Count == 0 && count > 250, $"{wrong.Count} of {count}\n{string.Join("\n\n", wrong.Take(12))}");
    }

    private static string? Difference(string expected, string actual)
    {
        if (expected == actual)
        {
            return null;
        }
        (string First, string Second) line = expected.Split('\n').Zip(actual.Split('\n')).FirstOrDefault(p => p.First != p.Second);
        return $"\n{line.First}\n{line.Second}";
    }

    private static string? CompareNodes(JsonElement expected, List<RawNode> nodes)
    {
        string[] theirs = [.. expected.GetProperty("nodes").EnumerateArray().Select(n => string.Join('|',
            n.GetProperty("Line").GetInt32(), n.GetProperty("End").GetInt32(), n.GetProperty("Value").GetString(), Texts(n, "Flags"), Texts(n, "Args"),
            n.TryGetProperty("json", out JsonElement json) && json.GetBoolean(),
            n.TryGetProperty("Heredocs", out JsonElement documents) ? string.Join(';', documents.EnumerateArray().Select(d => string.Join(',', d.GetProperty("name").GetString(),
                d.GetProperty("chomp").GetBoolean(), d.GetProperty("expand").GetBoolean(), d.GetProperty("fd").GetInt32(), d.GetProperty("content").GetString()))) : ""))];
        string[] ours = [.. nodes.Select(n => string.Join('|', n.Span.FirstLine, n.Span.LastLine, n.Upper, string.Join('\u0001', n.Flags),
            n.Nested is { } nested ? NodeDump.Dump([nested]) : string.Join('\u0001', n.Arguments), n.IsJson,
            string.Join(';', n.Heredocs.Select(d => string.Join(',', d.Marker.Name, d.Marker.Chomp, d.Marker.Expand, d.Marker.FileDescriptor, d.Content)))))];
        return Difference(string.Join('\n', theirs), string.Join('\n', ours));
    }

    private static string Texts(JsonElement node, string name)
        => node.GetProperty(name).ValueKind == JsonValueKind.Array ? string.Join('\u0001', node.GetProperty(name).EnumerateArray().Select(e => e.GetString())) : "";

    private static string? CompareStages(JsonElement expected, string text)
    {
        if (expected.TryGetProperty("instructionError", out _))
        {
            return null; // the errors' case
        }
        var file = Dockerfile.Parse(text);
        string theirs = expected.GetProperty("metaArgs").GetInt32() + "\n" + string.Join('\n', expected.GetProperty("stages").EnumerateArray().Select(s => string.Join('|',
            s.GetProperty("name").GetString(), s.GetProperty("base").GetString(), s.GetProperty("platform").GetString(), Texts(s, "commands"))));
        // A line with several ARGs is one command to BuildKit.
        string ours = file.GlobalArgs.DistinctBy(a => a.Span).Count() + "\n" + string.Join('\n', file.Stages.Select(s => string.Join('|',
            s.Name ?? "", s.BaseName, s.Platform ?? "", string.Join('\u0001', s.Instructions.DistinctBy(i => i.Span).Select(i => i.Keyword)))));
        return Difference(theirs, ours);
    }

    private static string? CompareErrors(JsonElement expected, string text)
    {
        string? theirs = expected.TryGetProperty("instructionError", out JsonElement error) ? error.GetString() : null;
        string? ours = null;
        try
        {
            _ = Dockerfile.Parse(text);
        }
        catch (DockerfileException e)
        {
            ours = e.Message;
        }
        // "dockerfile parse error on line 2: what" is "Dockerfile:2: what" here.
        bool same = theirs is null ? ours is null : ours is not null && (theirs.StartsWith("dockerfile parse error on line ", StringComparison.Ordinal)
            ? ours == "Dockerfile:" + theirs["dockerfile parse error on line ".Length..] : ours.EndsWith(theirs, StringComparison.Ordinal));
        return same ? null : $"\n{theirs}\n{ours}";
    }

    [Fact]
    public void Real_Dockerfiles_that_were_fixed_are_Dockerfiles_and_stay_as_they_are()
    {
        var wrong = new List<string>();
        int changed = 0;
        foreach (string path in Directory.EnumerateFiles(Suites.File("dockerfiles"), "*", SearchOption.AllDirectories).Where(p => !p.Contains("/expected/", StringComparison.Ordinal) && !p.EndsWith(".tsv", StringComparison.Ordinal)))
        {
            string text = File.ReadAllText(path);
            Dockerfile file;
            try
            {
                file = Dockerfile.Parse(text);
            }
            catch (DockerfileException)
            {
                continue; // what BuildKit refuses too
            }
            foreach (bool withUnsafe in new[] { false, true })
            {
                string once = DockerfileLinter.Fix(file, new LintOptions(), withUnsafe);
                var again = Dockerfile.Parse(once);
                changed += once == text ? 0 : 1;
                if (DockerfileLinter.Fix(again, new LintOptions(), withUnsafe) != once || again.Stages.Length != file.Stages.Length || Comments(once) != Comments(text))
                {
                    wrong.Add($"{path} {withUnsafe}\n{once}");
                }
            }
        }
        Assert.True(wrong.Count == 0 && changed > 100, $"{wrong.Count}\n{string.Join("\n\n", wrong.Take(5))}");
    }

    // A comment that stood behind an instruction goes where it was taken for a part of it.
    private static int Comments(string text) => text.Split('\n').Count(l => l.TrimStart().StartsWith('#'));

    private static string? CompareLint(JsonElement expected, string text)
    {
        if (expected.TryGetProperty("instructionError", out _))
        {
            return null;
        }
        // What a build cannot go on from ends BuildKit's lint too: then only what it said until there counts.
        bool whole = !expected.TryGetProperty("buildError", out _);
        string[] theirs = expected.GetProperty("lint").ValueKind != JsonValueKind.Array ? [] : [.. expected.GetProperty("lint").EnumerateArray()
            .Select(l => $"{l.GetProperty("line").GetInt32()} {l.GetProperty("rule").GetString()} {l.GetProperty("detail").GetString()}").Order(StringComparer.Ordinal)];
        string[] own = [nameof(FileDeletedInLaterLayer), nameof(InlineComment), nameof(ModeChangedInLaterLayer)];
        string[] ours = [.. DockerfileLinter.Lint(Dockerfile.Parse(text), new LintOptions { BaseVariables = _ => [] })
            .Where(f => !own.Contains(f.Rule) && !f.Rule.StartsWith("DL", StringComparison.Ordinal)).Select(f => $"{f.Span.FirstLine} {f.Rule} {f.Message}").Order(StringComparer.Ordinal)];
        string[] missing = [.. theirs.Except(ours)], more = whole ? [.. ours.Except(theirs)] : [];
        return missing.Length + more.Length == 0 ? null : $"\nmissing {string.Join("; ", missing)}\nmore {string.Join("; ", more)}";
    }
}
