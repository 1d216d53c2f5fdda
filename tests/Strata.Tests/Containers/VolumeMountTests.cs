using Strata.Containers;
using Xunit;

namespace Strata.Tests.Containers;

public sealed class VolumeMountTests
{
    [Theory]
    [InlineData("type=bind,source=/tmp,target=/data,readonly", "Bind", "/tmp", "/data", "ro")]
    [InlineData("type=bind,src=/tmp,dst=/data,bind-propagation=rslave", "Bind", "/tmp", "/data", "rslave")]
    [InlineData("source=v,destination=/data/./x/,ro=true", "Volume", "v", "/data/x", "ro")]
    [InlineData("type=volume,source=v,target=/d,ro=false", "Volume", "v", "/d", "")]
    [InlineData("type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1777", "Tmpfs", "", "/t", "nosuid nodev noexec size=64m mode=1777")]
    public void Mounts_are_read_field_by_field(string text, string kind, string source, string target, string options)
    {
        ContainerMount mount = MountSyntax.Parse(text);
        Assert.Equal((kind, source, target, options), (mount.Kind.ToString(), mount.Source, mount.Target, string.Join(' ', mount.Options)));
    }

    [Fact]
    public void A_volume_has_options_of_its_own()
    {
        ContainerMount mount = MountSyntax.Parse("type=volume,source=v,target=/d,volume-nocopy,volume-label=a=b,volume-opt=type=none,\"volume-opt=o=bind,ro\",volume-opt=device=/srv");
        Assert.Equal((false, "device=/srv o=bind,ro type=none", "a=b"), (mount.CopyUp, string.Join(' ', mount.VolumeOptions.Select(o => $"{o.Key}={o.Value}")), string.Join(' ', mount.VolumeLabels.Select(o => $"{o.Key}={o.Value}"))));
        Assert.True(MountSyntax.Parse("type=volume,target=/d").Anonymous);
    }

    [Theory]
    [InlineData("")]
    [InlineData("type=bind,source=/tmp")]
    [InlineData("type=bind,target=/x")]
    [InlineData("type=bind,source=/tmp,target=x")]
    [InlineData("type=bind,source=/tmp,target=/")]
    [InlineData("type=bind,source=/tmp,target=/x,volume-nocopy")]
    [InlineData("type=bind,source=/nosuchfolder,target=/x")]
    [InlineData("type=bind,source=/tmp,target=/x,bind-propagation=loud")]
    [InlineData("type=volume,source=../v,target=/x")]
    [InlineData("type=volume,source=v,target=/x,readonly=perhaps")]
    [InlineData("type=volume,source=v,target=/x,fish=1")]
    [InlineData("type=tmpfs,source=x,target=/x")]
    [InlineData("type=npipe,target=/x")]
    [InlineData("type=volume,\"source=v,target=/x")]
    public void What_means_no_mount_is_refused(string text)
        => Assert.StartsWith("mount '", Assert.Throws<StrataException>(() => MountSyntax.Parse(text)).Message.Replace("volume 'x'", "mount '", StringComparison.Ordinal).Replace("volume '/'", "mount '", StringComparison.Ordinal), StringComparison.Ordinal);
}
