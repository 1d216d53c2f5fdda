using System.Text;
using Strata.Supply;
using Xunit;

namespace Strata.Tests.Supply;

public sealed class PackageRecordsTests
{
    [Fact]
    public void What_dpkg_has_installed_is_read_and_what_it_removed_is_not()
    {
        const string Status = """
            Package: libc6
            Status: install ok installed
            Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
            Architecture: amd64
            Version: 2.36-9+deb12u7
            Description: GNU C Library
             Version: not a field, the description goes on
             .

            Package: old
            Status: deinstall ok config-files
            Version: 1

            Package: unfinished
            Status: install ok half-configured
            Version: 1

            Package: last
            Status: hold ok installed
            Version: 1:2~rc1
            """;
        Package[] found = [.. PackageRecords.ReadDpkg(Status, "var/lib/dpkg/status")];
        Assert.Equal(["libc6 2.36-9+deb12u7 amd64", "last 1:2~rc1 "], found.Select(p => $"{p.Name} {p.Version} {p.Architecture}"));
        Assert.Equal("pkg:deb/debian/libc6@2.36-9%2Bdeb12u7?arch=amd64&distro=debian-12", found[0].UrlFor(new LinuxDistribution("debian", "12")));
        Assert.Equal("pkg:deb/debian/last@1%3A2~rc1", found[1].UrlFor(null));
    }

    [Fact]
    public void The_records_of_images_without_dpkg_have_no_status()
        => Assert.Equal("tzdata", Assert.Single(PackageRecords.ReadDpkg("Package: tzdata\nVersion: 2024a\n", "var/lib/dpkg/status.d/tzdata")).Name);

    [Theory]
    [InlineData("MIT", "MIT")]
    [InlineData("GPL-2.0-only", "GPL-2.0-only")]
    [InlineData("(GPL-2.0-or-later OR LGPL-3.0-or-later) AND BSD-3-Clause", "(GPL-2.0-or-later OR LGPL-3.0-or-later) AND BSD-3-Clause")]
    [InlineData("Public Domain", null)]
    [InlineData("custom", null)]
    public void The_database_of_apk_has_licenses(string license, string? expected)
    {
        Package package = Assert.Single(PackageRecords.ReadApk($"C:Q1abc=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:{license}\nm:Natanael <n@example.org>\nF:lib\nR:ld.so\n\n", "lib/apk/db/installed"));
        Assert.Equal(("musl", "1.2.5-r0", expected), (package.Name, package.Version, package.License));
        Assert.Equal("pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.1", package.UrlFor(new LinuxDistribution("alpine", "3.20.1")));
    }

    [Fact]
    public void Of_a_deps_json_packages_and_runtimes_are_taken_and_not_the_application()
    {
        string hash = Convert.ToBase64String(new byte[64]);
        string json = $$$"""
            { "runtimeTarget": { "name": ".NETCoreApp,Version=v10.0" }, "libraries": {
              "app/1.0.0": { "type": "project", "sha512": "" },
              "Newtonsoft.Json/13.0.3": { "type": "package", "serviceable": true, "sha512": "sha512-{{{hash}}}" },
              "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/10.0.0": { "type": "runtimepack", "sha512": "" } } }
            """;
        Package[] found = [.. PackageRecords.ReadDeps(Encoding.UTF8.GetBytes(json), "app/app.deps.json")];
        Assert.Equal(["pkg:nuget/Newtonsoft.Json@13.0.3", "pkg:nuget/Microsoft.NETCore.App.Runtime.linux-x64@10.0.0"], found.Select(p => p.UrlFor(null)));
        Assert.Equal([new string('0', 128), null], found.Select(p => p.Sha512));
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{\"libraries\":[1]}")]
    [InlineData("{\"libraries\":{\"x\":1,\"a/1\":{\"type\":2}}}")]
    public void A_file_that_is_no_record_gives_nothing(string json) => Assert.Empty(PackageRecords.ReadDeps(Encoding.UTF8.GetBytes(json), "x.deps.json"));

    [Theory]
    [InlineData("PRETTY_NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n", "debian", "12")]
    [InlineData("ID='alpine'\nVERSION_ID=3.20.1\n", "alpine", "3.20.1")]
    [InlineData("ID=arch\n", "arch", "")]
    public void Os_release_names_the_distribution(string text, string id, string version) => Assert.Equal(new LinuxDistribution(id, version), LinuxDistribution.Parse(text));
}
