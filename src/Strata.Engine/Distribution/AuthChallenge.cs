using System.Net.Http.Headers;
using System.Text;

namespace Strata.Distribution;

/// <summary>What a server wants to know before it answers (RFC 9110 §11.6.1).</summary>
internal sealed record AuthChallenge(string Scheme, IReadOnlyDictionary<string, string> Parameters)
{
    /// <summary>The challenge we can answer best: Bearer before Basic; null where there is neither.</summary>
    public static AuthChallenge? Choose(HttpHeaderValueCollection<AuthenticationHeaderValue> headers)
    {
        AuthChallenge[] known = [.. headers.Select(h => new AuthChallenge(h.Scheme, ParseParameters(h.Parameter ?? "")))];
        return known.FirstOrDefault(c => c.Scheme.Equals("Bearer", StringComparison.OrdinalIgnoreCase) && c.Parameters.ContainsKey("realm"))
            ?? known.FirstOrDefault(c => c.Scheme.Equals("Basic", StringComparison.OrdinalIgnoreCase));
    }

    // name=token or name="quoted", separated by commas.
    internal static Dictionary<string, string> ParseParameters(string text)
    {
        Dictionary<string, string> parameters = new(StringComparer.OrdinalIgnoreCase);
        int i = 0;
        while (i < text.Length)
        {
            int equals = text.IndexOf('=', i);
            if (equals < 0)
            {
                break;
            }
            string name = text[i..equals].Trim(' ', '\t', ',');
            i = equals + 1;
            string value = i < text.Length && text[i] == '"' ? ReadQuoted(text, ref i) : ReadToken(text, ref i);
            parameters.TryAdd(name, value);
        }
        return parameters;
    }

    private static string ReadToken(string text, ref int i)
    {
        int end = text.IndexOf(',', i);
        string value = end < 0 ? text[i..] : text[i..end];
        i = end < 0 ? text.Length : end + 1;
        return value.Trim();
    }

    private static string ReadQuoted(string text, ref int i)
    {
        StringBuilder value = new();
        for (i++; i < text.Length && text[i] != '"'; i++)
        {
            if (text[i] == '\\' && i + 1 < text.Length)
            {
                i++;
            }
            value.Append(text[i]);
        }
        i++;
        return value.ToString();
    }
}
