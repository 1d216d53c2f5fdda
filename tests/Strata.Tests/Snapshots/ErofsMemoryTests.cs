using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;
using Xunit;

namespace Strata.Tests.Snapshots;

/// <summary>Tests that measure the memory of the whole process run when no other does.</summary>
[CollectionDefinition(nameof(MeasuredAlone), DisableParallelization = true)]
public sealed class MeasuredAlone;

/// <summary>What an index takes while it is made. STRATA_LONG=1: a million names.</summary>
[Collection(nameof(MeasuredAlone))]
public sealed class ErofsMemoryTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private Microsoft.Win32.SafeHandles.SafeFileHandle Open(string name) => File.OpenHandle(_folder.File(name), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite);

    [Fact]
    public void Names_are_found_in_a_folder_of_very_many_and_memory_is_bounded()
    {
        int count = Environment.GetEnvironmentVariable("STRATA_LONG") == "1" ? 1_000_000 : 100_000;
        using Microsoft.Win32.SafeHandles.SafeFileHandle file = Open("index");
        long before = GC.GetTotalMemory(forceFullCollection: true);
        var tree = new ErofsTree(file);
        tree.CreateDirectory("many", 0b111_101_101);
        for (int i = 0; i < count; i++)
        {
            tree.CreateNode($"many/name-{i}", FileKind.Fifo, 0b110_000_000, 0, 0);
        }
        long perEntry = (GC.GetTotalMemory(forceFullCollection: true) - before) / count;
        Assert.InRange(perEntry, 50, 200);
        ErofsWriter.Write(tree, file, Digest.Of("x"u8), 0);
        using ErofsImage image = ErofsImage.Open("index", file, Open("tar"));
        Assert.Equal(count, image.GetNames("many").Count);
        for (int i = 0; i < count; i += count / 1_000)
        {
            Assert.Equal(FileKind.Fifo, image.TryGetStatus($"many/name-{i}")?.Kind);
            Assert.Null(image.TryGetStatus($"many/name-{i}x"));
        }
    }
}
