using System.Collections.Immutable;
using Strata.Build;
using Strata.Content;
using Strata.Distribution;
using Strata.Oci;
using Strata.Snapshots;
using Strata.Supply;

namespace Strata;

public sealed partial class Engine
{
    private static readonly string s_tool = $"strata {typeof(Engine).Assembly.GetName().Version?.ToString(3) ?? "0"}";

    // Builds, and keeps account of it: a lock file is written or obeyed, the build is repeated and compared, documents about the image are attached to it.
    private async ValueTask<BuildResult> BuildWithAccountAsync(BuildRequest request, SupplyOptions supply, IBuildProgress progress, CancellationToken cancellationToken)
    {
        if (supply.Verify && request.Input is not null)
        {
            throw new StrataException(ErrorKind.Invalid, "a context from standard input can be read once, and a repeated build reads it twice") { Hint = "name its file, or its folder" };
        }
        string path = supply.Lock == LockUse.None ? "" : LockPathOf(request);
        SourceLock? locked = supply.Lock == LockUse.Obey ? ReadLock(path) : null;
        var ledger = new SourceLedger(locked, Path.GetFileName(path));
        DateTimeOffset started = request.SourceDateEpoch ?? _options.Time.GetUtcNow();
        BuildResult result = await BuildAsync(request with { Ledger = ledger }, progress, cancellationToken).ConfigureAwait(false);
        string? difference = supply.Verify ? await RepeatAsync(request with { Ledger = new SourceLedger(locked, Path.GetFileName(path)) }, result, progress, cancellationToken).ConfigureAwait(false) : null;
        if (supply.Lock == LockUse.Write)
        {
            AtomicFile.Write(path, new SourceLock(ledger.Sources).Serialize());
        }
        using StoreLease lease = Content.AcquireLease("attach");
        string[] names = [.. request.Tags.Select(t => t.Familiar)];
        foreach (Descriptor image in supply.Sbom || supply.Provenance ? await ReadImagesAsync(result.Manifest, cancellationToken).ConfigureAwait(false) : [])
        {
            if (supply.Sbom)
            {
                byte[] document = await WriteSbomAsync(names.FirstOrDefault() ?? image.Digest.ToString(), image, cancellationToken).ConfigureAwait(false);
                await Referrers.AttachAsync(Content, image, SpdxDocument.MediaType, document, null, cancellationToken).ConfigureAwait(false);
            }
            if (supply.Provenance)
            {
                byte[] statement = ProvenanceStatement.Write(names, image, FactsOf(request, result, image.Platform, ledger, started), s_tool);
                ImmutableSortedDictionary<string, string> annotations = ImmutableSortedDictionary<string, string>.Empty.Add("in-toto.io/predicate-type", ProvenanceStatement.PredicateType);
                await Referrers.AttachAsync(Content, image, ProvenanceStatement.MediaType, statement, annotations, cancellationToken).ConfigureAwait(false);
            }
        }
        return result with { Difference = difference };
    }

