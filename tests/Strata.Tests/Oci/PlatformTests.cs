using System.Collections.Immutable;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Oci;

public sealed class PlatformTests
{
    [Theory]
    [InlineData("linux/amd64", "linux/amd64")]
    [InlineData("linux/x86_64", "linux/amd64")]
    [InlineData("Linux/X86-64", "linux/amd64")]
    [InlineData("linux/amd64/v1", "linux/amd64")]
    [InlineData("linux/amd64/v3", "linux/amd64/v3")]
    [InlineData("linux/aarch64", "linux/arm64")]
    [InlineData("linux/arm64/v8", "linux/arm64")]
    [InlineData("linux/arm64/8", "linux/arm64")]
    [InlineData("linux/arm64/v9", "linux/arm64/v9")]
    [InlineData("linux/arm", "linux/arm/v7")]
    [InlineData("linux/arm/6", "linux/arm/v6")]
    [InlineData("linux/armhf", "linux/arm/v7")]
    [InlineData("linux/armel", "linux/arm/v6")]
    [InlineData("linux/i386", "linux/386")]
    [InlineData("macos/arm64", "darwin/arm64")]
    [InlineData("s390x", "linux/s390x")]
    public void Names_of_platforms_are_normalised(string text, string expected) => Assert.Equal(expected, Platform.Parse(text).ToString());

    [Fact]
    public void An_operating_system_alone_is_the_hosts_architecture() => Assert.Equal(Platform.Host, Platform.Parse("linux"));

    [Theory]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("linux/")]
    [InlineData("linux/amd64/v1/x")]
    [InlineData("nonsense")]
    [InlineData("linux/am d64")]
    [InlineData("linux/*")]
    public void Nonsense_is_refused(string text) => Assert.Throws<FormatException>(() => Platform.Parse(text));

    [Theory]
    [InlineData("linux/amd64", 1, "linux/arm64", "linux/amd64", "linux/386")]
    [InlineData("linux/amd64", 0, "linux/386", "linux/arm64")]
    [InlineData("linux/amd64", 1, "linux/amd64/v3", "linux/amd64")]
    [InlineData("linux/amd64/v3", 1, "linux/amd64", "linux/amd64/v2", "linux/amd64/v4")]
    [InlineData("linux/arm/v7", 2, "linux/arm/v5", "linux/arm/v8", "linux/arm/v6")]
    [InlineData("linux/arm64", 0, "linux/arm64/v8", "linux/arm/v7")]
    [InlineData("linux/arm64", 1, "linux/arm/v6", "linux/arm/v7")]
    [InlineData("linux/amd64", -1, "linux/arm64", "windows/amd64", "linux/amd64/v2")]
    [InlineData("linux/s390x", -1, "linux/amd64")]
    public void The_best_manifest_of_an_index_is_taken(string wanted, int expected, params string[] offered)
    {
        ImageIndex index = new([.. offered.Select((p, i) => Entry(i, p))]);
        Descriptor? selected = index.Select(Platform.Parse(wanted));
        Assert.Equal(expected < 0 ? null : offered[expected], selected is null ? null : offered[(int)selected.Size]);
    }

    [Fact]
    public void Strict_selection_takes_no_substitute()
    {
        ImageIndex index = new([Entry(0, "linux/386"), Entry(1, "linux/amd64")]);
        Assert.Equal(1, index.Select(Platform.Parse("linux/amd64"), strict: true)?.Size);
        Assert.Null(index.Select(Platform.Parse("linux/amd64/v2"), strict: true));
    }

    [Fact]
    public void Attestations_are_no_images_and_a_lone_manifest_needs_no_platform()
    {
        Descriptor attestation = Entry(0, "linux/amd64") with { Annotations = ImmutableSortedDictionary<string, string>.Empty.Add("vnd.docker.reference.type", "attestation-manifest") };
        Assert.Equal(1, new ImageIndex([attestation, Entry(1, "linux/amd64")]).Select(Platform.Parse("linux/amd64"))?.Size);
        Assert.NotNull(new ImageIndex([Entry(0, "linux/amd64") with { Platform = null }]).Select(Platform.Parse("linux/s390x")));
        Assert.Null(new ImageIndex([]).Select(Platform.Host));
    }

    // The size tells the entries apart.
    private static Descriptor Entry(int number, string platform)
    {
        string[] parts = platform.Split('/');
        return new Descriptor(MediaTypes.OciManifest, Digest.Of([(byte)number]), number) { Platform = new Platform(parts[0], parts[1], parts.ElementAtOrDefault(2)) };
    }
}
