using System.Net;
using System.Text;
using Strata.Containers;
using Strata.Containers.Networks;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Containers;

/// <summary>A store of its own with busybox, and networks of names and addresses of its own; nothing of them is left when it is over.</summary>
public sealed class NetworkFixture : IAsyncLifetime
{
    private readonly ContainerStoreFixture _store = new();
    private readonly List<string> _bridges = [];

    internal Engine Engine => _store.Engine;

    internal string Folder => _store.Folder;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _store.InitializeAsync();

    internal async Task<NetworkRecord> CreateAsync(string name, Func<NetworkCreateOptions, NetworkCreateOptions>? with = null)
    {
        var options = new NetworkCreateOptions { Name = name };
        NetworkRecord network = await Engine.CreateNetworkAsync(with is null ? options : with(options), Cancel);
        _bridges.Add(network.Bridge);
        return network;
    }

    internal static ContainerOptions Options(string name, string network, string script, params string[] ports)
    {
        (NetworkMode mode, NetworkOptions networking) = NetworkSyntax.Parse([network], [], null, null, null);
        return new ContainerOptions
        {
            Image = "box", Name = name, Command = ["sh", "-c", script], Isolation = new IsolationOptions { Network = mode },
            Networking = networking with { Ports = [.. ports.Select(PortSyntax.Parse)] },
        };
    }

    /// <summary>Makes a container and leaves it running.</summary>
    internal async Task<ContainerRecord> StartAsync(ContainerOptions options)
    {
        ContainerRecord record = await Engine.CreateContainerAsync(options, Cancel);
        return await Engine.StartContainerAsync(record.Name, Cancel);
    }

    /// <summary>A web server that answers with its name.</summary>
    internal Task<ContainerRecord> ServeAsync(string name, string network, params string[] ports)
        => StartAsync(Options(name, network, $"mkdir /www; echo I am {name} >/www/index.html; exec httpd -f -p 80 -h /www", ports));

    /// <summary>Runs a script in a container of a network, and removes the container.</summary>
    internal Task<(int Code, string Output, string Error)> ShellAsync(string network, string script, Func<ContainerOptions, ContainerOptions>? with = null)
    {
        ContainerOptions options = Options("", network, script) with { Name = null, Remove = true };
        return _store.RunAsync(with is null ? options : with(options));
    }

    /// <summary>Runs a command in the network namespace of a running container, with the host's files.</summary>
    internal async Task<ChildResult> InsideAsync(string container, params string[] command)
    {
        int pid = Engine.GetContainer(container).State.Pid ?? throw new InvalidOperationException($"{container} does not run");
        return await ChildProcess.RunAsync(new ChildStart { Program = ChildProcess.FindProgram("nsenter")!, Arguments = ["-t", $"{pid}", "-n", .. command] }, cancellationToken: Cancel);
    }

    internal string AddressOf(string container) => Engine.GetNetworkState(Engine.GetContainer(container).Record).Endpoints[0].V4!.Address.ToString();

    /// <summary>What is behind a URL; asked for until it is there, as a server needs a moment to listen.</summary>
    internal static async Task<string> GetAsync(string url)
    {
        using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(5) };
        for (int tries = 1; ; tries++)
        {
            try
            {
                return (await client.GetStringAsync(url, Cancel)).Trim();
            }
            catch (HttpRequestException) when (tries < 50)
            {
                await Task.Delay(100, Cancel);
            }
        }
    }

    internal static Task<string> RulesAsync() => TextAsync("iptables-save");

    internal static async Task<string> TextAsync(string program, params string[] arguments)
        => (await ChildProcess.RunAsync(new ChildStart { Program = ChildProcess.FindProgram(program)!, Arguments = arguments }, cancellationToken: Cancel)).OutputText;

    /// <summary>A port that nobody has now.</summary>
    internal static int FreePort()
    {
        using var listener = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.InterNetwork, System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)listener.LocalEndPoint!).Port;
    }

    internal async Task RemoveAllAsync(params string[] names)
    {
        foreach (string name in names)
        {
            await Engine.RemoveContainerAsync(name, force: true, removeVolumes: true, Cancel);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Container container in Engine.ListContainers())
        {
            await Engine.RemoveContainerAsync(container.Record.Id, force: true, removeVolumes: true);
        }
        string[] subnets = [.. Engine.Networks.List().Where(n => !n.IsDefault).SelectMany(n => n.Subnets).Select(s => s.Subnet.ToString())];
        await Engine.PruneNetworksAsync();
        Assert.DoesNotContain(Engine.Networks.List(), n => !n.IsDefault);
        Assert.All(_bridges, bridge => Assert.False(Directory.Exists("/sys/class/net/" + bridge), bridge));
        string rules = await RulesAsync();
        Assert.All(subnets, subnet => Assert.DoesNotContain(subnet, rules, StringComparison.Ordinal));
        Assert.DoesNotContain(Directory.GetFiles("/run/strata/net/up"), f => Encoding.UTF8.GetString(AtomicRead(f)).Contains(Folder, StringComparison.Ordinal));
        await _store.DisposeAsync();
    }

    private static byte[] AtomicRead(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (FileNotFoundException)
        {
            return []; // another store's, undone meanwhile
        }
    }
}
