using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace Strata.Dockerfiles;

/// <summary><c>RUN --mount=…</c>, as written: options are not expanded and not checked yet, for their values may hold variables.</summary>
/// <param name="Text">The flag's value.</param>
/// <param name="Options">Its fields in order, names in lower case; the value is null where a field has no <c>=</c>.</param>
public sealed record RunMount(string Text, ImmutableArray<KeyValuePair<string, string?>> Options)
{
    /// <summary>The type as written, unexpanded; bind where none is said.</summary>
    public string Type => Options.LastOrDefault(o => o.Key == "type").Value ?? "bind";

    /// <summary>The stage or image it mounts from; null for the build context. Docker expands no variables here.</summary>
    public string? From => Options.LastOrDefault(o => o.Key == "from").Value;

    /// <inheritdoc/>
    public override string ToString() => Text;

    /// <summary>Reads the options.</summary>
    /// <param name="expand">Expands the variables of one value.</param>
    /// <exception cref="FormatException">An option is unknown, has a wrong value, or does not go with the type; in Docker's words.</exception>
    public MountOptions Resolve(Func<string, string> expand)
    {
        ArgumentNullException.ThrowIfNull(expand);
        return RunMountReader.Resolve(this, expand);
    }

    /// <summary>Splits the value of a flag: fields between commas, quoted as in CSV (RFC 4180).</summary>
    /// <exception cref="FormatException">A quote is open or out of place, or <c>from</c> has a variable.</exception>
    internal static RunMount Parse(string text)
    {
        ImmutableArray<KeyValuePair<string, string?>>.Builder options = ImmutableArray.CreateBuilder<KeyValuePair<string, string?>>();
        foreach (string field in Fields(text))
        {
            int equals = field.IndexOf('=', StringComparison.Ordinal);
            string name = (equals < 0 ? field : field[..equals]).ToLowerInvariant();
            string? value = equals < 0 ? null : field[(equals + 1)..];
            if (name == "from" && value?.IndexOf('$', StringComparison.Ordinal) is { } dollar and >= 0 && dollar + 1 < value.Length)
            {
                throw new FormatException("'from' doesn't support variable expansion, define alias stage instead");
            }
            options.Add(new(name, value));
        }
        return new RunMount(text, options.ToImmutable());
    }

    private static List<string> Fields(string text)
    {
        var fields = new List<string>();
        var field = new StringBuilder();
        for (int at = 0; at <= text.Length; at++)
        {
            field.Clear();
            if (at < text.Length && text[at] == '"')
            {
                for (at++; ; at++)
                {
                    if (at >= text.Length)
                    {
                        throw new FormatException($"failed to parse csv mounts: \"{text}\" has an open quote");
                    }
                    if (text[at] == '"' && (at + 1 >= text.Length || text[at + 1] != '"'))
                    {
                        at++;
                        break;
                    }
                    at += text[at] == '"' ? 1 : 0;
                    field.Append(text[at]);
                }
                if (at < text.Length && text[at] != ',')
                {
                    throw new FormatException($"failed to parse csv mounts: \"{text}\" has text behind a quote");
                }
            }
            else
            {
                for (; at < text.Length && text[at] != ','; at++)
                {
                    field.Append(text[at] != '"' ? text[at] : throw new FormatException($"failed to parse csv mounts: \"{text}\" has a quote inside a field"));
                }
            }
            fields.Add(field.ToString());
        }
        return fields;
    }
}

/// <summary>What a mount is made of.</summary>
public enum MountKind
{
    /// <summary>Files of the context, a stage or an image.</summary>
    Bind,
    /// <summary>A folder that stays from build to build.</summary>
    Cache,
    /// <summary>Memory.</summary>
    Tmpfs,
    /// <summary>A file that the image never holds.</summary>
    Secret,
    /// <summary>The SSH agent's socket.</summary>
    Ssh,
}

