using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Content;

/// <summary>
/// What the owner of a store has decided, in <see cref="StoreLayout.Settings"/>; a person may write it:
/// <code>{"gc":{"maxSize":"20GB","keep":"72h"},"pins":["docker.io/library/debian:bookworm","sha256:…"]}</code>
/// </summary>
/// <param name="MaxSize"><c>gc.maxSize</c>: bytes on disk that the store stays within; null: no limit.</param>
/// <param name="Keep"><c>gc.keep</c>: what was used within this time does not go by itself.</param>
/// <param name="Pins"><c>pins</c>: images that do not go by themselves: full names, or digests of manifests.</param>
public sealed record StoreSettings(long? MaxSize, TimeSpan Keep, ImmutableArray<string> Pins)
{
    private const string Hint = "the settings are gc.maxSize (20GB, 20GiB or bytes), gc.keep (72h, 30m), pins (a list of image names) and snapshotter (overlay, erofs or union)";

    private static readonly string[] s_keys = ["gc", "pins", "snapshotter"], s_limitKeys = ["maxSize", "keep"];

    // Longer is a slip of the keyboard, and a time before the calendar begins.
    private static readonly TimeSpan s_longest = TimeSpan.FromDays(36_500);

    /// <summary><c>snapshotter</c>: who makes new snapshots where no command says it; null: who works here.</summary>
    public string? Snapshotter { get; init; }

    /// <summary>No limit.</summary>
    public static StoreSettings None { get; } = new(null, TimeSpan.Zero, []);

    /// <summary>Reads a store's settings; none where there is no such file.</summary>
    /// <exception cref="StrataException">Invalid: a key is not known or a value is none; names file and key.</exception>
    public static StoreSettings Read(StoreLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return AtomicFile.TryRead(layout.Settings) is { } json ? Parse(json, layout.Settings) : None;
    }

    /// <summary>Changes a store's settings. Changes of several processes come one after the other, and never while a budget is being kept: a pin that was set holds.</summary>
    public static async ValueTask<StoreSettings> UpdateAsync(StoreLayout layout, Func<StoreSettings, StoreSettings> change, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(change);
        using FileLock turn = await BudgetTurn.TakeAsync(layout, cancellationToken).ConfigureAwait(false);
        StoreSettings before = Read(layout), after = change(before);
        if (!after.Equals(before))
        {
            AtomicFile.Write(layout.Settings, JsonFieldsWriter.Serialize(after, Write));
        }
        return after;
    }

    /// <summary>Reads a limit as the settings have it: a size above zero.</summary>
    /// <exception cref="StrataException">Invalid: it is none; <paramref name="where"/> is said.</exception>
    public static long ParseMaxSize(string text, string where)
        => ByteSize.TryParse(text, out long bytes) && bytes > 0 ? bytes : throw new StrataException(ErrorKind.Invalid, $"{where}: '{text}' is not a size") { Hint = "a size is 20GB, 20GiB or a number of bytes, above zero" };

    /// <summary>Reads a duration: <c>72h</c>, <c>1h30m</c>, <c>3d</c>.</summary>
    /// <exception cref="StrataException">Invalid: it is none; <paramref name="where"/> is said.</exception>
    public static TimeSpan ParseDuration(string text, string where)
    {
        ArgumentNullException.ThrowIfNull(text);
        long sum = 0;
        int at = 0;
        while (at < text.Length && sum <= s_longest.TotalSeconds)
        {
            int digits = 0;
            while (at + digits < text.Length && char.IsAsciiDigit(text[at + digits]))
            {
                digits++;
            }
            long seconds = at + digits == text.Length ? text == "0" ? 1 : 0 : text[at + digits] switch { 's' => 1, 'm' => 60, 'h' => 3600, 'd' => 86_400, _ => 0 };
            // Nine digits of days are more than the longest, and no overflow.
            if (digits is 0 or > 9 || seconds == 0)
            {
                at = 0;
                break;
            }
            sum += long.Parse(text.AsSpan(at, digits), CultureInfo.InvariantCulture) * seconds;
            at += digits + 1;
        }
        return at > 0 && sum <= s_longest.TotalSeconds ? TimeSpan.FromSeconds(sum) : throw new StrataException(ErrorKind.Invalid, $"{where}: '{text}' is not a duration") { Hint = "a duration is 72h, 30m, 1h30m or 3d" };
    }

