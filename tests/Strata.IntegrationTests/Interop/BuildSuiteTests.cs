using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Interop;

/// <summary>
/// Cases of other builders' own tests on which docker and buildah agree: we build them as they do. STRATA_SUITES has the cases, what was built of
/// them, and the comparison. A case that waits for something is named here, is built too, and fails this test when it starts to pass.
/// </summary>
public sealed class BuildSuiteTests : IDisposable
{
    // What the builder cannot do yet.
    private static readonly string[] s_waiting = [];

    // Their base is a Debian that the suite does not bring along: with another one there is nothing to compare, and a registry is never asked here.
    private static readonly string[] s_withoutBase =
    [
        "copy-empty-2", "copy-symlink-2", "copy-to-dir", "copy-to-renamed-file", "copy-with---chown", "multi-stage-base", "shell-test",
        "add-create-relative-path__Dockerfile", "copy-create-relative-path__Dockerfile", "copy-multiple-files__Dockerfile", "copy-multistage-paths__Dockerfile.absolute",
        "dest-symlink-dangling__Dockerfile", "shell__Dockerfile.build-shell-custom",
    ];

    private readonly string _folder = Directory.CreateTempSubdirectory("strata-suite-").FullName;

    public void Dispose() => FileSystems.RemoveTree(_folder);

    [Theory]
    [InlineData("build-conformance", 49, "dk28bk", "dk28cl", "buildah143")]
    [InlineData("bud", 74, "dk28bk", "buildah143")]
    public void What_docker_and_buildah_agree_on_is_built_the_same(string suite, int atLeast, params string[] references)
    {
        string? suites = Environment.GetEnvironmentVariable("STRATA_SUITES");
        Assert.SkipWhen(string.IsNullOrEmpty(suites), $"STRATA_SUITES is not set: build/{suite} cannot be read");
        string cases = Path.Combine(suites!, "build", suite, "cases"), tool = Path.Combine(suites!, "tools/bcmp.py"), store = Path.Combine(_folder, "store");
        foreach (string image in (string[])["busybox", "alpine"])
        {
            SeedStore.RunIn(store, null, "load", "-q", "-i", Path.Combine(suites!, "images", image + ".tar")).Ok();
        }
        SeedStore.Exec("tar", null, "-xJf", Path.Combine(suites!, "build", suite, "expected.tar.xz"), "-C", _folder).Ok();
        string[] names = [.. File.ReadLines(Path.Combine(suites!, "build", suite, "classes.tsv")).Select(l => l.Split('\t')).Where(c => c[0] == "consensus" && !s_withoutBase.Contains(c[1])).Select(c => c[1])];
        Assert.True(names.Length >= atLeast, $"{names.Length} cases of {suite}");
        string list = Path.Combine(_folder, "list"), output = Path.Combine(_folder, "out"), strata = $"{SeedStore.Binary} --root {store}";
        File.WriteAllLines(list, names);
        SeedStore.Exec("python3", null, tool, "build", $"{strata} build --no-cache {{args}} -f {{df}} -t {{tag}} {{ctx}} && {strata} save -o {{out}} {{tag}}", cases, output, "-j", "2", "-l", list).Ok();
        Outcome score = SeedStore.Exec("python3", null, ["-B", tool, "score", output, cases, .. references.Select(r => Path.Combine(_folder, r)), "-v"]).Ok();
        string[] failed = [.. score.Lines.Where(l => l.StartsWith("consensus:FAIL ", StringComparison.Ordinal)).Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^1])];
        Assert.True(failed.Order(StringComparer.Ordinal).SequenceEqual(s_waiting.Intersect(names).Order(StringComparer.Ordinal)), score.Out);
        Assert.Contains($"'consensus:PASS': {names.Length - failed.Length}", score.Out, StringComparison.Ordinal);
    }
}
