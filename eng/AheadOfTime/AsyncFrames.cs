using System.Collections.Immutable;
using System.Reflection.Metadata;

namespace Strata.AheadOfTime;

/// <summary>
/// The methods of the objects that asynchronous methods become when they wait: <c>AsyncTaskMethodBuilder&lt;T&gt;.AsyncStateMachineBox&lt;M&gt;</c>, one type for each method.
/// Where T has no references the compiler finds them itself.
/// </summary>
internal static class AsyncFrames
{
    private const string Builder = "System.Runtime.CompilerServices.AsyncTaskMethodBuilder`1", ValueBuilder = "System.Runtime.CompilerServices.AsyncValueTaskMethodBuilder`1";
    private static readonly string[] s_methods = ["MoveNext", "get_Context", ".cctor", ".ctor", "ExecutionContextCallback", "ClearStateUponCompletion", "ExecuteFromThreadPool"];

    public static IEnumerable<MethodName> Of(AssemblySet assemblies)
    {
        var decoder = new SharedTypes(assemblies);
        foreach ((string name, DefinedType type) in assemblies.Types)
        {
            bool isOurs = type.Assembly is "strata" or "System.Net.Http" or "System.Net.Sockets" || type.Assembly.StartsWith("Strata.", StringComparison.Ordinal);
            // A machine of a generic class or method would need to be told for which types.
            if (!isOurs || type.Definition.GetGenericParameters().Count > 0 || ResultOf(type, decoder) is not { } result || !HasReference(result))
            {
                continue;
            }
            foreach (string method in s_methods)
            {
                yield return new MethodName(new TypeName(Builder + "+AsyncStateMachineBox`1", [result, new TypeName(name, [])]), method, []);
            }
        }
    }

    private static TypeName? ResultOf(DefinedType type, SharedTypes decoder)
    {
        foreach (FieldDefinitionHandle handle in type.Definition.GetFields())
        {
            FieldDefinition field = type.Reader.GetFieldDefinition(handle);
            if (type.Reader.StringComparer.Equals(field.Name, "<>t__builder"))
            {
                TypeName builder = field.DecodeSignature(decoder, null);
                return builder.Name is Builder or ValueBuilder ? builder.Arguments[0] : null;
            }
        }
        return null;
    }

    private static bool HasReference(TypeName type) => type == TypeName.AnyReference || type.Arguments.Any(HasReference);

    /// <summary>Types as shared code has them: each class, array and string is any reference.</summary>
    private sealed class SharedTypes(AssemblySet assemblies) : ISignatureTypeProvider<TypeName, object?>
    {
        public TypeName GetPrimitiveType(PrimitiveTypeCode code) => code switch
        {
            PrimitiveTypeCode.Object or PrimitiveTypeCode.String => TypeName.AnyReference,
            PrimitiveTypeCode.Boolean => new("bool", []),
            PrimitiveTypeCode.Int32 => new("int", []),
            PrimitiveTypeCode.Int64 => new("long", []),
            _ => new("System." + code, []),
        };

        public TypeName GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte kind) => Shared(AssemblySet.NameOf(reader, handle));

        public TypeName GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte kind) => Shared(AssemblySet.NameOf(reader, handle));

        public TypeName GetGenericInstantiation(TypeName generic, ImmutableArray<TypeName> arguments) => generic == TypeName.AnyReference ? generic : generic with { Arguments = [.. arguments] };

        public TypeName GetSZArrayType(TypeName element) => TypeName.AnyReference;

        public TypeName GetArrayType(TypeName element, ArrayShape shape) => TypeName.AnyReference;

        public TypeName GetTypeFromSpecification(MetadataReader reader, object? context, TypeSpecificationHandle handle, byte kind) => reader.GetTypeSpecification(handle).DecodeSignature(this, context);

        public TypeName GetModifiedType(TypeName modifier, TypeName type, bool required) => type;

        public TypeName GetPinnedType(TypeName element) => element;

        public TypeName GetByReferenceType(TypeName element) => throw new NotSupportedException("no field has such a type");

        public TypeName GetPointerType(TypeName element) => throw new NotSupportedException("no builder's argument is a pointer");

        public TypeName GetFunctionPointerType(MethodSignature<TypeName> signature) => throw new NotSupportedException("no builder's argument is a pointer");

        public TypeName GetGenericMethodParameter(object? context, int index) => throw new NotSupportedException("generic methods are left out");

        public TypeName GetGenericTypeParameter(object? context, int index) => throw new NotSupportedException("generic types are left out");

        private TypeName Shared(string name) => assemblies.IsValueType(name) ? new TypeName(name, []) : TypeName.AnyReference;
    }
}
