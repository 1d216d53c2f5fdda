using Strata.Content;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>What a registry is made of: the blobs and names of a store, and the uploads under way. Holds a lease while it lives: what it has acknowledged is not collected.</summary>
public sealed class OciRegistry : IDisposable
{
    private readonly StoreLease _lease;
    private readonly ImageReference _root;

    /// <summary>Opens a registry over a store.</summary>
    public OciRegistry(ContentStore content, ImageStore images, RegistryServerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(content);
        Content = content;
        Images = images;
        Options = options ?? new();
        // Any repository of the namespace: the others are made of it.
        _root = ImageReference.ParseWithoutDefaultTag(Options.Namespace + "/x");
        Uploads = new UploadSessions(content, Options);
        _lease = content.AcquireLease(StoreLease.Registry);
    }

    internal ContentStore Content { get; }
    internal ImageStore Images { get; }
    internal RegistryServerOptions Options { get; }
    internal UploadSessions Uploads { get; }

    /// <summary>The name under which the store keeps a manifest of a repository.</summary>
    internal ImageReference NameOf(string repository, Digest digest) => NameOf(repository).WithOnlyDigest(digest);

    /// <summary>The name under which the store keeps a tag.</summary>
    internal ImageReference NameOf(string repository, string tag) => NameOf(repository).WithTag(tag);

    /// <summary>All names of a repository; of all where null.</summary>
    internal IEnumerable<(ImageReference Reference, Descriptor Manifest)> Names(string? repository = null)
        => from image in Images.List()
           where image.Reference.Registry == _root.Registry && (repository is null || image.Reference.Repository == repository)
           select (image.Reference, image.Record.Manifest);

    private ImageReference NameOf(string repository) => ImageReference.ParseWithoutDefaultTag($"{Options.Namespace}/{repository}");

    /// <inheritdoc/>
    public void Dispose()
    {
        Uploads.Dispose();
        _lease.Dispose();
    }
}

/// <summary>How a registry serves.</summary>
public sealed record RegistryServerOptions
{
    /// <summary>The registry's name in the store: an image <c>a:1</c> pushed to it is <c>registry.local/a:1</c> there, whatever address it was reached by.</summary>
    public string Namespace { get; init; } = "registry.local";

    /// <summary>Uploads at once; more are answered with 429.</summary>
    public int MaxUploads { get; init; } = 1000;

    /// <summary>An upload that nobody touched for so long is dropped.</summary>
    public TimeSpan UploadLife { get; init; } = TimeSpan.FromHours(24);

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Most entries of one page of tags or repositories.</summary>
    public int MaxPage { get; init; } = 1000;
}
