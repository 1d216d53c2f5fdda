using System.Text.Json.Nodes;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Interop;

/// <summary>
/// Cases of other builders' own tests: where docker and buildah agree we build as they do, and where they do not it is said with whom we are. STRATA_SUITES has the cases, what was built of
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

    // Cases on which the peers are not of one mind, by those with whom we are: dk28bk is BuildKit (docker 28), dk28cl docker's classic builder, buildah143 buildah 1.43.
    // The reasons are in docs/compatibility.md.
    private static readonly Dictionary<string, string[]> s_split = new(StringComparer.Ordinal)
    {
        ["dk28bk buildah143"] =
        [
            "add--exclude-includes-dot", "add--exclude-includes-slash", "add--exclude-includes-star", "builtins", "chown-volume", "copy--exclude-includes-subdir-slash",
            "copy--parents-dir-with-links", "copy--parents-directories", "copy--parents-directory-with-parent-directory",
            "copy--parents-limit-parents-unknown-count-parent-directories", "copy--parents-unknown-count-parent-directories", "copy--parents", "heredoc-copy",
            "heredoc-quoting", "multistage-copyback", "volumerun"
        ],
        [""] =
        [
            "add-parent-symlink"
        ],
        ["dk28cl buildah143"] =
        [
            "ci-pipeline-modified", "copy-multiple-missing-file-with-nomatch-on-glob"
        ],
        ["dk28bk"] =
        [
            "copy--form-and--exclude-subdir-under-source", "copy--parents-limit-parent-directories-1", "copy-integration1", "dockerignore-exceptions-skip",
            "dockerignore-exclude-kind-of-deep-subdir-dot", "setuid-file-in-context"
        ],
        ["dk28cl"] =
        [
            "copy-escape-glob", "copyglob-4", "workdir-owner"
        ],
        ["dk28bk dk28cl"] =
        [
            "copyglob-1", "copyglob-3"
        ],
        ["buildah143"] =
        [
            "xattrs-file-in-archive"
        ],
    };

    private static readonly Dictionary<string, string[]> s_splitOfBud = new(StringComparer.Ordinal)
    {
        ["buildah143"] =
        [
            "arg-scope__Containerfile.copy-from-arg", "run-scenarios__Dockerfile.cmd-empty-run", "run-scenarios__Dockerfile.entrypoint-cmd-empty-run",
            "run-scenarios__Dockerfile.noop-flags"
        ],
        ["dk28bk"] =
        [
            "base-with-arg__Containerfile", "base-with-labels__Containerfile", "base-with-labels__Containerfile.layer", "buildkit-mount__Dockerfile3",
            "buildkit-mount__Dockerfile4", "cache-chown__Dockerfile.tar1", "cache-chown__Dockerfile.tar2", "containerignore__Dockerfile.succeed",
            "dockerignore__Dockerfile", "save-stages__Dockerfile.chained-two-build-stages-no-aliases", "symlink__Dockerfile",
            "symlink__Dockerfile.symlink-points-to-itself"
        ],
        [""] =
        [
            "copy-globs__Containerfile.missing"
        ],
    };

    private readonly string _folder = Directory.CreateTempSubdirectory("strata-suite-").FullName;

    public void Dispose() => FileSystems.RemoveTree(_folder);

    [Theory]
    [InlineData("build-conformance", 49, "dk28bk", "dk28cl", "buildah143")]
    [InlineData("bud", 74, "dk28bk", "buildah143")]
    public void What_docker_and_buildah_agree_on_is_built_the_same(string suite, int atLeast, params string[] references)
    {
        (string cases, string output, string[] names) = BuildAll(suite, c => c[0] == "consensus" && !s_withoutBase.Contains(c[1]));
        Assert.True(names.Length >= atLeast, $"{names.Length} cases of {suite}");
        Outcome score = SeedStore.Exec("python3", null, ["-B", Tool, "score", output, cases, .. references.Select(r => Path.Combine(_folder, r)), "-v"]).Ok();
        string[] failed = [.. score.Lines.Where(l => l.StartsWith("consensus:FAIL ", StringComparison.Ordinal)).Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^1])];
        Assert.True(failed.Order(StringComparer.Ordinal).SequenceEqual(s_waiting.Intersect(names).Order(StringComparer.Ordinal)), score.Out);
        Assert.Contains($"'consensus:PASS': {names.Length - failed.Length}", score.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void What_all_refuse_is_refused()
    {
        (_, string output, string[] names) = BuildAll("build-conformance", c => c[0] == "expected-fail");
        Assert.Equal(5, names.Length);
        foreach (string name in names)
        {
            JsonNode result = JsonNode.Parse(File.ReadAllText(Path.Combine(output, name + ".json")))!;
            Assert.True(result["rc"]!.GetValue<int>() == 1, result.ToJsonString());
            Assert.Contains("strata: build: ", result["log"]!.GetValue<string>(), StringComparison.Ordinal); // a message, not a fault
        }
    }

    [Theory]
    [InlineData("build-conformance", 31, "dk28bk", "dk28cl", "buildah143")]
    [InlineData("bud", 17, "dk28bk", "buildah143")]
    public void Where_docker_and_buildah_differ_we_are_with_those_that_are_named(string suite, int count, params string[] references)
    {
        ArgumentNullException.ThrowIfNull(references);
        (string cases, string output, string[] names) = BuildAll(suite, c => c[0] == "split");
        Dictionary<string, string[]> expected = suite == "bud" ? s_splitOfBud : s_split;
        Assert.Equal(count, names.Length);
        Dictionary<string, List<string>> with = names.ToDictionary(n => n, _ => new List<string>(), StringComparer.Ordinal);
        foreach (string reference in references)
        {
            // Lines of those that differ: how, and the name; what follows is indented.
            string[] differing = [.. SeedStore.Exec("python3", null, "-B", Tool, "compare", Path.Combine(_folder, reference), output, cases, "-v").Ok().Lines
                .Where(l => l.StartsWith("STATUS", StringComparison.Ordinal) || l.StartsWith("FS", StringComparison.Ordinal) || l.StartsWith("CONFIG", StringComparison.Ordinal)).Select(l => l.Split(' ')[^1])];
            foreach (string name in names.Except(differing))
            {
                with[name].Add(reference);
            }
        }
        static string Shown(IEnumerable<(string Name, string With)> cases) => string.Join('\n', cases.Select(c => $"{c.Name}: {c.With}").Order(StringComparer.Ordinal));
        Assert.Equal(Shown(expected.SelectMany(e => e.Value.Select(n => (n, e.Key)))), Shown(with.Select(w => (w.Key, string.Join(' ', w.Value)))));
    }

    private static string Tool => Path.Combine(Environment.GetEnvironmentVariable("STRATA_SUITES")!, "tools/bcmp.py");

    // Builds the cases of a suite that are chosen by their class and name; the peers' results are in folders beside.
    private (string Cases, string Output, string[] Names) BuildAll(string suite, Func<string[], bool> isChosen)
    {
        string? suites = Environment.GetEnvironmentVariable("STRATA_SUITES");
        Assert.SkipWhen(string.IsNullOrEmpty(suites), $"STRATA_SUITES is not set: build/{suite} cannot be read");
        string cases = Path.Combine(suites!, "build", suite, "cases"), store = Path.Combine(_folder, "store");
        foreach (string image in (string[])["busybox", "alpine"])
        {
            SeedStore.RunIn(store, null, "load", "-q", "-i", Path.Combine(suites!, "images", image + ".tar")).Ok();
        }
        SeedStore.Exec("tar", null, "-xJf", Path.Combine(suites!, "build", suite, "expected.tar.xz"), "-C", _folder).Ok();
        string[] names = [.. File.ReadLines(Path.Combine(suites!, "build", suite, "classes.tsv")).Select(l => l.Split('\t')).Where(isChosen).Select(c => c[1])];
        string list = Path.Combine(_folder, "list"), output = Path.Combine(_folder, "out"), strata = $"{SeedStore.Binary} --root {store}";
        File.WriteAllLines(list, names);
        SeedStore.Exec("python3", null, "-B", Tool, "build", $"{strata} build --no-cache {{args}} -f {{df}} -t {{tag}} {{ctx}} && {strata} save -o {{out}} {{tag}}", cases, output, "-j", "2", "-l", list).Ok();
        return (cases, output, names);
    }
}
