using Strata.Dockerfiles;
using Xunit;

namespace Strata.Tests.Dockerfiles;

/// <summary>BuildKit's tables of what variables and quotes become.</summary>
public sealed class ShellSuiteTests
{
    [Fact]
    public void Words_expand_as_in_BuildKit()
    {
        var environment = new Dictionary<string, string> { ["PWD"] = "/home", ["SHELL"] = "bash", ["KOREAN"] = "한국어", ["NULL"] = "" };
        var wrong = new List<string>();
        int count = 0;
        foreach (string line in File.ReadLines(Suites.File("shell", "envVarTest")).Where(l => !l.StartsWith('#') && l.Trim().Length > 0))
        {
            string[] fields = line.Split('|');
            string source = fields[1].Trim(), expected = fields[2].Trim();
            if (fields[0].Trim() is "A" or "U")
            {
                count++;
                string actual = Try(() => new VariableExpander('\\', environment.GetValueOrDefault).Expand(source));
                if (actual != expected)
                {
                    wrong.Add($"{source} | {expected} | {actual}");
                }
            }
        }
        Assert.True(wrong.Count == 0 && count > 180, $"of {count}:\n{string.Join('\n', wrong)}");
    }

    [Fact]
    public void Words_split_as_in_BuildKit()
    {
        var environment = new Dictionary<string, string>();
        var wrong = new List<string>();
        int count = 0;
        foreach (string line in File.ReadLines(Suites.File("shell", "wordsTest")).Where(l => !l.StartsWith('#') && l.Trim().Length > 0))
        {
            if (line.StartsWith("ENV ", StringComparison.Ordinal))
            {
                string[] pair = line[4..].TrimStart(' ').Split('=', 2);
                environment[pair[0]] = pair[1];
                continue;
            }
            count++;
            string[] fields = line.Split('|');
            string expected = fields[1].TrimStart(' ');
            string actual = Try(() => string.Join(',', new VariableExpander('\\', environment.GetValueOrDefault).ExpandWords(fields[0].Trim())));
            if (actual != expected)
            {
                wrong.Add($"{fields[0]} | {expected} | {actual}");
            }
        }
        Assert.True(wrong.Count == 0 && count > 15, $"of {count}:\n{string.Join('\n', wrong)}");
    }

    private static string Try(Func<string> expand)
    {
        try
        {
            return expand();
        }
        catch (FormatException)
        {
            return "error";
        }
    }
}
