using Strata.Layers;
using Strata.Linux;

namespace Strata.Benchmarks;

/// <summary>A layer like a folder of JavaScript packages: 200 directories with ten files of 200 to 5,000 bytes each, the same at every start.</summary>
internal static class SampleLayer
{
    internal const int Directories = 200, FilesPerDirectory = 10;

    private static readonly EntryMetadata s_directory = new(0b111_101_101, 0, 0, new FileTime(1_700_000_000, 0)), s_file = new(0b110_100_100, 0, 0, new FileTime(1_700_000_000, 0));

    internal static byte[] Tar { get; } = Make();

    internal static IEnumerable<(LayerEntry Entry, byte[] Content)> Entries()
    {
        var random = new Random(1);
        for (int d = 0; d < Directories; d++)
        {
            yield return (new DirectoryEntry($"d{d}", s_directory), []);
            for (int f = 0; f < FilesPerDirectory; f++)
            {
                byte[] content = new byte[random.Next(200, 5_000)];
                random.NextBytes(content);
                yield return (new FileEntry($"d{d}/f{f}.js", s_file, content.Length), content);
            }
        }
    }

    private static byte[] Make()
    {
        using var tar = new MemoryStream();
        using var writer = new LayerWriter(tar);
        foreach ((LayerEntry entry, byte[] content) in Entries())
        {
            writer.Write(entry, new MemoryStream(content));
        }
        writer.Finish();
        return tar.ToArray();
    }
}
