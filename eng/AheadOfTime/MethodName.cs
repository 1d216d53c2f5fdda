namespace Strata.AheadOfTime;

/// <summary>A type as the runtime names it in its list of compiled methods: <c>Outer`1+Inner[System.__Canon,int]</c>; <c>System.__Canon</c> stands for any reference type.</summary>
internal sealed record TypeName(string Name, TypeName[] Arguments, int Ranks = 0)
{
    public static readonly TypeName AnyReference = new("System.__Canon", []);
}

/// <summary>A method so named: <c>TYPE:NAME[ARGUMENTS](…)</c>. Its parameters are not looked at: all overloads are meant.</summary>
internal sealed record MethodName(TypeName Type, string Name, TypeName[] Arguments)
{
    /// <summary>Reads one.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static MethodName Parse(string text)
    {
        var reader = new Reader(text);
        TypeName type = reader.ReadType();
        reader.Expect(':');
        string name = reader.ReadUntil("[(");
        return new MethodName(type, name, reader.Next == '[' ? reader.ReadTypes() : []);
    }

    private sealed class Reader(string text)
    {
        private int _at;

        public char Next => _at < text.Length ? text[_at] : '\0';

        public void Expect(char c)
        {
            if (Next != c)
            {
                throw new FormatException($"column {_at + 1}: '{c}' was expected: {text}");
            }
            _at++;
        }

        public string ReadUntil(string ends)
        {
            int from = _at, length = text.AsSpan(from).IndexOfAny(ends);
            _at = length < 0 ? text.Length : from + length;
            return text[from.._at];
        }

        public TypeName ReadType()
        {
            string name = ReadUntil("[],:()");
            TypeName[] arguments = [];
            int ranks = 0;
            while (Next == '[')
            {
                if (text.AsSpan(_at).StartsWith("[]"))
                {
                    (_at, ranks) = (_at + 2, ranks + 1);
                }
                else
                {
                    arguments = ReadTypes();
                }
            }
            return new TypeName(name, arguments, ranks);
        }

        public TypeName[] ReadTypes()
        {
            Expect('[');
            List<TypeName> types = [ReadType()];
            while (Next == ',')
            {
                _at++;
                types.Add(ReadType());
            }
            Expect(']');
            return [.. types];
        }
    }
}
