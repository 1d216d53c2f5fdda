using System.Text;
using System.Text.Json;

namespace Strata.Distribution;

/// <summary>Reads JSON (RFC 8259, nothing more) so that each value knows where it stands.</summary>
internal static class JsonConfig
{
    public static ConfigNode Read(ConfigFile file)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(file.Text);
        var reader = new Utf8JsonReader(bytes);
        try
        {
            reader.Read();
            ConfigNode root = ReadValue(ref reader, bytes);
            while (reader.Read())
            {
                // what stands behind it is an error, which the reader throws
            }
            return root.Kind == ConfigKind.Table ? root : throw Wrong(root.Offset, "it is no object: it begins with { and ends with }");
        }
        catch (JsonException e)
        {
            throw Wrong(OffsetOf(file.Text, e), Clean(e.Message), e.Message.Contains("is invalid after a value", StringComparison.Ordinal) ? "put a comma between the entries" : null);
        }
    }

    private static ConfigNode ReadValue(ref Utf8JsonReader reader, byte[] bytes)
    {
        int offset = CharsBefore(bytes, (int)reader.TokenStartIndex);
        switch (reader.TokenType)
        {
            case JsonTokenType.StartObject:
                var table = new ConfigNode(ConfigKind.Table, offset);
                while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
                {
                    int at = CharsBefore(bytes, (int)reader.TokenStartIndex);
                    string name = ReadText(ref reader, at);
                    reader.Read();
                    if (!table.TryAdd(name, at, ReadValue(ref reader, bytes)))
                    {
                        throw Wrong(at, $"'{name}' stands here twice");
                    }
                }
                return table;
            case JsonTokenType.StartArray:
                var list = new ConfigNode(ConfigKind.List, offset);
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
                {
                    list.Add(ReadValue(ref reader, bytes));
                }
                return list;
            case JsonTokenType.String:
                return new ConfigNode(ConfigKind.Text, offset) { Text = ReadText(ref reader, offset) };
            case JsonTokenType.True or JsonTokenType.False:
                return new ConfigNode(ConfigKind.Truth, offset) { IsTrue = reader.TokenType == JsonTokenType.True };
            default:
                return new ConfigNode(ConfigKind.Other, offset);
        }
    }

    private static string ReadText(ref Utf8JsonReader reader, int offset)
    {
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw Wrong(offset, "half of a character: \\uD800 to \\uDFFF come in pairs");
        }
    }

    private static int CharsBefore(byte[] bytes, int offset) => Encoding.UTF8.GetCharCount(bytes, 0, offset);

    private static int OffsetOf(string text, JsonException e)
    {
        int start = 0;
        for (long line = e.LineNumber ?? 0; line > 0; line--)
        {
            start = text.IndexOf('\n', start) + 1;
        }
        int end = text.IndexOf('\n', start) is >= 0 and int found ? found : text.Length;
        byte[] rest = Encoding.UTF8.GetBytes(text[start..end]);
        return start + Encoding.UTF8.GetCharCount(rest, 0, (int)Math.Min(e.BytePositionInLine ?? 0, rest.Length));
    }

    // "… LineNumber: 0 | BytePositionInLine: 7." says the place in other words.
    private static string Clean(string message) => message.Split(" LineNumber:", 2)[0];

    private static ConfigSyntaxException Wrong(int offset, string message, string? hint = null) => new(new ConfigProblem(offset, message, hint));
}
