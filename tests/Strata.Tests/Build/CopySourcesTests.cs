using System.Text;
using Strata.Build;
using Strata.Dockerfiles;
using Strata.Linux;
using Xunit;

namespace Strata.Tests.Build;

/// <summary>What COPY and ADD find in a tree, and what becomes of it.</summary>
public sealed class CopySourcesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-copy-").FullName;

    public void Dispose() => FileSystems.RemoveTree(_folder);

    [Theory]
    [InlineData("**\n!a/keep", "a", "keep")]
    [InlineData("**\n!a/keep", "*", "keep")]
    [InlineData("a\n!a/b/c\n", "a/b", "c")]
    [InlineData("**\n!a\na/b\n!a/b/c\n", "a/b", "c")]
    public void A_hidden_directory_is_a_source_for_what_a_later_rule_brings_back(string rules, string source, string expected)
    {
        string[] found = Find(rules, source);
        Assert.Equal([expected], found);
    }

    [Theory]
    [InlineData("a", "a")]
    [InlineData("**\n!a/absent", "a")]
    [InlineData("a/*\n!a/keep", "a/b")]
    public void A_directory_of_which_nothing_is_brought_back_is_no_source(string rules, string source)
        => Assert.Equal(ErrorKind.NotFound, Assert.Throws<StrataException>(() => Find(rules, source)).Kind);

    [Fact]
    public void Links_stay_links_within_a_source_and_not_between_two()
    {
        Write("from/d/one", "x");
        using (RootedDirectory made = RootedDirectory.Open(_folder))
        {
            made.CreateHardLink("from/d/two", "from/d/one");
            made.CreateHardLink("from/three", "from/d/one");
            made.CreateDirectory("to", 0b111_101_101);
        }
        using RootedDirectory from = RootedDirectory.Open(Path.Combine(_folder, "from")), to = RootedDirectory.Open(Path.Combine(_folder, "to"));
        CopySelection selection = CopySelection.Find(new TreeWalker(from, null), ["d", "three", "d/one"], parents: false);
        using var target = new DirectoryCopyTarget(to);
        new FileCopier(target, new CopyAttributes(null, null), default).Copy(selection, "/", parents: false, TestContext.Current.CancellationToken);
        // "d" gives one and two; then "d/one" takes the place of the first with a file of its own.
        Assert.Equal([("one", 1), ("three", 1), ("two", 1)], to.GetNames("").Order(StringComparer.Ordinal).Select(n => (n, (int)to.TryGetStatus(n)!.Value.LinkCount)));
        Assert.Equal(["one", "two"], Linked(from, "d"));
    }

    [Fact]
    public void An_archive_whose_first_entry_has_no_name_is_an_archive()
    {
        byte[] header = new byte[1024];
        Encoding.ASCII.GetBytes("0000644\0").CopyTo(header, 100);
        Encoding.ASCII.GetBytes("00000000000\0").CopyTo(header, 124);
        Encoding.ASCII.GetBytes("00000000000\0").CopyTo(header, 136);
        Encoding.ASCII.GetBytes("ustar\000").CopyTo(header, 257);
        header.AsSpan(148, 8).Fill((byte)' ');
        Encoding.ASCII.GetBytes(Convert.ToString(header.Take(512).Sum(b => b), 8).PadLeft(6, '0') + "\0 ").CopyTo(header, 148);
        File.WriteAllBytes(Path.Combine(_folder, "a.tar"), header);
        File.WriteAllBytes(Path.Combine(_folder, "zeros"), new byte[1024]);
        using RootedDirectory root = RootedDirectory.Open(_folder);
        using ArchiveFile? archive = ArchiveFile.TryOpen(root, "a.tar");
        Assert.NotNull(archive);
        Assert.Null(ArchiveFile.TryOpen(root, "zeros"));
    }

    private static string[] Linked(RootedDirectory root, string directory)
        => [.. root.GetNames(directory).Where(n => root.TryGetStatus($"{directory}/{n}")!.Value.LinkCount == 3).Order(StringComparer.Ordinal)];

    private string[] Find(string rules, string source)
    {
        Write("a/keep", "k");
        Write("a/other", "o");
        Write("a/b/c", "c");
        using RootedDirectory root = RootedDirectory.Open(_folder);
        CopySelection selection = CopySelection.Find(new TreeWalker(root, DockerIgnore.Parse(rules)), [source], parents: false);
        return [.. selection.Walk(Assert.Single(selection.Sources)).Select(e => e.Path[(e.Path.LastIndexOf('/') + 1)..])];
    }

    private void Write(string name, string content)
    {
        string path = Path.Combine(_folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, content);
    }
}
