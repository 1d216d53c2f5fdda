using Strata.IntegrationTests.Seeds;
using Xunit;

namespace Strata.IntegrationTests.Supply;

/// <summary>strata publish with the real executable.</summary>
public sealed class PublishTests(SeedStore store)
{
    private const string Deps = """
        { "targets": { ".NETCoreApp,Version=v10.0": {
            "App/1.0.0": { "runtime": { "App.dll": {} } }, "Lib/1.0.0": { "runtime": { "Lib.dll": {} } }, "Json/13.0.3": { "runtime": { "lib/net6.0/Json.dll": {} } },
            "runtimepack.R/10.0.0": { "native": { "libcoreclr.so": {} } } } },
          "libraries": { "App/1.0.0": { "type": "project" }, "Lib/1.0.0": { "type": "project" }, "Json/13.0.3": { "type": "package" }, "runtimepack.R/10.0.0": { "type": "runtimepack" } } }
        """;

    [Fact]
    public void Each_part_has_a_layer_and_only_what_changed_changes()
    {
        (string, string)[] files =
        [
            ("App.deps.json", Deps), ("App.runtimeconfig.json", """{"runtimeOptions":{"includedFrameworks":[{"name":"Microsoft.NETCore.App","version":"10.0.0"}]}}"""),
            ("App", "#!/bin/sh\necho hello from the app\n"), ("App.dll", "app"), ("Lib.dll", "lib"), ("Json.dll", "json"), ("libcoreclr.so", "runtime"), ("wwwroot/x.txt", "x"),
        ];
        string first = Publish("published:1", files);
        Assert.Equal(["app", "app/libcoreclr.so"], Layer("published:1", 1));
        Assert.Equal(["app/Json.dll"], Layer("published:1", 2).Skip(1));
        Assert.Equal(["app/Lib.dll"], Layer("published:1", 3).Skip(1));
        Assert.Equal(["app/App", "app/App.deps.json", "app/App.dll", "app/App.runtimeconfig.json", "app/wwwroot", "app/wwwroot/x.txt"], Layer("published:1", 4).Skip(1));
        Assert.Equal("hello from the app\n", store.Run("run", "--rm", "published:1").Ok().Out);
        Assert.Equal("/app", store.Inspect("published:1", "{{.Config.WorkingDir}}"));

        Assert.Equal(first, Publish("published:2", files)); // other times, another folder
        files[3] = ("App.dll", "app, changed");
        Assert.NotEqual(first, Publish("published:3", files));
        Assert.Equal(store.Layers("published:1")[..^1], store.Layers("published:3")[..^1]);
        Assert.Contains("no application in it", store.Run("publish", "--from", store.Context(("x", "")), "--base", store.Busybox).Fails(1).Err, StringComparison.Ordinal);
    }

    [Fact]
    public void A_project_is_published_and_runs()
    {
        string folder = store.Context(
            ("Directory.Build.props", "<Project />"), ("Directory.Packages.props", "<Project />"),
            ("Lib/Lib.csproj", Project("")), ("Lib/Words.cs", "namespace Lib; public static class Words { public static string Hello => \"hello from a project\"; }\n"),
            ("App/App.csproj", Project("<OutputType>Exe</OutputType><InvariantGlobalization>true</InvariantGlobalization>", "<ProjectReference Include=\"../Lib/Lib.csproj\" />")),
            ("App/Program.cs", "System.Console.WriteLine(Lib.Words.Hello);\n"));
        store.Run("publish", Path.Combine(folder, "App"), "--base", store.Debian, "-t", "project:1", "--sbom").Ok();
        Assert.Equal(store.Layers(store.Debian).Length + 2, store.Layers("project:1").Length);
        string dotnet = Path.GetDirectoryName(new FileInfo(Strata.Linux.ChildProcess.FindProgram("dotnet")!).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? Strata.Linux.ChildProcess.FindProgram("dotnet")!)!;
        Assert.Equal("hello from a project\n", store.Run("run", "--rm", "-v", $"{dotnet}:{dotnet}:ro", "--entrypoint", Path.Combine(dotnet, "dotnet"), "project:1", "/app/App.dll").Ok().Out);
        Assert.Equal("[\"dotnet\",\"/app/App.dll\"]", store.Inspect("project:1", "{{json .Config.Entrypoint}}"));
    }

    [Fact]
    public void The_targets_file_makes_an_image_when_a_project_is_published()
    {
        string targets = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "..", "..", "msbuild", "Strata.Publish.targets"));
        string folder = store.Context(
            ("Directory.Build.props", "<Project />"), ("Directory.Packages.props", "<Project />"),
            ("App/App.csproj", Project("<OutputType>Exe</OutputType>").Replace("</Project>", $"<Import Project=\"{targets}\" /></Project>", StringComparison.Ordinal)),
            ("App/Program.cs", "System.Console.WriteLine();\n"));
        SeedStore.Exec("env", null, $"STRATA_ROOT={store.Root}", "DOTNET_CLI_TELEMETRY_OPTOUT=1", "dotnet", "publish", Path.Combine(folder, "App"), "--nologo", "-nodeReuse:false", "-p:UseSharedCompilation=false",
            "-p:PublishStrataImage=true", $"-p:StrataExecutable={SeedStore.Binary}", $"-p:StrataBaseImage={store.Busybox}", "-p:StrataImage=targets:1").Ok();
        Assert.Equal(store.Layers(store.Busybox).Length + 1, store.Layers("targets:1").Length);
        Assert.Equal("[\"dotnet\",\"/app/App.dll\"]", store.Inspect("targets:1", "{{json .Config.Entrypoint}}"));
    }

    private static string Project(string properties, string items = "")
        => $"<Project Sdk=\"Microsoft.NET.Sdk\"><PropertyGroup><TargetFramework>net10.0</TargetFramework>{properties}</PropertyGroup><ItemGroup>{items}</ItemGroup></Project>\n";

    // The image's ID.
    private string Publish(string tag, (string Name, string Content)[] files)
    {
        string folder = store.Context(files);
        File.SetUnixFileMode(Path.Combine(folder, "App"), (UnixFileMode)0b111_101_101);
        File.SetLastWriteTimeUtc(Path.Combine(folder, "App.dll"), DateTime.UnixEpoch.AddDays(Random.Shared.Next(1, 10_000)));
        return store.Run("publish", "--from", folder, "--base", store.Busybox, "-t", tag).Ok().Out;
    }

    // Above the base's, 1 is the first; names without slashes at their ends.
    private string[] Layer(string image, int number)
        => [.. store.Run("layer", "ls", image, (store.Layers(store.Busybox).Length + number).ToString(System.Globalization.CultureInfo.InvariantCulture)).Ok().Lines.Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^1].Trim('/'))];
}
