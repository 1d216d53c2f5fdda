using Strata.Linux;

namespace Strata.Tests;

/// <summary>A folder that is gone at the end.</summary>
internal sealed class TempFolder : IDisposable
{
    private readonly string _path = Directory.CreateTempSubdirectory("strata-test-").FullName;

    /// <summary>A path in it.</summary>
    public string File(string name) => Path.Combine(_path, name);

    public void Dispose() => FileSystems.RemoveTree(_path);
}
