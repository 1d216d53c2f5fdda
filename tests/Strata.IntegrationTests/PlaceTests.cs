using Xunit;

namespace Strata.IntegrationTests;

public sealed class PlaceTests
{
    [Fact]
    public void Tests_run_as_root_on_linux() => Assert.True(OperatingSystem.IsLinux());
}
