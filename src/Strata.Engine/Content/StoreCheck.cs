using Strata.Linux;
using Strata.Oci;

namespace Strata.Content;

/// <summary>Something that is not as it should be.</summary>
/// <param name="Path">Where, in words of the store.</param>
/// <param name="What">What is wrong.</param>
/// <param name="Advice">What to do.</param>
public sealed record StoreProblem(string Path, string What, string Advice);

/// <summary>
/// Looks whether the store's invariants hold: blobs hash to their names (deep), records of names can be read, names point to manifests that are here, manifests to children
/// that are here. Repair takes away only what does not verify; a pull or build brings it back.
/// </summary>
public static class StoreCheck
{
    /// <summary>Checks; all problems, none where all is well.</summary>
    public static async ValueTask<IReadOnlyList<StoreProblem>> RunAsync(ContentStore store, ImageStore images, bool deep, bool repair, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(images);
        var problems = new List<StoreProblem>();
        bool isReadable = CheckRecords(images, repair, problems);
        if (deep)
        {
            CheckSeals(images, repair, problems);
            await HashAllAsync(store, repair, problems, cancellationToken).ConfigureAwait(false);
        }
        foreach (string stray in Directory.Exists(store.Layout.Blobs) ? Directory.EnumerateFiles(store.Layout.Blobs, "*", SearchOption.AllDirectories) : [])
        {
            string algorithm = Path.GetRelativePath(store.Layout.Blobs, stray).Split('/')[0];
            if (!Digest.TryParse($"{algorithm}:{Path.GetFileName(stray)}", null, out Digest digest) || store.Layout.Blob(digest) != stray)
            {
                problems.Add(new StoreProblem(stray, "a file that no digest names", "remove it"));
            }
        }
        if (!isReadable)
        {
            return problems; // the list of images is not to be had before that is repaired
        }
        await CheckImagesAsync(store, images, problems, cancellationToken).ConfigureAwait(false);
        return problems;
    }

    // An image that is removed while it is looked at is no problem, nor one that comes back: what is wrong is looked for again where the name is there.
    private static async ValueTask CheckImagesAsync(ContentStore store, ImageStore images, List<StoreProblem> problems, CancellationToken cancellationToken)
    {
        (string Name, Descriptor Manifest)[] List()
            => [.. images.List().Select(i => (i.Reference.Familiar, i.Record.Manifest)), .. images.ListUntagged().Select(r => ($"<none> {r.Manifest.Digest}", r.Manifest))];
        foreach ((string name, Descriptor manifest) in List())
        {
            const int Looks = 3;
            var found = new List<StoreProblem>();
            for (int look = 1; look == 1 || (look <= Looks && found.Count > 0); look++)
            {
                bool isThere = look == 1 || List().Any(i => i.Name == name && i.Manifest.Digest == manifest.Digest);
                found.Clear();
                if (isThere)
                {
                    await CheckImageAsync(store, name, manifest, found, cancellationToken).ConfigureAwait(false);
                }
            }
            problems.AddRange(found);
        }
    }

    // A name whose record is damaged stops every list of images: true where there is none (any more).
    private static bool CheckRecords(ImageStore images, bool repair, List<StoreProblem> problems)
    {
        IReadOnlyList<(string Path, string Problem)> damaged = images.FindDamaged();
        foreach ((string path, string problem) in damaged)
        {
            problems.Add(new StoreProblem(path, problem, repair ? "the name was removed; pull, load or build the image again" : "strata system check --repair removes the name; pull, load or build the image again"));
            if (repair)
            {
                AtomicFile.Delete(path);
            }
        }
        return repair || damaged.Count == 0;
    }

    // Who reads them reads them all the same: their words are whole, or their seal would be wrong.
    private static void CheckSeals(ImageStore images, bool repair, List<StoreProblem> problems)
    {
        foreach (string path in images.FindUnsealed())
        {
            problems.Add(new StoreProblem(path, "a record without a seal", repair ? "sealed again" : "strata system check --deep --repair seals it again"));
            if (repair)
            {
                images.SealAgain(path);
            }
        }
    }

    /// <summary>Hashes a blob. Null where it is whole, and where it is not here: whether somebody misses it is asked of the images.</summary>
    internal static async ValueTask<string?> FindDamageAsync(ContentStore store, Descriptor blob, CancellationToken cancellationToken)
    {
        try
        {
            Stream content = await store.OpenAsync(blob, cancellationToken).ConfigureAwait(false);
            await using (content.ConfigureAwait(false))
            {
                await content.CopyToAsync(Stream.Null, 1 << 20, cancellationToken).ConfigureAwait(false);
            }
            return null;
        }
        catch (StrataException e) when (e.Kind == ErrorKind.NotFound)
        {
            return null;
        }
        catch (Exception e) when (e is StrataException or IOException)
        {
            return e.Message;
        }
    }

    private static async ValueTask HashAllAsync(ContentStore store, bool repair, List<StoreProblem> problems, CancellationToken cancellationToken)
    {
        foreach ((Digest digest, long size) in store.List().ToList())
        {
            if (await FindDamageAsync(store, new Descriptor("application/octet-stream", digest, size), cancellationToken).ConfigureAwait(false) is { } damage)
            {
                problems.Add(new StoreProblem($"blob {digest}", damage, repair ? "removed; pull or build the images that need it again" : "strata system check --deep --repair removes it; pull or build the images that need it again"));
                if (repair)
                {
                    FileSystems.RemoveTree(store.Layout.Blob(digest));
                }
            }
        }
    }

    private static async ValueTask CheckImageAsync(ContentStore store, string name, Descriptor descriptor, List<StoreProblem> problems, CancellationToken cancellationToken)
    {
        string advice = $"strata pull {name} brings it back, or strata rmi {name} forgets it";
        if (store.TryGetSize(descriptor.Digest) is not { } size || size != descriptor.Size)
        {
            problems.Add(new StoreProblem($"image {name}", $"its manifest {descriptor.Digest} is not here", advice));
            return;
        }
        try
        {
            byte[] document = await store.ReadAsync(descriptor, cancellationToken).ConfigureAwait(false);
            if (MediaTypes.IsIndex(descriptor.MediaType))
            {
                // Of an index only the platforms that were asked for are here.
                foreach (Descriptor child in OciJson.ParseIndex(document, descriptor.MediaType).Manifests.Where(m => store.TryGetSize(m.Digest) is not null))
                {
                    await CheckImageAsync(store, name, child, problems, cancellationToken).ConfigureAwait(false);
                }
                return;
            }
            ImageManifest manifest = OciJson.ParseManifest(document, descriptor.MediaType);
            foreach (Descriptor child in manifest.Layers.Append(manifest.Config).Where(c => store.TryGetSize(c.Digest) != c.Size))
            {
                problems.Add(new StoreProblem($"image {name}", $"{child.Digest} is {(store.TryGetSize(child.Digest) is { } has ? $"{has} bytes long, not {child.Size}" : "not here")}", advice));
            }
        }
        catch (StrataException e)
        {
            problems.Add(new StoreProblem($"image {name}", e.Message, advice));
        }
    }
}
