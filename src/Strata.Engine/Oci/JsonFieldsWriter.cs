using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Strata.Oci;

/// <summary>
/// Writes a document field by field; what is null is left out. The bytes are those of Utf8JsonWriter with JavaScriptEncoder.UnsafeRelaxedJsonEscaping, which is
/// asked where a text has more than ASCII in it: to load the two takes longer than a short command writes.
/// </summary>
internal sealed class JsonFieldsWriter
{
    private const char FirstPlain = ' ', LastPlain = '~';
    private const int MostDigits = 20;

    // '+' stays '+', as other tools write it, so that equal content gets equal digests.
    private static JsonWriterOptions Options => new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = OciJson.MaxDepth, SkipValidation = true };

    private readonly ByteBuffer _bytes = new(512);
    private bool _isBehindValue; // a comma comes before the next

    /// <summary>The compact bytes of one object whose fields <paramref name="write"/> writes.</summary>
    internal static byte[] Serialize<T>(T value, Action<JsonFieldsWriter, T> write) where T : class
    {
        var writer = new JsonFieldsWriter();
        writer.WriteStartObject();
        write(writer, value);
        writer.WriteEndObject();
        return writer._bytes.Written.ToArray();
    }

    internal void Field(string name, string? value)
    {
        if (value is not null)
        {
            WriteString(name, value);
        }
    }

    internal void Field(string name, long? value)
    {
        if (value is { } number)
        {
            WritePropertyName(name);
            WriteNumberValue(number);
        }
    }

    internal void Field(string name, ulong? value)
    {
        if (value is { } number)
        {
            WritePropertyName(name);
            WriteNumberValue(number);
        }
    }

    internal void Field(string name, bool? value)
    {
        if (value is { } flag)
        {
            WritePropertyName(name);
            WriteWord(flag ? "true"u8 : "false"u8);
        }
    }

    internal void Field(string name, Digest? value) => Field(name, value?.ToString());

    internal void Field(string name, DateTimeOffset? value) => Field(name, Timestamps.Format(value));

    internal void Field(string name, ImmutableArray<string>? values)
    {
        if (values is { IsDefault: false } items)
        {
            WriteStartArray(name);
            foreach (string item in items)
            {
                WriteStringValue(item);
            }
            WriteEndArray();
        }
    }

    internal void Field(string name, byte[][] values)
    {
        WriteStartArray(name);
        foreach (byte[] item in values)
        {
            WriteStringValue(Convert.ToBase64String(item));
        }
        WriteEndArray();
    }

    internal void Field(string name, ImmutableSortedDictionary<string, string>? values)
    {
        if (values is not null)
        {
            WriteStartObject(name);
            foreach ((string key, string value) in values)
            {
                WriteString(key, value);
            }
            WriteEndObject();
        }
    }

    internal void Field(string name, ImmutableSortedDictionary<string, EmptyObject>? values)
    {
        if (values is not null)
        {
            WriteStartObject(name);
            foreach (string key in values.Keys)
            {
                WriteStartObject(key);
                WriteEndObject();
            }
            WriteEndObject();
        }
    }

    internal void Object<T>(string name, T? value, Action<JsonFieldsWriter, T> write) where T : class
    {
        if (value is not null)
        {
            WriteStartObject(name);
            write(this, value);
            WriteEndObject();
        }
    }

    internal void Objects<T>(string name, ImmutableArray<T> values, Action<JsonFieldsWriter, T> write) where T : class
    {
        WriteStartArray(name);
        foreach (T item in values.IsDefault ? [] : values)
        {
            WriteStartObject();
            write(this, item);
            WriteEndObject();
        }
        WriteEndArray();
    }

    /// <summary>Fields that were read and not understood, as they were.</summary>
    internal void Others(Dictionary<string, JsonElement>? values)
    {
        if (values is not null)
        {
            WriteOthers(values);
        }
    }

    private void WriteOthers(Dictionary<string, JsonElement> values)
    {
        foreach ((string name, JsonElement value) in values)
        {
            WritePropertyName(name);
            BeginValue();
            var bytes = new ArrayBufferWriter<byte>();
            using (var element = new Utf8JsonWriter(bytes, Options))
            {
                value.WriteTo(element);
            }
            _bytes.Write(bytes.WrittenSpan);
        }
    }

    internal void WriteStartObject(string? name = null) => Open(name, (byte)'{');

    internal void WriteEndObject() => Close((byte)'}');

    internal void WriteStartArray(string? name = null) => Open(name, (byte)'[');

    internal void WriteEndArray() => Close((byte)']');

    internal void WriteString(string name, string value)
    {
        WritePropertyName(name);
        WriteStringValue(value);
    }

    internal void WriteStringValue(string value)
    {
        BeginValue();
        WriteText(value);
    }

    internal void WriteNumberValue(long value) => WriteNumber(value);

    internal void WriteNumberValue(ulong value) => WriteNumber(value);

    internal void WritePropertyName(string name)
    {
        BeginValue();
        WriteText(name);
        Put((byte)':');
        _isBehindValue = false;
    }

    private void WriteNumber<T>(T value) where T : struct, IUtf8SpanFormattable
    {
        BeginValue();
        value.TryFormat(_bytes.GetSpan(MostDigits), out int written, default, CultureInfo.InvariantCulture);
        _bytes.Advance(written);
    }

    private void WriteWord(ReadOnlySpan<byte> word)
    {
        BeginValue();
        _bytes.Write(word);
    }

    private void Open(string? name, byte bracket)
    {
        if (name is not null)
        {
            WritePropertyName(name);
        }
        BeginValue();
        Put(bracket);
        _isBehindValue = false;
    }

    private void Close(byte bracket)
    {
        Put(bracket);
        _isBehindValue = true;
    }

    private void BeginValue()
    {
        if (_isBehindValue)
        {
            Put((byte)',');
        }
        _isBehindValue = true;
    }

    private void Put(byte character)
    {
        _bytes.GetSpan(1)[0] = character;
        _bytes.Advance(1);
    }

    private void WriteText(string text)
    {
        Span<byte> place = _bytes.GetSpan((text.Length * 2) + 2);
        int end = 0;
        place[end++] = (byte)'"';
        foreach (char character in text)
        {
            if (character is < FirstPlain or > LastPlain)
            {
                WriteOdd(text);
                return;
            }
            if (character is '"' or '\\')
            {
                place[end++] = (byte)'\\';
            }
            place[end++] = (byte)character;
        }
        place[end++] = (byte)'"';
        _bytes.Advance(end);
    }

    private void WriteOdd(string text)
    {
        Put((byte)'"');
        _bytes.Write(Encoding.UTF8.GetBytes(JavaScriptEncoder.UnsafeRelaxedJsonEscaping.Encode(text)));
        Put((byte)'"');
    }
}
