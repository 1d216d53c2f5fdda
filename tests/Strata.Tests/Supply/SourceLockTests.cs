using System.Text;
using Strata.Supply;
using Xunit;

namespace Strata.Tests.Supply;

public sealed class SourceLockTests
{
    private static readonly LockedSource s_debian = new(SourceKind.Image, "docker.io/library/debian:bookworm", "sha256:" + new string('a', 64)) { Platform = "linux/amd64" };
    private static readonly LockedSource s_file = new(SourceKind.Url, "https://example.org/x", "sha256:" + new string('b', 64));
    private static readonly LockedSource s_git = new(SourceKind.Git, "https://example.org/x.git#main", new string('c', 40));

    [Fact]
    public void A_lock_is_the_same_file_whatever_the_order_and_reads_back()
    {
        byte[] one = new SourceLock([s_git, s_file, s_debian]).Serialize(), other = new SourceLock([s_debian, s_git, s_file]).Serialize();
        Assert.Equal(one, other);
        Assert.Equal([s_debian, s_file, s_git], SourceLock.Parse(one, "Dockerfile.lock").Sources);
        Assert.EndsWith("}\n", Encoding.UTF8.GetString(one), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", ErrorKind.Invalid)]
    [InlineData("[]", ErrorKind.Invalid)]
    [InlineData("{\"version\":1}", ErrorKind.Invalid)]
    [InlineData("{\"version\":2,\"sources\":[]}", ErrorKind.Unsupported)]
    [InlineData("{\"version\":1,\"sources\":[{\"kind\":\"disk\",\"name\":\"x\",\"digest\":\"y\"}]}", ErrorKind.Invalid)]
    public void What_is_no_lock_file_is_refused_by_name(string json, ErrorKind kind)
    {
        StrataException error = Assert.Throws<StrataException>(() => SourceLock.Parse(Encoding.UTF8.GetBytes(json), "App.lock"));
        Assert.Equal(kind, error.Kind);
        Assert.StartsWith("App.lock: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_drift_is_told_with_the_old_and_the_new_digest()
    {
        var ledger = new SourceLedger(new SourceLock([s_debian, s_file]), "Dockerfile.lock");
        ledger.Note(s_debian);
        StrataException drift = Assert.Throws<StrataException>(() => ledger.Note(s_file with { Digest = s_debian.Digest }));
        Assert.Equal(ErrorKind.Conflict, drift.Kind);
        Assert.Equal($"Dockerfile.lock: url https://example.org/x is {s_debian.Digest} now, not {s_file.Digest}", drift.Message);
        StrataException missing = Assert.Throws<StrataException>(() => ledger.Note(s_debian with { Platform = "linux/arm64" }));
        Assert.Equal(ErrorKind.NotFound, missing.Kind);
        Assert.Contains("linux/arm64", missing.Message, StringComparison.Ordinal);
        Assert.Equal([s_debian], ledger.Sources);
    }

    [Fact]
    public void Without_a_lock_anything_is_noted_once()
    {
        var ledger = new SourceLedger(null, "");
        ledger.Note(s_git);
        ledger.Note(s_debian);
        ledger.Note(s_git);
        Assert.Equal([s_debian, s_git], ledger.Sources);
    }
}
