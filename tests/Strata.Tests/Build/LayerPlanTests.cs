using Strata.Build;
using Strata.Layers;
using Strata.Linux;
using Strata.Snapshots;
using Xunit;

namespace Strata.Tests.Build;

/// <summary>A copy that is written as a layer without a file system to write to.</summary>
public sealed class LayerPlanTests : IDisposable
{
    private static readonly FileTime s_below = new(1_500_000_000, 0), s_source = new(1_600_000_000, 0), s_made = new(1_700_000_000, 0);
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-plan-").FullName;
    private readonly RootedDirectory _root, _from;

    public LayerPlanTests()
    {
        _root = RootedDirectory.Open(_folder);
        _root.CreateDirectory("below", 0b111_101_101);
        _root.CreateDirectory("from", 0b111_101_101);
        _from = _root.OpenDirectory("from");
    }

    public void Dispose()
    {
        _from.Dispose();
        _root.Dispose();
        FileSystems.RemoveTree(_folder);
    }

    // What is below, what is copied, where to; and what the layer has then.
    [Theory]
    [InlineData("app/", "a", "/app/", "app/ @below|app/a @source")]
    [InlineData("app/|app/a", "a", "/app/a", "app/ @below|app/a @source")]
    [InlineData("", "a", "/x/y/", "x/ @made|x/y/ @made|x/y/a @source")]
    [InlineData("usr/|usr/bin/|bin->usr/bin", "a", "/bin/", "usr/ @below|usr/bin/ @below|usr/bin/a @source")]
    [InlineData("usr/|usr/bin/|bin->/usr/bin", "a", "/bin/a", "usr/ @below|usr/bin/ @below|usr/bin/a @source")]
    [InlineData("etc/|link->../../etc/name", "a", "/link", "etc/ @below|etc/name @source")]
    [InlineData("etc/|etc/real|link->etc/real", "a", "/link", "etc/ @below|etc/real @source")]
    [InlineData("d/|d/sub", "d/sub/f", "/", "d/ @source|d/sub/ @source|d/sub/f @source")]
    [InlineData("d/|d/sub/|d/sub/old", "d/sub/f", "/", "d/ @source|d/sub/ @source|d/sub/f @source")]
    [InlineData("d/|d/sub->../else|else/", "d/sub/f", "/", "d/ @source|else/ @source|else/f @source")]
    [InlineData("full/", "empty/", "/full/", "full/ @below")]
    public void The_layer_has_what_a_copy_changes_and_what_leads_there(string below, string source, string destination, string expected)
    {
        foreach (string path in below.Split('|', StringSplitOptions.RemoveEmptyEntries))
        {
            Make("below", path);
        }
        Make("from", source);
        string top = source.Split('/')[0];
        // A directory is copied as what is in the context, a file by its name.
        string shown = source.Contains('/', StringComparison.Ordinal) && !source.EndsWith('/') ? "" : top;
        Assert.Equal(expected.Split('|'), Copy(shown, destination));
    }

    [Fact]
    public void Names_of_one_file_stay_that_and_one_that_is_replaced_does_not()
    {
        Make("from", "one");
        _root.CreateHardLink("from/two", "from/one");
        _root.CreateHardLink("from/zero", "from/one");
        Assert.Equal(["one @source", "two = one", "zero = one"], Copy("", "/"));
    }

    [Fact]
    public void What_is_taken_away_and_not_replaced_is_a_whiteout_where_something_was_below()
    {
        Make("below", "d/");
        Make("below", "d/gone");
        Assert.Equal(["d/ @below", "d/gone deleted"], Write(plan =>
        {
            plan.Remove("d/gone");
            plan.PutBytes("d/mine", "x"u8, new EntryMetadata(0, 0, 0, s_made));
            plan.Remove("d/mine");
            Assert.Null(plan.TryGetStatus("d/gone", follow: false));
        }));
    }

    [Fact]
    public void Of_a_file_that_two_sources_have_the_later_one_is_in_the_layer()
    {
        Make("from", "d1/same");
        Make("from", "d2/same");
        File.WriteAllText(Path.Combine(_folder, "from/d2/same"), "later");
        LayerEntry same = Assert.Single(Entries(plan => Copier(plan).Copy(CopySelection.Find(new TreeWalker(_from, null), ["d*"], parents: false), "/new/", parents: false, TestContext.Current.CancellationToken), null), e => e.Path == "new/same");
        Assert.Equal("later".Length, Assert.IsType<FileEntry>(same).Size);
    }

    [Fact]
    public void Nothing_copied_is_no_layer()
    {
        Make("from", "empty/");
        Assert.Empty(Copy("empty", "/"));
    }

    [Fact]
    public void No_time_is_later_than_the_one_that_is_asked_for()
    {
        Make("below", "d/");
        Make("from", "a");
        var clamp = new FileTime(1_550_000_000, 0);
        Assert.Equal([1_500_000_000L, 1_550_000_000L], Entries(plan => Copier(plan).Copy(Find("a"), "/d/", parents: false, TestContext.Current.CancellationToken), clamp).Select(e => ((NodeEntry)e).Metadata.Modified.Seconds));
    }

