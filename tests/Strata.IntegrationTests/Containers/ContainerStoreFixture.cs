using System.Text;
using Strata.Containers;
using Strata.Images;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;
using Xunit;

namespace Strata.IntegrationTests.Containers;

/// <summary>A store of its own with one image, <c>box</c>, of busybox; looks for leaks when it is over.</summary>
public sealed class ContainerStoreFixture : IAsyncLifetime
{
    private string _folder = "";

    internal Engine Engine { get; private set; } = null!;

    internal string Folder => _folder;

    internal string RuntimeRoot => Engine.Runtime.Layout.Root;

    public async ValueTask InitializeAsync()
    {
        _folder = Directory.CreateTempSubdirectory("strata-run").FullName;
        string root = Path.Combine(_folder, "box");
        Directory.CreateDirectory(root);
        BusyboxRoot.Create(root);
        Engine = Engine.Open(new EngineOptions { Root = Path.Combine(_folder, "store") });
        await ImportAsync(root, "box", "CMD [\"/bin/sh\"]", "ENV PATH=/bin");
    }

    internal async Task<Digest> ImportAsync(string directory, string reference, params string[] changes)
    {
        using var tar = new MemoryStream();
        using (RootedDirectory root = RootedDirectory.Open(directory))
        using (var writer = new LayerWriter(tar))
        {
            TreeArchive.Write(root, writer, TestContext.Current.CancellationToken);
            writer.Finish();
        }
        tar.Position = 0;
        (_, Digest id) = await Engine.ImportImageAsync(tar, new CommitOptions { Reference = ImageReference.Parse(reference), Changes = [.. changes] }, TestContext.Current.CancellationToken);
        return id;
    }

    internal async Task<(int Code, string Output, string Error)> RunAsync(ContainerOptions options, string? input = null, Action<ContainerSession>? started = null)
    {
        using var output = new MemoryStream();
        using var error = new MemoryStream();
        using MemoryStream? stdin = input is null ? null : new MemoryStream(Encoding.UTF8.GetBytes(input));
        int code = await Engine.RunContainerAsync(options, new ContainerStreams(stdin, output, error), started, TestContext.Current.CancellationToken);
        return (code, Encoding.UTF8.GetString(output.ToArray()), Encoding.UTF8.GetString(error.ToArray()));
    }

    /// <summary>Runs a shell script in the box and removes the container.</summary>
    internal Task<(int Code, string Output, string Error)> ShellAsync(string script, Func<ContainerOptions, ContainerOptions>? with = null, string? input = null)
    {
        var options = new ContainerOptions { Image = "box", Command = ["sh", "-c", script], Remove = true, Input = input is not null, Isolation = new IsolationOptions { Network = NetworkMode.None } };
        return RunAsync(with is null ? options : with(options), input);
    }

    /// <summary>No container, no process, no mount, no cgroup, no file in memory of this store.</summary>
    internal void AssertNothingLeft()
    {
        Assert.Empty(Engine.ListContainers());
        Assert.Empty(Engine.Snapshots.List().ActiveKeys);
        AssertNothingRuns();
    }

    internal void AssertNothingRuns()
    {
        Assert.DoesNotContain(Directory.Exists(RuntimeRoot) ? Directory.GetFileSystemEntries(RuntimeRoot) : [], e => Path.GetFileName(e) is not ("crun" or "mounts"));
        Assert.Empty(Engine.Runtime.ListContainerIds());
        Assert.DoesNotContain(Mounts.ReadTable(), m => m.Target.StartsWith(RuntimeRoot, StringComparison.Ordinal) || m.Target.StartsWith(_folder, StringComparison.Ordinal));
        foreach (string process in Directory.GetDirectories("/proc").Where(p => char.IsAsciiDigit(Path.GetFileName(p)[0])))
        {
            string commandLine = File.Exists(process + "/cmdline") ? ReadGone(process + "/cmdline") : "";
            Assert.DoesNotContain(RuntimeRoot, commandLine, StringComparison.Ordinal);
        }
    }

    private static string ReadGone(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (IOException)
        {
            return ""; // the process ended
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Container container in Engine.ListContainers())
        {
            await Engine.RemoveContainerAsync(container.Record.Id, force: true, removeVolumes: true);
        }
        AssertNothingRuns();
        Engine.Dispose();
        FileSystems.RemoveTree(_folder);
        FileSystems.RemoveTree(RuntimeRoot);
    }
}