    /// <summary>A duration as <see cref="ParseDuration"/> reads it.</summary>
    public static string Format(TimeSpan duration)
    {
        long seconds = (long)duration.TotalSeconds;
        string[] parts = [.. new[] { (seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s") }.Where(p => p.Item1 > 0).Select(p => p.Item1.ToString(CultureInfo.InvariantCulture) + p.Item2)];
        return parts.Length == 0 ? "0s" : string.Concat(parts);
    }

    /// <inheritdoc/>
    public bool Equals(StoreSettings? other) => other is not null && (MaxSize, Keep, Snapshotter) == (other.MaxSize, other.Keep, other.Snapshotter) && Pins.SequenceEqual(other.Pins);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(MaxSize, Keep, Pins.Length);

    internal static StoreSettings Parse(byte[] json, string path)
    {
        try
        {
            JsonFields root = JsonFields.Parse(json);
            Refuse(root.Others(s_keys), path, "");
            StoreSettings settings = None with { Pins = root.MaybeStrings("pins") ?? [], Snapshotter = root.MaybeString("snapshotter") };
            if (root.MaybeObject("gc") is not { } gc)
            {
                return settings;
            }
            Refuse(gc.Others(s_limitKeys), path, "gc.");
            long? limit = gc.Find("maxSize") is not { } size ? null
                : ParseMaxSize(size.Kind == JsonValueKind.Number ? gc.Int64("maxSize").ToString(CultureInfo.InvariantCulture) : gc.String("maxSize"), $"{path}: gc.maxSize");
            return settings with { MaxSize = limit, Keep = gc.MaybeString("keep") is { } keep ? ParseDuration(keep, $"{path}: gc.keep") : TimeSpan.Zero };
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Invalid, $"{path}: {e.Message}", e) { Hint = Hint };
        }
    }

    private static void Refuse(Dictionary<string, JsonElement>? unknown, string path, string above)
    {
        if (unknown?.Keys.FirstOrDefault() is { } key)
        {
            throw new StrataException(ErrorKind.Invalid, $"{path}: {above}{key}: there is no such setting") { Hint = Hint };
        }
    }

    private static void Write(JsonFieldsWriter writer, StoreSettings settings)
    {
        if (settings.MaxSize is not null || settings.Keep > TimeSpan.Zero)
        {
            writer.WriteStartObject("gc");
            writer.Field("maxSize", settings.MaxSize);
            writer.Field("keep", settings.Keep > TimeSpan.Zero ? Format(settings.Keep) : null);
            writer.WriteEndObject();
        }
        writer.Field("snapshotter", settings.Snapshotter);
        writer.Field("pins", settings.Pins.IsEmpty ? null : (ImmutableArray<string>?)settings.Pins);
    }
}

/// <summary>
/// Who keeps a budget or changes the settings does it alone. Nothing else waits, but for one who does not find an image's name while somebody keeps a
/// budget: it may have been put aside to look whether it is in use, and be back at once.
/// </summary>
internal static class BudgetTurn
{
    private const string LockName = TrashFolder.LockName + "-budget";

    internal static async ValueTask<FileLock> TakeAsync(StoreLayout layout, CancellationToken cancellationToken)
    {
        TrashFolder.Create(layout);
        return await FileLock.AcquireAsync(Path.Combine(layout.Trash, LockName), exclusive: true, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Waits for the end of a budget's turn; false where nobody had it.</summary>
    internal static async ValueTask<bool> WaitAsync(StoreLayout layout, CancellationToken cancellationToken)
    {
        string path = Path.Combine(layout.Trash, LockName);
        if (!File.Exists(path))
        {
            return false;
        }
        using (FileLock? free = FileLock.TryAcquire(path, exclusive: false))
        {
            if (free is not null)
            {
                return false;
            }
        }
        using FileLock over = await FileLock.AcquireAsync(path, exclusive: false, cancellationToken).ConfigureAwait(false);
        return true;
    }
}
