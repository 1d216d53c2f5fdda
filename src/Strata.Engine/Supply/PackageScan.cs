using System.Collections.Immutable;
using System.Text;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata.Supply;

/// <summary>What was found in an image's files.</summary>
/// <param name="Distribution">From os-release; null where there is none.</param>
/// <param name="Packages">By kind, name and version; each once.</param>
public sealed record ImageContents(LinuxDistribution? Distribution, ImmutableArray<Package> Packages);

/// <summary>Finds packages by the records in an image's files: dpkg's, apk's, and every .NET application's.</summary>
internal static class PackageScan
{
    private const long MaxRecordBytes = 256 << 20; // dpkg's status of the largest distributions has some 10 MB; a made-up one must not fill memory
    private static readonly string[] s_apk = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];

    internal static ImageContents Scan(LayerStack stack)
    {
        var found = new List<Package>();
        LinuxDistribution? distribution = null;
        foreach (LayerNode node in stack.Walk())
        {
            if (node.Status.Kind != FileKind.Regular)
            {
                continue;
            }
            if (node.Path is "var/lib/dpkg/status" || (node.Path.StartsWith("var/lib/dpkg/status.d/", StringComparison.Ordinal) && !node.Path.EndsWith(".md5sums", StringComparison.Ordinal)))
            {
                found.AddRange(PackageRecords.ReadDpkg(Encoding.UTF8.GetString(Read(stack, node)), node.Path));
            }
            else if (s_apk.Contains(node.Path))
            {
                found.AddRange(PackageRecords.ReadApk(Encoding.UTF8.GetString(Read(stack, node)), node.Path));
            }
            else if (node.Path.EndsWith(".deps.json", StringComparison.Ordinal))
            {
                found.AddRange(PackageRecords.ReadDeps(Read(stack, node), node.Path));
            }
        }
        if (stack.TryFind("etc/os-release", follow: true) is { Status.Kind: FileKind.Regular } release)
        {
            distribution = LinuxDistribution.Parse(Encoding.UTF8.GetString(Read(stack, release)));
        }
        return new ImageContents(distribution, [.. found.DistinctBy(p => (p.Kind, p.Name, p.Version, p.Architecture))
            .OrderBy(p => p.Kind, StringComparer.Ordinal).ThenBy(p => p.Name, StringComparer.Ordinal).ThenBy(p => p.Version, StringComparer.Ordinal).ThenBy(p => p.Architecture, StringComparer.Ordinal)]);
    }

    private static byte[] Read(LayerStack stack, LayerNode node)
    {
        if (node.Status.Size > MaxRecordBytes)
        {
            throw new StrataException(ErrorKind.Unsupported, $"/{node.Path}: {node.Status.Size} bytes; a record of packages has at most {MaxRecordBytes}");
        }
        using Stream file = stack.OpenFile(node);
        byte[] bytes = new byte[file.Length];
        file.ReadExactly(bytes);
        return bytes;
    }
}
