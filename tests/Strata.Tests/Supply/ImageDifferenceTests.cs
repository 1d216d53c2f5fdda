using System.Text;
using Strata.Layers;
using Strata.Linux;
using Strata.Supply;
using Xunit;

namespace Strata.Tests.Supply;

public sealed class ImageDifferenceTests
{
    private static readonly EntryMetadata s_plain = new(0b110_100_100, 0, 0, new FileTime(1, 0));

    public static TheoryData<string> Changes => ["mode: 644 and 755", "owner: 0:0 and 1:0", "mtime: 1970-01-01T00:00:01.0000000+00:00 and 1970-01-01T00:00:02.0000000+00:00", "size: 3 and 4", "content, from byte 1", "kind: file and symbolic link"];

    [Theory]
    [MemberData(nameof(Changes))]
    public void The_first_difference_is_named_by_path_and_field(string expected)
    {
        using MemoryStream first = Layer(("a", s_plain, "abc"), ("b", s_plain, "abc"), ("c", s_plain, "abc"));
        using MemoryStream second = expected[..4] switch
        {
            "mode" => Layer(("a", s_plain, "abc"), ("b", s_plain with { Mode = 0b111_101_101 }, "abc"), ("c", s_plain, "x")),
            "owne" => Layer(("a", s_plain, "abc"), ("b", s_plain with { Uid = 1 }, "abc")),
            "mtim" => Layer(("a", s_plain, "abc"), ("b", s_plain with { Modified = new FileTime(2, 0) }, "abc")),
            "size" => Layer(("a", s_plain, "abc"), ("b", s_plain, "abcd")),
            "kind" => Layer(("a", s_plain, "abc"), ("b", s_plain, null)),
            _ => Layer(("a", s_plain, "abc"), ("b", s_plain, "axc")),
        };
        Assert.Equal("/b: " + expected, ImageDifference.Compare(first, second));
    }

    [Fact]
    public void What_only_one_has_is_named_and_equal_layers_have_no_difference()
    {
        Assert.Equal("/b: only in the first", ImageDifference.Compare(Layer(("a", s_plain, ""), ("b", s_plain, ""), ("c", s_plain, "")), Layer(("a", s_plain, ""), ("c", s_plain, ""))));
        Assert.Equal("/b: only in the second", ImageDifference.Compare(Layer(("a", s_plain, "")), Layer(("a", s_plain, ""), ("b", s_plain, ""))));
        Assert.Null(ImageDifference.Compare(Layer(("a", s_plain, "x")), Layer(("a", s_plain, "x"))));
    }

    private static MemoryStream Layer(params (string Path, EntryMetadata Metadata, string? Content)[] files)
    {
        var layer = new MemoryStream();
        using (var writer = new LayerWriter(layer))
        {
            foreach ((string path, EntryMetadata metadata, string? content) in files)
            {
                byte[] bytes = Encoding.ASCII.GetBytes(content ?? "");
                writer.Write(content is null ? new SymbolicLinkEntry(path, metadata, "x") : new FileEntry(path, metadata, bytes.Length), content is null ? Stream.Null : new MemoryStream(bytes));
            }
            writer.Finish();
        }
        layer.Position = 0;
        return layer;
    }
}
