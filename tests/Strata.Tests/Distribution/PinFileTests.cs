using Strata.Distribution;
using Xunit;

namespace Strata.Tests.Distribution;

/// <summary>Which certificates somebody trusts: kept, replaced, taken away, and never guessed.</summary>
public sealed class PinFileTests
{
    private static readonly string s_one = "sha256:" + new string('1', 64), s_two = "sha256:" + new string('2', 64);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_pin_is_kept_replaced_and_taken_away()
    {
        using var folder = new TempFolder();
        var file = new PinFile(folder.File("strata/pins"));
        Assert.Empty(file.Read());
        Assert.False(await file.SetAsync("b:5000", null, Token));
        Assert.False(await file.SetAsync("b:5000", s_one, Token));
        Assert.False(await file.SetAsync("a:5000", s_one, Token));
        Assert.True(await file.SetAsync("B:5000", s_two, Token));
        Assert.Equal([("a:5000", s_one), ("B:5000", s_two)], file.Read().Select(p => (p.Key, p.Value)));
        Assert.True(await file.SetAsync("a:5000", null, Token));
        Assert.Equal($"B:5000 {s_two}\n", await File.ReadAllTextAsync(file.FilePath, Token));
        RegistryConfiguration configuration = RegistryConfiguration.Load(new RegistryFiles { Pins = file.FilePath });
        Assert.Equal(s_two, configuration.FindTls("b:5000")?.Pin);
        Assert.Null(configuration.FindTls("a:5000"));
    }

    [Theory]
    [InlineData("sha256:11")]
    [InlineData("")]
    [InlineData("md5:11111111111111111111111111111111")]
    [InlineData("AB:CD")]
    public void What_is_no_fingerprint_is_refused(string text)
        => Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => PinFile.Normalize(text)).Kind);

    [Fact]
    public void The_form_of_openssl_is_taken()
        => Assert.Equal("sha256:" + string.Concat(Enumerable.Repeat("ab", 32)), PinFile.Normalize(string.Join(':', Enumerable.Repeat("AB", 32))));

    [Fact]
    public async Task A_line_that_is_no_pin_is_told_of_and_not_passed_over()
    {
        using var folder = new TempFolder();
        string path = folder.File("pins");
        await File.WriteAllTextAsync(path, $"a:1 {s_one}\nb:2 sha256:12\n", Token);
        StrataException e = Assert.Throws<StrataException>(new PinFile(path).Read);
        Assert.StartsWith(path + ":2:", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pin_may_stand_in_the_configuration()
    {
        Assert.Equal(s_one, RegistryConfiguration.Parse(System.Text.Encoding.UTF8.GetBytes($"[registries.\"a.example.com\"]\npin = \"{s_one}\"\n"), "x.toml").FindTls("a.example.com")?.Pin);
        StrataException e = Assert.Throws<StrataException>(() => RegistryConfiguration.Parse("[registries.\"a.example.com\"]\npin = \"sha256:12\"\n"u8, "x.toml"));
        Assert.StartsWith("x.toml:2:7: ", e.Message, StringComparison.Ordinal);
    }
}
