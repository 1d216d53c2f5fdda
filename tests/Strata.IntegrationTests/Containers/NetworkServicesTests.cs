using Strata.Containers;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Containers;

/// <summary>What people run: PostgreSQL with its data in a volume (nginx before two others is row D3). Debian's packages come first, from its mirror.</summary>
public sealed class NetworkServicesTests(NetworkFixture net) : IClassFixture<NetworkFixture>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private static void SkipUnlessLong()
    {
        if (Environment.GetEnvironmentVariable("STRATA_LONG") != "1")
        {
            Assert.Skip("STRATA_LONG is not 1: Debian's packages take minutes");
        }
    }

    // One image, made once.
    private async Task BootstrapAsync()
    {
        if (net.Engine.ListImages().Any(i => i.Reference?.FamiliarName == "services"))
        {
            return;
        }
        ChildResult made = await ChildProcess.RunAsync(new ChildStart
        {
            Program = StrataBinary.Path,
            Arguments = ["--root", Path.Combine(net.Folder, "store"), "bootstrap", "debian:bookworm", "-t", "services", "--include", "postgresql-15"],
            Environment = [.. ((string[])["PATH", "HOME", "DOTNET_ROOT"]).Select(n => $"{n}={Environment.GetEnvironmentVariable(n)}").Where(e => !e.EndsWith('='))],
        }, cancellationToken: Cancel);
        Assert.True(made.ExitCode == 0, made.ErrorText);
    }

    [Fact]
    public async Task PostgreSQL_keeps_its_data_over_stop_start_and_kill_of_every_helper()
    {
        SkipUnlessLong();
        await BootstrapAsync();
        await net.CreateAsync("data");
        string access = Path.Combine(net.Folder, "hba");
        await File.WriteAllTextAsync(access, "local all all trust\nhost all all all trust\n", Cancel);
        await net.StartAsync(Database("db", access));
        Assert.Equal("CREATE TABLE", await SqlAsync("db", "create table t (n int)"));
        Assert.Equal("INSERT 0 1", await SqlAsync("db", "insert into t values (1)"));

        await net.Engine.StopContainerAsync("db", TimeSpan.FromSeconds(20), Cancel);
        await net.Engine.StartContainerAsync("db", Cancel);
        Assert.Equal("INSERT 0 1", await SqlAsync("db", "insert into t values (2)"));

        ContainerStart start = net.Engine.Containers.ReadStart(net.Engine.GetContainer("db").Record.Id)!;
        LiveProcess.Signal(start.MonitorPid, start.MonitorStarted, 9);
        LiveProcess.Signal(start.Pid, start.PidStarted, 9);
        int dns = int.Parse(await File.ReadAllTextAsync("/run/strata/net/dns/aardvark-dns/aardvark.pid", Cancel), System.Globalization.CultureInfo.InvariantCulture);
        LiveProcess.Signal(dns, LiveProcess.TryGetStart(dns) ?? 0, 9);
        await LiveProcess.WaitAsync(start.Pid, start.PidStarted, Cancel);
        await net.Engine.StartContainerAsync("db", Cancel);
        Assert.Equal("1\n2", await SqlAsync("db", "select n from t order by n"));

        await net.RemoveAllAsync("db");
        await net.StartAsync(Database("db2", access));
        Assert.Equal("1\n2", await SqlAsync("db2", "select n from t order by n"));
        await net.RemoveAllAsync("db2");
        net.Engine.RemoveVolume("pgdata");
    }

    private static ContainerOptions Database(string name, string access) => NetworkFixture.Options(name, "data", "") with
    {
        Image = "services", User = "postgres", Volumes = ["pgdata:/var/lib/postgresql", $"{access}:/hba:ro"], Tmpfs = ["/run/postgresql:mode=1777"],
        Command = ["/usr/lib/postgresql/15/bin/postgres", "-D", "/var/lib/postgresql/15/main", "-c", "config_file=/etc/postgresql/15/main/postgresql.conf", "-c", "hba_file=/hba", "-c", "listen_addresses=*"],
    };

    private async Task<string> SqlAsync(string host, string statement)
    {
        (int code, string output, string error) = await net.ShellAsync("data", $"for i in $(seq 50); do psql -X -h {host} -U postgres -At -c 'select 1' >/dev/null 2>&1 && break; sleep 0.2; done; psql -X -h {host} -U postgres -At -c '{statement}'", o => o with { Image = "services" });
        Assert.True(code == 0, error);
        return output.Trim();
    }
}
