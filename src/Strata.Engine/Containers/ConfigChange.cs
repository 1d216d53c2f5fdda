using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Strata.Oci;

namespace Strata.Containers;

/// <summary>
/// Applies one Dockerfile instruction to a config, as <c>commit -c</c> and <c>import -c</c> take them. Only those that change nothing but the config.
/// </summary>
public static class ConfigChange
{
    private static readonly ImmutableArray<string> s_shell = ["/bin/sh", "-c"];

    /// <summary>Applies <paramref name="instruction"/>, e.g. <c>CMD ["/bin/sh"]</c> or <c>ENV A=1 B="two words"</c>.</summary>
    /// <exception cref="StrataException">Invalid: not one of CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR, or malformed.</exception>
    public static ContainerConfig Apply(ContainerConfig config, string instruction)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(instruction);
        string[] parts = instruction.Trim().Split((char[]?)null, 2, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        string rest = parts.Length == 2 ? parts[1] : throw Bad(instruction, "needs an argument");
        switch (parts[0].ToUpperInvariant())
        {
            case "CMD":
                return config with { Cmd = Command(rest, config.Shell) };
            case "ENTRYPOINT":
                return config with { Entrypoint = Command(rest, config.Shell) };
            case "ENV":
                return config with { Env = ContainerPlan.Merge([.. config.Env ?? [], .. Pairs(rest, instruction).Select(p => $"{p.Key}={p.Value}")]) };
            case "LABEL":
                return config with { Labels = (config.Labels ?? ImmutableSortedDictionary<string, string>.Empty).SetItems(Pairs(rest, instruction)) };
            case "EXPOSE":
                return config with { ExposedPorts = Add(config.ExposedPorts, Words(rest, instruction).Select(port => Port(port, instruction))) };
            case "VOLUME":
                return config with { Volumes = Add(config.Volumes, (TryArray(rest) ?? [.. Words(rest, instruction)]).Select(ContainerMounts.CleanTarget)) };
            case "USER":
                return config with { User = Words(rest, instruction)[0] };
            case "WORKDIR":
                string directory = Words(rest, instruction)[0];
                return config with { WorkingDir = directory.StartsWith('/') ? directory : Path.Join(string.IsNullOrEmpty(config.WorkingDir) ? "/" : config.WorkingDir, directory) };
            case "STOPSIGNAL":
                _ = Signals.Parse(rest);
                return config with { StopSignal = rest };
            case "ONBUILD":
                return config with { OnBuild = [.. config.OnBuild ?? [], rest] };
            default:
                throw Bad(instruction, $"{parts[0]} does more than change the config, or is no instruction");
        }
    }

    private static ImmutableArray<string> Command(string text, ImmutableArray<string>? shell) => TryArray(text) ?? [.. shell ?? s_shell, text];

    private static ImmutableArray<string>? TryArray(string text)
    {
        if (!text.StartsWith('['))
        {
            return null;
        }
        try
        {
            using JsonDocument array = JsonDocument.Parse(text);
            return array.RootElement.ValueKind == JsonValueKind.Array && array.RootElement.EnumerateArray().All(e => e.ValueKind == JsonValueKind.String)
                ? [.. array.RootElement.EnumerateArray().Select(e => e.GetString()!)] : null;
        }
        catch (JsonException)
        {
            return null; // Docker's rule: what is no JSON array of strings is shell text
        }
    }

    private static string Port(string text, string instruction)
    {
        string[] parts = text.Split('/');
        bool valid = parts.Length <= 2 && ushort.TryParse(parts[0], System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out ushort port) && port > 0
            && (parts.Length == 1 || parts[1] is "tcp" or "udp" or "sctp");
        return valid ? (parts.Length == 1 ? text + "/tcp" : text) : throw Bad(instruction, $"'{text}' is no port");
    }

    private static ImmutableSortedDictionary<string, EmptyObject> Add(ImmutableSortedDictionary<string, EmptyObject>? to, IEnumerable<string> keys)
        => (to ?? ImmutableSortedDictionary<string, EmptyObject>.Empty).SetItems(keys.Select(k => KeyValuePair.Create(k, new EmptyObject())));

    private static List<KeyValuePair<string, string>> Pairs(string text, string instruction)
    {
        List<string> words = Words(text, instruction);
        // "ENV NAME the rest" is the old form of one pair.
        if (!words[0].Contains('=', StringComparison.Ordinal) && words.Count > 1)
        {
            return [KeyValuePair.Create(words[0], text[words[0].Length..].Trim())];
        }
        return [.. words.Select(word => word.IndexOf('=', StringComparison.Ordinal) is > 0 and int equals
            ? KeyValuePair.Create(word[..equals], word[(equals + 1)..]) : throw Bad(instruction, $"'{word}' is not NAME=value"))];
    }

    // Words as a shell splits them: quotes of both kinds, and backslash before a character that would mean something.
    private static List<string> Words(string text, string instruction)
    {
        var words = new List<string>();
        var word = new StringBuilder();
        bool inWord = false;
        char quote = '\0';
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (c == '\\' && quote != '\'' && i + 1 < text.Length && (quote == '\0' || text[i + 1] is '"' or '\\' or '$'))
            {
                word.Append(text[++i]);
                inWord = true;
            }
            else if (quote != '\0' && c == quote)
            {
                quote = '\0';
            }
            else if (quote == '\0' && c is '"' or '\'')
            {
                (quote, inWord) = (c, true);
            }
            else if (quote == '\0' && char.IsWhiteSpace(c))
            {
                Finish();
            }
            else
            {
                word.Append(c);
                inWord = true;
            }
        }
        Finish();
        return quote == '\0' && words.Count > 0 ? words : throw Bad(instruction, quote == '\0' ? "needs an argument" : $"a {quote} is not closed");

        void Finish()
        {
            if (inWord)
            {
                words.Add(word.ToString());
            }
            word.Clear();
            inWord = false;
        }
    }

    private static StrataException Bad(string instruction, string cause) => new(ErrorKind.Invalid, $"change '{instruction}': {cause}");
}
