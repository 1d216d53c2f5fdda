using Strata.Linux;
using Xunit;

namespace Strata.Tests.Linux;

public sealed class FileSystemsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-files-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(0, 100, 0)]
    [InlineData(1, 100, 1)]
    [InlineData(100, 100, 100)]
    [InlineData(101, 100, 101)]
    [InlineData(5000, 100, 101)] // no more than says that it is too long
    [InlineData(4096, int.MaxValue, 4096)]
    [InlineData(4097, int.MaxValue, 4097)]
    [InlineData(100_000, 1 << 20, 100_000)]
    public void A_file_is_read_whole_up_to_one_byte_more_than_the_limit(int length, int limit, int read)
    {
        byte[] content = new byte[length];
        new Random(length).NextBytes(content);
        string path = Path.Combine(_folder, "ä file");
        File.WriteAllBytes(path, content);
        Assert.Equal(content[..read], FileSystems.TryRead(path, limit));
    }

    [Fact]
    public void What_is_not_there_is_null_and_what_cannot_be_read_says_which_call_failed()
    {
        Assert.Null(FileSystems.TryRead(Path.Combine(_folder, "none"), 10));
        Assert.Null(FileSystems.TryRead(Path.Combine(_folder, "none/deeper"), 10));
        Assert.Equal((Errno.EISDIR, "read"), Failure(() => FileSystems.TryRead(_folder, 10)));
        Assert.Equal((Errno.EINVAL, "open"), Failure(() => FileSystems.TryRead(_folder + "/a\0b", 10)));
        Assert.Equal((Errno.ENAMETOOLONG, "open"), Failure(() => FileSystems.TryRead(Path.Combine(_folder, new string('x', 300)), 10)));
    }

    [Fact]
    public void A_directorys_names_are_all_of_them_and_of_what_is_none_there_are_none()
    {
        string[] names = [.. Enumerable.Range(0, 5000).Select(i => $"name-{i}-ü")];
        foreach (string name in names)
        {
            File.WriteAllBytes(Path.Combine(_folder, name), []);
        }
        Assert.Equal(names.Order(StringComparer.Ordinal), FileSystems.TryGetNames(_folder)!.Order(StringComparer.Ordinal));
        Assert.Null(FileSystems.TryGetNames(Path.Combine(_folder, "none")));
        Assert.Null(FileSystems.TryGetNames(Path.Combine(_folder, names[0])));
    }

    private static (Errno Errno, string Call) Failure(Func<object?> act)
    {
        LinuxException failure = Assert.Throws<LinuxException>(() => act());
        return (failure.Errno, failure.Call);
    }
}
