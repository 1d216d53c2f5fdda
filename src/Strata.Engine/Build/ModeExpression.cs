namespace Strata.Build;

/// <summary>The value of <c>--chmod</c>: octal (<c>755</c>, <c>4755</c>) or symbolic as chmod(1) takes it (<c>u=rwX,go-w</c>).</summary>
internal static class ModeExpression
{
    /// <summary>Whether it can be applied.</summary>
    internal static bool IsValid(string expression) => TryApply(expression, 0, isDirectory: false, out _);

    /// <summary>The mode that a thing of this mode gets.</summary>
    internal static int Apply(string expression, int mode, bool isDirectory)
        => TryApply(expression, mode, isDirectory, out int result) ? result : throw new StrataException(ErrorKind.Invalid, $"chmod: '{expression}' is not a mode");

    private static bool TryApply(string expression, int mode, bool isDirectory, out int result)
    {
        result = mode;
        if (expression.Length is > 0 and <= 5 && expression.All(c => c is >= '0' and <= '7'))
        {
            result = 0;
            foreach (char digit in expression)
            {
                result = (result * 8) + (digit - '0');
            }
            return result <= 0xFFF;
        }
        foreach (string clause in expression.Split(','))
        {
            if (!TryClause(clause, isDirectory, ref result))
            {
                return false;
            }
        }
        return true;
    }

    private static bool TryClause(string clause, bool isDirectory, ref int mode)
    {
        int i = 0;
        int who = 0; // which of the rwx triples: bit 2 user, 1 group, 0 others
        while (i < clause.Length && clause[i] is 'u' or 'g' or 'o' or 'a')
        {
            who |= clause[i++] switch { 'u' => 4, 'g' => 2, 'o' => 1, _ => 7 };
        }
        who = who == 0 ? 7 : who;
        if (i == clause.Length)
        {
            return false;
        }
        while (i < clause.Length)
        {
            char operation = clause[i++];
            if (operation is not ('+' or '-' or '='))
            {
                return false;
            }
            int bits = 0;
            while (i < clause.Length && clause[i] is not ('+' or '-' or '='))
            {
                if (BitsOf(clause[i++], who, mode, isDirectory) is not { } more)
                {
                    return false;
                }
                bits |= more;
            }
            int whole = Spread(7, who) | ((who & 4) != 0 ? 0x800 : 0) | ((who & 2) != 0 ? 0x400 : 0);
            mode = operation switch
            {
                '+' => mode | bits,
                '-' => mode & ~bits,
                _ => (mode & ~whole) | bits,
            };
        }
        return true;
    }

    private static int? BitsOf(char letter, int who, int mode, bool isDirectory) => letter switch
    {
        'r' => Spread(4, who),
        'w' => Spread(2, who),
        'x' => Spread(1, who),
        'X' => isDirectory || (mode & 0b001_001_001) != 0 ? Spread(1, who) : 0,
        's' => ((who & 4) != 0 ? 0x800 : 0) | ((who & 2) != 0 ? 0x400 : 0),
        't' => 0x200,
        'u' => Spread((mode >> 6) & 7, who),
        'g' => Spread((mode >> 3) & 7, who),
        'o' => Spread(mode & 7, who),
        _ => null,
    };

    private static int Spread(int rwx, int who) => ((who & 4) != 0 ? rwx << 6 : 0) | ((who & 2) != 0 ? rwx << 3 : 0) | ((who & 1) != 0 ? rwx : 0);
}
