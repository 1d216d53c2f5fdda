using System.Security.Cryptography;
using System.Text.Json;
using Strata.Layers;
using Strata.Linux;
using Xunit;

namespace Strata.Tests.Layers;

/// <summary>The odd archives that other projects collected: each lists as Go's archive/tar lists it, or is refused for a reason that stands here.</summary>
public sealed class SuiteTests
{
    // Archives of the suite that are refused, by the end of their name.
    private static readonly Dictionary<string, string> s_refused = new()
    {
        // Go refuses them too.
        ["issue10968.tar"] = "the header's checksum is wrong",
        ["issue11169.tar"] = "the header's checksum is wrong",
        ["bad-cksum.tar"] = "the header's checksum is wrong",
        ["issue12435.tar"] = "the header's size is no number",
        ["neg-size.tar"] = "is no number",
        ["neg-size.tar.base64"] = "is no number",
        ["pax-bad-hdr-file.tar"] = "a PAX record's length is wrong",
        ["pax-bad-mtime-file.tar"] = "the PAX record mtime is no time",
        ["pax-nul-path.tar"] = "the name has a NUL",
        ["pax-nul-xattrs.tar"] = "a PAX record's key has a NUL",
        ["writer-big.tar"] = "the archive is cut inside a file",
        ["writer-big-long.tar"] = "the archive is cut inside a file",
        ["writer-big-long.tar.base64"] = "the archive is cut inside a file",
        // Programs read them differently.
        ["gnu-multi-hdrs.tar"] = "two extended headers disagree about the name", // Go: the last, Python: the first
        ["pax-multi-hdrs.tar"] = "a second PAX header for one entry", // Go: the last, Python: both
        ["hdr-only.tar"] = "a directory with a size", // GNU tar passes over so many bytes, Go does not
        ["invalid-go17.tar"] = "a name prefix in a header that is not ustar", // GNU tar: foo, Go and Python: aaa…/foo
        ["pax-global-records.tar"] = "a global header may not set path", // GNU tar and Python give it to all entries, Go to none
        ["node-tar__global-header.tar"] = "a global header may not set path",
        ["pax-pos-size-file.tar"] = "its headers disagree about the size (999 and 684 bytes)",
        ["tar-rs__pax_size.tar"] = "its headers disagree about the size (4 and 0 bytes)",
        // They mean nothing in a layer.
        ["gnu-incremental.tar"] = "entries of type 'D' are not known", // what a backup found, with data
        ["links-invalid.tar"] = "a hard link with no target",
        ["path-missing.tar"] = "the root must be a directory", // a file without a name
        ["pax-path-hdr.tar"] = "the archive ends behind an extended header",
    };

    // Where peers differ: whether we take it.
    private static readonly Dictionary<string, bool> s_ourChoice = new()
    {
        ["gzip-under-plain-type"] = true,
        ["plain-under-gzip-type"] = true,
        ["zstd-under-gzip-type"] = true,
        ["gzip-bomb-200MB"] = true,
        ["truncated-tar"] = false,
        ["zero-byte-tar"] = true,
    };

    [Fact]
    public void Every_archive_lists_as_in_Go_or_is_refused_for_a_reason()
    {
        string tars = Suites.File("tars");
        var wrong = new List<string>();
        int read = 0, refused = 0;
        foreach (string listing in Directory.GetFiles(Path.Combine(tars, "expected-go-listing")).Order(StringComparer.Ordinal))
        {
            string name = Path.GetFileNameWithoutExtension(listing);
            string file = Path.Combine(tars, name.Replace("dotnet__", "", StringComparison.Ordinal).Replace("__", "/", StringComparison.Ordinal));
            if (!File.Exists(file) || file.EndsWith(".bz2", StringComparison.Ordinal))
            {
                continue; // of some the suite has only the listing; no layer is compressed with bzip2
            }
            using JsonDocument expected = JsonDocument.Parse(File.ReadAllBytes(listing));
            string? reason = s_refused.FirstOrDefault(r => name.EndsWith(r.Key, StringComparison.Ordinal)).Value;
            try
            {
                string? difference = Compare(Load(file), expected.RootElement);
                read++;
                wrong.AddRange(difference is null ? [] : [$"{name}: {difference}"]);
                wrong.AddRange(reason is not null ? [$"{name}: not refused ({reason})"] : expected.RootElement.TryGetProperty("error", out _) ? [$"{name}: Go refuses it"] : []);
            }
            catch (StrataException e)
            {
                refused++;
                wrong.AddRange(reason is null || !e.Message.Contains(reason, StringComparison.Ordinal) ? [$"{name}: {e.Message}"] : []);
            }
        }
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.True(read > 180 && refused > 20, $"{read} read, {refused} refused");
    }

