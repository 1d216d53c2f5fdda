using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Strata.Oci;
using Strata.Supply;
using Xunit;

namespace Strata.Tests.Supply;

/// <summary>The bill of materials and the provenance as documents.</summary>
public sealed class DocumentTests
{
    private static readonly Descriptor s_image = new(MediaTypes.OciManifest, Digest.Of(Encoding.ASCII.GetBytes("x")), 1);

    [Fact]
    public void A_bill_of_materials_has_what_the_specification_asks_for()
    {
        var contents = new ImageContents(new LinuxDistribution("debian", "12"),
        [
            new Package("deb", "g++", "4:12", "var/lib/dpkg/status") { Architecture = "amd64", Supplier = "A <a@b>" },
            new Package("deb", "g--", "4-12", "var/lib/dpkg/status"),
            new Package("nuget", "X", "1", "app/x.deps.json") { Sha512 = "00", License = "MIT" },
        ]);
        byte[] bytes = SpdxDocument.Write("app:1", s_image, null, contents, "strata 1.0.0");
        Assert.Equal(bytes, SpdxDocument.Write("app:1", s_image, null, contents, "strata 1.0.0"));
        using var document = JsonDocument.Parse(bytes);
        JsonElement root = document.RootElement;
        Assert.Equal(["SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT", "app:1", $"urn:strata:sbom:{s_image.Digest}"],
            new[] { "spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace" }.Select(n => root.GetProperty(n).GetString()));
        Assert.Equal("1970-01-01T00:00:00Z", root.GetProperty("creationInfo").GetProperty("created").GetString());
        JsonElement[] packages = [.. root.GetProperty("packages").EnumerateArray()];
        string[] ids = [.. packages.Select(p => p.GetProperty("SPDXID").GetString()!)];
        Assert.Equal(["SPDXRef-Image", "SPDXRef-Package-deb-g---4-12", "SPDXRef-Package-deb-g---4-12-2", "SPDXRef-Package-nuget-X-1"], ids);
        Assert.All(packages, p => Assert.Equal(["NOASSERTION", "NOASSERTION", "NOASSERTION"], new[] { "downloadLocation", "licenseConcluded", "copyrightText" }.Select(n => p.GetProperty(n).GetString())));
        Assert.Equal("pkg:deb/debian/g%2B%2B@4%3A12?arch=amd64&distro=debian-12", packages[1].GetProperty("externalRefs")[0].GetProperty("referenceLocator").GetString());
        Assert.Equal("MIT", packages[3].GetProperty("licenseDeclared").GetString());
        string[] related = [.. root.GetProperty("relationships").EnumerateArray().Select(r => $"{r.GetProperty("relationshipType")} {r.GetProperty("relatedSpdxElement")}")];
        Assert.Equal(["DESCRIBES SPDXRef-Image", .. ids[1..].Select(id => "CONTAINS " + id)], related);
    }

    [Fact]
    public void A_provenance_names_the_image_its_sources_and_how_it_was_asked_for()
    {
        DateTimeOffset time = DateTimeOffset.UnixEpoch.AddDays(1);
        string digest = "sha256:" + new string('a', 64), commit = new string('c', 40);
        var facts = new BuildFacts
        {
            FileName = "Dockerfile", FileDigest = s_image.Digest, Platform = new Platform("linux", "amd64"), Target = "app",
            Arguments = ImmutableSortedDictionary<string, string>.Empty.Add("VERSION", "2"), Started = time, Finished = time.AddSeconds(2),
            Sources = [new LockedSource(SourceKind.Image, "docker.io/library/debian:bookworm", digest) { Platform = "linux/amd64" }, new LockedSource(SourceKind.Git, "https://example.org/x.git#main", commit)],
        };
        using var document = JsonDocument.Parse(ProvenanceStatement.Write(["app:1"], s_image, facts, "strata 1.0.0"));
        JsonElement root = document.RootElement, predicate = root.GetProperty("predicate"), definition = predicate.GetProperty("buildDefinition");
        Assert.Equal("https://in-toto.io/Statement/v1", root.GetProperty("_type").GetString());
        Assert.Equal("https://slsa.dev/provenance/v1", root.GetProperty("predicateType").GetString());
        Assert.Equal("app:1", root.GetProperty("subject")[0].GetProperty("name").GetString());
        Assert.Equal(s_image.Digest.Hex.ToString(), root.GetProperty("subject")[0].GetProperty("digest").GetProperty("sha256").GetString());
        JsonElement[] sources = [.. definition.GetProperty("resolvedDependencies").EnumerateArray()];
        Assert.Equal(["pkg:docker/debian@bookworm?platform=linux%2Famd64", "git+https://example.org/x.git#main"], sources.Select(s => s.GetProperty("uri").GetString()));
        Assert.Equal(commit, sources[1].GetProperty("digest").GetProperty("gitCommit").GetString());
        Assert.Equal("2", definition.GetProperty("externalParameters").GetProperty("request").GetProperty("args").GetProperty("build-arg:VERSION").GetString());
        Assert.Equal("1970-01-02T00:00:02Z", predicate.GetProperty("runDetails").GetProperty("metadata").GetProperty("finishedOn").GetString());
    }
}
