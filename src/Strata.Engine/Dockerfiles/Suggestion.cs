namespace Strata.Dockerfiles;

/// <summary>"Did you mean": the known word that is nearest, where one is near.</summary>
internal static class Suggestion
{
    private const int MaxLength = 64; // a long word is no slip of a short one

    internal static string? Find(string word, IEnumerable<string> known)
    {
        if (word.Length is 0 or > MaxLength)
        {
            return null;
        }
        int allowed = word.Length < 4 ? 1 : word.Length < 10 ? 2 : 3;
        string? best = null;
        foreach (string candidate in known.Where(k => Math.Abs(k.Length - word.Length) <= allowed))
        {
            int distance = Distance(candidate, word);
            if (distance <= allowed)
            {
                (best, allowed) = (candidate, distance - 1);
            }
        }
        return best;
    }

    // Damerau's: a letter more, less, other, or two swapped, count one each.
    private static int Distance(string a, string b)
    {
        int[,] d = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++)
        {
            d[i, 0] = i;
        }
        for (int j = 0; j <= b.Length; j++)
        {
            d[0, j] = j;
        }
        for (int i = 1; i <= a.Length; i++)
        {
            for (int j = 1; j <= b.Length; j++)
            {
                int cost = a[i - 1] == b[j - 1] ? 0 : 1;
                d[i, j] = Math.Min(Math.Min(d[i - 1, j], d[i, j - 1]) + 1, d[i - 1, j - 1] + cost);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                {
                    d[i, j] = Math.Min(d[i, j], d[i - 2, j - 2] + 1);
                }
            }
        }
        return d[a.Length, b.Length];
    }
}
