using Strata.Layers;
using Xunit;

namespace Strata.Tests.Layers;

public sealed class WhiteoutsTests
{
    [Theory]
    [InlineData("a", "Plain", "a")]
    [InlineData("a.wh.b", "Plain", "a.wh.b")]
    [InlineData("a.wh./b", "Plain", "a.wh./b")]
    [InlineData("wh.a", "Plain", "wh.a")]
    [InlineData(".wh.a", "Whiteout", "a")]
    [InlineData("d/e/.wh.a", "Whiteout", "d/e/a")]
    [InlineData(".wh.a.wh.b", "Whiteout", "a.wh.b")]
    [InlineData(".wh....", "Whiteout", "...")]
    [InlineData(".wh.", "Invalid", ".wh.")]
    [InlineData("d/.wh..", "Invalid", "d/.wh..")]
    [InlineData("d/.wh...", "Invalid", "d/.wh...")]
    [InlineData(".wh..wh..opq", "Opaque", "")]
    [InlineData("d/e/.wh..wh..opq", "Opaque", "d/e")]
    [InlineData(".wh..wh..opqx", "Bookkeeping", ".wh..wh..opqx")]
    [InlineData(".wh..wh.aufs", "Bookkeeping", ".wh..wh.aufs")]
    [InlineData(".wh..wh.plnk/123.456", "Bookkeeping", ".wh..wh.plnk/123.456")]
    [InlineData("d/.wh..wh.orph/.wh.a", "Bookkeeping", "d/.wh..wh.orph/.wh.a")]
    [InlineData(".wh..wh..opq/a", "Bookkeeping", ".wh..wh..opq/a")]
    [InlineData(".wh.a/.wh..wh.plnk/b", "Bookkeeping", ".wh.a/.wh..wh.plnk/b")]
    [InlineData(".wh.a/b", "BelowWhiteout", ".wh.a/b")]
    [InlineData("d/.wh.a/.wh.b", "BelowWhiteout", "d/.wh.a/.wh.b")]
    [InlineData("d/.wh./b", "BelowWhiteout", "d/.wh./b")]
    public void A_path_means_what_its_components_say(string path, string meaning, string target)
    {
        Assert.Equal(meaning, Whiteouts.Read(path, out string found).ToString());
        Assert.Equal(target, found);
    }

    [Theory]
    [InlineData("a")]
    [InlineData("d/e/a")]
    [InlineData("a.wh.b")]
    public void What_is_written_for_a_removed_name_is_read_as_that(string path)
    {
        Assert.Equal(Whiteouts.Meaning.Whiteout, Whiteouts.Read(Whiteouts.WhiteoutOf(path), out string target));
        Assert.Equal(path, target);
        Assert.Equal(Whiteouts.Meaning.Opaque, Whiteouts.Read(Whiteouts.OpaqueOf(path), out target));
        Assert.Equal(path, target);
        Assert.False(Whiteouts.IsReserved(path));
        Assert.True(Whiteouts.IsReserved(Whiteouts.WhiteoutOf(path)));
    }
}
