using System.Globalization;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Strata.Layers;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Layers;

/// <summary>
/// What we list is what others extract: archives from a seed, whole and damaged, list as GNU tar and Python's tarfile list them, or are refused with
/// a reason. STRATA_LONG=1 reads ten times as many; STRATA_SEED=n reads the archives from n on.
/// </summary>
public sealed partial class ListingTests
{
    private const int BatchSize = 2_000;
    private const string Script = """
        import hashlib, os, sys, tarfile
        folder = sys.argv[1]
        for name in sorted(n for n in os.listdir(folder) if n.endswith('.tar')):
            print('A', name)
            try:
                with tarfile.open(os.path.join(folder, name), 'r:', encoding='utf-8', errors='surrogateescape') as tar:
                    for m in tar:
                        kind = '0' if m.isreg() else m.type.decode('latin-1')
                        data = hashlib.sha256(tar.extractfile(m).read()).hexdigest() if kind == '0' and m.size < 1 << 22 else ''
                        link = m.linkname if kind in '12' else ''
                        print('M', *[s.encode('utf-8', 'surrogateescape').hex() + '.' for s in (m.name, link)], kind, '%o' % (m.mode & 0o7777),
                              m.uid, m.gid, m.size if kind == '0' else 0, '%d:%d' % (m.devmajor, m.devminor) if kind in '34' else '-', repr(float(m.mtime)), data)
            except Exception as e:
                print('E', type(e).__name__, str(e).replace('\n', ' '))
        """;

    private static bool IsLong => Environment.GetEnvironmentVariable("STRATA_LONG") == "1";

    [Fact]
    public void What_we_list_is_what_GNU_tar_and_Python_list()
    {
        string python = ChildProcess.FindProgram("python3") ?? "";
        Assert.SkipUnless(python.Length > 0 && Run(python, "-c", "import tarfile").ExitCode == 0, "python3 with tarfile is not here: install libpython3-stdlib");
        int seed = int.Parse(Environment.GetEnvironmentVariable("STRATA_SEED") ?? "1", CultureInfo.InvariantCulture), end = seed + (IsLong ? 20_000 : 2_000);
        var refusals = new SortedDictionary<string, int>(StringComparer.Ordinal);
        var wrong = new List<string>();
        int accepted = 0;
        for (; seed < end; seed += BatchSize)
        {
            accepted += CompareBatch(python, seed, Math.Min(BatchSize, end - seed), wrong, refusals);
        }
        int refused = refusals.Values.Sum();
        TestContext.Current.SendDiagnosticMessage("{0} archives listed, {1} refused:\n{2}", accepted, refused, string.Join('\n', refusals.Select(r => $"{r.Value,6} {r.Key}")));
        Assert.True(wrong.Count == 0, $"{wrong.Count} archives differ:\n{string.Join('\n', wrong.Take(30))}");
        Assert.True(accepted > refused / 2 && refused > accepted / 10, $"{accepted} listed, {refused} refused: the generator has lost its balance");
    }