    /// <summary>The bill of materials of an image, SPDX 2.3 JSON: the one that is attached to it, or one that is made now.</summary>
    /// <param name="text">A name or an ID.</param>
    /// <param name="anew">Made now in any case.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="StrataException">NotFound, Invalid: as of <see cref="ResolveImageAsync"/>.</exception>
    public async ValueTask<byte[]> ReadSbomAsync(string text, bool anew, CancellationToken cancellationToken = default)
    {
        using StoreLease lease = Content.AcquireLease("sbom");
        LocalImage image = await ResolveImageAsync(text, cancellationToken).ConfigureAwait(false);
        Descriptor? attached = anew ? null : ReferrerRecords.List(Layout, image.Descriptor.Digest).FirstOrDefault(r => r.ArtifactType == SpdxDocument.MediaType);
        return attached is not null ? await Referrers.ReadAsync(Content, attached, cancellationToken).ConfigureAwait(false)
            : await WriteSbomAsync(image.Reference?.Familiar ?? text, image.Descriptor, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The documents that are attached to an image here: descriptors of their artifacts.</summary>
    /// <exception cref="StrataException">NotFound, Invalid: as of <see cref="ResolveImageAsync"/>.</exception>
    public async ValueTask<IReadOnlyList<Descriptor>> GetReferrersAsync(string text, CancellationToken cancellationToken = default)
        => ReferrerRecords.List(Layout, (await ResolveImageAsync(text, cancellationToken).ConfigureAwait(false)).Descriptor.Digest);

    private async ValueTask<byte[]> WriteSbomAsync(string name, Descriptor image, CancellationToken cancellationToken)
    {
        ImageManifest manifest = OciJson.ParseManifest(await Content.ReadAsync(image, cancellationToken).ConfigureAwait(false), image.MediaType);
        ImageConfig config = OciJson.ParseConfig(await Content.ReadAsync(manifest.Config, cancellationToken).ConfigureAwait(false));
        CommittedSnapshot? snapshot = await ImageUnpacker.UnpackAsync(Content, manifest, config, Snapshots, cancellationToken).ConfigureAwait(false);
        using LayerStack? stack = snapshot is null ? null : Snapshots.OpenStack(snapshot);
        return SpdxDocument.Write(name, image, config.Created, stack is null ? new ImageContents(null, []) : PackageScan.Scan(stack), s_tool);
    }

    // An index is about its images; documents are about each of them.
    private async ValueTask<Descriptor[]> ReadImagesAsync(Descriptor manifest, CancellationToken cancellationToken)
        => !MediaTypes.IsIndex(manifest.MediaType) ? [manifest]
            : [.. OciJson.ParseIndex(await Content.ReadAsync(manifest, cancellationToken).ConfigureAwait(false), manifest.MediaType).Manifests.Where(m => MediaTypes.IsManifest(m.MediaType) && Content.TryGetSize(m.Digest) is not null)];

    // Builds once more, nothing of it from the cache. What differs is looked at and goes again.
    private async ValueTask<string?> RepeatAsync(BuildRequest request, BuildResult first, IBuildProgress progress, CancellationToken cancellationToken)
    {
        using StoreLease lease = Content.AcquireLease("verify");
        BuildResult second = await BuildAsync(request with { NoCache = true, Tags = [] }, progress, cancellationToken).ConfigureAwait(false);
        if (second.Manifest.Digest == first.Manifest.Digest)
        {
            return null;
        }
        string? difference = await ImageDifference.FindFirstAsync(Content, first.Manifest, second.Manifest, cancellationToken).ConfigureAwait(false);
        Images.RemoveUntagged(second.Manifest.Digest);
        return difference;
    }

    private BuildFacts FactsOf(BuildRequest request, BuildResult result, Platform? platform, SourceLedger ledger, DateTimeOffset started)
        => new()
        {
            FileName = result.DockerfileName, FileDigest = result.DockerfileDigest, Platform = platform ?? request.Options.Platform, Target = request.Options.Target, Arguments = request.Options.Arguments,
            Sources = ledger.Sources, Started = started, Finished = request.SourceDateEpoch ?? _options.Time.GetUtcNow(),
        };

    private static string LockPathOf(BuildRequest request)
        => request.DockerfilePath is { } path ? path + ".lock"
            : request.Context is { } folder && Directory.Exists(folder) && request.DockerfileText is null ? Path.Combine(folder, (request.DockerfileName ?? "Dockerfile") + ".lock")
            : throw new StrataException(ErrorKind.Invalid, "a lock file stands beside the Dockerfile, and this one has no place: it was read from the input") { Hint = "name the file with -f FILE" };

    private static SourceLock ReadLock(string path)
    {
        try
        {
            return SourceLock.Parse(File.ReadAllBytes(path), Path.GetFileName(path));
        }
        catch (FileNotFoundException e)
        {
            throw new StrataException(ErrorKind.NotFound, $"{path}: there is no lock file", e) { Hint = "strata build --lock writes one" };
        }
    }

    // Documents about what was pushed, so that they are where the image is.
    private async ValueTask PushReferrersAsync(Descriptor root, RemoteRepository remote, CopyOptions copy, CancellationToken cancellationToken)
    {
        foreach (Descriptor subject in (await ReadImagesAsync(root, cancellationToken).ConfigureAwait(false)).Append(root).DistinctBy(d => d.Digest))
        {
            foreach (Descriptor artifact in ReferrerRecords.List(Layout, subject.Digest))
            {
                await ContentCopier.CopyAsync(Content, remote, artifact, copy, cancellationToken).ConfigureAwait(false);
            }
        }
    }
}

/// <summary>What a build does about its lock file.</summary>
public enum LockUse
{
    /// <summary>Nothing.</summary>
    None,
    /// <summary>Writes what it took.</summary>
    Write,
    /// <summary>Fails where a source is not what it was.</summary>
    Obey,
}

/// <summary>What is kept of a build beside its image.</summary>
public sealed record SupplyOptions
{
    /// <summary>The lock file beside the Dockerfile.</summary>
    public LockUse Lock { get; init; }
    /// <summary>Builds twice and compares.</summary>
    public bool Verify { get; init; }
    /// <summary>Attaches a bill of materials (SPDX 2.3).</summary>
    public bool Sbom { get; init; }
    /// <summary>Attaches how it was built (SLSA v1).</summary>
    public bool Provenance { get; init; }

    internal bool IsEmpty => Lock == LockUse.None && !Verify && !Sbom && !Provenance;
}
