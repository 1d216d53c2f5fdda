using System.Globalization;

namespace Strata.Distribution;

/// <summary>A piece of text to put in the place of another.</summary>
internal sealed record ConfigEdit(int Offset, int Remove, string Insert);

/// <summary>Something wrong in a file, where it is, and the edit that mends it where we know one.</summary>
internal sealed record ConfigProblem(int Offset, string Message, string? Hint = null, ConfigEdit? Edit = null);

/// <summary>Thrown by the readers of JSON and TOML at the first thing that is no such text; never leaves them.</summary>
internal sealed class ConfigSyntaxException(ConfigProblem problem) : Exception(problem.Message)
{
    public ConfigProblem Problem { get; } = problem;
}

/// <summary>The text of a configuration file and its name, for messages.</summary>
internal sealed record ConfigFile(string Name, string Text)
{
    // Configuration is written by people: a megabyte is a file that was named by mistake.
    private const int MostBytes = 1 << 20;

    /// <summary>Reads a file; null where there is none.</summary>
    /// <exception cref="StrataException">Invalid: it cannot be read, or is no text.</exception>
    public static ConfigFile? TryRead(string path)
    {
        try
        {
            // Most of them are not there, and an exception for each would take longer than all of the rest.
            var file = new FileInfo(path);
            if (!file.Exists && !Directory.Exists(path))
            {
                return null;
            }
            if (file is { Exists: true, Length: > MostBytes })
            {
                throw new StrataException(ErrorKind.Invalid, $"read {path}: more than {MostBytes} bytes are no configuration");
            }
            return Of(path, File.ReadAllBytes(path));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StrataException(ErrorKind.Invalid, $"read {path}: {e.Message}", e);
        }
    }

    public static ConfigFile Of(string name, ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<byte> mark = [0xEF, 0xBB, 0xBF];
        try
        {
            return new ConfigFile(name, new System.Text.UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes.StartsWith(mark) ? bytes[mark.Length..] : bytes));
        }
        catch (System.Text.DecoderFallbackException e)
        {
            throw new StrataException(ErrorKind.Invalid, $"read {name}: byte {e.Index} is not UTF-8", e);
        }
    }

    /// <summary>Name, line and column, from one.</summary>
    public string PlaceOf(int offset)
    {
        ReadOnlySpan<char> before = Text.AsSpan(0, Math.Clamp(offset, 0, Text.Length));
        int line = before.Count('\n') + 1;
        return string.Create(CultureInfo.InvariantCulture, $"{Name}:{line}:{before.Length - before.LastIndexOf('\n')}");
    }

    public StrataException ToException(ConfigProblem problem) => new(ErrorKind.Invalid, $"{PlaceOf(problem.Offset)}: {problem.Message}") { Hint = problem.Hint };

    /// <summary>JSON begins with a brace (or a bracket), and TOML cannot.</summary>
    public bool IsJson => Text.AsSpan().TrimStart() is ['{', ..] || Name.EndsWith(".json", StringComparison.OrdinalIgnoreCase);

    /// <summary>Reads it as what it is.</summary>
    public ConfigNode? TryParse(out ConfigProblem? problem)
    {
        problem = null;
        try
        {
            return IsJson ? JsonConfig.Read(this) : new TomlConfig(Text).Read();
        }
        catch (ConfigSyntaxException e)
        {
            problem = e.Problem;
            return null;
        }
    }

    /// <summary>Reads it as what it is.</summary>
    /// <exception cref="StrataException">Invalid: says line and column.</exception>
    public ConfigNode Parse() => TryParse(out ConfigProblem? problem) ?? throw ToException(problem!);
}

internal enum ConfigKind
{
    Table, List, Text, Truth, Other,
}

/// <summary>A value of a configuration file, be it JSON or TOML, and where it stands.</summary>
internal sealed class ConfigNode(ConfigKind kind, int offset)
{
    private readonly List<ConfigMember> _members = [];
    private readonly List<ConfigNode> _items = [];

    public ConfigKind Kind { get; } = kind;
    public int Offset { get; } = offset;
    public string Text { get; init; } = "";
    public bool IsTrue { get; init; }

    /// <summary>Of a table, in the order of the file.</summary>
    public IReadOnlyList<ConfigMember> Members => _members;

    /// <summary>Of a list.</summary>
    public IReadOnlyList<ConfigNode> Items => _items;

    public void Add(ConfigNode item) => _items.Add(item);

    /// <summary>False where the name is taken.</summary>
    public bool TryAdd(string name, int at, ConfigNode value)
    {
        if (Find(name) is not null)
        {
            return false;
        }
        _members.Add(new ConfigMember(name, at, value));
        return true;
    }

    public ConfigNode? Find(string name)
    {
        foreach (ConfigMember member in _members)
        {
            if (member.Name == name)
            {
                return member.Value;
            }
        }
        return null;
    }

    /// <summary>A member that is a text, or null.</summary>
    public string? FindText(string name, List<ConfigProblem> problems) => Expect(name, ConfigKind.Text, "a text in quotes", problems)?.Text;

    /// <summary>A member that is true or false; false where there is none.</summary>
    public bool FindTruth(string name, List<ConfigProblem> problems) => Expect(name, ConfigKind.Truth, "true or false", problems) is { IsTrue: true };

    /// <summary>A member that is a list of texts, or (where one is as good as a list) a text.</summary>
    public IReadOnlyList<ConfigNode> FindTexts(string name, List<ConfigProblem> problems, bool mayBeOne = false)
    {
        if (mayBeOne && Find(name) is { Kind: ConfigKind.Text } one)
        {
            return [one];
        }
        ConfigNode? list = Expect(name, ConfigKind.List, "a list of texts, as in [\"a\", \"b\"]", problems);
        foreach (ConfigNode wrong in list?.Items.Where(i => i.Kind != ConfigKind.Text) ?? [])
        {
            problems.Add(new ConfigProblem(wrong.Offset, $"in {name} stand texts in quotes"));
        }
        return [.. list?.Items.Where(i => i.Kind == ConfigKind.Text) ?? []];
    }

    /// <summary>A member that is a table; its members.</summary>
    public IReadOnlyList<ConfigMember> FindTables(string name, List<ConfigProblem> problems)
    {
        IReadOnlyList<ConfigMember> all = Expect(name, ConfigKind.Table, "a table", problems)?.Members ?? [];
        foreach (ConfigMember wrong in all.Where(m => m.Value.Kind != ConfigKind.Table))
        {
            problems.Add(new ConfigProblem(wrong.Value.Offset, $"'{wrong.Name}' is a table"));
        }
        return [.. all.Where(m => m.Value.Kind == ConfigKind.Table)];
    }

    /// <summary>Finds names that nobody reads: a slip of the pen is silent otherwise.</summary>
    public void Allow(List<ConfigProblem> problems, params ReadOnlySpan<string> names)
    {
        foreach (ConfigMember member in _members)
        {
            if (!names.Contains(member.Name))
            {
                problems.Add(new ConfigProblem(member.Offset, $"'{member.Name}' is not known here", $"there are {string.Join(", ", names!)}"));
            }
        }
    }

    private ConfigNode? Expect(string name, ConfigKind kind, string what, List<ConfigProblem> problems)
    {
        ConfigNode? value = Find(name);
        if (value is null || value.Kind == kind)
        {
            return value;
        }
        problems.Add(new ConfigProblem(value.Offset, $"'{name}' is {what}"));
        return null;
    }
}

/// <summary>A name and its value.</summary>
internal sealed record ConfigMember(string Name, int Offset, ConfigNode Value);