    [Fact]
    public void Every_compressed_layer_is_taken_or_refused_as_expected()
    {
        string folder = Suites.File("images", "compress");
        using JsonDocument expectations = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "expect.json")));
        var wrong = new List<string>();
        foreach (JsonProperty expected in expectations.RootElement.EnumerateObject())
        {
            bool accept = expected.Value.GetString() switch
            {
                "accept" => true,
                "reject" => false,
                _ => s_ourChoice[expected.Name],
            };
            string? problem = ReadLayout(Path.Combine(folder, expected.Name + ".tar"));
            wrong.AddRange(accept == problem is null ? [] : [$"{expected.Name}: {problem ?? "taken"}"]);
        }
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
    }

    // Null where every layer of the layout reads and has the diff ID its config states.
    private static string? ReadLayout(string path)
    {
        var blobs = RawTar.Read(File.ReadAllBytes(path)).ToDictionary(e => e.Entry.Path, e => e.Content);
        JsonElement Document(string digest) => JsonDocument.Parse(blobs["blobs/sha256/" + digest["sha256:".Length..]]).RootElement;
        JsonElement manifest = Document(JsonDocument.Parse(blobs["index.json"]).RootElement.GetProperty("manifests")[0].GetProperty("digest").GetString()!);
        JsonElement diffIds = Document(manifest.GetProperty("config").GetProperty("digest").GetString()!).GetProperty("rootfs").GetProperty("diff_ids");
        int at = 0;
        foreach (JsonElement layer in manifest.GetProperty("layers").EnumerateArray())
        {
            try
            {
                using var blob = new MemoryStream(blobs["blobs/sha256/" + layer.GetProperty("digest").GetString()!["sha256:".Length..]]);
                RawTar.Read(blob, null, out string diffId);
                if (diffId != diffIds[at++].GetString())
                {
                    return "another diff ID";
                }
            }
            catch (StrataException e)
            {
                return e.Message;
            }
        }
        return null;
    }

    private static byte[] Load(string file)
        => file.EndsWith(".base64", StringComparison.Ordinal) ? Convert.FromBase64String(File.ReadAllText(file)) : File.ReadAllBytes(file);

    private static string? Compare(byte[] blob, JsonElement expected)
    {
        JsonElement list = expected.GetProperty("entries");
        JsonElement[] entries = list.ValueKind == JsonValueKind.Null ? [] : [.. list.EnumerateArray().Where(e => e.GetProperty("type").GetString() != "g")];
        using var stream = new MemoryStream(blob);
        using var reader = new LayerReader(stream, new LayerLimits { MaxHoleBytes = 1L << 40 });
        int at = 0;
        while (reader.Read() is { } entry)
        {
            if (at == entries.Length)
            {
                return $"{entry.Path} is one more than Go lists";
            }
            string ours = Describe(reader, (NodeEntry)entry), theirs = Describe(entries[at++], entry is DirectoryEntry);
            if (ours != theirs)
            {
                return $"{ours}, but Go: {theirs}";
            }
        }
        return at == entries.Length ? null : $"{at} of {entries.Length} entries";
    }

    private static string Describe(LayerReader reader, NodeEntry entry)
    {
        EntryMetadata metadata = entry.Metadata;
        string what = entry switch
        {
            DirectoryEntry => "5",
            FileEntry file => $"0 {file.Size} {(file.Size > 1 << 26 ? "" : Convert.ToHexStringLower(SHA256.HashData(reader.Content)))}",
            SymbolicLinkEntry link => "2 -> " + link.Target,
            HardLinkEntry link => "1 -> " + link.Target,
            DeviceEntry { Kind: FileKind.Fifo } => "6",
            DeviceEntry device => $"{(device.Kind == FileKind.BlockDevice ? 4 : 3)} {device.Major}:{device.Minor}",
            _ => "?",
        };
        string xattrs = string.Join(' ', metadata.Xattrs.Select(x => $"{x.Key}={LinuxPath.Decode(x.Value.AsSpan())}"));
        return Replaced($"{entry.Path} {Convert.ToString(metadata.Mode, 8)} {metadata.Uid}:{metadata.Gid} {metadata.Modified.Seconds * (Int128)1_000_000_000 + metadata.Modified.Nanoseconds} {what} {xattrs}");
    }

    private static string Describe(JsonElement entry, bool isDirectory)
    {
        string type = entry.GetProperty("type").GetString() switch { "7" or "S" or "\0" => "0", var t => t! };
        type = type == "0" && isDirectory && entry.GetProperty("name").GetString()!.EndsWith('/') ? "5" : type; // Go leaves it a file
        string what = type switch
        {
            "0" => $"0 {entry.GetProperty("size")} {(entry.GetProperty("size").GetInt64() > 1 << 26 ? "" : entry.GetProperty("sha256"))}",
            "1" or "2" => $"{type} -> {(type == "1" ? Clean(entry.GetProperty("link").GetString()!) : entry.GetProperty("link"))}",
            "3" or "4" => $"{type} {(entry.TryGetProperty("dev", out JsonElement dev) ? dev.GetString() : "0:0")}",
            _ => type,
        };
        IEnumerable<string> xattrs = entry.TryGetProperty("pax", out JsonElement pax)
            ? pax.EnumerateObject().Where(r => r.Name.StartsWith("SCHILY.xattr.", StringComparison.Ordinal)).OrderBy(r => r.Name, StringComparer.Ordinal).Select(r => $"{r.Name["SCHILY.xattr.".Length..]}={r.Value}")
            : [];
        string mode = Convert.ToString(Convert.ToInt32(entry.GetProperty("mode").GetString(), 8) & 0xFFF, 8);
        return $"{Clean(entry.GetProperty("name").GetString()!)} {mode} {entry.GetProperty("uid")}:{entry.GetProperty("gid")} {entry.GetProperty("mtime")} {what} {string.Join(' ', xattrs)}";
    }

    private static string Clean(string path) => string.Join('/', path.Split('/').Where(p => p is not ("" or ".")));

    // Go's JSON has U+FFFD for what is not UTF-8.
    private static string Replaced(string text) => string.Concat(text.Select(c => c is >= '\uDC80' and <= '\uDCFF' ? '\uFFFD' : c));
}
