using BenchmarkDotNet.Attributes;
using Strata.Layers;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata.Benchmarks;

/// <summary>Reading, writing and unpacking a layer of 2,200 entries. Times are per layer; the directory is TMPDIR's.</summary>
[MemoryDiagnoser]
public class LayerBenchmarks
{
    private readonly byte[] _tar = SampleLayer.Tar;
    private readonly (LayerEntry Entry, byte[] Content)[] _entries = [.. SampleLayer.Entries()];
    private byte[] _gzip = [];
    private string _folder = "";

    [GlobalSetup]
    public void Compress()
    {
        using var blob = new MemoryStream();
        using (Stream gzip = Compression.OpenCompressor(blob, CompressionKind.Gzip))
        {
            gzip.Write(_tar);
        }
        _gzip = blob.ToArray();
    }

    [IterationSetup(Target = nameof(Unpack))]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory("strata-bench-").FullName;

    [IterationCleanup(Target = nameof(Unpack))]
    public void RemoveFolder() => FileSystems.RemoveTree(_folder);

    /// <summary>Headers, contents and the diff ID.</summary>
    [Benchmark]
    public string Read() => ReadAll(_tar);

    /// <summary>The same through gzip.</summary>
    [Benchmark]
    public string ReadGzip() => ReadAll(_gzip);

    [Benchmark]
    public long Write()
    {
        using var writer = new LayerWriter(Stream.Null);
        foreach ((LayerEntry entry, byte[] content) in _entries)
        {
            writer.Write(entry, new MemoryStream(content));
        }
        writer.Finish();
        return writer.ContentBytes;
    }

    [Benchmark]
    public long Unpack()
    {
        using var reader = new LayerReader(new MemoryStream(_tar));
        using RootedDirectory target = RootedDirectory.Open(_folder);
        return LayerExtractor.Extract(reader, target, new ExtractOptions { OverlayWhiteouts = true });
    }

    private static string ReadAll(byte[] blob)
    {
        using var reader = new LayerReader(new MemoryStream(blob));
        while (reader.Read() is not null)
        {
            // contents are passed over, and hashed
        }
        return reader.DiffId.ToString();
    }
}
