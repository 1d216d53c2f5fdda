using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Strata.AheadOfTime;

/// <summary>A type where it is defined.</summary>
internal sealed record DefinedType(MetadataReader Reader, TypeDefinition Definition, string Assembly);

/// <summary>The assemblies that are published together, and their types by name.</summary>
internal sealed class AssemblySet
{
    private readonly Dictionary<string, DefinedType> _types = [];

    public AssemblySet(IEnumerable<string> files)
    {
        foreach (string file in files)
        {
            var image = new PEReader(File.OpenRead(file)); // read until the program is over
            if (!image.HasMetadata)
            {
                continue;
            }
            MetadataReader reader = image.GetMetadataReader();
            string assembly = reader.GetString(reader.GetAssemblyDefinition().Name);
            foreach (TypeDefinitionHandle handle in reader.TypeDefinitions)
            {
                _types.TryAdd(NameOf(reader, handle), new DefinedType(reader, reader.GetTypeDefinition(handle), assembly));
            }
        }
    }

    public IEnumerable<KeyValuePair<string, DefinedType>> Types => _types;

    public DefinedType? Find(string name) => _types.GetValueOrDefault(name);

    public static string NameOf(MetadataReader reader, EntityHandle handle)
    {
        if (handle.Kind == HandleKind.TypeDefinition)
        {
            TypeDefinition type = reader.GetTypeDefinition((TypeDefinitionHandle)handle);
            return type.IsNested ? NameOf(reader, type.GetDeclaringType()) + "+" + reader.GetString(type.Name) : Join(reader.GetString(type.Namespace), reader.GetString(type.Name));
        }
        TypeReference reference = reader.GetTypeReference((TypeReferenceHandle)handle);
        return reference.ResolutionScope.Kind == HandleKind.TypeReference
            ? NameOf(reader, reference.ResolutionScope) + "+" + reader.GetString(reference.Name)
            : Join(reader.GetString(reference.Namespace), reader.GetString(reference.Name));
    }

    /// <summary>Whether it is a structure or an enumeration.</summary>
    public bool IsValueType(string name)
    {
        if (Find(name) is not { } type || type.Definition.BaseType.IsNil || type.Definition.BaseType.Kind == HandleKind.TypeSpecification)
        {
            return false;
        }
        return NameOf(type.Reader, type.Definition.BaseType) is "System.ValueType" or "System.Enum" && name != "System.Enum";
    }

    private static string Join(string space, string name) => space.Length == 0 ? name : space + "." + name;
}
