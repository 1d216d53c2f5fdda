using System.Buffers;
using System.Collections.Immutable;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Strata.Oci;

/// <summary>Writes a document field by field; what is null is left out.</summary>
internal static class JsonFieldsWriter
{
    // '+' stays '+', as other tools write it, so that equal content gets equal digests.
    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = OciJson.MaxDepth, SkipValidation = true };

    /// <summary>The compact bytes of one object whose fields <paramref name="write"/> writes.</summary>
    internal static byte[] Serialize<T>(T value, Action<Utf8JsonWriter, T> write) where T : class
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var writer = new Utf8JsonWriter(buffer, s_options))
        {
            writer.WriteStartObject();
            write(writer, value);
            writer.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    internal static void Field(this Utf8JsonWriter writer, string name, string? value)
    {
        if (value is not null)
        {
            writer.WriteString(name, value);
        }
    }

    internal static void Field(this Utf8JsonWriter writer, string name, long? value)
    {
        if (value is { } number)
        {
            writer.WriteNumber(name, number);
        }
    }

    internal static void Field(this Utf8JsonWriter writer, string name, ulong? value)
    {
        if (value is { } number)
        {
            writer.WriteNumber(name, number);
        }
    }

    internal static void Field(this Utf8JsonWriter writer, string name, bool? value)
    {
        if (value is { } flag)
        {
            writer.WriteBoolean(name, flag);
        }
    }

    internal static void Field(this Utf8JsonWriter writer, string name, Digest? value) => writer.Field(name, value?.ToString());

    internal static void Field(this Utf8JsonWriter writer, string name, DateTimeOffset? value) => writer.Field(name, Timestamps.Format(value));

    internal static void Field(this Utf8JsonWriter writer, string name, ImmutableArray<string>? values)
    {
        if (values is { IsDefault: false } items)
        {
            writer.WriteStartArray(name);
            foreach (string item in items)
            {
                writer.WriteStringValue(item);
            }
            writer.WriteEndArray();
        }
    }

    internal static void Field(this Utf8JsonWriter writer, string name, byte[][] values)
    {
        writer.WriteStartArray(name);
        foreach (byte[] item in values)
        {
            writer.WriteBase64StringValue(item);
        }
        writer.WriteEndArray();
    }

    internal static void Field(this Utf8JsonWriter writer, string name, ImmutableSortedDictionary<string, string>? values)
    {
        if (values is not null)
        {
            writer.WriteStartObject(name);
            foreach ((string key, string value) in values)
            {
                writer.WriteString(key, value);
            }
            writer.WriteEndObject();
        }
    }

    internal static void Field(this Utf8JsonWriter writer, string name, ImmutableSortedDictionary<string, EmptyObject>? values)
    {
        if (values is not null)
        {
            writer.WriteStartObject(name);
            foreach (string key in values.Keys)
            {
                writer.WriteStartObject(key);
                writer.WriteEndObject();
            }
            writer.WriteEndObject();
        }
    }

    internal static void Object<T>(this Utf8JsonWriter writer, string name, T? value, Action<Utf8JsonWriter, T> write) where T : class
    {
        if (value is not null)
        {
            writer.WriteStartObject(name);
            write(writer, value);
            writer.WriteEndObject();
        }
    }

    internal static void Objects<T>(this Utf8JsonWriter writer, string name, ImmutableArray<T> values, Action<Utf8JsonWriter, T> write) where T : class
    {
        writer.WriteStartArray(name);
        foreach (T item in values.IsDefault ? [] : values)
        {
            writer.WriteStartObject();
            write(writer, item);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    /// <summary>Fields that were read and not understood, as they were.</summary>
    internal static void Others(this Utf8JsonWriter writer, Dictionary<string, JsonElement>? values)
    {
        foreach ((string name, JsonElement value) in values ?? [])
        {
            writer.WritePropertyName(name);
            value.WriteTo(writer);
        }
    }
}
