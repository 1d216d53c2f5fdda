using System.Globalization;
using System.Text.RegularExpressions;
using Strata.Containers;

namespace Strata.Cli.Commands;

/// <summary>The filters of <c>ps</c>, as Docker has them: those of one key are alternatives, except labels, which all must be there; keys narrow each other.</summary>
internal sealed class PsFilters
{
    private static readonly string[] s_keys = ["id", "name", "label", "exited", "status", "ancestor", "before", "since", "volume", "network", "publish", "expose", "health", "is-task"];
    private readonly Engine _engine;
    private readonly ILookup<string, string> _filters;

    internal PsFilters(Engine engine, string[] texts)
    {
        _engine = engine;
        _filters = texts.Select(t => t.Split('=', 2) is { Length: 2 } parts && s_keys.Contains(parts[0]) ? parts
            : throw new StrataException(ErrorKind.Invalid, $"filter {t}: there are {string.Join(", ", s_keys)}, each as KEY=VALUE")).ToLookup(p => p[0], p => p[1]);
    }

    /// <summary>Whether stopped ones are asked for by a filter.</summary>
    internal bool WantsStopped => _filters.Contains("status") || _filters.Contains("exited");

    internal bool Matches(Container container)
        => _filters.All(f => f.Key == "label" ? f.All(value => Matches(container, f.Key, value)) : f.Any(value => Matches(container, f.Key, value)));

    private bool Matches(Container container, string key, string value) => key switch
    {
        "status" => ContainerShape.Status(container) == value || (value == "running" && container.State is { Status: ContainerStatus.Running, IsPaused: false }),
        "name" => IsMatch(container.Record.Name, value),
        "id" => container.Record.Id.StartsWith(value, StringComparison.Ordinal),
        "ancestor" => container.Record.Image == value || container.Record.Image == value + ":latest" || container.Record.ImageId.Hex.StartsWith(value, StringComparison.Ordinal) || container.Record.ImageId.ToString() == value,
        "exited" => container.State is { Status: ContainerStatus.Exited, ExitCode: { } code } && code.ToString(CultureInfo.InvariantCulture) == value,
        "label" => value.Split('=', 2) is var label && container.Record.Labels.TryGetValue(label[0], out string? found) && (label.Length == 1 || found == label[1]),
        "before" => container.Record.Created < _engine.GetContainer(value).Record.Created,
        "since" => container.Record.Created > _engine.GetContainer(value).Record.Created,
        "volume" => container.Record.Mounts.Any(m => m.Target == value || (m.Source.Length > 0 && m.Source == value)),
        "network" => container.Record.Networking.Networks.Any(n => n.Network == value) || container.Record.Isolation.Network.ToString().Equals(value, StringComparison.OrdinalIgnoreCase),
        "publish" => container.Record.Networking.Ports.Any(p => p.ToString().Contains(value, StringComparison.Ordinal)),
        "expose" => container.Record.Config.ExposedPorts?.Keys.Any(p => p == value || p.Split('/')[0] == value) ?? false,
        "health" => (_engine.GetHealth(container.Record)?.Status ?? "none") == value,
        _ => value == "false", // is-task: there are no services here
    };

    // Docker takes the name as a regular expression; what is none is a part of the name.
    private static bool IsMatch(string name, string pattern)
    {
        try
        {
            return Regex.IsMatch(name, pattern, RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1)) || Regex.IsMatch("/" + name, pattern, RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1));
        }
        catch (ArgumentException)
        {
            return name.Contains(pattern, StringComparison.Ordinal);
        }
    }
}
