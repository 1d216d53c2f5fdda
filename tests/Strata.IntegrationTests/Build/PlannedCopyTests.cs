using Strata.Build;
using Strata.IntegrationTests.Snapshots;
using Strata.Layers;
using Strata.Linux;
using Strata.Snapshots;
using Xunit;

namespace Strata.IntegrationTests.Build;

/// <summary>A copy that is written as a layer without a mount is, byte by byte, the layer that the kernel's overlay gives of the same copy.</summary>
public sealed class PlannedCopyTests
{
    private const string Below = "mkdir -p usr/bin usr/lib app/sub etc g; chmod 2775 g; chgrp 7 g; ln -s usr/bin bin; ln -s /usr/lib lib; echo old >app/old; ln -s app/old link; ln -s nowhere/yet dangling; setfattr -n user.k -v v app; chmod 750 app; chown 3:4 app; touch -d @1000000 etc usr";
    private const string Context = "mkdir -p app/sub/new bin g; echo a >a; echo tool >bin/tool; echo x >app/old; echo y >app/sub/y; ln -s ../a app/l; ln a app/hard; mkfifo app/pipe; mknod app/dev c 1 3; chmod 4755 bin/tool; chmod 1777 app/sub; chown 5:6 a; setfattr -n user.x -v 1 a; for i in $(seq 300); do echo $i >app/sub/new/$i; done; echo s >g/s; touch -d @2000000.5 a app/sub; : >empty; head -c 3000000 /dev/zero >big";

    public static TheoryData<string, string, string?, string?> Copies => new()
    {
        { ".", "/", null, null },
        { ".", "/new/place", null, null },
        { ".", "/app/", "9:9", null },
        { "a", "/bin/", null, null },
        { "a", "/bin/x", null, "600" },
        { "a", "/lib/deep/er/", null, null },
        { "a", "/link", null, null },
        { "a", "/dangling", null, null },
        { "app", "/app", null, "u+w,go-rwx" },
        { "app", "/bin", "1:2", null },
        { "g", "/g/h", null, null },
        { "big", "/g/", null, null },
        { "app bin g", "/etc/", null, null },
        { "app/sub app", "/x/", null, null },
    };

    [Theory]
    [MemberData(nameof(Copies))]
    public async Task The_layer_is_the_one_of_an_overlay(string sources, string destination, string? owner, string? mode)
    {
        using var store = new SnapshotStore(OverlaySnapshotter.Open);
        ActiveSnapshot made = await store.ChangeAsync(null, Below);
        (CommittedSnapshot parent, _) = await store.CommitAsync(made);
        string context = Path.Combine(store.Folder, "context");
        Directory.CreateDirectory(context);
        ChildResult shell = ChildProcess.Run(new ChildStart { Program = "/bin/bash", Arguments = ["-ec", Context], WorkingDirectory = context });
        Assert.True(shell.ExitCode == 0, shell.ErrorText);
        using RootedDirectory files = RootedDirectory.Open(context);
        var attributes = new CopyAttributes(owner is null ? null : (uint.Parse(owner.Split(':')[0], null), uint.Parse(owner.Split(':')[1], null)), mode);
        var time = new FileTime(1_700_000_000, 0);
        void Copy(ICopyTarget target)
        {
            CopySelection selection = CopySelection.Find(new TreeWalker(files, null), sources.Split(' '), parents: false);
            new FileCopier(target, attributes, time).Copy(selection, destination, parents: false, TestContext.Current.CancellationToken);
        }
        ActiveSnapshot active = await store.ChangeAsync(parent, "true");
        store.InMount(active, path =>
        {
            using RootedDirectory root = RootedDirectory.Open(path);
            using var target = new DirectoryCopyTarget(root);
            Copy(target);
            return true;
        });
        (byte[] expected, List<LayerEntry> entries) = await store.WriteAsync(active);
        Assert.NotEmpty(entries);
        using LayerStack below = store.Snapshots.OpenStack(parent);
        using var plan = new LayerPlan(below);
        Copy(plan);
        using var tar = new MemoryStream();
        Assert.True(plan.Write(tar, null, TestContext.Current.CancellationToken));
        tar.Position = 0;
        using var reader = new LayerReader(tar);
        var planned = new List<LayerEntry>();
        while (reader.Read() is { } entry)
        {
            planned.Add(entry);
        }
        Assert.Equal(entries.Select(e => e.ToString()), planned.Select(e => e.ToString())); // says which one
        Assert.Equal(expected, tar.ToArray());
    }
}
