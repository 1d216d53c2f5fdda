using System.Reflection;
using Strata.Tests.Build;
using Xunit;

namespace Strata.Tests.Dockerfiles;

/// <summary>How many rows the tables have that come from the Dockerfile reference, counted, so that docs/compatibility.md can say it.</summary>
public sealed class ReferenceCountTests
{
    // Without lint, without the tables of other projects: those are read from STRATA_SUITES and are counted nowhere here.
    private static readonly Type[] s_tables =
    [
        typeof(ReferenceParsingTests), typeof(ReferenceExpansionTests), typeof(ReferenceMatchingTests), typeof(ReferencePlanTests),
        typeof(DockerfileTests), typeof(DockerIgnoreTests), typeof(VariableExpanderTests), typeof(RunMountPlanTests), typeof(StagePlannerTests), typeof(GitSourceTests), typeof(CopySourcesTests),
    ];

    [Fact]
    public void There_are_at_least_four_hundred()
    {
        int rows = s_tables.SelectMany(t => t.GetMethods(BindingFlags.Instance | BindingFlags.Public)).Sum(m => m.GetCustomAttributes<InlineDataAttribute>().Count()) + DockerfileTests.Mistakes.Count;
        string[] twice = [.. s_tables.SelectMany(t => t.GetMethods()).SelectMany(m => m.GetCustomAttributes<InlineDataAttribute>().Select(d => $"{m.Name}: {string.Join(" | ", d.Data)}")).GroupBy(r => r).Where(g => g.Count() > 1).Select(g => g.Key)];
        Assert.Empty(twice);
        Assert.True(rows >= 400, $"{rows} rows");
        TestContext.Current.TestOutputHelper?.WriteLine($"{rows} rows");
    }
}
