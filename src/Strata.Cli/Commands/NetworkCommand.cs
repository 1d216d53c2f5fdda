using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Containers;
using Strata.Containers.Networks;

namespace Strata.Cli.Commands;

/// <summary><c>strata network create|ls|inspect|rm|prune|connect|disconnect</c>, in Docker's shapes.</summary>
internal static class NetworkCommand
{
    private static readonly string[] s_builtIn = ["host", "none"];

    internal static Command Create(CommandContext context) => new("network")
    {
        CreateNew(context), CreateList(context), CreateInspect(context), CreateRemove(context), CreatePrune(context), CreateConnect(context), CreateDisconnect(context),
    };

    private static Command CreateNew(CommandContext context)
    {
        Argument<string> name = Options.One("NAME", "its name");
        Option<string[]> subnet = Options.Values("--subnet", "ADDRESS/BITS", "its addresses; a free block where not given");
        Option<string[]> gateway = Options.Values("--gateway", "ADDRESS", "the host's address in it; the first where not given");
        Option<string[]> range = Options.Values("--ip-range", "ADDRESS/BITS", "the part of it that containers get addresses from");
        Option<bool> ipv6 = Options.Flag("--ipv6", "IPv6 addresses too");
        Option<bool> isInternal = Options.Flag("--internal", "nothing outside can be reached from it");
        Option<bool> noDns = Options.Flag("--disable-dns", "its containers do not find each other by name");
        Option<string?> driver = Options.Value("--driver", "DRIVER", "bridge", "-d");
        Option<string?> bridge = Options.Value("--interface-name", "NAME", "name of its bridge on the host");
        Option<string[]> option = Options.Values("--opt", "KEY=VALUE", "mtu, vlan, isolate, metric, or Docker's names for them", "-o");
        Option<string[]> label = Options.Values("--label", "NAME=VALUE", "label");
        Option<bool> attachable = Options.Flag("--attachable", "for docker's sake: it always is");
        var command = new Command("create", "Make a bridge network") { name, subnet, gateway, range, ipv6, isInternal, noDns, driver, bridge, option, label, attachable };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetValue(driver) is not (null or "bridge") and { } other)
            {
                throw new StrataException(ErrorKind.Unsupported, $"network create: driver {other}: there is bridge");
            }
            NetworkRecord network = await context.Engine.CreateNetworkAsync(new NetworkCreateOptions
            {
                Name = parsed.GetValue(name),
                Subnets = [.. parsed.GetValue(subnet)],
                Gateways = [.. parsed.GetValue(gateway)],
                Ranges = [.. parsed.GetValue(range)],
                IPv6 = parsed.GetValue(ipv6),
                Internal = parsed.GetValue(isInternal),
                Dns = !parsed.GetValue(noDns),
                Bridge = parsed.GetValue(bridge),
                Options = ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, Options.Pairs(parsed.GetValue(option))),
                Labels = ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, Options.Pairs(parsed.GetValue(label))),
            }, cancellationToken);
            context.Out.WriteLine(network.Id);
            return 0;
        });
        return command;
    }

    private static Command CreateList(CommandContext context)
    {
        Option<bool> quiet = Options.Flag("--quiet", "only IDs", "-q");
        Option<bool> full = Options.Flag("--no-trunc", "whole IDs");
        Option<string[]> filter = Options.Values("--filter", "KEY=VALUE", "name, id, driver, label, dangling, type", "-f");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, table TEMPLATE, or json");
        var command = new Command("ls", "List networks") { quiet, full, filter, format };
        command.SetAction((parsed, _) =>
        {
            List<JsonObject> rows = [.. context.Engine.Networks.List().Where(n => Matches(context.Engine, n, parsed.GetValue(filter))).Select(n => Row(n.Name, n.Id, "bridge", n, parsed.GetValue(full)))];
            rows.AddRange(s_builtIn.Where(n => parsed.GetValue(filter).Length == 0 || parsed.GetValue(filter).All(f => MatchesBuiltIn(n, f)))
                .Select(n => Row(n, NetworkStore.BuiltInId(n), n == "none" ? "null" : n, null, parsed.GetValue(full))));
            rows.Sort((a, b) => string.CompareOrdinal((string?)a["Name"], (string?)b["Name"]));
            if (parsed.GetValue(quiet))
            {
                rows.ForEach(r => context.Out.WriteLine((string)r["ID"]!));
                return Task.FromResult(0);
            }
            if (parsed.GetValue(format) is { } template)
            {
                Formatted.Write(context.Out, template, rows);
                return Task.FromResult(0);
            }
            var table = new Table("NETWORK ID", "NAME", "DRIVER", "SCOPE");
            rows.ForEach(r => table.Add((string)r["ID"]!, (string)r["Name"]!, (string)r["Driver"]!, (string)r["Scope"]!));
            table.Write(context.Out);
            return Task.FromResult(0);
        });
        return command;
    }

    private static JsonObject Row(string name, string id, string driver, NetworkRecord? network, bool full) => new()
    {
        ["ID"] = full ? id : id[..12],
        ["Name"] = name,
        ["Driver"] = driver,
        ["Scope"] = "local",
        ["IPv6"] = (network?.HasIPv6 ?? false) ? "true" : "false",
        ["Internal"] = (network?.Internal ?? false) ? "true" : "false",
        ["CreatedAt"] = network?.Created.ToString("O") ?? "",
        ["Labels"] = string.Join(',', network?.Labels.Select(l => $"{l.Key}={l.Value}") ?? []),
    };

    private static bool Matches(Engine engine, NetworkRecord network, string[] filters) => filters.All(filter =>
    {
        (string key, string value) = Split(filter);
        return key switch
        {
            "name" => network.Name.Contains(value, StringComparison.Ordinal),
            "id" => network.Id.StartsWith(value, StringComparison.Ordinal),
            "driver" => value == "bridge",
            "scope" => value == "local",
            "type" => value == (network.IsDefault ? "builtin" : "custom"),
            "dangling" => !network.IsDefault && (engine.ListNetworkContainers(network).Count == 0) == (value is "true" or "1"),
            _ => HasLabel(network, value),
        };
    });

    private static bool HasLabel(NetworkRecord network, string text)
        => text.Split('=', 2) is var label && network.Labels.TryGetValue(label[0], out string? found) && (label.Length == 1 || found == label[1]);

    private static bool MatchesBuiltIn(string name, string filter)
    {
        (string key, string value) = Split(filter);
        return key switch
        {
            "name" => name.Contains(value, StringComparison.Ordinal),
            "id" => NetworkStore.BuiltInId(name).StartsWith(value, StringComparison.Ordinal),
            "driver" => value == (name == "none" ? "null" : name),
            "scope" => value == "local",
            "type" => value == "builtin",
            _ => false,
        };
    }

    private static (string Key, string Value) Split(string filter)
        => filter.Split('=', 2) is [var key, var value] && key is "name" or "id" or "driver" or "scope" or "type" or "dangling" or "label" ? (key, value)
            : throw new StrataException(ErrorKind.Invalid, $"filter {filter}: there are name, id, driver, scope, type, dangling and label, each with =VALUE");

    private static Command CreateInspect(CommandContext context)
    {
        Argument<string[]> names = Options.Many("NETWORK", "names or IDs");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, or json", "-f");
        var command = new Command("inspect", "Show all that is known of networks") { names, format };
        command.SetAction((parsed, _) =>
        {
            var found = new JsonArray();
            foreach (string name in parsed.GetValue(names))
            {
                found.Add((JsonNode)(s_builtIn.Contains(name) ? BuiltIn(name) : Describe(context.Engine, context.Engine.Networks.Get(name))));
            }
            Formatted.WriteInspected(context.Out, parsed.GetValue(format), found);
            return Task.FromResult(0);
        });
        return command;
    }

    private static JsonObject BuiltIn(string name) => new()
    {
        ["Name"] = name,
        ["Id"] = NetworkStore.BuiltInId(name),
        ["Scope"] = "local",
        ["Driver"] = name == "none" ? "null" : name,
        ["EnableIPv6"] = false,
        ["IPAM"] = new JsonObject { ["Driver"] = "default", ["Config"] = new JsonArray() },
        ["Internal"] = false,
        ["Containers"] = new JsonObject(),
        ["Options"] = new JsonObject(),
        ["Labels"] = new JsonObject(),
    };

    private static JsonObject Describe(Engine engine, NetworkRecord network)
    {
        var containers = new JsonObject();
        foreach ((ContainerRecord container, NetworkEndpoint endpoint) in engine.ListNetworkContainers(network))
        {
            containers[container.Id] = new JsonObject
            {
                ["Name"] = container.Name,
                ["EndpointID"] = NetworkText.EndpointId(container, endpoint),
                ["MacAddress"] = endpoint.MacAddress,
                ["IPv4Address"] = endpoint.V4 is { } v4 ? $"{v4.Address}/{v4.PrefixLength}" : "",
                ["IPv6Address"] = endpoint.V6 is { } v6 ? $"{v6.Address}/{v6.PrefixLength}" : "",
            };
        }
        var options = new JsonObject { ["com.docker.network.bridge.name"] = network.Bridge };
        foreach ((string key, string value) in network.Options)
        {
            options[key] = value;
        }
        return new JsonObject
        {
            ["Name"] = network.Name,
            ["Id"] = network.Id,
            ["Created"] = network.Created.ToString("O"),
            ["Scope"] = "local",
            ["Driver"] = "bridge",
            ["EnableIPv4"] = network.Subnets.Any(s => !s.Subnet.Is6),
            ["EnableIPv6"] = network.HasIPv6,
            ["IPAM"] = new JsonObject
            {
                ["Driver"] = "default",
                ["Options"] = null,
                ["Config"] = new JsonArray([.. network.Subnets.Select(s => (JsonNode)(s.Range is { } range
                    ? new JsonObject { ["Subnet"] = s.Subnet.ToString(), ["IPRange"] = range.ToString(), ["Gateway"] = s.Gateway.ToString() }
                    : new JsonObject { ["Subnet"] = s.Subnet.ToString(), ["Gateway"] = s.Gateway.ToString() }))]),
            },
            ["Internal"] = network.Internal,
            ["Attachable"] = false,
            ["Ingress"] = false,
            ["DnsEnabled"] = network.Dns,
            ["Containers"] = containers,
            ["Options"] = options,
            ["Labels"] = NetworkText.Map(network.Labels),
        };
    }

    private static Command CreateRemove(CommandContext context)
    {
        Argument<string[]> names = Options.Many("NETWORK", "names or IDs");
        Option<bool> force = Options.Flag("--force", "none of this name is no error", "-f");
        var command = new Command("rm", "Remove networks that no container is in") { names, force };
        command.SetAction((parsed, cancellationToken) => NetworkText.EachAsync(context, "network rm", parsed.GetValue(names), parsed.GetValue(force), async name =>
        {
            if (s_builtIn.Contains(name))
            {
                throw new StrataException(ErrorKind.Conflict, $"network {name}: every machine has it, and it cannot be removed");
            }
            await context.Engine.RemoveNetworkAsync(name, cancellationToken);
        }));
        return command;
    }

    private static Command CreatePrune(CommandContext context)
    {
        Option<bool> force = Options.Flag("--force", "do not ask", "-f");
        Option<string[]> filter = Options.Values("--filter", "KEY=VALUE", "label, label!, until");
        var command = new Command("prune", "Remove networks that no container is in") { force, filter };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (!NetworkText.MayGoOn(context, parsed.GetValue(force), "This removes all networks that no container is in."))
            {
                return 1;
            }
            Func<DateTimeOffset?, IReadOnlyDictionary<string, string>, bool> matches = NetworkText.PruneFilter(parsed.GetValue(filter));
            IReadOnlyList<string> removed = await context.Engine.PruneNetworksAsync(n => matches(n.Created, n.Labels), cancellationToken);
            if (removed.Count > 0)
            {
                context.Out.WriteLine("Deleted Networks:");
                foreach (string name in removed)
                {
                    context.Out.WriteLine(name);
                }
            }
            return 0;
        });
        return command;
    }

    private static Command CreateConnect(CommandContext context)
    {
        Argument<string> network = Options.One("NETWORK", "name or ID");
        Argument<string> container = Options.One("CONTAINER", "name or ID");
        Option<string[]> alias = Options.Values("--alias", "NAME", "one more name in the network");
        Option<string?> ip = Options.Value("--ip", "ADDRESS", "its IPv4 address");
        Option<string?> ip6 = Options.Value("--ip6", "ADDRESS", "its IPv6 address");
        Option<string?> mac = Options.Value("--mac-address", "MAC", "its hardware address");
        var command = new Command("connect", "Put a container into a network; a running one at once") { network, container, alias, ip, ip6, mac };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string name = parsed.GetValue(network);
            (_, NetworkOptions options) = NetworkSyntax.Parse([NetworkSyntax.DefaultName], parsed.GetValue(alias), parsed.GetValue(ip), parsed.GetValue(ip6), parsed.GetValue(mac));
            await context.Engine.ConnectNetworkAsync(name, parsed.GetValue(container), options.Networks[0], cancellationToken);
            return 0;
        });
        return command;
    }

    private static Command CreateDisconnect(CommandContext context)
    {
        Argument<string> network = Options.One("NETWORK", "name or ID");
        Argument<string> container = Options.One("CONTAINER", "name or ID");
        Option<bool> force = Options.Flag("--force", "for docker's sake: a running one is taken out too", "-f");
        var command = new Command("disconnect", "Take a container out of a network; a running one at once") { network, container, force };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await context.Engine.DisconnectNetworkAsync(parsed.GetValue(network), parsed.GetValue(container), cancellationToken);
            return 0;
        });
        return command;
    }
}
