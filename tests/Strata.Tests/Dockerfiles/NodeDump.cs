using System.Globalization;
using System.Text;
using Strata.Dockerfiles;

namespace Strata.Tests.Dockerfiles;

/// <summary>Nodes as BuildKit's parser dumps them: one S-expression a line.</summary>
internal static class NodeDump
{
    internal static List<RawNode> Read(string text) => [.. new DockerfileLexer(text, "Dockerfile").Read()];

    internal static string Dump(IEnumerable<RawNode> nodes) => string.Join('\n', nodes.Select(Dump));

    private static string Dump(RawNode node)
    {
        StringBuilder text = new StringBuilder("(").Append(node.Keyword.ToLowerInvariant());
        if (!node.Flags.IsEmpty)
        {
            text.Append(" [").AppendJoin(' ', node.Flags.Select(Quote)).Append(']');
        }
        if (node.Nested is { } nested)
        {
            return text.Append(' ').Append(Dump(nested)).Append(')').ToString();
        }
        foreach (string argument in node.Arguments)
        {
            text.Append(' ').Append(Quote(argument));
        }
        return text.Append(')').ToString();
    }

    // Go's strconv.Quote, as far as Dockerfiles need it.
    private static string Quote(string value)
    {
        var text = new StringBuilder("\"");
        foreach (char c in value)
        {
            text.Append(c switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\t' => "\\t",
                '\n' => "\\n",
                '\r' => "\\r",
                '\v' => "\\v",
                '\f' => "\\f",
                '\a' => "\\a",
                '\b' => "\\b",
                < ' ' or '\x7f' => "\\x" + ((int)c).ToString("x2", CultureInfo.InvariantCulture),
                '\u00a0' or '\u200b' or '\ufeff' => "\\u" + ((int)c).ToString("x4", CultureInfo.InvariantCulture),
                _ => c.ToString(),
            });
        }
        return text.Append('"').ToString();
    }
}
