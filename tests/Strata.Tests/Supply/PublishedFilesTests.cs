using System.Text;
using System.Text.Json;
using Strata.Supply;
using Xunit;

namespace Strata.Tests.Supply;

public sealed class PublishedFilesTests
{
    private const string Deps = """
        { "runtimeTarget": { "name": ".NETCoreApp,Version=v10.0/linux-x64" },
          "targets": { ".NETCoreApp,Version=v10.0": {}, ".NETCoreApp,Version=v10.0/linux-x64": {
            "App/1.0.0": { "dependencies": { "Lib": "1.0.0" }, "runtime": { "App.dll": {} } },
            "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/10.0.0": { "runtime": { "System.Runtime.dll": {}, "Both.dll": {} }, "native": { "libcoreclr.so": {} } },
            "Json/13.0.3": { "runtime": { "lib/net6.0/Json.dll": {}, "lib/net6.0/Both.dll": {} }, "resources": { "lib/net6.0/de/Json.resources.dll": { "locale": "de" } },
              "native": { "runtimes/linux-x64/native/libj.so": {} }, "runtimeTargets": { "runtimes/win-x64/native/j.dll": {} } },
            "New/1.0.0": { "runtime": { "lib/net10.0/New.dll": { "localPath": "sub/New.dll" } } },
            "Lib/1.0.0": { "runtime": { "Lib.dll": {} } }, "Old/1.0.0": { "runtime": { "Old.dll": {} } } } },
          "libraries": { "App/1.0.0": { "type": "project" }, "Lib/1.0.0": { "type": "project" }, "Json/13.0.3": { "type": "package" }, "New/1.0.0": { "type": "package" },
            "Old/1.0.0": { "type": "reference" }, "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/10.0.0": { "type": "runtimepack" } } }
        """;

    [Theory]
    [InlineData("App", "Application")]
    [InlineData("App.dll", "Application")]
    [InlineData("App.pdb", "Application")]
    [InlineData("App.deps.json", "Application")]
    [InlineData("appsettings.json", "Application")]
    [InlineData("wwwroot/Lib.dll", "Application")]
    [InlineData("Lib.dll", "Projects")]
    [InlineData("Lib.pdb", "Projects")]
    [InlineData("Lib.xml", "Projects")]
    [InlineData("Old.dll", "Projects")]
    [InlineData("Json.dll", "Packages")]
    [InlineData("Both.dll", "Packages")]
    [InlineData("de/Json.resources.dll", "Packages")]
    [InlineData("libj.so", "Packages")]
    [InlineData("runtimes/win-x64/native/j.dll", "Packages")]
    [InlineData("sub/New.dll", "Packages")]
    [InlineData("libcoreclr.so", "Runtime")]
    [InlineData("System.Runtime.dll", "Runtime")]
    public void Each_file_belongs_to_the_part_that_brought_it(string file, string part)
        => Assert.Equal(part, PublishedFiles.Assign([file], Encoding.UTF8.GetBytes(Deps), "App")[file].ToString());

    [Fact]
    public void Without_deps_json_all_is_the_application()
        => Assert.Equal([PublishPart.Application], PublishedFiles.Assign(["app", "x.so"], ReadOnlyMemory<byte>.Empty, "app").Values.Distinct());

    [Theory]
    [InlineData("""{"runtimeOptions":{"tfm":"net10.0","framework":{"name":"Microsoft.NETCore.App","version":"10.0.0"}}}""", "mcr.microsoft.com/dotnet/runtime:10.0", false)]
    [InlineData("""{"runtimeOptions":{"frameworks":[{"name":"Microsoft.NETCore.App","version":"8.0.1"},{"name":"Microsoft.AspNetCore.App","version":"8.0.1"}]}}""", "mcr.microsoft.com/dotnet/aspnet:8.0", false)]
    [InlineData("""{"runtimeOptions":{"includedFrameworks":[{"name":"Microsoft.NETCore.App","version":"9.0.4"}]}}""", "mcr.microsoft.com/dotnet/runtime-deps:9.0", true)]
    [InlineData("", "mcr.microsoft.com/dotnet/runtime-deps:10.0", true)]
    public void The_base_is_that_of_the_runtime(string json, string image, bool bringsRuntime)
        => Assert.Equal(new RuntimeChoice(image, bringsRuntime), RuntimeChoice.Read(Encoding.UTF8.GetBytes(json), new Version(10, 0, 1)));

    [Theory]
    [InlineData("{}")]
    [InlineData("x")]
    public void What_is_no_runtimeconfig_is_refused(string json) => Assert.ThrowsAny<JsonException>(() => RuntimeChoice.Read(Encoding.UTF8.GetBytes(json), new Version(10, 0)));
}
