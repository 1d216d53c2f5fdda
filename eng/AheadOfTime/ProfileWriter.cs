using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace Strata.AheadOfTime;

/// <summary>
/// A profile in the MIBC format: an assembly that nobody runs. Its global method <c>AssemblyDictionary</c> has, for each set of assemblies, their names and a method;
/// that method has a <c>ldtoken</c> and a <c>pop</c> for each profiled method. Any reference type is <c>System.__Canon</c> of an assembly <c>System.Private.Canon</c>.
/// (dotnet/runtime, docs/design/features/dotnet-pgo.md and MIbcProfileParser.)
/// </summary>
internal sealed class ProfileWriter(AssemblySet assemblies)
{
    private const byte ClassCode = 0x12, ValueTypeCode = 0x11; // ECMA-335 II.23.1.16

    private static readonly Dictionary<string, SignatureTypeCode> s_keywords = new()
    {
        ["bool"] = SignatureTypeCode.Boolean, ["char"] = SignatureTypeCode.Char, ["sbyte"] = SignatureTypeCode.SByte, ["byte"] = SignatureTypeCode.Byte,
        ["short"] = SignatureTypeCode.Int16, ["ushort"] = SignatureTypeCode.UInt16, ["int"] = SignatureTypeCode.Int32, ["uint"] = SignatureTypeCode.UInt32,
        ["long"] = SignatureTypeCode.Int64, ["ulong"] = SignatureTypeCode.UInt64, ["float"] = SignatureTypeCode.Single, ["double"] = SignatureTypeCode.Double,
        ["nint"] = SignatureTypeCode.IntPtr, ["nuint"] = SignatureTypeCode.UIntPtr,
    };

    private readonly MetadataBuilder _metadata = new();
    private readonly Dictionary<string, AssemblyReferenceHandle> _assemblies = [];
    private readonly Dictionary<string, EntityHandle> _types = [];
    private readonly SortedDictionary<string, List<EntityHandle>> _methods = new(StringComparer.Ordinal); // by the names of the assemblies they need

    /// <summary>How many were added.</summary>
    public int Count => _methods.Values.Sum(m => m.Count);

    /// <summary>Adds all overloads of a method; false where these assemblies have none.</summary>
    public bool TryAdd(MethodName method)
    {
        SortedSet<string> modules = new(StringComparer.Ordinal);
        if (assemblies.Find(method.Type.Name) is not { } owner || !TryGetOwner(method.Type, modules, out EntityHandle parent))
        {
            return false;
        }
        bool isThere = false;
        foreach (MethodDefinition definition in owner.Definition.GetMethods().Select(owner.Reader.GetMethodDefinition))
        {
            BlobBuilder signature = new();
            if (owner.Reader.StringComparer.Equals(definition.Name, method.Name) && definition.GetGenericParameters().Count == method.Arguments.Length
                && new SignatureCopy(owner.Reader, Reference).TryCopy(definition.Signature, signature)
                && TryInstantiate(_metadata.AddMemberReference(parent, _metadata.GetOrAddString(method.Name), _metadata.GetOrAddBlob(signature)), method.Arguments, modules, out EntityHandle handle))
            {
                Group(owner.Assembly, modules).Add(handle);
                isThere = true;
            }
        }
        return isThere;
    }

    /// <summary>Writes the file.</summary>
    public void Save(string path)
    {
        BlobBuilder code = new(), signatureBytes = new();
        MethodBodyStreamEncoder bodies = new(code);
        new BlobEncoder(signatureBytes).MethodSignature().Parameters(0, r => r.Void(), _ => { });
        BlobHandle signature = _metadata.GetOrAddBlob(signatureBytes);
        MethodDefinitionHandle Define(string name, InstructionEncoder body)
        {
            body.OpCode(ILOpCode.Ret);
            return _metadata.AddMethodDefinition(MethodAttributes.Public | MethodAttributes.Static, MethodImplAttributes.IL, _metadata.GetOrAddString(name), signature, bodies.AddMethodBody(body), default);
        }
        InstructionEncoder dictionary = new(new BlobBuilder());
        foreach ((string names, List<EntityHandle> methods) in _methods)
        {
            InstructionEncoder group = new(new BlobBuilder());
            methods.ForEach(m => Mention(group, m));
            dictionary.LoadString(_metadata.GetOrAddUserString(names));
            Mention(dictionary, Define(names, group));
        }
        Define("AssemblyDictionary", dictionary);
        _metadata.AddModule(0, _metadata.GetOrAddString(Path.GetFileName(path)), _metadata.GetOrAddGuid(Guid.Empty), default, default);
        _metadata.AddAssembly(_metadata.GetOrAddString("profile"), new Version(), default, default, default, AssemblyHashAlgorithm.None);
        _metadata.AddTypeDefinition(default, default, _metadata.GetOrAddString("<Module>"), default, MetadataTokens.FieldDefinitionHandle(1), MetadataTokens.MethodDefinitionHandle(1));
        BlobBuilder image = new();
        new ManagedPEBuilder(new PEHeaderBuilder(imageCharacteristics: Characteristics.Dll | Characteristics.ExecutableImage), new MetadataRootBuilder(_metadata), code, flags: CorFlags.ILOnly).Serialize(image);
        using FileStream file = File.Create(path);
        image.WriteContentTo(file);
    }

