using System.Text.Json;
using Strata.IntegrationTests.Seeds;
using Xunit;

namespace Strata.IntegrationTests.Supply;

/// <summary>Row D11 of the checklist, with the real executable.</summary>
public sealed class BasesTests(SeedStore store)
{
    [Fact]
    public void D11_bases_are_listed_with_their_size_and_what_would_break()
    {
        string root = Path.Combine(store.Folder, "bases-store"), archive = Path.Combine(store.Folder, "bases.tar");
        store.Run("save", "-o", archive, store.Debian, store.Busybox).Ok();
        SeedStore.RunIn(root, null, "load", "-i", archive).Ok();
        File.Delete(archive);
        string context = store.Context(("Dockerfile", $"FROM {store.Debian}\nCOPY --chmod=755 run.sh /run.sh\nRUN cp /bin/true /opt/true\n"), ("run.sh", "#!/bin/bash\necho x\n"));
        SeedStore.RunIn(root, null, "build", "-t", "choose", context).Ok();

        string[] lines = SeedStore.RunIn(root, null, "analyze", "--bases", "choose").Ok().Lines;
        string debian = Assert.Single(lines, l => l.StartsWith(store.Debian, StringComparison.Ordinal)), busybox = Assert.Single(lines, l => l.StartsWith(store.Busybox, StringComparison.Ordinal));
        Assert.Contains("glibc", debian, StringComparison.Ordinal);
        Assert.Contains("apt-get", debian, StringComparison.Ordinal);
        Assert.Contains("nothing", debian, StringComparison.Ordinal);
        Assert.Contains("/bin/bash (/run.sh)", busybox, StringComparison.Ordinal);
        Assert.Contains("ld-linux", busybox, StringComparison.Ordinal);
        Assert.DoesNotContain(lines, l => l.StartsWith("choose", StringComparison.Ordinal));

        JsonElement[] bases = [.. SeedStore.RunIn(root, null, "analyze", "--bases", "--format", "json", "choose").Ok().Lines.Select(l => JsonElement.Parse(l))];
        Assert.Equal(["scratch", store.Busybox, store.Debian], bases.Select(b => b.GetProperty("Name").GetString())); // by size
        Assert.Equal([false, false, true], bases.Select(b => b.GetProperty("IsPresent").GetBoolean()));
        Assert.True(bases[2].GetProperty("Bytes").GetInt64() > bases[1].GetProperty("Bytes").GetInt64());
    }
}
