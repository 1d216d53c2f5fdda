using System.Net;
using Strata.Linux;

namespace Strata.Containers.Networks;

/// <summary>
/// Who has which address of a network. A lease is a symbolic link NETWORK/leases/ADDRESS that points to its container's directory: made in one
/// step, void when the directory is gone, so that a crash leaves nothing that anybody must tidy up. Callers hold the network's lock.
/// </summary>
internal sealed class AddressPool(string directory)
{
    private string Leases => Path.Combine(directory, "leases");

    /// <summary>Takes an address for a container: the wanted one, the one it has already, or the lowest free one.</summary>
    /// <param name="subnet">The block, its gateway, and where free ones are taken from.</param>
    /// <param name="owner">The container's directory.</param>
    /// <param name="wanted">The address it must have; null: any.</param>
    /// <param name="preferred">The address it had; taken where it is free.</param>
    /// <exception cref="StrataException">Invalid: not an address of this network; Conflict: another has it, or none is free.</exception>
    internal IPAddress Lease(NetworkSubnet subnet, string owner, IPAddress? wanted, IPAddress? preferred)
    {
        Directory.CreateDirectory(Leases);
        if (wanted is not null)
        {
            if (!subnet.Subnet.IsUsable(wanted) || wanted.Equals(subnet.Gateway))
            {
                throw new StrataException(ErrorKind.Invalid, $"address {wanted}: {(wanted.Equals(subnet.Gateway) ? "the network's gateway has it" : $"not one of {subnet.Subnet}")}");
            }
            return TryTake(wanted, owner) ? wanted
                : throw new StrataException(ErrorKind.Conflict, $"address {wanted}: container {Path.GetFileName(OwnerOf(wanted) ?? "?")[..12]} has it") { Hint = "take another one, or none: a free one is found" };
        }
        if (preferred is not null && subnet.Subnet.IsUsable(preferred) && !preferred.Equals(subnet.Gateway) && TryTake(preferred, owner))
        {
            return preferred;
        }
        HashSet<string> taken = [.. FileSystems.TryGetNames(Leases) ?? []];
        return TryTakeFree(subnet, owner, taken) ?? (Reclaim(taken) ? TryTakeFree(subnet, owner, [.. FileSystems.TryGetNames(Leases) ?? []]) : null)
            ?? throw new StrataException(ErrorKind.Conflict, $"network {subnet.Range ?? subnet.Subnet}: no free address") { Hint = "remove containers that are no longer needed (strata rm), or make a larger network" };
    }

    private IPAddress? TryTakeFree(NetworkSubnet subnet, string owner, HashSet<string> taken)
    {
        Subnet range = subnet.Range ?? subnet.Subnet;
        // As many as there are leases are looked at before a free one is met: the gateway, and the ends of the block, are skipped.
        for (ulong index = 0; index < (ulong)taken.Count + 4; index++)
        {
            IPAddress address = range.At(index);
            if (!range.Contains(address))
            {
                return null;
            }
            if (subnet.Subnet.IsUsable(address) && !address.Equals(subnet.Gateway) && !taken.Contains(NameOf(address)) && TryTake(address, owner))
            {
                return address;
            }
        }
        return null;
    }

    /// <summary>Gives back what a container has in this network.</summary>
    internal void Release(string owner)
    {
        foreach (string name in FileSystems.TryGetNames(Leases) ?? [])
        {
            if (TryReadOwner(name) == owner)
            {
                File.Delete(Path.Combine(Leases, name));
            }
        }
    }

    /// <summary>Gives back one address where a container has it.</summary>
    internal void Release(string owner, IPAddress address)
    {
        if (TryReadOwner(NameOf(address)) == owner)
        {
            File.Delete(Path.Combine(Leases, NameOf(address)));
        }
    }

    /// <summary>The directories of the containers that have an address here and are there.</summary>
    internal IReadOnlyList<string> Owners()
        => [.. (FileSystems.TryGetNames(Leases) ?? []).Select(TryReadOwner).OfType<string>().Where(Directory.Exists).Distinct()];

    /// <summary>The container's directory that an address belongs to; null where it is free.</summary>
    internal string? OwnerOf(IPAddress address) => TryReadOwner(NameOf(address)) is { } owner && Directory.Exists(owner) ? owner : null;

    private bool TryTake(IPAddress address, string owner)
    {
        string path = Path.Combine(Leases, NameOf(address));
        if (TryReadOwner(NameOf(address)) is { } other)
        {
            if (other == owner)
            {
                return true;
            }
            if (Directory.Exists(other))
            {
                return false;
            }
            File.Delete(path);
        }
        File.CreateSymbolicLink(path, owner);
        return true;
    }

    private bool Reclaim(IEnumerable<string> names)
    {
        bool any = false;
        foreach (string name in names.Where(n => TryReadOwner(n) is { } owner && !Directory.Exists(owner)))
        {
            File.Delete(Path.Combine(Leases, name));
            any = true;
        }
        return any;
    }

    private string? TryReadOwner(string name)
    {
        try
        {
            return new FileInfo(Path.Combine(Leases, name)).LinkTarget;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    // A colon is a good character in a file's name, a slash none; addresses have no slash.
    private static string NameOf(IPAddress address) => AddressText.Of(address);
}
