using Strata.Containers;
using Strata.Linux;
using Xunit;

namespace Strata.Tests.Containers;

public sealed class UserLookupTests
{
    private const string Passwd = "# comment\nroot:x:0:0:root:/root:/bin/sh\nbroken\napp:x:1000:1001:app:/home/app:/bin/sh\nhuge:x:4294967296:0::/:/bin/sh\n";
    private const string Group = "root:x:0:\napp:x:1001:\nextra:x:1500:app, other\nwheel:x:10:app\nteam:x:1600:1000\n";

    [Theory]
    [InlineData(null, 0, 0, "", "/root")]
    [InlineData("", 0, 0, "", "/root")]
    [InlineData("app", 1000, 1001, "10 1500", "/home/app")]
    [InlineData("1000", 1000, 1001, "10 1500", "/home/app")]
    [InlineData("app:wheel", 1000, 10, "", "/home/app")]
    [InlineData("app:77", 1000, 77, "", "/home/app")]
    [InlineData("1234", 1234, 0, "", "/")]
    [InlineData("1234:wheel", 1234, 10, "", "/")]
    [InlineData("2147483647", 2147483647, 0, "", "/")]
    public void A_user_becomes_numbers(string? user, uint uid, uint gid, string groups, string home)
    {
        ResolvedUser resolved = UserLookup.Resolve(user, () => Passwd, () => Group);
        Assert.Equal((uid, gid, groups, home), (resolved.Uid, resolved.Gid, string.Join(' ', resolved.Groups), resolved.Home));
    }

    [Theory]
    [InlineData("nobody")]
    [InlineData("app:nogroup")]
    [InlineData("4294967296")]
    [InlineData("2147483648")]
    [InlineData("-1")]
    [InlineData("0:-1")]
    [InlineData("huge")]
    [InlineData(":0")]
    [InlineData("app:")]
    public void What_is_nobody_is_refused(string user) => Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => UserLookup.Resolve(user, () => Passwd, () => Group)).Kind);

    [Fact]
    public void Without_files_numbers_still_work() => Assert.Equal(5u, UserLookup.Resolve("5:6", () => null, () => null).Uid);

    [Fact]
    public void A_link_leads_nowhere_outside_and_what_is_no_file_is_not_read()
    {
        string folder = Directory.CreateTempSubdirectory("strata-user").FullName;
        try
        {
            Directory.CreateDirectory(Path.Combine(folder, "root/etc"));
            File.WriteAllText(Path.Combine(folder, "passwd"), "outside:x:7:7::/:/\n");
            File.CreateSymbolicLink(Path.Combine(folder, "root/etc/passwd"), "../../passwd");
            Directory.CreateDirectory(Path.Combine(folder, "root/etc/group"));
            using RootedDirectory root = RootedDirectory.Open(Path.Combine(folder, "root"));
            Assert.Throws<StrataException>(() => UserLookup.Resolve("outside", root));
            Assert.Throws<StrataException>(() => UserLookup.Resolve("0:somegroup", root));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
