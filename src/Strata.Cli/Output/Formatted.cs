using System.Text.Json.Nodes;

namespace Strata.Cli.Output;

/// <summary>What <c>--format</c> of a list says: <c>json</c> (an object per line), a template, or a table of a template.</summary>
internal static class Formatted
{
    private const string TablePrefix = "table";

    /// <summary>Writes rows by a format. Headings of a table are the fields' names, broken into words, as Docker heads its columns.</summary>
    internal static void Write(TextWriter output, string format, IEnumerable<JsonNode> rows)
    {
        if (format == "json")
        {
            foreach (JsonNode row in rows)
            {
                output.Write(JsonText.Compact(row) + "\n");
            }
            return;
        }
        bool isTable = format.StartsWith(TablePrefix + " ", StringComparison.Ordinal);
        Template template = Parse(isTable ? format[(TablePrefix.Length + 1)..].Trim() : format);
        if (!isTable)
        {
            foreach (JsonNode row in rows)
            {
                output.Write(SafeText.Lines(template.Render(row)) + "\n");
            }
            return;
        }
        Table table = new(template.Render(Headings(template)).Split('\t'));
        foreach (JsonNode row in rows)
        {
            table.Add(template.Render(row).Split('\t'));
        }
        table.Write(output);
    }

    /// <summary>Writes what an <c>inspect</c> found: one document of all, or a template's line of each.</summary>
    internal static void WriteInspected(TextWriter output, string? format, JsonArray found)
    {
        if (format is null or "json")
        {
            output.WriteLine(SafeText.Lines(JsonText.Indented(found)));
            return;
        }
        Template template = Parse(format);
        foreach (JsonNode? one in found)
        {
            output.WriteLine(SafeText.Lines(template.Render(one)));
        }
    }

    /// <summary>Reads a template as a shell hands it over: \t and \n as they were typed, which Docker takes for what they mean.</summary>
    internal static Template Parse(string format) => Template.Parse(format.Replace("\\t", "\t", StringComparison.Ordinal).Replace("\\n", "\n", StringComparison.Ordinal));

    private static JsonObject Headings(Template template)
        => new(template.Fields.Distinct().Select(f => KeyValuePair.Create(f, (JsonNode?)Words(f))));

    // CreatedBy: CREATED BY; ID stays ID.
    private static string Words(string field)
    {
        System.Text.StringBuilder words = new();
        for (int i = 0; i < field.Length; i++)
        {
            if (i > 0 && char.IsUpper(field[i]) && !char.IsUpper(field[i - 1]))
            {
                words.Append(' ');
            }
            words.Append(char.ToUpperInvariant(field[i]));
        }
        return words.ToString();
    }
}
