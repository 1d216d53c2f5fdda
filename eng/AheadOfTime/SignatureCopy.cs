using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;

namespace Strata.AheadOfTime;

/// <summary>A method's signature (ECMA-335 II.23.2.1), copied into another module: all stays but the numbers of the types it names.</summary>
internal sealed class SignatureCopy(MetadataReader reader, Func<string, EntityHandle> reference)
{
    /// <summary>Copies one; false where it names what a profile cannot: arrays of several dimensions, pointers to functions, a type that was trimmed away.</summary>
    public bool TryCopy(BlobHandle signature, BlobBuilder to)
    {
        BlobReader from = reader.GetBlobReader(signature);
        var header = new SignatureHeader(from.ReadByte());
        to.WriteByte(header.RawValue);
        if (header.IsGeneric)
        {
            CopyNumber(ref from, to);
        }
        int types = CopyNumber(ref from, to) + 1; // and the returned one
        for (int i = 0; i < types; i++)
        {
            if (!TryCopyType(ref from, to))
            {
                return false;
            }
        }
        return true;
    }

    private bool TryCopyType(ref BlobReader from, BlobBuilder to)
    {
        SignatureTypeCode code = from.ReadSignatureTypeCode();
        switch (code)
        {
            case SignatureTypeCode.Array or SignatureTypeCode.FunctionPointer or SignatureTypeCode.Invalid:
                return false;
            case SignatureTypeCode.RequiredModifier or SignatureTypeCode.OptionalModifier:
                to.WriteByte((byte)code);
                return TryCopyToken(ref from, to) && TryCopyType(ref from, to);
            case SignatureTypeCode.Pointer or SignatureTypeCode.ByReference or SignatureTypeCode.SZArray or SignatureTypeCode.Pinned:
                to.WriteByte((byte)code);
                return TryCopyType(ref from, to);
            case SignatureTypeCode.GenericTypeParameter or SignatureTypeCode.GenericMethodParameter:
                to.WriteByte((byte)code);
                CopyNumber(ref from, to);
                return true;
            case SignatureTypeCode.TypeHandle:
                from.Offset--; // it stands for a class or a structure: which of the two is in the byte
                to.WriteByte(from.ReadByte());
                return TryCopyToken(ref from, to);
            case SignatureTypeCode.GenericTypeInstance:
                to.WriteByte((byte)code);
                to.WriteByte(from.ReadByte());
                return TryCopyToken(ref from, to) && TryCopyArguments(ref from, to);
            default:
                to.WriteByte((byte)code);
                return true;
        }
    }

    private bool TryCopyArguments(ref BlobReader from, BlobBuilder to)
    {
        for (int left = CopyNumber(ref from, to); left > 0; left--)
        {
            if (!TryCopyType(ref from, to))
            {
                return false;
            }
        }
        return true;
    }

    private bool TryCopyToken(ref BlobReader from, BlobBuilder to)
    {
        EntityHandle handle = reference(AssemblySet.NameOf(reader, from.ReadTypeHandle()));
        if (handle.IsNil)
        {
            return false;
        }
        to.WriteCompressedInteger(CodedIndex.TypeDefOrRefOrSpec(handle));
        return true;
    }

    private static int CopyNumber(ref BlobReader from, BlobBuilder to)
    {
        int number = from.ReadCompressedInteger();
        to.WriteCompressedInteger(number);
        return number;
    }
}
