using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Containers;

/// <summary>Something that happened.</summary>
/// <param name="Time">When.</param>
/// <param name="Type">To what: container, image, network, volume.</param>
/// <param name="Action">What: create, start, die, destroy, …, in Docker's words.</param>
/// <param name="Id">Whose id (or name) it is.</param>
/// <param name="Attributes">What else is to be said: name, image, labels, exitCode.</param>
public sealed record StoreEvent(DateTimeOffset Time, string Type, string Action, string Id, ImmutableSortedDictionary<string, string> Attributes);

/// <summary>
/// What happened in a store: a line of JSON per event in containers/events.log, appended by whoever did it. At two megabytes the file becomes
/// events.log.1, whose predecessor goes: so it has an end, and a reader some thousands of events.
/// </summary>
public sealed class EventLog
{
    private const long MostBytes = 2 << 20;
    private readonly string _path;

    /// <summary>The log in a directory. Does no I/O.</summary>
    public EventLog(string directory) => _path = Path.Combine(directory, "events.log");

    /// <summary>The file of what happened lately.</summary>
    internal string FilePath => _path;

    /// <summary>The file of what happened before.</summary>
    internal string OlderPath => _path + ".1";

    /// <summary>Adds an event. A disk that is full, or a store that cannot be written to, keeps nobody from his work.</summary>
    internal void Append(StoreEvent happened)
    {
        byte[] line = [.. JsonFieldsWriter.Serialize(happened, Write), (byte)'\n'];
        try
        {
            Append(line);
        }
        catch (IOException)
        {
            // what happened has happened, whether it is noted or not
        }
    }

    // O_APPEND is not to be had from the base library: the lock keeps two writers apart, and the one who moves the file from both.
    private void Append(byte[] line)
    {
        var wait = new SpinWait(); // from its tenth turn on it sleeps a millisecond
        for (int tries = 0; tries < 1000; tries++)
        {
            using FileLock? held = FileLock.TryAcquire(_path, exclusive: true);
            if (held is null)
            {
                wait.SpinOnce();
                continue;
            }
            FileStatus mine = Files.GetStatus(held.Handle);
            if (FileSystems.TryGetStatus(_path) is not { } there || there.Inode != mine.Inode)
            {
                continue; // it was moved between open and lock
            }
            RandomAccess.Write(held.Handle, line, mine.Size);
            if (mine.Size + line.Length > MostBytes)
            {
                File.Move(_path, OlderPath, overwrite: true);
            }
            return;
        }
    }

    private static void Write(JsonFieldsWriter writer, StoreEvent happened)
    {
        writer.Field("time", (long?)Nanoseconds(happened.Time));
        writer.Field("type", happened.Type);
        writer.Field("action", happened.Action);
        writer.Field("id", happened.Id);
        writer.Field("attributes", happened.Attributes);
    }

    internal static long Nanoseconds(DateTimeOffset time) => (time.UtcTicks - DateTimeOffset.UnixEpoch.Ticks) * 100;

    /// <summary>Reads a line; null where it is not whole (the machine stopped while it was written).</summary>
    internal static StoreEvent? TryParse(ReadOnlySpan<byte> line)
    {
        try
        {
            JsonFields o = JsonFields.Parse(line);
            return new StoreEvent(new DateTimeOffset(DateTimeOffset.UnixEpoch.Ticks + o.Int64("time") / 100, TimeSpan.Zero), o.String("type"), o.String("action"), o.String("id"),
                o.MaybeMap("attributes") ?? ImmutableSortedDictionary<string, string>.Empty);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

public sealed partial class ContainerStore
{
    /// <summary>What happened here.</summary>
    public EventLog Events => field ??= new EventLog(_layout.Containers);

    /// <summary>The clock of events.</summary>
    internal TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Notes what happened to a container.</summary>
    internal void Note(string action, ContainerRecord record, int? exitCode = null, string? key = null, string? value = null)
    {
        ImmutableSortedDictionary<string, string> attributes = record.Labels.SetItem("name", record.Name).SetItem("image", record.Image);
        if (exitCode is { } code)
        {
            attributes = attributes.SetItem("exitCode", code.ToString(System.Globalization.CultureInfo.InvariantCulture));
        }
        if (key is not null)
        {
            attributes = attributes.SetItem(key, value ?? "");
        }
        Events.Append(new StoreEvent(Time.GetUtcNow(), "container", action, record.Id, attributes));
    }

    /// <summary>Notes a container's end, once for each start whoever sees it.</summary>
    internal void NoteEnd(ContainerRecord record, int? exitCode)
    {
        string mark = Path.Combine(DirectoryOf(record.Id), "ended");
        if (FileSystems.TryGetStatus(mark) is not null)
        {
            return;
        }
        try
        {
            using FileStream first = new(mark, FileMode.CreateNew, FileAccess.Write, FileShare.Read, bufferSize: 0);
        }
        catch (IOException)
        {
            return; // another has just noted it, or all of it is gone
        }
        Note("die", record, exitCode);
    }

    private string StoppedMark(string id) => Path.Combine(DirectoryOf(id), "stopped");

    /// <summary>Says that somebody stopped it: it is not started again by itself.</summary>
    internal void MarkStopped(string id)
    {
        if (Directory.Exists(DirectoryOf(id)))
        {
            AtomicFileMark(StoppedMark(id));
        }
    }

    private static void AtomicFileMark(string path)
    {
        using FileStream mark = new(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
    }

    /// <summary>Whether somebody stopped it since its last start.</summary>
    internal bool IsMarkedStopped(string id) => File.Exists(StoppedMark(id));

    /// <summary>Forgets that: somebody started it.</summary>
    internal void ClearStopped(string id) => File.Delete(StoppedMark(id));

    private string RestartFile(string id) => Path.Combine(DirectoryOf(id), "restarts");

    /// <summary>How often it was started again by itself since somebody started it.</summary>
    internal int ReadRestarts(string id)
        => Content.AtomicFile.TryRead(RestartFile(id)) is { } bytes && int.TryParse(Encoding.ASCII.GetString(bytes), out int count) ? count : 0;

    internal void WriteRestarts(string id, int count)
    {
        if (count == 0)
        {
            File.Delete(RestartFile(id));
            return;
        }
        Content.AtomicFile.Write(RestartFile(id), Encoding.ASCII.GetBytes(count.ToString(System.Globalization.CultureInfo.InvariantCulture)), durable: false);
    }
}
