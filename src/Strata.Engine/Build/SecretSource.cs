using Strata.Linux;

namespace Strata.Build;

/// <summary>Where a secret is: in a file, or in a variable of this process. It is read when a step needs it.</summary>
/// <param name="File">An absolute path.</param>
/// <param name="Variable">A variable's name, where there is no file.</param>
public sealed record SecretSource(string? File, string? Variable)
{
    private const int MaxBytes = 500 * 1024; // BuildKit's limit: a secret is a key or a token, and is held in memory

    /// <summary>Reads <c>--secret id=ID[,src=FILE|,env=NAME]</c>; an id alone is a variable's name where there is one, else a file's.</summary>
    /// <exception cref="FormatException">It cannot be understood.</exception>
    public static (string Id, SecretSource Source) Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string? id = null, type = null, file = null, variable = null;
        foreach (string field in text.Split(','))
        {
            string[] parts = field.Split('=', 2);
            string value = parts.Length == 2 ? parts[1] : throw new FormatException($"--secret {text}: '{field}' is no NAME=VALUE");
            switch (parts[0].ToLowerInvariant())
            {
                case "id":
                    id = value;
                    break;
                case "type":
                    type = value is "file" or "env" ? value : throw new FormatException($"--secret {text}: the types are file and env");
                    break;
                case "src" or "source":
                    file = value;
                    break;
                case "env":
                    variable = value;
                    break;
                default:
                    throw new FormatException($"--secret {text}: there is no {parts[0]}");
            }
        }
        if (string.IsNullOrEmpty(id))
        {
            throw new FormatException($"--secret {text}: it has no id");
        }
        (file, variable) = type == "env" ? (null, variable ?? file ?? id)
            : file is null && variable is null ? Environment.GetEnvironmentVariable(id) is not null && type is null ? (null, id) : (id, (string?)null) : (file, variable);
        return (id, new SecretSource(file is null ? null : Path.GetFullPath(file), file is null ? variable : null));
    }

    /// <summary>The secret.</summary>
    /// <exception cref="StrataException">NotFound: there is no such file or variable. Invalid: it is too large.</exception>
    internal byte[] Read(string id)
    {
        if (Variable is not null)
        {
            return Environment.GetEnvironmentVariable(Variable) is { } value ? System.Text.Encoding.UTF8.GetBytes(value)
                : throw new StrataException(ErrorKind.NotFound, $"secret {id}: the variable {Variable} is not set");
        }
        switch (FileSystems.TryGetStatus(File!, follow: true))
        {
            case null:
                throw new StrataException(ErrorKind.NotFound, $"secret {id}: {File}: no such file");
            case { Kind: FileKind.Directory }:
                throw new StrataException(ErrorKind.Invalid, $"secret {id}: {File}: it is a directory");
        }
        byte[] buffer = new byte[MaxBytes + 1];
        using var stream = new FileStream(File!, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        int read = stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        return read <= MaxBytes ? buffer[..read] : throw new StrataException(ErrorKind.Invalid, $"secret {id}: {File}: more than {MaxBytes} bytes");
    }
}
