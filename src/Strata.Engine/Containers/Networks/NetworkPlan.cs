using System.Collections.Immutable;
using Strata.Oci;

namespace Strata.Containers.Networks;

/// <summary>A container's place in the net, from its options and its image. Pure.</summary>
internal static class NetworkPlan
{
    /// <summary>What the record has: checked, with the image's ports.</summary>
    /// <exception cref="StrataException">Invalid: the options mean nothing together.</exception>
    internal static NetworkOptions Resolve(ContainerOptions options, ContainerConfig config)
    {
        NetworkOptions networking = NetworkSyntax.CheckNames(options.Networking);
        NetworkMode mode = options.Isolation.Network;
        if (mode != NetworkMode.Bridge && (networking.Ports.Length > 0 || networking.PublishAll))
        {
            throw new StrataException(ErrorKind.Invalid, $"publish: a container with {(mode == NetworkMode.Host ? "the host's network has its ports anyway" : mode == NetworkMode.None ? "no network has no ports" : "another's network has that one's ports")}")
            {
                Hint = mode == NetworkMode.Container ? "publish them where the other container is made" : "leave out -p, or --network",
            };
        }
        return networking with
        {
            Networks = mode == NetworkMode.Bridge && networking.Networks.IsEmpty ? [new NetworkAttachment(NetworkSyntax.DefaultName)] : networking.Networks,
            Expose = [.. networking.Expose.Concat(FromImage(config)).Distinct().Order(StringComparer.Ordinal)],
        };
    }

    /// <summary>The ports that an image committed from the container has.</summary>
    internal static ImmutableSortedDictionary<string, EmptyObject>? Exposed(ContainerOptions options, ContainerConfig config)
        => options.Networking.Expose.IsEmpty ? config.ExposedPorts
            : (config.ExposedPorts ?? ImmutableSortedDictionary<string, EmptyObject>.Empty).SetItems(options.Networking.Expose.Select(e => KeyValuePair.Create(e, new EmptyObject())));

    // What an image says is no promise: a word in it that is no port does not keep a container from running.
    private static List<string> FromImage(ContainerConfig config)
    {
        var ports = new List<string>();
        foreach (string text in config.ExposedPorts?.Keys ?? [])
        {
            try
            {
                ports.AddRange(PortSyntax.ParseExposed(text));
            }
            catch (StrataException e) when (e.Kind == ErrorKind.Invalid)
            {
                continue;
            }
        }
        return ports;
    }
}
