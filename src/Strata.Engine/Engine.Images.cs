using System.Collections.Immutable;
using Strata.Content;
using Strata.Layers;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    private const int MinIdLength = 2; // a shorter prefix is a slip, not an ID

    /// <summary>Finds an image by name, by ID or the beginning of one, or by its manifest's digest.</summary>
    /// <exception cref="StrataException">NotFound: no such image; Invalid: the text is no name, or an ID's beginning that fits several.</exception>
    public async ValueTask<LocalImage> ResolveImageAsync(string text, CancellationToken cancellationToken = default)
    {
        try
        {
            return await ResolveOnceAsync(text, cancellationToken).ConfigureAwait(false);
        }
        catch (StrataException e) when (e.Kind == ErrorKind.NotFound)
        {
            // Its name may have been put aside for a moment, by somebody who looks whether it is in use.
            if (!await BudgetTurn.WaitAsync(Layout, cancellationToken).ConfigureAwait(false))
            {
                throw;
            }
        }
        return await ResolveOnceAsync(text, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask<LocalImage> ResolveOnceAsync(string text, CancellationToken cancellationToken)
    {
        (ImageReference? reference, ImageRecord record) = FindRecord(text);
        (Descriptor descriptor, ImageManifest manifest, ImageConfig config) = await ReadImageAsync(record.Manifest, Platform.Host, cancellationToken).ConfigureAwait(false);
        // What was pinned before its name went is kept; what had lost it by then may be gone, or go.
        return !Content.IsLeased || IsNamed(record.Manifest.Digest, reference)
            ? new LocalImage(reference, record, descriptor, manifest, config)
            : throw NoSuchImage(text, reference, []);
    }

    // Whether an image is a root of the collector's: by a name, most likely this one, or without one.
    private bool IsNamed(Digest manifest, ImageReference? likely)
        => (likely is not null && Images.TryRead(likely)?.Manifest.Digest == manifest) || Images.List().Any(i => i.Record.Manifest.Digest == manifest) || Images.ListUntagged().Any(r => r.Manifest.Digest == manifest);

    // What the names say. The documents may be an artifact's, for another machine, or damaged: a name can be taken away all the same.
    private (ImageReference? Reference, ImageRecord Record) FindRecord(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        ImageReference? reference = ImageReference.TryParse(text, out ImageReference? parsed) ? parsed : null;
        ImageRecord? record = reference is null ? null : Images.TryRead(reference);
        return record is not null ? (reference, record) : FindById(text, reference);
    }

    private (ImageReference? Reference, ImageRecord Record) FindById(string text, ImageReference? reference)
    {
        (ImageReference?, ImageRecord)[] all = [.. Images.List().Select(i => ((ImageReference?)i.Reference, i.Record)), .. Images.ListUntagged().Select(r => ((ImageReference?)null, r))];
        (ImageReference?, ImageRecord)[] found = [.. all.Where(i => HasId(i.Item2, text) || (reference?.Digest is { } digest && digest == i.Item2.Manifest.Digest && i.Item1?.Name == reference.Name))];
        if (found.DistinctBy(f => f.Item2.Config ?? f.Item2.Manifest.Digest).Count() > 1)
        {
            throw new StrataException(ErrorKind.Invalid, $"{text}: the beginning of several image IDs") { Hint = "write more of it" };
        }
        return found.Length > 0 ? found[0] : throw NoSuchImage(text, reference, all.Select(a => a.Item1).OfType<ImageReference>());
    }

    // The image of this machine that a name leads to; null where it leads to none: an artifact, an index for other machines, documents that are not here.
    private async ValueTask<(Descriptor Descriptor, ImageManifest Manifest, ImageConfig Config)?> TryReadImageAsync(Descriptor root, CancellationToken cancellationToken)
    {
        Descriptor? at = root;
        while (at is not null && MediaTypes.IsIndex(at.MediaType) && Content.TryGetSize(at.Digest) is not null)
        {
            at = OciJson.ParseIndex(await Content.ReadAsync(at, cancellationToken).ConfigureAwait(false), at.MediaType).Select(Platform.Host);
        }
        if (at is null || !MediaTypes.IsManifest(at.MediaType) || Content.TryGetSize(at.Digest) is null)
        {
            return null;
        }
        ImageManifest manifest = OciJson.ParseManifest(await Content.ReadAsync(at, cancellationToken).ConfigureAwait(false), at.MediaType);
        return MediaTypes.IsConfig(manifest.Config.MediaType) && Content.TryGetSize(manifest.Config.Digest) is not null
            ? (at, manifest, OciJson.ParseConfig(await Content.ReadAsync(manifest.Config, cancellationToken).ConfigureAwait(false))) : null;
    }

    /// <summary>All names and images without one, the newest first.</summary>
    public ListedImage[] ListImages()
    {
        var images = new ImageListing();
        Images.Visit(images.Add);
        Images.VisitUntagged(record => images.Add(null, record));
        return images.ToArray();
    }

    // Put where they belong as they come: lists and their sorting are types the runtime makes anew for each thing that is sorted.
    private sealed class ImageListing
    {
        private ListedImage[] _images = new ListedImage[16];
        private int _count;

        internal void Add(ImageReference? reference, ImageRecord record)
        {
            if (_count == _images.Length)
            {
                Array.Resize(ref _images, _count * 2);
            }
            var image = new ListedImage(reference, record);
            int at = PlaceOf(image);
            Array.Copy(_images, at, _images, at + 1, _count++ - at);
            _images[at] = image;
        }

        internal ListedImage[] ToArray()
        {
            Array.Resize(ref _images, _count);
            return _images;
        }

        private int PlaceOf(ListedImage image)
        {
            int low = 0, high = _count;
            while (low < high)
            {
                int middle = (low + high) / 2;
                if (Compare(_images[middle], image) <= 0)
                {
                    low = middle + 1;
                }
                else
                {
                    high = middle;
                }
            }
            return low;
        }

        private static int Compare(ListedImage a, ListedImage b)
        {
            int newest = DateTimeOffset.Compare(b.Record.Created ?? DateTimeOffset.MinValue, a.Record.Created ?? DateTimeOffset.MinValue);
            return newest != 0 ? newest
                : a.Reference is { } left && b.Reference is { } right ? string.CompareOrdinal(left.ToString(), right.ToString())
                : a.Reference is null && b.Reference is null ? string.CompareOrdinal(a.Record.Manifest.Digest.ToString(), b.Record.Manifest.Digest.ToString())
                : a.Reference is null ? -1 : 1;
        }
    }

    /// <summary>The names of an image.</summary>
    public IReadOnlyList<ImageReference> GetNames(Digest manifest) => [.. Images.List().Where(i => i.Record.Manifest.Digest == manifest).Select(i => i.Reference)];

    /// <summary>The rows of an image's history, the newest first, each with the bytes of files its layer holds.</summary>
    /// <exception cref="StrataException">NotFound, Invalid: as of <see cref="ResolveImageAsync"/>.</exception>
    public async ValueTask<ImageHistory> GetHistoryAsync(string text, CancellationToken cancellationToken = default)
    {
        if (TryGetHistory(text) is { } known)
        {
            return known;
        }
        LocalImage image = await ResolveImageAsync(text, cancellationToken).ConfigureAwait(false);
        IReadOnlyList<LayerSummary> layers = await GetLayersAsync(image, cancellationToken).ConfigureAwait(false);
        return new ImageHistory(image.Manifest.Config.Digest, MakeRows(image.Config.History, [.. layers.Select(l => l.ContentBytes)]));
    }

    /// <summary>The same where the image's record has all that its documents would be read for; null where it has not.</summary>
    public ImageHistory? TryGetHistory(string text)
    {
        ImageRecord record = FindRecord(text).Record;
        if (record.Config is not { } id || record.LayerBytes is not { } layers || Content.TryRead(id) is not { } config)
        {
            return null;
        }
        // The document was checked when it came and its digest is checked now: of a long one only this part is of interest.
        return new ImageHistory(id, MakeRows(JsonFields.Parse(config).Objects("history", DocumentFields.ReadHistoryEntry), layers));
    }

    private static HistoryRow[] MakeRows(ImmutableArray<HistoryEntry> history, IReadOnlyList<long> layers)
    {
        int told = 0;
        foreach (HistoryEntry entry in history)
        {
            told += entry.EmptyLayer ? 0 : 1;
        }
        // Images of other tools may have layers and no history: as with Docker, history is told from the bottom.
        int at = history.Length + Math.Max(0, layers.Count - told), layer = 0;
        var rows = new HistoryRow[at];
        foreach (HistoryEntry entry in history)
        {
            rows[--at] = entry.EmptyLayer || layer == layers.Count ? new HistoryRow(entry, null, 0) : new HistoryRow(entry, layer + 1, layers[layer++]);
        }
        while (at > 0)
        {
            rows[--at] = new HistoryRow(new HistoryEntry { Comment = "<missing>" }, layer + 1, layers[layer++]);
        }
        return rows;
    }

    /// <summary>An image's layers, bottom first. Layers that were not unpacked yet are unpacked, because only then their sizes are known.</summary>
    public async ValueTask<IReadOnlyList<LayerSummary>> GetLayersAsync(LocalImage image, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(image);
        CommittedSnapshot? top = await ImageUnpacker.UnpackAsync(Content, image.Manifest, image.Config, Snapshots, cancellationToken).ConfigureAwait(false);
        string?[] instructions = [.. image.Config.History.Where(h => !h.EmptyLayer).Select(h => h.CreatedBy)];
        return [.. (top?.Stack ?? []).Select((s, i) => new LayerSummary(i + 1, image.Manifest.Layers[i], s.DiffId, s.ChainId, s.ContentBytes, i < instructions.Length ? instructions[i] : null))];
    }

    /// <summary>The entries of one layer (1 is the bottom), as its archive has them, whiteouts by their <c>.wh.</c> names.</summary>
    /// <exception cref="StrataException">NotFound: there is no such layer.</exception>
    public async ValueTask<IReadOnlyList<LayerEntry>> ReadLayerAsync(LocalImage image, int number, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(image);
        if (number < 1 || number > image.Manifest.Layers.Length)
        {
            throw new StrataException(ErrorKind.NotFound, $"layer {number}: the image has {image.Manifest.Layers.Length}");
        }
        Stream blob = await Content.OpenAsync(image.Manifest.Layers[number - 1], cancellationToken).ConfigureAwait(false);
        await using (blob.ConfigureAwait(false))
        {
            using var reader = new LayerReader(blob);
            var entries = new List<LayerEntry>();
            while (reader.Read() is { } entry)
            {
                entries.Add(entry);
            }
            return entries;
        }
    }

    /// <summary>What each layer of an image says about a path, top-down; the first that has it answers a read.</summary>
    public async ValueTask<IReadOnlyList<PathAnswer>> WhereAsync(string containerOrImage, string path, CancellationToken cancellationToken = default)
    {
        Snapshot? snapshot = TryGetContainer(containerOrImage) is { } container
            ? await Snapshots.TryOpenActiveAsync(container.Record.Id, cancellationToken).ConfigureAwait(false)
            : await UnpackImageAsync(await ResolveImageAsync(containerOrImage, cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
        if (snapshot is null)
        {
            return [];
        }
        IReadOnlyList<CommittedSnapshot> stack = ((snapshot as CommittedSnapshot) ?? snapshot.Parent)?.Stack ?? [];
        PathOrigin? origin = await Snapshots.WhereAsync(snapshot, path, cancellationToken).ConfigureAwait(false);
        string real = origin?.Path ?? path;
        return [.. Snapshots.GetAnswers(snapshot, real).Select(a => new PathAnswer(a.Layer + 1, a.Layer < stack.Count ? stack[a.Layer].DiffId : null, real, a.Status, IsAnswer: origin?.Layer == a.Layer, a.IsWhiteout))];
    }

    /// <summary>Gives an image another name.</summary>
    public async ValueTask TagAsync(string source, ImageReference target, CancellationToken cancellationToken = default)
    {
        using StoreLease lease = Content.AcquireLease("tag");
        LocalImage image = await ResolveImageAsync(source, cancellationToken).ConfigureAwait(false);
        Images.NoteUse(image.Reference, image.Record.Manifest.Digest);
        await Images.SetAsync(target, image.Record, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Takes an image's name away, and the image where that was its last name and nobody needs it.</summary>
    /// <returns>What was done, in Docker's words.</returns>
    /// <exception cref="StrataException">Conflict: a container or several names need it; says which.</exception>
    public async ValueTask<IReadOnlyList<string>> RemoveImageAsync(string text, bool force, CancellationToken cancellationToken = default)
    {
        ImageRecord record = FindRecord(text).Record;
        IReadOnlyList<ImageReference> names = GetNames(record.Manifest.Digest);
        bool byName = ImageReference.TryParse(text, out ImageReference? typed) && names.Contains(typed);
        var done = new List<string>();
        if (byName && names.Count > 1)
        {
            await Images.RemoveAsync(typed!, cancellationToken).ConfigureAwait(false);
            return [$"Untagged: {typed!.Familiar}"];
        }
        if (!byName && names.Count > 1 && !force)
        {
            throw new StrataException(ErrorKind.Conflict, $"image {text} has several names: {string.Join(", ", names.Select(n => n.Familiar))}") { Hint = "remove it by name, or all names with -f" };
        }
        Containers.Container[] users = [.. ListContainers().Where(c => c.Record.Manifest.Digest == record.Manifest.Digest || c.Record.ImageId == record.Config)];
        if (users.Length > 0 && (!force || users.Any(u => u.State.Status == Strata.Containers.ContainerStatus.Running)))
        {
            throw new StrataException(ErrorKind.Conflict, $"image {text} is used by container {string.Join(", ", users.Select(u => u.Record.Name))}") { Hint = $"strata rm {(users.Any(u => u.State.Status == Strata.Containers.ContainerStatus.Running) ? "-f " : "")}{users[0].Record.Name}" };
        }
        foreach (ImageReference name in names)
        {
            await Images.RemoveAsync(name, cancellationToken).ConfigureAwait(false);
            done.Add($"Untagged: {name.Familiar}");
        }
        Images.RemoveUntagged(record.Manifest.Digest);
        CollectResult collected = await CollectAsync(dryRun: false, includeCache: false, cancellationToken).ConfigureAwait(false);
        done.Add($"Deleted: {record.Config ?? record.Manifest.Digest}");
        done.AddRange(collected.Layers.Select(l => $"Deleted: {l}"));
        return done;
    }

    /// <summary>The file system of an image; null where it has no layers.</summary>
    public ValueTask<CommittedSnapshot?> UnpackImageAsync(LocalImage image, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(image);
        return ImageUnpacker.UnpackAsync(Content, image.Manifest, image.Config, Snapshots, cancellationToken);
    }

    /// <summary>What a name of this image holds: the sizes come from the layers as they are unpacked.</summary>
    internal ValueTask<ImageRecord> MakeRecordAsync(Descriptor root, CancellationToken cancellationToken) => MakeRecordAsync(root, root, cancellationToken);

    /// <summary>The same where it is known which image of an index is here.</summary>
    private async ValueTask<ImageRecord> MakeRecordAsync(Descriptor root, Descriptor image, CancellationToken cancellationToken)
    {
        if (await TryReadImageAsync(image, cancellationToken).ConfigureAwait(false) is not var (_, manifest, config))
        {
            return new ImageRecord(root);
        }
        CommittedSnapshot? top = await ImageUnpacker.UnpackAsync(Content, manifest, config, Snapshots, cancellationToken).ConfigureAwait(false);
        long[] layers = [.. (top?.Stack ?? []).Select(s => s.ContentBytes)];
        return new ImageRecord(root) { Config = manifest.Config.Digest, Created = config.Created, Size = layers.Sum(), LayerBytes = layers };
    }

    private static bool HasId(ImageRecord record, string text)
    {
        string id = text.StartsWith("sha256:", StringComparison.Ordinal) ? text[7..] : text;
        return id.Length >= MinIdLength && id.All(char.IsAsciiHexDigitLower)
            && ((record.Config?.Hex.StartsWith(id) ?? false) || record.Manifest.Digest.Hex.StartsWith(id));
    }

    private static StrataException NoSuchImage(string text, ImageReference? reference, IEnumerable<ImageReference> known)
    {
        if (reference is null)
        {
            string why = text.Length == 0 ? "the name is empty" : text.Any(char.IsAsciiLetterUpper) ? "a repository name is lower case" : "a name is [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]";
            return new StrataException(ErrorKind.Invalid, $"invalid image name \"{text}\": {why}") { Hint = text.Any(char.IsAsciiLetterUpper) ? $"did you mean {text.ToLowerInvariant()}?" : null };
        }
        string[] near = [.. known.Where(k => k.Repository.Split('/')[^1] == reference.Repository.Split('/')[^1]).Select(k => k.Familiar).Take(4)];
        return new StrataException(ErrorKind.NotFound, $"No such image: {reference.Familiar}")
        {
            Hint = near.Length > 0 ? $"there is: {string.Join(", ", near)}"
                : reference.FamiliarName == "debian" ? $"make it with: strata bootstrap {reference.Familiar}   or get it with: strata pull {reference.Familiar}" : $"get it with: strata pull {reference.Familiar}",
        };
    }
}

/// <summary>An image that is here: its name where it was found by one, what the name holds, and its documents.</summary>
public sealed record LocalImage(ImageReference? Reference, ImageRecord Record, Descriptor Descriptor, ImageManifest Manifest, ImageConfig Config);

/// <summary>A row of the list of images.</summary>
public sealed record ListedImage(ImageReference? Reference, ImageRecord Record);

/// <summary>An image's history.</summary>
/// <param name="id">The digest of its config.</param>
/// <param name="rows">The newest first.</param>
public sealed class ImageHistory(Digest id, HistoryRow[] rows)
{
    /// <summary>The digest of its config: Docker's image ID.</summary>
    public Digest Id { get; } = id;

    /// <summary>The newest first.</summary>
    public IReadOnlyList<HistoryRow> Rows { get; } = rows;
}

/// <summary>A row of an image's history.</summary>
/// <param name="Entry">What its config says.</param>
/// <param name="Layer">The number of the layer it made, 1 is the bottom; null: it changed no file.</param>
/// <param name="Bytes">Of that layer's regular files.</param>
public sealed record HistoryRow(HistoryEntry Entry, int? Layer, long Bytes);

/// <summary>A layer of an image. Number 1 is the bottom; bytes are those of its regular files.</summary>
public sealed record LayerSummary(int Number, Descriptor Blob, Digest DiffId, Digest ChainId, long ContentBytes, string? CreatedBy);

/// <summary>One layer that has something at a path; no diff ID: the container's own layer.</summary>
public sealed record PathAnswer(int Layer, Digest? DiffId, string Path, Linux.FileStatus Status, bool IsAnswer, bool IsWhiteout);
