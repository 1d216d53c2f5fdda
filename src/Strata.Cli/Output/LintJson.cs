using System.Text;
using System.Text.Json;
using Strata.Dockerfiles.Lint;

namespace Strata.Cli.Output;

/// <summary>Findings for programs.</summary>
internal static class LintJson
{
    /// <summary>An array of objects: <c>file</c>, <c>line</c>, <c>endLine</c>, <c>rule</c>, <c>message</c>, <c>advice</c>, <c>fix</c> (safe, unsafe or none).</summary>
    internal static void Write(TextWriter output, IReadOnlyList<LintedFile> files) => WriteDocument(output, json =>
    {
        json.WriteStartArray();
        foreach (LintFinding finding in files.SelectMany(f => f.Findings))
        {
            json.WriteStartObject();
            json.WriteString("file", finding.Span.File);
            json.WriteNumber("line", finding.Span.FirstLine);
            json.WriteNumber("endLine", finding.Span.LastLine);
            json.WriteString("rule", finding.Rule);
            json.WriteString("message", finding.Message);
            json.WriteString("advice", finding.Advice);
            json.WriteString("fix", finding.Fix is null ? "none" : finding.Fix.IsSafe ? "safe" : "unsafe");
            json.WriteEndObject();
        }
        json.WriteEndArray();
    });

    /// <summary>SARIF 2.1.0 (OASIS): what code hosts show beside the lines.</summary>
    internal static void WriteSarif(TextWriter output, IReadOnlyList<LintedFile> files) => WriteDocument(output, json =>
    {
        LintFinding[] findings = [.. files.SelectMany(f => f.Findings)];
        string[] rules = [.. findings.Select(f => f.Rule).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        json.WriteStartObject();
        json.WriteString("$schema", "https://json.schemastore.org/sarif-2.1.0.json");
        json.WriteString("version", "2.1.0");
        json.WriteStartArray("runs");
        json.WriteStartObject();
        WriteTool(json, rules);
        json.WriteStartArray("results");
        foreach (LintFinding finding in findings)
        {
            WriteResult(json, finding, Array.IndexOf(rules, finding.Rule));
        }
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    });

    private static void WriteTool(Utf8JsonWriter json, string[] rules)
    {
        json.WriteStartObject("tool");
        json.WriteStartObject("driver");
        json.WriteString("name", "strata lint");
        json.WriteStartArray("rules");
        foreach (string rule in rules)
        {
            json.WriteStartObject();
            json.WriteString("id", rule);
            json.WriteStartObject("help");
            json.WriteString("text", $"docs/lint/{rule}.md");
            json.WriteEndObject();
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteResult(Utf8JsonWriter json, LintFinding finding, int rule)
    {
        json.WriteStartObject();
        json.WriteString("ruleId", finding.Rule);
        json.WriteNumber("ruleIndex", rule);
        json.WriteString("level", "warning");
        json.WriteStartObject("message");
        json.WriteString("text", finding.Advice.Length > 0 ? $"{finding.Message}. {finding.Advice}" : finding.Message);
        json.WriteEndObject();
        json.WriteStartArray("locations");
        json.WriteStartObject();
        json.WriteStartObject("physicalLocation");
        json.WriteStartObject("artifactLocation");
        json.WriteString("uri", string.Join('/', finding.Span.File.Split('/').Select(Uri.EscapeDataString)));
        json.WriteEndObject();
        json.WriteStartObject("region");
        json.WriteNumber("startLine", finding.Span.FirstLine);
        json.WriteNumber("endLine", finding.Span.LastLine);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteDocument(TextWriter output, Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            write(json);
        }
        output.WriteLine(Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length));
    }
}
