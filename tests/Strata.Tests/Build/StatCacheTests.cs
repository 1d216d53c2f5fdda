using System.Security.Cryptography;
using Strata.Build;
using Strata.Content;
using Strata.Linux;
using Xunit;

namespace Strata.Tests.Build;

/// <summary>A file of which the kernel says what it said before is not read again; one that changed, or may have, is.</summary>
public sealed class StatCacheTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-stat-").FullName;
    private readonly StoreLayout _layout;
    private readonly string _context;

    public StatCacheTests()
    {
        _layout = new StoreLayout(Path.Combine(_folder, "store"));
        _context = Directory.CreateDirectory(Path.Combine(_folder, "context")).FullName;
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static readonly byte[] s_digest = SHA256.HashData("x"u8);

    private FileStatus Write(string name, string text)
    {
        File.WriteAllText(Path.Combine(_context, name), text);
        return FileSystems.TryGetStatus(Path.Combine(_context, name))!.Value;
    }

    private StatCache Open(TimeSpan later)
    {
        using RootedDirectory root = RootedDirectory.Open(_context);
        return StatCache.Open(_layout, root, new LaterTime(later));
    }

    [Fact]
    public void What_was_noted_is_known_to_the_next_build()
    {
        FileStatus[] files = [.. Enumerable.Range(0, 300).Select(i => Write($"f{i}", "x"))];
        StatCache cache = Open(TimeSpan.FromHours(1));
        for (int i = 0; i < files.Length; i++)
        {
            cache.Add(files[i], SHA256.HashData([(byte)i]));
        }
        cache.Save();
        StatCache next = Open(TimeSpan.FromHours(2));
        byte[] digest = new byte[32];
        for (int i = 0; i < files.Length; i++)
        {
            Assert.True(next.TryGet(files[i], digest));
            Assert.Equal(SHA256.HashData([(byte)i]), digest);
        }
        Assert.False(next.TryGet(files[0] with { Inode = 1 }, digest));
    }

    [Fact]
    public void Thousands_of_one_build_are_found_by_device_and_inode()
    {
        FileStatus file = Write("f", "x");
        StatCache cache = Open(TimeSpan.FromHours(1));
        for (uint i = 0; i < 5000; i++)
        {
            cache.Add(file with { Device = i % 3, Inode = i / 3 * 4096 }, SHA256.HashData(BitConverter.GetBytes(i)));
        }
        byte[] digest = new byte[32];
        for (uint i = 0; i < 5000; i++)
        {
            Assert.True(cache.TryGet(file with { Device = i % 3, Inode = i / 3 * 4096 }, digest));
            Assert.Equal(SHA256.HashData(BitConverter.GetBytes(i)), digest);
        }
        Assert.False(cache.TryGet(file with { Device = 0, Inode = 1 }, digest));
    }

    [Fact]
    public void A_file_that_is_not_what_it_was_is_not_known()
    {
        FileStatus file = Write("f", "x");
        StatCache cache = Open(TimeSpan.FromHours(1));
        cache.Add(file, s_digest);
        cache.Save();
        StatCache next = Open(TimeSpan.FromHours(1));
        byte[] digest = new byte[32];
        Assert.False(next.TryGet(file with { Size = file.Size + 1 }, digest));
        Assert.False(next.TryGet(file with { Modified = new FileTime(file.Modified.Seconds, file.Modified.Nanoseconds ^ 1) }, digest));
        Assert.False(next.TryGet(file with { Changed = new FileTime(file.Changed.Seconds, file.Changed.Nanoseconds ^ 1) }, digest));
        Assert.False(next.TryGet(file with { Device = file.Device + 1 }, digest));
        Assert.True(next.TryGet(file, digest));
    }

    [Fact]
    public void A_file_that_changed_just_now_is_not_remembered()
    {
        FileStatus file = Write("f", "x");
        StatCache cache = Open(TimeSpan.Zero);
        cache.Add(file, s_digest);
        cache.Save();
        Assert.False(Open(TimeSpan.FromHours(1)).TryGet(file, new byte[32]));
    }

    [Fact]
    public void A_damaged_one_is_none()
    {
        FileStatus file = Write("f", "x");
        StatCache cache = Open(TimeSpan.FromHours(1));
        cache.Add(file, s_digest);
        cache.Save();
        string path = Assert.Single(Directory.GetFiles(Path.Combine(_layout.Cache, "stats")));
        byte[] bytes = File.ReadAllBytes(path);
        bytes[^40] ^= 1;
        File.WriteAllBytes(path, bytes);
        Assert.False(Open(TimeSpan.FromHours(1)).TryGet(file, new byte[32]));
        File.WriteAllBytes(path, bytes[..20]);
        Assert.False(Open(TimeSpan.FromHours(1)).TryGet(file, new byte[32]));
    }

    private sealed class LaterTime(TimeSpan later) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + later;
    }
}
