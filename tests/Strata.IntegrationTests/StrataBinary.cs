namespace Strata.IntegrationTests;

/// <summary>The program under test: the published one that STRATA_BIN names (test.sh), or what the build left.</summary>
internal static class StrataBinary
{
    /// <summary>Where it is.</summary>
    internal static string Path { get; } = Environment.GetEnvironmentVariable("STRATA_BIN") is { Length: > 0 } named ? System.IO.Path.GetFullPath(named)
        : System.IO.Path.Combine(AppContext.BaseDirectory, "strata");
}