/// <summary>What happens when two steps use one cache at once.</summary>
public enum CacheSharing
{
    /// <summary>Both write.</summary>
    Shared,
    /// <summary>The second gets its own.</summary>
    Private,
    /// <summary>The second waits.</summary>
    Locked,
}

/// <summary>A mount's options, read and checked (Dockerfile reference, "RUN --mount").</summary>
public sealed record MountOptions(MountKind Kind)
{
    /// <summary>Stage or image; null for the build context.</summary>
    public string? From { get; init; }
    /// <summary>The path there; null for its root.</summary>
    public string? Source { get; init; }
    /// <summary>The path in the step, relative to its working directory; null is that directory (for secret and ssh a place of their own).</summary>
    public string? Target { get; init; }
    /// <summary>Whether the step cannot write. Writes to a bind mount are lost in any case.</summary>
    public bool ReadOnly { get; init; }
    /// <summary>For secret and ssh: whether the step fails without.</summary>
    public bool Required { get; init; }
    /// <summary>For tmpfs: bytes at most; null for no limit.</summary>
    public long? SizeLimit { get; init; }
    /// <summary>The name of the cache, the secret or the agent.</summary>
    public string? Id { get; init; }
    /// <summary>For secret: the variable that holds it.</summary>
    public string? Environment { get; init; }
    /// <summary>For cache.</summary>
    public CacheSharing Sharing { get; init; }
    /// <summary>For cache, secret, ssh: the mode.</summary>
    public uint? Mode { get; init; }
    /// <summary>For cache, secret, ssh: the owner.</summary>
    public uint? UserId { get; init; }
    /// <summary>For cache, secret, ssh: the group.</summary>
    public uint? GroupId { get; init; }
}

/// <summary>Options as written to <see cref="MountOptions"/>, in order, as Docker reads them.</summary>
internal static class RunMountReader
{
    private static readonly string[] s_names =
        ["type", "from", "source", "target", "readonly", "id", "sharing", "required", "size", "mode", "uid", "gid", "src", "dst", "destination", "ro", "rw", "readwrite", "env"];

    internal static MountOptions Resolve(RunMount mount, Func<string, string> expand)
    {
        var options = new MountOptions(MountKind.Bind);
        bool? readOnly = null;
        bool sharing = false;
        foreach ((string name, string? written) in mount.Options)
        {
            string? value = written is null ? null : expand(written);
            switch (name)
            {
                case "readonly" or "ro":
                    readOnly = Switch(name, value);
                    break;
                case "readwrite" or "rw":
                    readOnly = !Switch(name, value);
                    break;
                case "required":
                    options = options with { Required = options.Kind is MountKind.Secret or MountKind.Ssh ? Switch(name, value) : throw Unexpected(name, options.Kind) };
                    break;
                default:
                    options = WithValue(options, name, value ?? throw new FormatException($"invalid field '{name}' must be a key=value pair"));
                    sharing |= name == "sharing";
                    break;
            }
        }
        Check(options, sharing);
        return options with { ReadOnly = readOnly ?? options.Kind is not (MountKind.Cache or MountKind.Tmpfs) };
    }

    private static MountOptions WithValue(MountOptions options, string name, string value) => name switch
    {
        "type" => options with { Kind = KindOf(value) },
        "from" => options with { From = value },
        "source" or "src" => options with { Source = value },
        "target" or "dst" or "destination" => options with { Target = value },
        "id" => options with { Id = value },
        "sharing" => options with { Sharing = SharingOf(value) },
        "size" => options with { SizeLimit = options.Kind == MountKind.Tmpfs ? Size(value) : throw Unexpected(name, options.Kind) },
        "env" => options with { Environment = options.Kind == MountKind.Secret ? value : throw Unexpected(name, options.Kind) },
        "mode" => options with { Mode = Octal(value) },
        "uid" => options with { UserId = Number(name, value) },
        "gid" => options with { GroupId = Number(name, value) },
        _ => throw new FormatException($"unexpected key '{name}' in '{name}={value}'{Near(name, s_names)}"),
    };