    private static void Mention(InstructionEncoder body, EntityHandle handle)
    {
        body.OpCode(ILOpCode.Ldtoken);
        body.Token(handle);
        body.OpCode(ILOpCode.Pop);
    }

    // The first name is of the assembly with the definition, which is the one whose compilation takes it up.
    private List<EntityHandle> Group(string owner, SortedSet<string> modules)
    {
        string names = string.Join(';', modules.Where(m => m != owner).Prepend(owner));
        if (!_methods.TryGetValue(names, out List<EntityHandle>? group))
        {
            _methods[names] = group = [];
        }
        return group;
    }

    private bool TryGetOwner(TypeName type, SortedSet<string> modules, out EntityHandle handle)
    {
        handle = Reference(type.Name);
        if (type.Arguments.Length > 0)
        {
            BlobBuilder bytes = new();
            bool isKnown = TryEncode(type, bytes, modules);
            handle = isKnown ? _metadata.AddTypeSpecification(_metadata.GetOrAddBlob(bytes)) : default;
        }
        return !handle.IsNil;
    }

    private bool TryInstantiate(EntityHandle method, TypeName[] arguments, SortedSet<string> modules, out EntityHandle handle)
    {
        handle = method;
        if (arguments.Length == 0)
        {
            return true;
        }
        BlobBuilder bytes = new();
        bytes.WriteByte((byte)SignatureKind.MethodSpecification);
        bytes.WriteCompressedInteger(arguments.Length);
        if (!arguments.All(a => TryEncode(a, bytes, modules)))
        {
            return false;
        }
        handle = _metadata.AddMethodSpecification(method, _metadata.GetOrAddBlob(bytes));
        return true;
    }

    private bool TryEncode(TypeName type, BlobBuilder to, SortedSet<string> modules)
    {
        for (int i = 0; i < type.Ranks; i++)
        {
            to.WriteByte((byte)SignatureTypeCode.SZArray);
        }
        if (s_keywords.TryGetValue(type.Name, out SignatureTypeCode code))
        {
            to.WriteByte((byte)code);
            return true;
        }
        EntityHandle reference = Reference(type.Name);
        if (reference.IsNil)
        {
            return false;
        }
        if (type.Arguments.Length > 0)
        {
            to.WriteByte((byte)SignatureTypeCode.GenericTypeInstance);
        }
        to.WriteByte(assemblies.IsValueType(type.Name) ? ValueTypeCode : ClassCode);
        to.WriteCompressedInteger(CodedIndex.TypeDefOrRefOrSpec(reference));
        if (assemblies.Find(type.Name) is { } defined)
        {
            modules.Add(defined.Assembly);
        }
        if (type.Arguments.Length > 0)
        {
            to.WriteCompressedInteger(type.Arguments.Length);
        }
        return type.Arguments.All(a => TryEncode(a, to, modules));
    }

    // Nil: no such type.
    private EntityHandle Reference(string name)
    {
        if (_types.TryGetValue(name, out EntityHandle known))
        {
            return known;
        }
        int nested = name.LastIndexOf('+');
        EntityHandle scope = name == TypeName.AnyReference.Name ? Assembly("System.Private.Canon")
            : assemblies.Find(name) is not { } type ? default
            : nested > 0 ? Reference(name[..nested]) : Assembly(type.Assembly);
        int dot = nested > 0 ? -1 : name.LastIndexOf('.');
        return _types[name] = scope.IsNil ? default : _metadata.AddTypeReference(scope, dot < 0 ? default : _metadata.GetOrAddString(name[..dot]), _metadata.GetOrAddString(name[(Math.Max(nested, dot) + 1)..]));
    }

    private AssemblyReferenceHandle Assembly(string name)
    {
        if (!_assemblies.TryGetValue(name, out AssemblyReferenceHandle handle))
        {
            _assemblies[name] = handle = _metadata.AddAssemblyReference(_metadata.GetOrAddString(name), new Version(), default, default, default, default);
        }
        return handle;
    }
}
