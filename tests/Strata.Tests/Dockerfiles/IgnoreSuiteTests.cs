using System.Text.Json;
using Strata.Dockerfiles;
using Xunit;

namespace Strata.Tests.Dockerfiles;

/// <summary>moby's table of patterns and paths.</summary>
public sealed class IgnoreSuiteTests
{
    [Fact]
    public void Patterns_match_as_in_moby()
    {
        var wrong = new List<string>();
        int count = 0;
        foreach (string line in File.ReadLines(Suites.File("ignore", "patternmatcher.jsonl")))
        {
            count++;
            using var vector = JsonDocument.Parse(line);
            bool error = vector.RootElement.TryGetProperty("newError", out _) || vector.RootElement.TryGetProperty("error", out _);
            bool? expected = error ? null : vector.RootElement.GetProperty("match").GetBoolean();
            bool? actual;
            try
            {
                var ignore = DockerIgnore.FromPatterns(vector.RootElement.GetProperty("patterns").EnumerateArray().Select(p => p.GetString()!));
                actual = ignore.IsIgnored(vector.RootElement.TryGetProperty("path", out JsonElement path) ? path.GetString()! : "x");
            }
            catch (FormatException)
            {
                actual = null;
            }
            if (actual != expected)
            {
                wrong.Add($"{line}: {actual}");
            }
        }
        Assert.True(wrong.Count == 0 && count > 100, string.Join('\n', wrong));
    }
}
