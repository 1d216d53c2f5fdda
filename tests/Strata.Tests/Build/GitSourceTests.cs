using Strata.Build;
using Xunit;

namespace Strata.Tests.Build;

/// <summary>What is a git repository and what is not (docker docs, build/concepts/context; BuildKit's gitutil).</summary>
public sealed class GitSourceTests
{
    [Theory]
    [InlineData("https://github.com/moby/buildkit.git", "https://github.com/moby/buildkit.git", null, null)]
    [InlineData("https://example.com/r.git#v1", "https://example.com/r.git", "v1", null)]
    [InlineData("https://example.com/r.git#v1:sub/dir", "https://example.com/r.git", "v1", "sub/dir")]
    [InlineData("https://example.com/r.git#:sub/", "https://example.com/r.git", null, "sub")]
    [InlineData("https://example.com/r.git?ref=main&subdir=a%20b", "https://example.com/r.git", "main", "a b")]
    [InlineData("git@github.com:moby/buildkit.git", "git@github.com:moby/buildkit.git", null, null)]
    [InlineData("git@host:path#b", "git@host:path", "b", null)]
    [InlineData("git://127.0.0.1:9418/r#b:d", "git://127.0.0.1:9418/r", "b", "d")]
    [InlineData("ssh://git@host/r", "ssh://git@host/r", null, null)]
    [InlineData("github.com/moby/buildkit", "https://github.com/moby/buildkit", null, null)]
    public void A_repository_has_a_remote_a_reference_and_a_folder(string text, string remote, string? reference, string? folder)
        => Assert.Equal(new GitSource(remote, reference, folder), GitSource.TryParse(text));

    [Theory]
    [InlineData("https://example.com/file.tar.gz")]
    [InlineData("https://example.com/r.git/file")]
    [InlineData("local.git")]
    [InlineData("./x.git")]
    [InlineData("/srv/r.git")]
    [InlineData("file:///srv/r.git")]
    [InlineData("ext::sh -c id")]
    [InlineData("dir/user@name")]
    public void What_names_no_remote_is_none(string text) => Assert.Null(GitSource.TryParse(text));
}
