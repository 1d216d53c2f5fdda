using System.Globalization;
using Strata.Cli.Syntax;
using Strata.Containers;
using Strata.Containers.Networks;

namespace Strata.Cli.Commands;

/// <summary><c>strata port</c>: which ports of the host lead to a container.</summary>
internal static class PortCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> name = Options.One("CONTAINER", "name or ID");
        Argument<string?> port = Options.Maybe("PORT", "only this port of the container, as 80 or 53/udp");
        var command = new Command("port") { name, port };
        command.SetAction((parsed, _) =>
        {
            Container container = context.Engine.GetContainer(parsed.GetValue(name));
            PortMapping[] ports = container.State.Status == ContainerStatus.Running ? [.. context.Engine.GetNetworkState(container.Record).Ports.SelectMany(p => p.Each()).OrderBy(p => p.ContainerPort)] : [];
            if (parsed.GetValue(port) is { } wanted)
            {
                string one = PortSyntax.ParseExposed(wanted)[0];
                ports = [.. ports.Where(p => NetworkText.Inside(p) == one)];
                if (ports.Length == 0)
                {
                    throw new StrataException(ErrorKind.NotFound, $"port {one}: container {container.Record.Name} does not publish it");
                }
            }
            foreach (PortMapping mapping in ports)
            {
                string host = mapping.HostAddress.Length == 0 ? "0.0.0.0" : mapping.HostAddress.Contains(':', StringComparison.Ordinal) ? $"[{mapping.HostAddress}]" : mapping.HostAddress;
                string outside = string.Create(CultureInfo.InvariantCulture, $"{host}:{mapping.HostPort}");
                context.Out.WriteLine(parsed.GetValue(port) is null ? $"{NetworkText.Inside(mapping)} -> {outside}" : outside);
            }
            return Task.FromResult(0);
        });
        return command;
    }
}
