using System.Text;
using System.Text.Json;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Oci;

/// <summary>The reader beside the base library's: both take a text or both refuse it, and what they read is the same.</summary>
public sealed class JsonValueTests
{
    private const int MaxDepth = 64;

    public static TheoryData<string> Texts =>
    [
        "null", "true", " false\n", "0", "-0", "12", "-7", "1.5", "1e3", "1E+3", "-1.25e-2", "9223372036854775807", "-9223372036854775808", "18446744073709551615", "18446744073709551616",
        "\"\"", "\"a\"", "\"ä€😀\"", "\"\\u00e4\\n\\t\\\"\\\\\\/\\b\\f\\r\"", "\"\\ud83d\\ude00\"", "\"\\uD83D\\uDE00x\"", "[]", "[ ]", "[1,2 , 3]", "{}", "{ }", "{\"a\":1}", " { \"a\" : [ { } , \"x\" ] , \"\" : null } ",
        "{\"a\":1,\"a\":2}", "{\"a\\u0062\":1}", "\"\u007f\"",
        // none of these is JSON
        "", " ", "nul", "nulll", "tru", "True", "01", "-", "+1", ".5", "1.", "1e", "1e+", "0x1", "1 2", "--1", "NaN", "Infinity", "\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\n\"", "\"\t\"", "\"\0\"",
        "'a'", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}", "{1:1}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{,}", "[1]]", "{}{}",
        "// c\n1", "1 /* c */", "\uFEFF1", "[\"\\\\\"]", "[\"\\\\\\\"]",
    ];

    [Theory]
    [MemberData(nameof(Texts))]
    public void It_reads_what_JSON_is_and_nothing_else(string text) => CompareReaders(Encoding.UTF8.GetBytes(text));

    [Theory]
    [InlineData("\"\\ud83d\"")]
    [InlineData("\"\\ude00\"")]
    [InlineData("\"\\ud83dx\"")]
    [InlineData("{\"\\udfff\":1}")]
    public void Half_of_a_surrogate_pair_is_refused_with_its_place(string text)
        => Assert.Contains("is not valid Unicode", Assert.Throws<JsonException>(() => JsonValue.Parse(Encoding.UTF8.GetBytes(text), MaxDepth)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("22C3A422", true)] // "ä"
    [InlineData("22C322", false)]
    [InlineData("22A422", false)]
    [InlineData("22C08022", false)] // NUL, too long
    [InlineData("22EDA08022", false)] // U+D800
    [InlineData("22F490808022", false)] // beyond U+10FFFF
    public void Bytes_that_are_no_text_are_refused(string hex, bool isText)
    {
        byte[] json = Convert.FromHexString(hex);
        if (isText)
        {
            Assert.Equal("ä", JsonValue.Parse(json, MaxDepth).Text);
            return;
        }
        Assert.Throws<JsonException>(() => JsonValue.Parse(json, MaxDepth));
    }

    [Fact]
    public void Nesting_ends_where_it_was_said()
    {
        Assert.Equal(JsonValueKind.Array, JsonValue.Parse(Encoding.ASCII.GetBytes(new string('[', MaxDepth) + new string(']', MaxDepth)), MaxDepth).Kind);
        foreach (string hostile in new[] { new string('[', MaxDepth + 1) + new string(']', MaxDepth + 1), new string('[', 1_000_000), string.Concat(Enumerable.Repeat("{\"a\":", 1_000_000)) })
        {
            Assert.Throws<JsonException>(() => JsonValue.Parse(Encoding.ASCII.GetBytes(hostile), MaxDepth));
        }
    }

    [Fact]
    public void Ten_thousand_texts_with_something_changed_are_read_alike()
    {
        byte[][] seeds = [.. Texts.Select(t => Encoding.UTF8.GetBytes(t.Data)), Encoding.UTF8.GetBytes("{\"schemaVersion\":2,\"layers\":[{\"size\":-12.5e3,\"a\":\"\\u00e4ö\\\\\"},[],{}],\"x\":[true,false,null]}")];
        byte[] marks = [.. "{}[]:,\"\\/ \n\t0123456789+-.eEutrfnsaldb'"u8, 0, 0x1f, 0x7f, 0x80, 0xc3, 0xa4, 0xed, 0xff];
        var random = new Random(8259);
        for (int i = 0; i < 10_000; i++)
        {
            List<byte> text = [.. seeds[random.Next(seeds.Length)]];
            for (int changes = random.Next(1, 4); changes > 0; changes--)
            {
                int at = random.Next(text.Count + 1);
                switch (random.Next(3))
                {
                    case 0:
                        text.Insert(at, marks[random.Next(marks.Length)]);
                        break;
                    case 1 when at < text.Count:
                        text.RemoveAt(at);
                        break;
                    case 2 when at < text.Count:
                        text[at] = marks[random.Next(marks.Length)];
                        break;
                    default:
                        break;
                }
            }
            CompareReaders([.. text]);
        }
    }

    private static void CompareReaders(byte[] json)
    {
        JsonElement? expected = null;
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth });
            expected = JsonElement.ParseValue(ref reader);
            while (reader.Read())
            {
                // a second value throws
            }
        }
        catch (JsonException)
        {
            expected = null;
        }
        JsonValue? actual = null;
        try
        {
            actual = JsonValue.Parse(json, MaxDepth);
        }
        catch (JsonException e) when (e.Message.Contains("not valid Unicode", StringComparison.Ordinal))
        {
            return; // the other one finds out only when the text is asked for
        }
        catch (JsonException)
        {
            // compared below
        }
        string shown = Encoding.Latin1.GetString(json);
        Assert.True(expected is null == actual is null, $"{shown}: {(actual is null ? "refused" : "read")}");
        if (expected is { } element)
        {
            AssertSame(element, actual!, shown);
        }
    }

    private static void AssertSame(JsonElement expected, JsonValue actual, string shown)
    {
        Assert.Equal(expected.ValueKind, actual.Kind);
        switch (expected.ValueKind)
        {
            case JsonValueKind.Object:
                Assert.Equal(expected.EnumerateObject().Select(p => p.Name), actual.Names);
                foreach ((JsonProperty property, JsonValue value) in expected.EnumerateObject().Zip(actual.Items))
                {
                    AssertSame(property.Value, value, shown);
                    AssertSame(expected.GetProperty(property.Name), actual.Find(property.Name)!, shown); // the last of equal ones
                }
                break;
            case JsonValueKind.Array:
                Assert.Equal(expected.GetArrayLength(), actual.Items.Length);
                for (int i = 0; i < actual.Items.Length; i++)
                {
                    AssertSame(expected[i], actual.Items[i], shown);
                }
                break;
            case JsonValueKind.String:
                Assert.Equal(expected.GetString(), actual.Text);
                break;
            case JsonValueKind.Number:
                Assert.Equal(expected.TryGetInt64(out long signed), actual.TryGetInt64(out long ours));
                Assert.Equal(signed, ours);
                Assert.Equal(expected.TryGetUInt64(out ulong unsigned), actual.TryGetUInt64(out ulong oursUnsigned));
                Assert.True(unsigned == oursUnsigned || !expected.TryGetUInt64(out _), shown);
                break;
            default:
                break;
        }
        Assert.Equal(expected.GetRawText(), Encoding.UTF8.GetString(actual.Raw));
    }
}
