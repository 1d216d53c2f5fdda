using Xunit;

namespace Strata.Tests;

/// <summary>Vectors of other projects, kept outside this repository: the folder STRATA_SUITES names. Absent, the test says so and is skipped.</summary>
internal static class Suites
{
    public static string File(params string[] parts)
    {
        string? root = Environment.GetEnvironmentVariable("STRATA_SUITES");
        Assert.SkipWhen(string.IsNullOrEmpty(root), $"STRATA_SUITES is not set: {string.Join('/', parts)} cannot be read");
        return Path.Combine([root!, .. parts]);
    }
}