    [Fact]
    public void Owners_modes_and_contents_are_those_of_the_copy()
    {
        Make("from", "a");
        File.WriteAllText(Path.Combine(_folder, "from/a"), "content");
        using var tar = new MemoryStream();
        using var below = new LayerStack([Path.Combine(_folder, "below")]);
        using (var plan = new LayerPlan(below))
        {
            new FileCopier(plan, new CopyAttributes((7, 8), "u=rw,go="), s_made).Copy(Find("a"), "/n/", parents: false, TestContext.Current.CancellationToken);
            Assert.True(plan.Write(tar, null, TestContext.Current.CancellationToken));
        }
        tar.Position = 0;
        using var reader = new LayerReader(tar);
        DirectoryEntry folder = Assert.IsType<DirectoryEntry>(reader.Read());
        Assert.Equal((0b111_101_101, 7u, 8u), (folder.Metadata.Mode, folder.Metadata.Uid, folder.Metadata.Gid));
        FileEntry file = Assert.IsType<FileEntry>(reader.Read());
        Assert.Equal((0b110_000_000, 7u, 8u), (file.Metadata.Mode, file.Metadata.Uid, file.Metadata.Gid));
        using var text = new StreamReader(reader.Content);
        Assert.Equal("content", text.ReadToEnd());
        Assert.Null(reader.Read());
    }

    [Theory]
    [InlineData("x/", "a", "/x/a/", "something else")]
    [InlineData("a/", "a", "/", "cannot copy a file onto the directory")]
    public void What_is_in_the_way_is_told(string below, string source, string destination, string expected)
    {
        Make("below", below);
        if (below == "x/")
        {
            Make("below", "x/a");
        }
        Make("from", source);
        Assert.Contains(expected, Assert.Throws<StrataException>(() => Copy(source, destination)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_became_shorter_is_as_it_is_now()
    {
        Make("from", "a");
        File.WriteAllText(Path.Combine(_folder, "from/a"), "long enough");
        FileEntry file = Assert.IsType<FileEntry>(Assert.Single(Entries(plan =>
        {
            Copier(plan).Copy(Find("a"), "/", parents: false, TestContext.Current.CancellationToken);
            File.WriteAllText(Path.Combine(_folder, "from/a"), "short");
        }, null)));
        Assert.Equal(5, file.Size);
    }

    private string[] Copy(string source, string destination)
        => Write(plan => Copier(plan).Copy(Find(source), destination, parents: false, TestContext.Current.CancellationToken));

    private static FileCopier Copier(LayerPlan plan) => new(plan, new CopyAttributes(null, null), s_made);

    private CopySelection Find(string source) => CopySelection.Find(new TreeWalker(_from, null), [source], parents: false);

    private string[] Write(Action<LayerPlan> change) => [.. Entries(change, null).Select(e => e switch
    {
        WhiteoutEntry => e.Path + " deleted",
        HardLinkEntry link => $"{e.Path} = {link.Target}",
        _ => e.Path + (e is DirectoryEntry ? "/" : "") + " @" + (((NodeEntry)e).Metadata.Modified is var time && time == s_below ? "below" : time == s_source ? "source" : time == s_made ? "made" : time.ToString()),
    })];

    private List<LayerEntry> Entries(Action<LayerPlan> change, FileTime? clamp)
    {
        using var tar = new MemoryStream();
        using var below = new LayerStack([Path.Combine(_folder, "below")]);
        using var plan = new LayerPlan(below);
        change(plan);
        bool any = plan.Write(tar, clamp, TestContext.Current.CancellationToken);
        Assert.Equal(any, tar.Length > 0);
        tar.Position = 0;
        var entries = new List<LayerEntry>();
        if (any)
        {
            using var reader = new LayerReader(tar);
            while (reader.Read() is { } entry)
            {
                entries.Add(entry);
            }
        }
        return entries;
    }

    // "d/" is a directory, "name->target" a link; the time tells which side it is from.
    private void Make(string side, string path)
    {
        FileTime time = side == "below" ? s_below : s_source;
        string[] link = path.Split("->");
        string at = side;
        var made = new List<string>();
        string[] parts = link[0].Split('/', StringSplitOptions.RemoveEmptyEntries);
        for (int i = 0; i < parts.Length; i++)
        {
            at += "/" + parts[i];
            made.Add(at);
            if (_root.TryGetStatus(at) is not null)
            {
                continue;
            }
            if (i < parts.Length - 1 || path.EndsWith('/'))
            {
                _root.CreateDirectory(at, 0b111_101_101);
            }
            else if (link.Length > 1)
            {
                _root.CreateSymbolicLink(at, link[1]);
            }
            else
            {
                _root.CreateFile(at, 0b110_100_100).Dispose();
            }
        }
        made.Reverse();
        made.ForEach(p => _root.SetTimes(p, time));
    }
}