    private static void Check(MountOptions options, bool sharing)
    {
        string type = NameOf(options.Kind);
        string? unfit = options.Kind is MountKind.Bind or MountKind.Tmpfs
            ? options.Mode is not null ? "mode" : options.UserId is not null ? "uid" : options.GroupId is not null ? "gid" : null : null;
        string? problem = unfit is not null ? $"{unfit} not allowed for \"{type}\" type mounts"
            : sharing && options.Kind != MountKind.Cache ? $"invalid cache sharing set for {type} mount"
            : options.Kind == MountKind.Secret ? SecretProblem(options) : null;
        if (problem is not null)
        {
            throw new FormatException(problem);
        }
    }

    private static string? SecretProblem(MountOptions options)
        => options.From is not null ? "secret mount should not have a from"
        : options.Source is null && options.Target is null && options.Id is null ? "invalid secret mount. one of source, target required"
        : options.Source is not null && options.Id is not null ? "both source and id can't be set" : null;

    private static MountKind KindOf(string value) => value.ToLowerInvariant() switch
    {
        "bind" => MountKind.Bind,
        "cache" => MountKind.Cache,
        "tmpfs" => MountKind.Tmpfs,
        "secret" => MountKind.Secret,
        "ssh" => MountKind.Ssh,
        _ => throw new FormatException($"unsupported mount type \"{value}\"{Near(value, ["bind", "cache", "tmpfs", "secret", "ssh"])}"),
    };

    private static CacheSharing SharingOf(string value) => value.ToLowerInvariant() switch
    {
        "shared" => CacheSharing.Shared,
        "private" => CacheSharing.Private,
        "locked" => CacheSharing.Locked,
        _ => throw new FormatException($"unsupported sharing value \"{value}\"{Near(value, ["shared", "private", "locked"])}"),
    };

    private static string NameOf(MountKind kind) => kind.ToString().ToLowerInvariant();

    private static string Near(string word, string[] known) => Suggestion.Find(word.ToLowerInvariant(), known) is { } near ? $" (did you mean {near}?)" : "";

    // As Go's strconv.ParseBool; a name alone is true.
    private static bool Switch(string name, string? value) => value switch
    {
        null or "1" or "t" or "T" or "true" or "TRUE" or "True" => true,
        "0" or "f" or "F" or "false" or "FALSE" or "False" => false,
        _ => throw new FormatException($"invalid value for {name}: {value}"),
    };

    private static uint Number(string name, string value)
        => uint.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out uint number) ? number : throw new FormatException($"invalid value {value} for {name}");

    private static uint Octal(string value)
    {
        try
        {
            return value.Length > 0 && value.All(char.IsAsciiDigit) ? Convert.ToUInt32(value, 8) : throw new FormatException();
        }
        catch (Exception e) when (e is FormatException or OverflowException)
        {
            throw new FormatException($"invalid value {value} for mode", e);
        }
    }

    // 64m, 1.5GiB: powers of 1024 whatever the unit is called, as Docker's units.
    private static long Size(string value)
    {
        string number = value.TrimEnd();
        string unit = new([.. number.Reverse().TakeWhile(char.IsAsciiLetter).Reverse()]);
        number = number[..^unit.Length].TrimEnd();
        int power = unit.ToLowerInvariant() switch { "" or "b" => 0, "k" or "kb" or "kib" => 1, "m" or "mb" or "mib" => 2, "g" or "gb" or "gib" => 3, "t" or "tb" or "tib" => 4, _ => -1 };
        return power >= 0 && double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double size) && size * Math.Pow(1024, power) < long.MaxValue
            ? (long)(size * Math.Pow(1024, power)) : throw new FormatException($"invalid value for size: {value}");
    }

    private static FormatException Unexpected(string name, MountKind kind) => new($"unexpected key '{name}' for mount type '{NameOf(kind)}'");
}
