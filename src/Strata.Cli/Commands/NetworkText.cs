using System.Globalization;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Containers;
using Strata.Containers.Networks;
using Strata.Linux;

namespace Strata.Cli.Commands;

/// <summary>What ps, port, inspect, network and volume say alike.</summary>
internal static class NetworkText
{
    /// <summary>The PORTS column: published ports, then those that are only exposed.</summary>
    internal static string Ports(Engine engine, Container container)
    {
        if (container.State.Status != ContainerStatus.Running)
        {
            return "";
        }
        System.Collections.Immutable.ImmutableArray<PortMapping> published = container.Record.Networking.Ports.IsEmpty && !container.Record.Networking.PublishAll ? [] : engine.GetNetworkState(container.Record).Ports;
        HashSet<string> taken = [.. published.SelectMany(p => p.Each()).Select(Inside)];
        return string.Join(", ", published.Select(p => p.ToString()).Concat(container.Record.Networking.Expose.Where(e => !taken.Contains(e))));
    }

    /// <summary>The container's side of a port: <c>80/tcp</c>.</summary>
    internal static string Inside(PortMapping port) => string.Create(CultureInfo.InvariantCulture, $"{port.ContainerPort}/{port.Protocol}");

    /// <summary>Docker's NetworkSettings of a container.</summary>
    internal static JsonObject Settings(Engine engine, Container container)
    {
        ContainerRecord record = container.Record;
        ContainerNetworkState state = engine.GetNetworkState(record);
        bool runs = container.State.Status == ContainerStatus.Running;
        var networks = new JsonObject();
        foreach (NetworkEndpoint endpoint in state.Endpoints)
        {
            networks[endpoint.Attachment.Network] = Endpoint(record, endpoint, runs);
        }
        if (state.Endpoints.IsEmpty)
        {
            foreach (string name in record.Isolation.Network switch { NetworkMode.Host => ["host"], NetworkMode.None => ["none"], NetworkMode.Bridge => record.Networking.Networks.Select(n => n.Network), _ => Array.Empty<string>() })
            {
                networks[name] = Endpoint(record, null, runs);
            }
        }
        // The fields of one network stand for the default one, as they did before there were several.
        NetworkEndpoint? first = runs ? state.Endpoints.FirstOrDefault(e => e.Attachment.Network == NetworkSyntax.DefaultName) : null;
        JsonObject settings = Addresses(record, first);
        settings["Bridge"] = "";
        settings["SandboxID"] = runs ? record.Id : "";
        settings["SandboxKey"] = runs && container.State.Pid is { } pid && record.Isolation.Network != NetworkMode.Host ? string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/ns/net") : "";
        settings["Ports"] = PortMap(record, state, runs);
        settings["Networks"] = networks;
        return settings;
    }

    private static JsonObject PortMap(ContainerRecord record, ContainerNetworkState state, bool runs)
    {
        var ports = new JsonObject();
        if (!runs)
        {
            return ports;
        }
        foreach (string exposed in record.Networking.Expose)
        {
            ports[exposed] = null;
        }
        foreach (PortMapping port in state.Ports.SelectMany(p => p.Each()))
        {
            if (ports[Inside(port)] is not JsonArray hosts)
            {
                ports[Inside(port)] = hosts = [];
            }
            hosts.Add((JsonNode)new JsonObject { ["HostIp"] = port.HostAddress.Length == 0 ? "0.0.0.0" : port.HostAddress, ["HostPort"] = port.HostPort.ToString(CultureInfo.InvariantCulture) });
        }
        return ports;
    }

    private static JsonObject Endpoint(ContainerRecord record, NetworkEndpoint? endpoint, bool runs)
    {
        NetworkEndpoint? live = runs ? endpoint : null;
        JsonObject result = Addresses(record, live);
        result["IPAMConfig"] = endpoint?.Attachment is { } asked && (asked.Address ?? asked.Address6) is not null ? Asked(asked) : null;
        result["Links"] = null;
        result["Aliases"] = endpoint is null || endpoint.Attachment.Aliases.IsEmpty ? null : new JsonArray([.. endpoint.Attachment.Aliases.Select(a => (JsonNode?)JsonValue.Create(a))]);
        result["DriverOpts"] = null;
        result["NetworkID"] = endpoint?.NetworkId ?? "";
        result["DNSNames"] = endpoint is null ? null : new JsonArray([.. ((string[])[record.Name, .. endpoint.Attachment.Aliases, record.ShortId]).Select(a => (JsonNode?)JsonValue.Create(a))]);
        return result;
    }

