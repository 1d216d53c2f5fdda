using Strata.Oci;
using Xunit;

namespace Strata.Tests.Oci;

public sealed class ImageReferenceTests
{
    private const string Hex = "e58fcf7418d4390dec8e8fb69d88c06ec07039d651fedd3aa72af9972e7d046b";

    [Theory]
    [InlineData("centos", "docker.io", "library/centos", "latest", "centos:latest")]
    [InlineData("centos:7", "docker.io", "library/centos", "7", "centos:7")]
    [InlineData("library/centos", "docker.io", "library/centos", "latest", "centos:latest")]
    [InlineData("index.docker.io/centos", "docker.io", "library/centos", "latest", "centos:latest")]
    [InlineData("docker.io/centos", "docker.io", "library/centos", "latest", "centos:latest")]
    [InlineData("docker.io/library/a/b", "docker.io", "library/a/b", "latest", "library/a/b:latest")]
    [InlineData("bitnami/redis", "docker.io", "bitnami/redis", "latest", "bitnami/redis:latest")]
    [InlineData("quay.io/a/b/c:x", "quay.io", "a/b/c", "x", "quay.io/a/b/c:x")]
    [InlineData("localhost/a", "localhost", "a", "latest", "localhost/a:latest")]
    [InlineData("localhost", "docker.io", "library/localhost", "latest", "localhost:latest")]
    [InlineData("localhost:5000", "docker.io", "library/localhost", "5000", "localhost:5000")]
    [InlineData("localhost:5000/a", "localhost:5000", "a", "latest", "localhost:5000/a:latest")]
    [InlineData("192.168.164.129:8080/nginx:1.0", "192.168.164.129:8080", "nginx", "1.0", "192.168.164.129:8080/nginx:1.0")]
    [InlineData("[::1]:5000/a", "[::1]:5000", "a", "latest", "[::1]:5000/a:latest")]
    [InlineData("[2001:db8::1]/a:t", "[2001:db8::1]", "a", "t", "[2001:db8::1]/a:t")]
    [InlineData("Host/a", "Host", "a", "latest", "Host/a:latest")]
    [InlineData("a__b/c--d.e_f", "docker.io", "a__b/c--d.e_f", "latest", "a__b/c--d.e_f:latest")]
    [InlineData("127.0.0.1:443/x", "127.0.0.1:443", "x", "latest", "127.0.0.1:443/x:latest")]
    [InlineData("xn--n3h.com/a", "xn--n3h.com", "a", "latest", "xn--n3h.com/a:latest")]
    public void What_people_type_is_written_out(string text, string registry, string repository, string tag, string familiar)
    {
        ImageReference reference = ImageReference.Parse(text);
        Assert.Equal((registry, repository, tag), (reference.Registry, reference.Repository, reference.Tag));
        Assert.Equal(familiar, reference.Familiar);
        Assert.Equal($"{registry}/{repository}:{tag}", reference.ToString());
        Assert.Equal(reference, ImageReference.Parse(reference.ToString()));
        Assert.Equal(reference, ImageReference.Parse(reference.Familiar));
    }

    [Theory]
    [InlineData("a@sha256:" + Hex, null)]
    [InlineData("a:t@sha256:" + Hex, "t")]
    [InlineData("localhost:5000/a:t@sha256:" + Hex, "t")]
    public void A_digest_pins_and_implies_no_tag(string text, string? tag)
    {
        ImageReference reference = ImageReference.Parse(text);
        Assert.Equal("sha256:" + Hex, reference.Digest.ToString());
        Assert.Equal(tag, reference.Tag);
        Assert.Equal(text, reference.Familiar);
    }

    [Theory]
    [InlineData("")]
    [InlineData(":t")]
    [InlineData("@sha256:" + Hex)]
    [InlineData("a:")]
    [InlineData("a@")]
    [InlineData("a@sha256:ff")]
    [InlineData("a@sha256:E58FCF7418D4390DEC8E8FB69D88C06EC07039D651FEDD3AA72AF9972E7D046B")]
    [InlineData("a@md5:d41d8cd98f00b204e9800998ecf8427e")]
    [InlineData("a@sha256:" + Hex + ":t")]
    [InlineData("/a")]
    [InlineData("a/")]
    [InlineData("a//b")]
    [InlineData("a/../b")]
    [InlineData("..")]
    [InlineData("-a")]
    [InlineData("a-")]
    [InlineData("a___b")]
    [InlineData("a..b")]
    [InlineData("a._b")]
    [InlineData("a:-t")]
    [InlineData("a:.t")]
    [InlineData("a b")]
    [InlineData("a\n")]
    [InlineData("a\0")]
    [InlineData("ä")]
    [InlineData("a:t:u")]
    [InlineData("host:port/a")]
    [InlineData("-x.com/a")]
    [InlineData("x-.com/a")]
    [InlineData("a..com/b")]
    [InlineData("[::1/a")]
    [InlineData("[]/a")]
    [InlineData("[g::1]:5/a")]
    [InlineData("[fe80::1%eth0]/a")]
    [InlineData("https://docker.io/a")]
    [InlineData("Foo")]
    [InlineData("foo/Bar")]
    [InlineData("quay.io/Bar:t")]
    [InlineData(Hex)]
    public void Anything_else_is_refused(string text)
    {
        Assert.Throws<FormatException>(() => ImageReference.Parse(text));
        Assert.False(ImageReference.TryParse(text, out _));
    }

    [Fact]
    public void Limits_are_255_for_the_repository_and_128_for_the_tag()
    {
        Assert.Equal(255, ImageReference.Parse("h.io/" + new string('a', 255)).Repository.Length);
        Assert.Contains("more than 255", Assert.Throws<FormatException>(() => ImageReference.Parse("h.io/" + new string('a', 256))).Message, StringComparison.Ordinal);
        Assert.True(ImageReference.TryParse("a:" + new string('t', 128), out _));
        Assert.False(ImageReference.TryParse("a:" + new string('t', 129), out _));
    }

    [Fact]
    public void An_upper_case_name_is_refused_with_the_lower_case_one()
    {
        string message = Assert.Throws<FormatException>(() => ImageReference.Parse("quay.io/Foo/bar:T")).Message;
        Assert.Equal("invalid reference format: repository name (Foo/bar) must be lowercase; did you mean 'quay.io/foo/bar'?", message);
        Assert.Contains("cannot specify 64-byte hexadecimal strings", Assert.Throws<FormatException>(() => ImageReference.Parse(Hex)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_alone_can_stay_alone()
    {
        ImageReference ubuntu = ImageReference.ParseWithoutDefaultTag("ubuntu");
        Assert.Null(ubuntu.Tag);
        Assert.Equal("ubuntu", ubuntu.Familiar);
        Assert.Equal("docker.io/library/ubuntu", ubuntu.ToString());
        Assert.Equal("14.04", ubuntu.WithTag("14.04").Tag);
        Assert.Throws<FormatException>(() => ubuntu.WithTag("a/b"));
        Assert.Equal($"ubuntu@sha256:{Hex}", ubuntu.WithDigest(Digest.Parse("sha256:" + Hex)).Familiar);
    }
}
