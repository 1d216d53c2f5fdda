using System.Collections.Immutable;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Oci;

/// <summary>The bytes are the base library's: digests of documents stand on them.</summary>
public sealed class JsonFieldsWriterTests
{
    private sealed record Texts(ImmutableArray<string> Values, ImmutableSortedDictionary<string, string> Pairs, long Signed, ulong Unsigned, bool Flag);

    private static string Theirs(Texts texts)
    {
        using var bytes = new MemoryStream();
        using (var writer = new Utf8JsonWriter(bytes, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartObject();
            writer.WriteStartArray("values");
            foreach (string value in texts.Values)
            {
                writer.WriteStringValue(value);
            }
            writer.WriteEndArray();
            writer.WriteStartObject("pairs");
            foreach ((string key, string value) in texts.Pairs)
            {
                writer.WriteString(key, value);
            }
            writer.WriteEndObject();
            writer.WriteNumber("signed", texts.Signed);
            writer.WriteNumber("unsigned", texts.Unsigned);
            writer.WriteBoolean("flag", texts.Flag);
            writer.WriteStartArray("inner");
            writer.WriteStartObject();
            writer.WriteBoolean("flag", texts.Flag);
            writer.WriteEndObject();
            writer.WriteStartObject();
            writer.WriteEndObject();
            writer.WriteEndArray();
            writer.WriteBase64String("bytes", Encoding.UTF8.GetBytes(string.Concat(texts.Values)));
            writer.WriteEndObject();
        }
        return Encoding.UTF8.GetString(bytes.ToArray());
    }

    private static string Ours(Texts texts) => Encoding.UTF8.GetString(JsonFieldsWriter.Serialize(texts, static (w, t) =>
    {
        w.Field("nothing", (string?)null);
        w.Field("values", t.Values);
        w.Field("pairs", t.Pairs);
        w.Field("signed", t.Signed);
        w.Field("unsigned", t.Unsigned);
        w.Field("flag", t.Flag);
        w.Objects("inner", [t, t with { Values = default }], static (w, t) => w.Field("flag", t.Values.IsDefault ? null : t.Flag));
        w.Field("bytes", Convert.ToBase64String(Encoding.UTF8.GetBytes(string.Concat(t.Values))));
    }));

    private static void AssertSame(Texts texts) => Assert.Equal(Theirs(texts), Ours(texts));

    [Fact]
    public void Whatever_the_texts_and_numbers_the_bytes_are_the_base_librarys()
    {
        var random = new Random(7159);
        for (int i = 0; i < 1000; i++)
        {
            ImmutableArray<string> texts = [.. Enumerable.Range(0, random.Next(6)).Select(_ => new string([.. Enumerable.Range(0, random.Next(40)).Select(_ => (char)random.Next(random.Next(2) == 0 ? 0x80 : 0x10000))]))];
            AssertSame(new Texts(texts, texts.Distinct().ToImmutableSortedDictionary(t => t, t => t + "x", StringComparer.Ordinal), random.NextInt64(long.MinValue, long.MaxValue), (ulong)random.NextInt64(), i % 2 == 0));
        }
    }

    [Fact]
    public void So_they_are_for_each_character_of_the_first_plane_and_for_pairs_whole_and_broken()
    {
        string[] odd = ["\ud83d\ude00", "\ud83d", "\ude00", "a\ude00b", "\ud83d\ud83d\ude00", "\"\ud83d", "\\\"\n\u007f", "plain \"quoted\" \\ text"];
        AssertSame(new Texts([.. Enumerable.Range(0, 0x10000).Select(c => "a" + (char)c + "\"z"), .. odd], ImmutableSortedDictionary<string, string>.Empty.Add("\u00e9\"", "\t"), long.MinValue, ulong.MaxValue, true));
    }

    [Fact]
    public void Fields_that_were_not_understood_come_out_as_they_were()
    {
        const string Json = """{"a":1,"other":{"x":[1.50,null,"é\"😀"]},"last":true}""";
        using JsonDocument read = JsonDocument.Parse(Json);
        var others = read.RootElement.EnumerateObject().Where(p => p.Name != "a").ToDictionary(p => p.Name, p => p.Value);
        string written = Encoding.UTF8.GetString(JsonFieldsWriter.Serialize(others, static (w, o) =>
        {
            w.Field("a", 1);
            w.Others(o);
        }));
        Assert.Equal("""{"a":1,"other":{"x":[1.50,null,"é\"\uD83D\uDE00"]},"last":true}""", written);
    }
}
