using BenchmarkDotNet.Attributes;
using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata.Benchmarks;

/// <summary>What a container changed, and the layer of it: 2,200 new entries over a layer of as many, by the overlay snapshotter. Needs root.</summary>
[MemoryDiagnoser]
public class DiffBenchmarks : IContentSource
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-bench-").FullName;
    private OverlaySnapshotter? _snapshots;
    private ActiveSnapshot? _active;

    [GlobalSetup]
    public void Change() => ChangeAsync().GetAwaiter().GetResult(); // a task would not be waited for

    private async Task ChangeAsync()
    {
        var layout = new StoreLayout(Path.Combine(_folder, "store"));
        _ = ContentStore.Open(layout.Root);
        _snapshots = OverlaySnapshotter.Open(layout);
        Digest digest = Digest.Of(SampleLayer.Tar);
        CommittedSnapshot below = await _snapshots.ApplyAsync(null, new Descriptor(MediaTypes.OciLayer, digest, SampleLayer.Tar.Length), digest, this).ConfigureAwait(false);
        _active = await _snapshots.PrepareAsync("bench", below).ConfigureAwait(false);
        using var reader = new LayerReader(new MemoryStream(SampleLayer.Tar));
        // The layer the container writes to is the one that no image layer holds.
        using RootedDirectory upper = RootedDirectory.Open(Path.Combine(layout.Active, "bench", "upper"));
        LayerExtractor.Extract(reader, upper, new ExtractOptions { Prefix = "new" });
    }

    [GlobalCleanup]
    public void Remove() => FileSystems.RemoveTree(_folder);

    [Benchmark]
    public async Task<int> List() => (await _snapshots!.GetChangesAsync(_active!).ConfigureAwait(false)).Count;

    [Benchmark]
    public async Task<bool> WriteLayer() => await _snapshots!.WriteChangesAsync(_active!, Stream.Null).ConfigureAwait(false);

    public ValueTask<Stream> OpenAsync(Descriptor descriptor, CancellationToken cancellationToken = default) => ValueTask.FromResult<Stream>(new MemoryStream(SampleLayer.Tar));
}