    private static int CompareBatch(string python, int first, int count, List<string> wrong, SortedDictionary<string, int> refusals)
    {
        string folder = Directory.CreateTempSubdirectory("strata-listing-").FullName;
        try
        {
            var ours = new SortedDictionary<string, List<Listed>>(StringComparer.Ordinal);
            for (int seed = first; seed < first + count; seed++)
            {
                byte[] tar = new TarFuzz(seed).Make();
                string name = seed.ToString("D8", CultureInfo.InvariantCulture) + ".tar";
                try
                {
                    if (tar.Length == 0)
                    {
                        continue; // an empty layer to us and to Docker; GNU tar and Python say that it is no archive
                    }
                    ours[name] = List(tar);
                    File.WriteAllBytes(Path.Combine(folder, name), tar);
                }
                catch (StrataException e) when (e.Kind is ErrorKind.Corrupt or ErrorKind.Invalid && e.Message.StartsWith("layer: ", StringComparison.Ordinal))
                {
                    Count(refusals, e);
                }
                catch (InvalidDataException e)
                {
                    Count(refusals, e); // content that breaks off
                }
            }
            Dictionary<string, List<Listed>> pythons = ListByPython(python, folder), gnus = ListByGnu(folder);
            foreach ((string name, List<Listed> mine) in ours)
            {
                string? difference = Difference(mine, pythons.GetValueOrDefault(name) ?? [], "Python") ?? Difference(mine, gnus.GetValueOrDefault(name) ?? [], "GNU tar");
                wrong.AddRange(difference is null ? [] : [$"seed {name[..8]}: {difference}"]);
            }
            return ours.Count;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Count(SortedDictionary<string, int> refusals, Exception e)
    {
        string reason = NameOrNumber().Replace(e.Message, "");
        refusals[reason] = refusals.GetValueOrDefault(reason) + 1;
    }

    private static List<Listed> List(byte[] tar)
    {
        using var blob = new MemoryStream(tar);
        using var reader = new LayerReader(blob);
        var entries = new List<Listed>();
        while (reader.Read() is { } entry)
        {
            entries.Add(Describe(entry, reader));
        }
        return entries;
    }

    private static Listed Describe(LayerEntry entry, LayerReader reader)
    {
        if (entry is not NodeEntry node)
        {
            // Others know no whiteouts: only the name is the same.
            return new Listed(entry is OpaqueEntry ? Whiteouts.OpaqueOf(entry.Path) : Whiteouts.WhiteoutOf(entry.Path), "w", "", 0, 0, 0, 0, "-", 0, "");
        }
        (string kind, string link, long size, string device, string data) = node switch
        {
            DirectoryEntry => ("5", "", 0, "-", ""),
            FileEntry file => ("0", "", file.Size, "-", Convert.ToHexStringLower(SHA256.HashData(reader.Content))),
            SymbolicLinkEntry symbolic => ("2", symbolic.Target, 0, "-", ""),
            HardLinkEntry hard => ("1", hard.Target, 0, "-", ""),
            DeviceEntry { Kind: FileKind.Fifo } => ("6", "", 0, "-", ""),
            DeviceEntry special => (special.Kind == FileKind.BlockDevice ? "4" : "3", "", 0L, $"{special.Major}:{special.Minor}", ""),
            _ => throw new System.Diagnostics.UnreachableException(entry.ToString()),
        };
        EntryMetadata metadata = node.Metadata;
        return new Listed(entry.Path, kind, link, metadata.Mode, metadata.Uid, metadata.Gid, size, device, metadata.Modified.Seconds + (metadata.Modified.Nanoseconds / 1e9), data);
    }

    private static string? Difference(List<Listed> mine, List<Listed> theirs, string program)
    {
        List<Listed> known = [.. theirs.Where(t => !IsBookkeeping(t.Path))];
        for (int i = 0; i < Math.Max(mine.Count, known.Count); i++)
        {
            if (i >= mine.Count || i >= known.Count || !mine[i].IsSame(known[i]))
            {
                return $"entry {i + 1}: {(i < mine.Count ? mine[i] : "none")}\n    {program}: {(i < known.Count ? known[i] : "none")}";
            }
        }
        return null;
    }

    // AUFS' own files mean nothing to a layer.
    private static bool IsBookkeeping(string path)
    {
        string[] parts = path.Split('/');
        return parts.Where((p, i) => p.StartsWith(".wh..wh.", StringComparison.Ordinal) && !(p == Whiteouts.Opaque && i == parts.Length - 1)).Any();
    }

    private static Dictionary<string, List<Listed>> ListByPython(string python, string folder)
    {
        string script = Path.Combine(folder, "list.py");
        File.WriteAllText(script, Script);
        var all = new Dictionary<string, List<Listed>>(StringComparer.Ordinal);
        string output = Path.Combine(folder, "python");
        Assert.Equal(0, Run("/bin/sh", "-c", "\"$1\" -I \"$2\" \"$3\" > \"$4\"", "sh", python, script, folder, output).ExitCode);
        string at = "";
        foreach (string[] fields in File.ReadLines(output).Select(l => l.Split(' ')))
        {
            if (fields[0] == "A")
            {
                all[at = fields[1]] = [];
            }
            else if (fields[0] == "E")
            {
                all[at].Add(new Listed(string.Join(' ', fields), "E", "", 0, 0, 0, 0, "-", 0, ""));
            }
            else
            {
                string path = LinuxPath.Decode(Convert.FromHexString(fields[1][..^1])), link = LinuxPath.Decode(Convert.FromHexString(fields[2][..^1]));
                string kind = fields[3] == "0" && path.EndsWith('/') ? "5" : fields[3]; // a file with a slash behind it, of type 0: GNU tar and we see what was meant
                all[at].Add(new Listed(Clean(path), kind, kind == "1" ? Clean(link) : link, Convert.ToInt32(fields[4], 8), long.Parse(fields[5], CultureInfo.InvariantCulture),
                    long.Parse(fields[6], CultureInfo.InvariantCulture), long.Parse(fields[7], CultureInfo.InvariantCulture), fields[8], double.Parse(fields[9], CultureInfo.InvariantCulture), kind == "0" ? fields[10] : ""));
            }
        }
        return all;
    }

    private static Dictionary<string, List<Listed>> ListByGnu(string folder)
    {
        // One shell for all of them: the archives are thousands.
        const string Loop = "cd \"$1\" && for f in *.tar; do LC_ALL=C TZ=UTC tar -tv --numeric-owner --full-time --quoting-style=c -f $f > $f.gnu 2> $f.err || echo E $? >> $f.gnu; done";
        Run("/bin/sh", "-c", Loop, "sh", folder);
        var all = new Dictionary<string, List<Listed>>(StringComparer.Ordinal);
        foreach (string file in Directory.GetFiles(folder, "*.gnu"))
        {
            string[] lines = File.ReadAllLines(file);
            all[Path.GetFileNameWithoutExtension(file)] = [.. lines.Select(l => FromGnu(l) ?? new Listed($"{l} {File.ReadAllText(file.Replace(".gnu", ".err", StringComparison.Ordinal)).Trim()}", "E", "", 0, 0, 0, 0, "-", 0, ""))];
        }
        return all;
    }

    private static Listed? FromGnu(string line)
    {
        Match match = GnuLine().Match(line);
        if (!match.Success)
        {
            return null;
        }
        string Group(string name) => match.Groups[name].Value;
        string kind = Group("mode")[0] switch { '-' or 'C' => "0", 'd' => "5", 'l' => "2", 'h' => "1", 'c' => "3", 'b' => "4", 'p' => "6", char c => c.ToString() };
        string size = Group("size"), link = Unquote(Group("link"));
        bool isDevice = kind is "3" or "4";
        double? time = DateTime.TryParseExact(Group("time"), ["yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd HH:mm:ss.FFFFFFF"], CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out DateTime date)
            ? SecondsOf(date) : null;
        return new Listed(Clean(Unquote(Group("name"))), kind, kind == "1" ? Clean(link) : link, ModeOf(Group("mode")), long.Parse(Group("uid"), CultureInfo.InvariantCulture), long.Parse(Group("gid"), CultureInfo.InvariantCulture),
            isDevice || kind != "0" ? 0 : long.Parse(size, CultureInfo.InvariantCulture), isDevice ? size.Replace(',', ':') : "-", time, null);
    }

    // Before 1970 GNU tar prints the second above, and how far below it the time is.
    private static double SecondsOf(DateTime date)
    {
        double seconds = (date - DateTime.UnixEpoch).TotalSeconds, whole = Math.Floor(seconds);
        return seconds < 0 ? whole - (seconds - whole) : seconds;
    }

    private static int ModeOf(string text)
    {
        int mode = 0;
        for (int i = 0; i < 9; i++)
        {
            char c = text[i + 1];
            mode |= c is 'r' or 'w' or 'x' or 's' or 't' ? 1 << (8 - i) : 0;
            mode |= c is 's' or 'S' or 't' or 'T' ? 1 << (9 + (2 - (i / 3))) : 0;
        }
        return mode;
    }

    // C's quoting: \n and the like, other bytes in octal.
    private static string Unquote(string text)
    {
        var bytes = new List<byte>(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\')
            {
                bytes.Add((byte)text[i]);
                continue;
            }
            i++;
            int letter = "abtnvfr".IndexOf(text[i], StringComparison.Ordinal);
            if (char.IsAsciiDigit(text[i]))
            {
                bytes.Add(Convert.ToByte(text.Substring(i, 3), 8));
                i += 2;
            }
            else
            {
                bytes.Add(letter >= 0 ? "\a\b\t\n\v\f\r"u8[letter] : (byte)text[i]);
            }
        }
        return LinuxPath.Decode([.. bytes]);
    }

    private static string Clean(string path) => string.Join('/', path.Split('/').Where(p => p is not ("" or ".")));

    private static ChildResult Run(string program, params string[] arguments) => ChildProcess.Run(new ChildStart { Program = program, Arguments = arguments });

    [GeneratedRegex("^(?<mode>.{10}) (?<uid>-?[0-9]+)/(?<gid>-?[0-9]+) +(?<size>[0-9]+(,[0-9]+)?) (?<time>[0-9-]+ [0-9:.]+) +\"(?<name>([^\"\\\\]|\\\\.)*)\"( (->|link to) \"(?<link>([^\"\\\\]|\\\\.)*)\")?$")]
    private static partial Regex GnuLine();

    [GeneratedRegex("(entry [0-9]+:? ?)|(«.*?»: )|(\\([^)]*\\))", RegexOptions.Singleline)]
    private static partial Regex NameOrNumber();

    /// <summary>An entry as somebody lists it; null where they do not say.</summary>
    private sealed record Listed(string Path, string Kind, string Link, int Mode, long Uid, long Gid, long Size, string Device, double? Time, string? Data)
    {
        internal bool IsSame(Listed theirs)
            => Path == theirs.Path && (Kind == "w" ? theirs.Kind != "E" : this with { Time = null, Data = null } == theirs with { Time = null, Data = null })
            && (Kind == "w" || theirs.Time is not { } time || Math.Abs(Time!.Value - time) < 1e-3)
            && (Kind == "w" || theirs.Data is null || theirs.Data == Data);
    }
}
