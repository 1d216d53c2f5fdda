using System.Globalization;
using Strata.Linux;

namespace Strata.Server.Registry;

/// <summary>Whether the store's disk has room for what comes: asked before it is written, so that the last bytes are left for names and deletions.</summary>
internal sealed class FreeSpace(string root, RegistryServerOptions options)
{
    private static readonly TimeSpan s_memory = TimeSpan.FromSeconds(1);

    private readonly Lock _turn = new();
    private FileSystemSpace? _space;
    private long _looked;

    /// <exception cref="RegistryFault">507: there would be less free than the floor.</exception>
    public void Demand(long bytes)
    {
        FileSystemSpace space = Look();
        double floor = space.TotalBytes * options.FreeFloorPercent / 100;
        if (space.TotalBytes > 0 && space.FreeBytes - bytes < floor)
        {
            throw Full(string.Create(CultureInfo.InvariantCulture, $"{space.FreeBytes} bytes are free, {bytes} are needed, and {options.FreeFloorPercent} % of the disk stay free"));
        }
    }

    /// <summary>What a full disk is called (RFC 4918 §11.5).</summary>
    public static RegistryFault Full(string why) => new(507, DistributionCodes.Denied, "the registry's disk is full: " + why);

    private FileSystemSpace Look()
    {
        lock (_turn)
        {
            if (_space is null || options.Time.GetElapsedTime(_looked) > s_memory)
            {
                (_space, _looked) = (FileSystems.GetSpace(root), options.Time.GetTimestamp());
            }
            return _space;
        }
    }
}