    private static JsonObject Asked(NetworkAttachment attachment)
    {
        var asked = new JsonObject();
        if (attachment.Address is { } v4)
        {
            asked["IPv4Address"] = v4;
        }
        if (attachment.Address6 is { } v6)
        {
            asked["IPv6Address"] = v6;
        }
        return asked;
    }

    private static JsonObject Addresses(ContainerRecord record, NetworkEndpoint? endpoint) => new()
    {
        ["EndpointID"] = endpoint is null ? "" : EndpointId(record, endpoint),
        ["Gateway"] = endpoint?.V4?.Gateway?.ToString() ?? "",
        ["IPAddress"] = endpoint?.V4?.Address.ToString() ?? "",
        ["IPPrefixLen"] = endpoint?.V4?.PrefixLength ?? 0,
        ["IPv6Gateway"] = endpoint?.V6?.Gateway?.ToString() ?? "",
        ["GlobalIPv6Address"] = endpoint?.V6?.Address.ToString() ?? "",
        ["GlobalIPv6PrefixLen"] = endpoint?.V6?.PrefixLength ?? 0,
        ["MacAddress"] = endpoint?.MacAddress ?? "",
    };

    /// <summary>A number for a container's place in a network: of both, and the same each time.</summary>
    internal static string EndpointId(ContainerRecord container, NetworkEndpoint endpoint) => endpoint.NetworkId[..32] + container.Id[..32];

    internal static JsonObject Map(IEnumerable<KeyValuePair<string, string>> values)
    {
        var map = new JsonObject();
        foreach ((string key, string value) in values)
        {
            map[key] = value;
        }
        return map;
    }

    /// <summary>Does something to each of several things; what fails is told, and the rest goes on.</summary>
    internal static async Task<int> EachAsync(CommandContext context, string verb, string[] names, bool force, Func<string, Task> act)
    {
        int code = 0;
        foreach (string name in names)
        {
            try
            {
                await act(name);
                context.Out.WriteLine(name);
            }
            catch (StrataException e) when (e.Kind == ErrorKind.NotFound && force)
            {
                // gone already is what was asked for
            }
            catch (StrataException e)
            {
                context.Error.WriteLine($"strata: {verb}: {SafeText.Escape(e.Message)}");
                if (e.Hint is not null)
                {
                    context.Error.WriteLine($"hint: {SafeText.Escape(e.Hint)}");
                }
                code = 1;
            }
        }
        return code;
    }

    /// <summary>Asks a person before something goes for good.</summary>
    internal static bool MayGoOn(CommandContext context, bool force, string what)
    {
        if (force)
        {
            return true;
        }
        if (!Terminal.IsTerminal(0))
        {
            throw new StrataException(ErrorKind.Invalid, "prune asks first, and there is nobody to ask") { Hint = "say so with --force" };
        }
        context.Error.Write(what + " Go on? [y/N] ");
        return Console.ReadLine() is "y" or "Y" or "yes";
    }

    /// <summary>What label=, label!= and until= let through; the creation time may be unknown.</summary>
    internal static Func<DateTimeOffset?, IReadOnlyDictionary<string, string>, bool> PruneFilter(string[] filters)
    {
        bool Has(IReadOnlyDictionary<string, string> labels, string text)
            => text.Split('=', 2) is var label && labels.TryGetValue(label[0], out string? found) && (label.Length == 1 || found == label[1]);
        DateTimeOffset? until = SystemCommand.Until([.. filters.Where(f => !f.StartsWith("label", StringComparison.Ordinal))]);
        string[] with = [.. filters.Where(f => f.StartsWith("label=", StringComparison.Ordinal)).Select(f => f["label=".Length..])];
        string[] without = [.. filters.Where(f => f.StartsWith("label!=", StringComparison.Ordinal)).Select(f => f["label!=".Length..])];
        return (made, labels) => (until is null || made is null || made < until) && with.All(w => Has(labels, w)) && !without.Any(w => Has(labels, w));
    }
}
