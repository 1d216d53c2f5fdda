using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Strata.Cli.Output;

/// <summary>JSON as a person or a script reads it. Built by hand: no reflection, and nothing that short commands would have to load.</summary>
internal static class JsonText
{
    private static readonly JavaScriptEncoder s_encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping;

    /// <summary>On one line.</summary>
    internal static string Compact(JsonNode? node) => Write(node, indented: false);

    /// <summary>With four blanks per level, as Docker indents.</summary>
    internal static string Indented(JsonNode? node) => Write(node, indented: true);

    /// <summary>A list of texts.</summary>
    internal static JsonArray Array(IEnumerable<string> texts) => new([.. texts.Select(t => JsonValue.Create(t))]);

    private static string Write(JsonNode? node, bool indented)
    {
        using MemoryStream bytes = new();
        using (Utf8JsonWriter writer = new(bytes, new JsonWriterOptions { Indented = indented, IndentSize = 4, Encoder = s_encoder, NewLine = "\n" }))
        {
            if (node is null)
            {
                writer.WriteNullValue();
            }
            else
            {
                node.WriteTo(writer);
            }
        }
        return Encoding.UTF8.GetString(bytes.GetBuffer(), 0, (int)bytes.Length);
    }
}
