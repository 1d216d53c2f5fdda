using System.Formats.Tar;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Strata.IntegrationTests.Seeds;
using Xunit;

namespace Strata.IntegrationTests.Supply;

/// <summary>strata lint with the real executable; what --fix rewrites builds to the same files.</summary>
public sealed class LintFixTests(SeedStore store)
{
    [Fact]
    public void D10_findings_have_lines_and_the_fixed_file_builds_to_the_same_tree_and_is_smaller()
    {
        string text = $"""
            FROM {store.Debian}
            # two tools
            RUN apt-get update
            RUN apt-get install -y --no-install-recommends hello
            # the configuration
            ADD app.conf /etc/app.conf
            RUN mkdir /srv/x \
                # one
                && echo a >/srv/x/a
            RUN echo b >/srv/x/b
            MAINTAINER nobody
            """ + "\n";
        string context = store.Context(("Dockerfile", text), ("app.conf", "x\n"));
        string file = Path.Combine(context, "Dockerfile");
        string[] found = [.. store.Run("lint", file).Answers(3).Lines.Where(l => !l.StartsWith(' ')).Select(l => string.Join(' ', l[(file.Length + 1)..].Split(": ").Take(2)))];
        Assert.Equal(["3 DL3009", "3 DL3059", "4 DL3009", "6 DL3020", "7 DL3059", "11 MaintainerDeprecated"], found);

        store.Run("build", "-t", "d10:before", context).Ok();
        Assert.Equal("", store.Run("lint", "--fix", file).Ok().Out);
        string mended = File.ReadAllText(file);
        store.Run("build", "-t", "d10:after", context).Ok();
        Assert.Equal("", store.Run("lint", "--fix", file).Ok().Err); // nothing left to rewrite
        Assert.Equal(mended, File.ReadAllText(file));
        Assert.Contains("# two tools\n", mended, StringComparison.Ordinal);
        Assert.Contains("    # one\n", mended, StringComparison.Ordinal);
        Assert.True(Size("d10:after") < Size("d10:before"), mended);
        Assert.True(store.Layers("d10:after").Length < store.Layers("d10:before").Length);
        Assert.Equal(Tree("d10:before"), Tree("d10:after"));
    }

    [Fact]
    public void A_build_warns_of_findings_and_the_file_can_make_them_errors()
    {
        Outcome warned = store.Build("lint:warned", $"FROM {store.Busybox}\nRUN true\nRUN true\n").Ok();
        Assert.Contains("Dockerfile:2: DL3059", warned.Err, StringComparison.Ordinal);
        Outcome silent = store.Build("lint:silent", $"# check=skip=DL3059\nFROM {store.Busybox}\nRUN true\nRUN true\n").Ok();
        Assert.DoesNotContain("DL3059", silent.Err, StringComparison.Ordinal);
        string context = store.Context(("Dockerfile", $"FROM {store.Busybox}\nRUN true\nRUN true\n"));
        Outcome told = store.Run("build", "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all", context).Ok();
        Assert.DoesNotContain("arning", told.Err, StringComparison.Ordinal);
        Outcome refused = store.Build("lint:refused", $"# check=error=true\nFROM {store.Busybox}\nRUN true\nRUN true\n").Fails(1);
        Assert.Contains("DL3059", refused.Err, StringComparison.Ordinal);
        Assert.DoesNotContain("lint:refused", store.Run("images", "--format", "{{.Repository}}:{{.Tag}}").Ok().Lines);
    }

    [Fact]
    public void Formats_for_programs_and_choice_of_rules()
    {
        string file = Path.Combine(store.Context(("Dockerfile", "FROM debian\nMAINTAINER x\nADD a.txt /\n")), "Dockerfile");
        using (var json = JsonDocument.Parse(store.Run("lint", "--format", "json", "--disable", "DL3006", file).Answers(3).Out))
        {
            Assert.Equal(["MaintainerDeprecated 2 safe", "DL3020 3 safe"], json.RootElement.EnumerateArray().Select(f => $"{f.GetProperty("rule")} {f.GetProperty("line")} {f.GetProperty("fix")}"));
        }
        using (var sarif = JsonDocument.Parse(store.Run("lint", "--format=sarif", "--only", "DL4000", file).Answers(3).Out))
        {
            JsonElement run = sarif.RootElement.GetProperty("runs")[0];
            Assert.Equal("2.1.0", sarif.RootElement.GetProperty("version").GetString());
            JsonElement result = Assert.Single(run.GetProperty("results").EnumerateArray());
            Assert.Equal("MaintainerDeprecated", run.GetProperty("tool").GetProperty("driver").GetProperty("rules")[result.GetProperty("ruleIndex").GetInt32()].GetProperty("id").GetString());
            Assert.Equal(2, result.GetProperty("locations")[0].GetProperty("physicalLocation").GetProperty("region").GetProperty("startLine").GetInt32());
        }
        store.Run("lint", "--only", "DL3059", file).Ok();
        Assert.Contains("there are:", store.Run("lint", "--only", "Nonsense", file).Fails(1).Err, StringComparison.Ordinal);
        Assert.Equal("FROM debian:bookworm\nCOPY a.txt /\n", store.RunWithInput("FROM debian:bookworm\nADD a.txt /\n", "lint", "--fix", "-").Ok().Out);
    }

    private long Size(string image) => long.Parse(store.Inspect(image, "{{.Size}}"), CultureInfo.InvariantCulture);

    // Names, kinds, modes, owners, contents; not what apt and dpkg note of the time, nor the lists that the rule is about.
    private string[] Tree(string image)
    {
        string path = Path.Combine(store.Folder, Guid.NewGuid().ToString("n") + ".tar");
        store.Run("export", "-o", path, image).Ok();
        var tree = new List<string>();
        using (var reader = new TarReader(File.OpenRead(path)))
        {
            while (reader.GetNextEntry() is { } entry)
            {
                if (!new[] { "var/log/", "var/cache/", "var/lib/apt/lists/" }.Any(p => entry.Name.StartsWith(p, StringComparison.Ordinal)))
                {
                    string content = entry.DataStream is null ? "" : Convert.ToHexString(SHA256.HashData(entry.DataStream));
                    tree.Add($"{entry.Name} {entry.EntryType} {entry.Mode} {entry.Uid}:{entry.Gid} {entry.LinkName} {content}");
                }
            }
        }
        File.Delete(path);
        return [.. tree.Order(StringComparer.Ordinal)];
    }
}
