using System.Collections.Immutable;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Strata.AheadOfTime;

/// <summary>
/// Finds methods from which the trimmer has taken a <c>finally</c> that stands inside another handler. ILLink of .NET 10 does so where it also folds a feature
/// switch in the method: it takes the inner one for unreachable. In the HTTP client that was the release of a lock, and one request in a few hundred, on a busy
/// machine, waited for ever.
/// </summary>
internal static class TrimCheck
{
    /// <summary>The methods that lost one: assembly and name.</summary>
    /// <param name="trimmed">Assemblies as they are published.</param>
    /// <param name="originals">The same as they were before; others among them are passed over.</param>
    public static IEnumerable<string> FindLost(IEnumerable<string> trimmed, IEnumerable<string> originals)
    {
        Dictionary<string, string> before = originals.GroupBy(f => Path.GetFileName(f)).ToDictionary(g => g.Key, g => g.First());
        foreach (string file in trimmed.Order(StringComparer.Ordinal))
        {
            if (!before.TryGetValue(Path.GetFileName(file), out string? original))
            {
                throw new FileNotFoundException($"{file}: what it was before trimming is not known");
            }
            Dictionary<string, int> was = CountNested(original);
            foreach ((string method, int count) in CountNested(file))
            {
                if (was.GetValueOrDefault(method) > count)
                {
                    yield return $"{Path.GetFileNameWithoutExtension(file)}: {method}";
                }
            }
        }
    }

    // By method; those of one type, name and parameters' names count together.
    private static Dictionary<string, int> CountNested(string file)
    {
        var counts = new Dictionary<string, int>();
        using var image = new PEReader(File.OpenRead(file));
        if (!image.HasMetadata)
        {
            return counts;
        }
        MetadataReader reader = image.GetMetadataReader();
        foreach (TypeDefinitionHandle type in reader.TypeDefinitions)
        {
            foreach (MethodDefinition method in reader.GetTypeDefinition(type).GetMethods().Select(reader.GetMethodDefinition).Where(HasBody))
            {
                string parameters = string.Join(", ", method.GetParameters().Select(p => reader.GetString(reader.GetParameter(p).Name)));
                string name = $"{AssemblySet.NameOf(reader, type)}.{reader.GetString(method.Name)}({parameters})";
                counts[name] = counts.GetValueOrDefault(name) + CountNested(image.GetMethodBody(method.RelativeVirtualAddress).ExceptionRegions);
            }
        }
        return counts;
    }

    private static bool HasBody(MethodDefinition method)
        => method.RelativeVirtualAddress != 0 && (method.ImplAttributes & System.Reflection.MethodImplAttributes.CodeTypeMask) == System.Reflection.MethodImplAttributes.IL;

    private static int CountNested(ImmutableArray<ExceptionRegion> regions)
        => regions.Count(inner => inner.Kind is ExceptionRegionKind.Finally or ExceptionRegionKind.Fault
            && regions.Any(outer => inner.TryOffset >= outer.HandlerOffset && inner.TryOffset < outer.HandlerOffset + outer.HandlerLength));
}
