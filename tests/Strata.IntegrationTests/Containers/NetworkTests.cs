using System.Net;
using System.Net.Sockets;
using System.Text;
using Strata.Containers;
using Strata.Containers.Networks;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Containers;

public sealed class NetworkTests(NetworkFixture net) : IClassFixture<NetworkFixture>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Containers_of_a_network_find_each_other_by_name_and_alias_and_others_do_not()
    {
        await net.CreateAsync("names");
        await net.CreateAsync("other");
        await net.ServeAsync("web", "names:alias=www,alias=front");
        foreach (string name in (string[])["web", "www", "front", net.Engine.GetContainer("web").Record.ShortId])
        {
            Assert.Equal((0, "I am web\n"), await ReadAsync("names", name));
        }
        Assert.NotEqual(0, (await ReadAsync("other", "web")).Code);
        (_, string files, _) = await net.ShellAsync("names", "cat /etc/resolv.conf; cat /etc/hosts");
        NetworkRecord network = net.Engine.Networks.Get("names");
        Assert.StartsWith($"nameserver {network.Subnets[0].Gateway}\n", files, StringComparison.Ordinal);
        await net.RemoveAllAsync("web");
        Assert.NotEqual(0, (await ReadAsync("names", "web")).Code);
    }

    [Fact]
    public async Task Names_are_known_from_a_containers_first_moment_also_where_the_servers_number_was_lost()
    {
        await net.CreateAsync("first");
        for (int i = 0; i < 5; i++)
        {
            string name = $"web{i}";
            await net.ServeAsync(name, "first");
            Assert.Equal((0, $"I am {name}\n"), await ReadAsync("first", name));
            File.Delete("/run/strata/net/dns/aardvark-dns/aardvark.pid"); // as a server does that ends when its successor is there already
        }
        Assert.Equal((0, "I am web0\n"), await ReadAsync("first", "web0"));
        await net.RemoveAllAsync([.. Enumerable.Range(0, 5).Select(i => $"web{i}")]);
    }

    private async Task<(int Code, string Output)> ReadAsync(string network, string host)
    {
        // A static busybox finds names by nslookup only: the C library's way needs libraries that are not in the box.
        (int code, string output, _) = await net.ShellAsync(network,
            $"a=$(nslookup -type=a {host} | awk '/^Address/ && !/:53$/ {{ print $2 }}' | tail -n 1); [ -n \"$a\" ] || exit 9; for i in 1 2 3 4 5 6 7 8 9; do wget -qO- http://$a/ && exit 0; usleep 100000; done; exit 1");
        return (code, output);
    }

    [Fact]
    public async Task A_published_port_leads_to_the_container_by_tcp_and_udp_and_is_taken_while_it_runs()
    {
        int port = NetworkFixture.FreePort();
        await net.ServeAsync("pub", "bridge", $"127.0.0.1:{port}:80", "9/udp");
        Assert.Equal("I am pub", await NetworkFixture.GetAsync($"http://127.0.0.1:{port}/"));

        StrataException taken = await Assert.ThrowsAsync<StrataException>(() => net.ServeAsync("pub2", "bridge", $"127.0.0.1:{port}:80"));
        Assert.Equal((ErrorKind.Conflict, true), (taken.Kind, taken.Message.Contains($"port {port}/tcp is taken", StringComparison.Ordinal)));
        Assert.Contains($"-p {(port < 60000 ? port + 1000 : port - 1000)}:80", taken.Hint, StringComparison.Ordinal);
        Assert.Throws<SocketException>(() => BindTo(port)); // for every program of this machine

        PortMapping udp = net.Engine.GetNetworkState(net.Engine.GetContainer("pub").Record).Ports.Single(p => p.Protocol == "udp");
        Assert.NotEqual(0, udp.HostPort);
        await net.Engine.StopContainerAsync("pub", TimeSpan.Zero, Cancel);
        await net.Engine.StartContainerAsync("pub", Cancel);
        Assert.Equal("I am pub", await NetworkFixture.GetAsync($"http://127.0.0.1:{port}/"));
        await net.RemoveAllAsync("pub", "pub2");
        BindTo(port);
        Assert.DoesNotContain($"--dport {port} ", await NetworkFixture.RulesAsync(), StringComparison.Ordinal);
    }

    private static void BindTo(int port)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
    }

    [Fact]
    public async Task A_udp_port_brings_packets_in_and_answers_out()
    {
        await net.StartAsync(NetworkFixture.Options("echo", "bridge", "exec sleep 1000", "127.0.0.1::7/udp"));
        const string server = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 7)); s.settimeout(20); d, a = s.recvfrom(99); s.sendto(d, a)";
        Task<ChildResult> echo = net.InsideAsync("echo", "python3", "-c", server); // the box has no server for packets
        PortMapping port = Assert.Single(net.Engine.GetNetworkState(net.Engine.GetContainer("echo").Record).Ports);
        using var client = new UdpClient(new IPEndPoint(IPAddress.Loopback, 0)) { Client = { ReceiveTimeout = 500 } };
        string answer = "";
        for (int tries = 0; tries < 30 && answer.Length == 0; tries++)
        {
            await client.SendAsync("hello"u8.ToArray(), new IPEndPoint(IPAddress.Loopback, port.HostPort), Cancel);
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
            limit.CancelAfter(200);
            try
            {
                answer = Encoding.ASCII.GetString((await client.ReceiveAsync(limit.Token)).Buffer);
            }
            catch (OperationCanceledException) when (!Cancel.IsCancellationRequested)
            {
                continue; // nobody listens yet
            }
        }
        Assert.Equal("hello", answer);
        Assert.Equal(0, (await echo).ExitCode);
        await net.RemoveAllAsync("echo");
    }

    [Fact]
    public async Task An_internal_network_reaches_its_own_and_nothing_else()
    {
        await net.CreateAsync("inside", o => o with { Internal = true });
        await net.ServeAsync("hidden", "inside");
        Assert.Equal((0, "I am hidden\n"), await ReadAsync("inside", "hidden"));
        Assert.Equal("", (await net.ShellAsync("inside", "ip route | grep default")).Output);
        Assert.NotEqual("", (await net.ShellAsync("bridge", "ip route | grep default")).Output);
        await net.RemoveAllAsync("hidden");
    }

    [Fact]
    public async Task A_container_shares_the_network_of_another_with_its_names()
    {
        await net.ServeAsync("host1", "bridge");
        (int code, string output, string error) = await net.ShellAsync("container:host1", "for i in 1 2 3 4 5 6 7 8 9; do wget -qO- http://127.0.0.1/ && break; usleep 100000; done; ip -4 -o addr show eth0; cat /etc/hosts");
        Assert.True(code == 0, error);
        Assert.StartsWith("I am host1\n", output, StringComparison.Ordinal);
        Assert.Contains($"inet {net.AddressOf("host1")}/16", output, StringComparison.Ordinal);
        Assert.Contains($"{net.AddressOf("host1")}\t{net.Engine.GetContainer("host1").Record.Hostname}", output, StringComparison.Ordinal);
        await net.Engine.StopContainerAsync("host1", TimeSpan.Zero, Cancel);
        StrataException stopped = await Assert.ThrowsAsync<StrataException>(() => net.ShellAsync("container:host1", "true"));
        Assert.Equal("strata start host1", stopped.Hint);
        await net.RemoveAllAsync("host1");
    }

    [Fact]
    public async Task A_running_container_is_connected_and_disconnected()
    {
        NetworkRecord late = await net.CreateAsync("late");
        await net.ServeAsync("joiner", "bridge");
        await net.Engine.ConnectNetworkAsync("late", "joiner", new NetworkAttachment("late") { Aliases = ["j"] }, Cancel);
        Assert.Equal((0, "I am joiner\n"), await ReadAsync("late", "j"));
        string files = $"/proc/{net.Engine.GetContainer("joiner").State.Pid}/root/etc/";
        Assert.StartsWith($"nameserver {late.Subnets[0].Gateway}\n", await File.ReadAllTextAsync(files + "resolv.conf", Cancel), StringComparison.Ordinal);
        Assert.Contains($"\n{late.Subnets[0].Subnet.At(2)}\t", await File.ReadAllTextAsync(files + "hosts", Cancel), StringComparison.Ordinal);
        Assert.Equal("joiner", Assert.Single(net.Engine.ListNetworkContainers(late)).Container.Name);
        Assert.Contains("eth1", (await net.InsideAsync("joiner", "ip", "-o", "link")).OutputText, StringComparison.Ordinal);
        Assert.Equal(ErrorKind.Conflict, (await Assert.ThrowsAsync<StrataException>(async () => await net.Engine.RemoveNetworkAsync("late", Cancel))).Kind);

        await net.Engine.StopContainerAsync("joiner", TimeSpan.Zero, Cancel);
        await net.Engine.StartContainerAsync("joiner", Cancel);
        Assert.Equal((0, "I am joiner\n"), await ReadAsync("late", "joiner")); // it stays connected

        await net.Engine.DisconnectNetworkAsync("late", "joiner", Cancel);
        Assert.DoesNotContain(late.Subnets[0].Gateway.ToString(), await File.ReadAllTextAsync($"/proc/{net.Engine.GetContainer("joiner").State.Pid}/root/etc/resolv.conf", Cancel), StringComparison.Ordinal);
        Assert.DoesNotContain("eth1", (await net.InsideAsync("joiner", "ip", "-o", "link")).OutputText, StringComparison.Ordinal);
        Assert.NotEqual(0, (await ReadAsync("late", "joiner")).Code);
        Assert.Equal("late", await net.Engine.RemoveNetworkAsync("late", Cancel));
        Assert.False(Directory.Exists("/sys/class/net/" + late.Bridge));
        await net.RemoveAllAsync("joiner");
    }

    [Fact]
    public async Task Addresses_are_what_was_asked_for_and_come_back_after_rm()
    {
        NetworkRecord network = await net.CreateAsync("addresses", o => o with { Subnets = ["198.18.77.0/28", "fd77:1::/64"], Ranges = ["198.18.77.8/29"] });
        Assert.Equal(0, (await net.ShellAsync("addresses", "ip -4 -o addr show eth0 | grep -q 'inet 198.18.77.8/28 ' && ip -6 -o addr show eth0 | grep -q 'inet6 fd77:1::2/64 '")).Code);
        Assert.Equal(0, (await net.ShellAsync("addresses:ip=198.18.77.5,mac=02:00:00:00:00:05", "ip -o addr | grep -q 'inet 198.18.77.5/28 ' && ip -o link show eth0 | grep -q 02:00:00:00:00:05")).Code);
        await net.StartAsync(NetworkFixture.Options("keeps", "addresses:ip=198.18.77.9", "exec sleep 1000"));
        Assert.Contains("container", (await Assert.ThrowsAsync<StrataException>(() => net.ShellAsync("addresses:ip=198.18.77.9", "true"))).Message, StringComparison.Ordinal);
        await net.RemoveAllAsync("keeps");
        Assert.Equal(0, (await net.ShellAsync("addresses:ip=198.18.77.9", "true")).Code);
        Assert.Equal(ErrorKind.Conflict, (await Assert.ThrowsAsync<StrataException>(() => net.CreateAsync("overlaps", o => o with { Subnets = ["198.18.77.0/24"] }))).Kind);
        Assert.Empty(net.Engine.Networks.PoolOf(network.Name).Owners());
    }

    [Fact]
    public async Task Twenty_at_once_get_twenty_addresses()
    {
        await net.CreateAsync("crowd");
        ContainerRecord[] all = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => Task.Run(() => net.StartAsync(NetworkFixture.Options($"crowd{i}", i % 2 == 0 ? "crowd" : "bridge", "exec sleep 1000")), Cancel)));
        string[] addresses = [.. all.Select(c => net.AddressOf(c.Name))];
        Assert.Equal(20, addresses.Distinct().Count());
        foreach (ContainerRecord container in all)
        {
            Assert.Contains($"inet {net.AddressOf(container.Name)}/", (await net.InsideAsync(container.Name, "ip", "-4", "-o", "addr", "show", "eth0")).OutputText, StringComparison.Ordinal);
        }
        await net.RemoveAllAsync([.. all.Select(c => c.Name)]);
    }

    [Fact]
    public async Task What_is_left_when_everything_is_killed_is_undone_by_rm_or_the_next_start()
    {
        await net.CreateAsync("killed");
        int port = NetworkFixture.FreePort();
        foreach (bool byRemoval in (bool[])[true, false])
        {
            ContainerRecord victim = await net.ServeAsync("victim", "killed", $"127.0.0.1:{port}:80");
            Assert.Equal("I am victim", await NetworkFixture.GetAsync($"http://127.0.0.1:{port}/"));
            ContainerStart start = net.Engine.Containers.ReadStart(victim.Id)!;
            LiveProcess.Signal(start.MonitorPid, start.MonitorStarted, 9);
            LiveProcess.Signal(start.Pid, start.PidStarted, 9);
            int dns = int.Parse(await File.ReadAllTextAsync("/run/strata/net/dns/aardvark-dns/aardvark.pid", Cancel), System.Globalization.CultureInfo.InvariantCulture);
            LiveProcess.Signal(dns, LiveProcess.TryGetStart(dns) ?? 0, 9);
            await LiveProcess.WaitAsync(start.Pid, start.PidStarted, Cancel);
            Assert.Contains($"--dport {port} ", await NetworkFixture.RulesAsync(), StringComparison.Ordinal);
            if (byRemoval)
            {
                await net.RemoveAllAsync("victim");
                Assert.DoesNotContain($"--dport {port} ", await NetworkFixture.RulesAsync(), StringComparison.Ordinal);
            }
        }
        // The dead one is still there, with its rules before those of the next: which would never be reached.
        await net.ServeAsync("heir", "killed", $"127.0.0.1:{port}:80");
        Assert.Equal("I am heir", await NetworkFixture.GetAsync($"http://127.0.0.1:{port}/"));
        Assert.Equal((0, "I am heir\n"), await ReadAsync("killed", "heir"));
        Assert.NotEqual(0, (await ReadAsync("killed", "victim")).Code);
        await net.RemoveAllAsync("victim", "heir");
    }

    [Fact]
    public async Task A_helper_that_is_not_there_is_told_with_what_to_do()
    {
        ContainerStartException failure = await Assert.ThrowsAsync<ContainerStartException>(async () => await new Netavark("no-such-netavark").SetUpAsync("/dev/null", NetworkNamespace.Create(), dns: false, Cancel));
        Assert.Equal((125, "apt-get install netavark aardvark-dns iptables, or do without: --network host or --network none"), (failure.ExitCode, failure.Hint));
    }

    [Fact]
    public async Task The_host_has_a_name_inside_and_none_has_nothing()
    {
        (_, string hosts, _) = await net.ShellAsync("bridge", "cat /etc/hosts", o => o with { Networking = o.Networking with { AddHosts = ["outside:host-gateway", "db:10.0.0.5"] } });
        IPAddress gateway = net.Engine.Networks.Get("bridge").Subnets[0].Gateway;
        Assert.EndsWith($"{gateway}\toutside\n10.0.0.5\tdb\n", hosts, StringComparison.Ordinal);
        Assert.Equal("lo\n", (await net.ShellAsync("none", "ls /sys/class/net")).Output);
        Assert.Equal(File.ResolveLinkTarget("/proc/self/ns/net", false)!.Name + "\n", (await net.ShellAsync("host", "readlink /proc/self/ns/net")).Output);
    }

    [Fact]
    public async Task Ports_are_shown_as_docker_shows_them_and_stay_with_a_container_that_is_started_again()
    {
        int port = NetworkFixture.FreePort();
        string id = await StrataAsync("run", "-d", "--restart", "always", "--name", "again", "--expose", "443", "-p", $"127.0.0.1:{port}:80", "box", "sh", "-c", "mkdir -p /www; echo hello >/www/index.html; httpd -p 80 -h /www; exec sleep 1000");
        Assert.Equal(64, id.Length);
        Assert.Equal("hello", await NetworkFixture.GetAsync($"http://127.0.0.1:{port}/"));
        Assert.Equal($"127.0.0.1:{port}->80/tcp, 443/tcp", await StrataAsync("ps", "--format", "{{.Ports}}", "--filter", "name=again"));
        Assert.Equal($"80/tcp -> 127.0.0.1:{port}", await StrataAsync("port", "again"));
        Assert.Equal($"127.0.0.1:{port}", await StrataAsync("port", "again", "80"));
        Assert.Equal($"{net.AddressOf("again")} [{{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"{port}\"}}] null {net.Engine.Networks.Get("bridge").Subnets[0].Gateway}",
            await StrataAsync("inspect", "-f", "{{.NetworkSettings.IPAddress}} {{json (index .NetworkSettings.Ports \"80/tcp\")}} {{json (index .NetworkSettings.Ports \"443/tcp\")}} {{.NetworkSettings.Networks.bridge.Gateway}}", "again"));

        // Its monitor has the ports, sees its end, and calls what starts it again: which needs them.
        ContainerRecord record = net.Engine.GetContainer("again").Record;
        int before = net.Engine.GetContainer("again").State.Pid!.Value;
        LiveProcess.Signal(before, LiveProcess.TryGetStart(before) ?? 0, 9); // not by strata kill, which means that it shall not run again
        for (int tries = 0; tries < 100 && (net.Engine.GetContainer("again").State.Pid ?? before) == before; tries++)
        {
            await Task.Delay(100, Cancel);
        }
        Assert.Equal("hello", await NetworkFixture.GetAsync($"http://127.0.0.1:{port}/"));
        await net.RemoveAllAsync(record.Id);
        BindTo(port);
    }

    private async Task<string> StrataAsync(params string[] arguments)
    {
        ChildResult result = await ChildProcess.RunAsync(new ChildStart
        {
            Program = StrataBinary.Path,
            Arguments = ["--root", Path.Combine(net.Folder, "store"), .. arguments],
            Environment = [.. ((string[])["PATH", "HOME", "DOTNET_ROOT"]).Select(n => $"{n}={Environment.GetEnvironmentVariable(n)}").Where(e => !e.EndsWith('='))],
        }, cancellationToken: Cancel);
        Assert.True(result.ExitCode == 0, result.ErrorText);
        return result.OutputText;
    }
}
