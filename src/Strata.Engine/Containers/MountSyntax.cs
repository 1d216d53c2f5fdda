using System.Collections.Immutable;
using System.Globalization;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>Reads --mount: <c>type=bind|volume|tmpfs,source=…,target=…</c> with options, in Docker's words and podman's.</summary>
internal static class MountSyntax
{
    private static readonly string[] s_propagation = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

    private sealed class Parts
    {
        internal string Type = "volume", Source = "", Target = "";
        internal bool ReadOnly, NoCopy;
        internal readonly List<string> Options = [];
        internal readonly Dictionary<string, string> VolumeOptions = new(StringComparer.Ordinal), VolumeLabels = new(StringComparer.Ordinal);
    }

    /// <exception cref="StrataException">Invalid: it means nothing; NotFound: the path is not there.</exception>
    public static ContainerMount Parse(string text)
    {
        var parts = new Parts();
        foreach (string field in Fields(text))
        {
            int equals = field.IndexOf('=', StringComparison.Ordinal);
            Take(parts, equals < 0 ? field : field[..equals], equals < 0 ? null : field[(equals + 1)..], text);
        }
        if (parts.Target.Length == 0)
        {
            throw Bad(text, "target= is missing: where it is in the container");
        }
        string target = ContainerMounts.CleanTarget(parts.Target);
        if (parts.ReadOnly)
        {
            parts.Options.Add("ro");
        }
        return parts.Type switch
        {
            "bind" => Bind(parts, target, text),
            "volume" => Volume(parts, target, text),
            "tmpfs" when parts.Source.Length == 0 => ContainerMounts.ParseTmpfs(parts.Options.Count == 0 ? target : $"{target}:{string.Join(',', parts.Options)}"),
            "tmpfs" => throw Bad(text, "a tmpfs has no source"),
            string other => throw Bad(text, $"type {other}: there are bind, volume and tmpfs"),
        };
    }

    // CSV: a field with commas in it stands in quotation marks, as volume-opt=o=… does.
    internal static List<string> Fields(string text)
    {
        var fields = new List<string>();
        var field = new System.Text.StringBuilder();
        bool quoted = false;
        foreach (char c in text)
        {
            if (c == '"')
            {
                quoted = !quoted;
            }
            else if (c == ',' && !quoted)
            {
                fields.Add(field.ToString());
                field.Clear();
            }
            else
            {
                field.Append(c);
            }
        }
        fields.Add(field.ToString());
        return quoted ? throw Bad(text, "a quotation mark has no end") : fields;
    }

    private static void Take(Parts parts, string key, string? value, string text)
    {
        switch (key.ToLowerInvariant())
        {
            case "type":
                parts.Type = Given(value);
                break;
            case "source" or "src":
                parts.Source = Given(value);
                break;
            case "target" or "dst" or "destination":
                parts.Target = Given(value);
                break;
            case "readonly" or "ro":
                parts.ReadOnly = value switch { null or "true" or "1" => true, "false" or "0" => false, _ => throw Bad(text, $"{key} is true or false") };
                break;
            case "bind-propagation":
                parts.Options.Add(s_propagation.Contains(value) ? value! : throw Bad(text, $"bind-propagation {value}: there are {string.Join(", ", s_propagation)}"));
                break;
            case "volume-nocopy":
                parts.NoCopy = value is null or "true" or "1";
                break;
            case "volume-opt" when Given(value).Split('=', 2) is [var name, var option]:
                parts.VolumeOptions[name] = option;
                break;
            case "volume-label" when Given(value).Split('=', 2) is var label:
                parts.VolumeLabels[label[0]] = label.Length == 2 ? label[1] : "";
                break;
            case "volume-driver" when value is "local":
                break;
            case "tmpfs-size":
                parts.Options.Add("size=" + Given(value));
                break;
            case "tmpfs-mode":
                parts.Options.Add("mode=" + Given(value));
                break;
            case "bind-create-src" or "consistency" or "z" or "relabel":
                break; // what Docker for the desktop and SELinux need
            default:
                throw Bad(text, $"no such field: {key}");
        }

        string Given(string? value) => string.IsNullOrEmpty(value) ? throw Bad(text, $"{key} needs a value") : value;
    }

    private static ContainerMount Bind(Parts parts, string target, string text)
    {
        if (parts.VolumeOptions.Count > 0 || parts.NoCopy)
        {
            throw Bad(text, "options of volumes do not go with a bind mount");
        }
        string source = Path.GetFullPath(parts.Source.Length > 0 ? parts.Source : throw Bad(text, "source= is missing: the path on this machine"));
        FileStatus status = FileSystems.TryGetStatus(source, follow: true)
            ?? throw new StrataException(ErrorKind.NotFound, $"mount '{text}': {source}: nothing there") { Hint = $"mkdir -p {source}" };
        return new ContainerMount(ContainerMountKind.Bind, source, target, [.. parts.Options]) { IsFile = status.Kind != FileKind.Directory };
    }

    private static ContainerMount Volume(Parts parts, string target, string text)
    {
        bool anonymous = parts.Source.Length == 0;
        if (!anonymous && !ContainerStore.IsName(parts.Source))
        {
            throw Bad(text, $"'{parts.Source}' is no volume's name");
        }
        return new ContainerMount(ContainerMountKind.Volume, anonymous ? ContainerStore.CreateId() : parts.Source, target, [.. parts.Options])
        {
            Anonymous = anonymous,
            CopyUp = !parts.NoCopy,
            VolumeOptions = parts.VolumeOptions.ToImmutableSortedDictionary(StringComparer.Ordinal),
            VolumeLabels = parts.VolumeLabels.ToImmutableSortedDictionary(StringComparer.Ordinal),
        };
    }

    private static StrataException Bad(string text, string cause)
        => new(ErrorKind.Invalid, string.Create(CultureInfo.InvariantCulture, $"mount '{text}': {cause}")) { Hint = "write it like type=bind,source=/srv/data,target=/data,readonly" };
}
