using Strata.Oci;

namespace Strata.Containers;

/// <summary>What an image and a person say of a health check, together.</summary>
internal static class HealthPlan
{
    /// <summary>Docker's defaults, in nanoseconds.</summary>
    public const long Second = 1_000_000_000, DefaultInterval = 30 * Second, DefaultTimeout = 30 * Second, DefaultStartInterval = 5 * Second;
    /// <summary>Failures in a row that make a container unhealthy.</summary>
    public const int DefaultRetries = 3;

    /// <summary>The image's with what a person said over it, field by field.</summary>
    public static HealthcheckConfig Merge(HealthcheckConfig? image, HealthcheckConfig said) => new()
    {
        Test = said.Test ?? image?.Test,
        Interval = said.Interval ?? image?.Interval,
        Timeout = said.Timeout ?? image?.Timeout,
        StartPeriod = said.StartPeriod ?? image?.StartPeriod,
        StartInterval = said.StartInterval ?? image?.StartInterval,
        Retries = said.Retries ?? image?.Retries,
    };

    /// <summary>The words that are run: a shell where the test says so.</summary>
    public static IReadOnlyList<string> Command(HealthcheckConfig check, IReadOnlyList<string>? shell) => check.Test is { Length: > 1 } test
        ? test[0] switch
        {
            "CMD-SHELL" => [.. shell is { Count: > 0 } ? shell : ["/bin/sh", "-c"], test[1]],
            "CMD" => [.. test.Skip(1)],
            _ => [.. test],
        }
        : check.Test ?? [];
}
