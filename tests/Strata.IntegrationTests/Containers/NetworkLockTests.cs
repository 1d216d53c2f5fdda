using Strata.Containers.Networks;
using Strata.Content;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Containers;

/// <summary>Who waits for a network's lock while another removes the network.</summary>
public sealed class NetworkLockTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-network-lock-").FullName;

    [Fact]
    public async Task Who_waits_for_a_network_that_is_removed_is_told_so_and_gets_the_next_of_its_name()
    {
        CancellationToken token = TestContext.Current.CancellationToken;
        var store = new NetworkStore(new StoreLayout(_folder), TimeProvider.System);
        NetworkRecord network = await store.CreateAsync(new NetworkCreateOptions { Name = "lost" }, token);
        FileLock held = (await store.TryLockAsync(network, token))!;
        Task<FileLock?> waiting = store.TryLockAsync(network, token).AsTask();
        store.Remove(network);
        NetworkRecord next = await store.CreateAsync(new NetworkCreateOptions { Name = "lost" }, token);
        held.Dispose();
        Assert.Null(await waiting);
        Assert.Null(await store.TryLockAsync(network, token));
        using (FileLock? free = await store.TryLockAsync(next, token))
        {
            Assert.NotNull(free);
        }
        store.Remove(next);
        Assert.Null(await store.TryLockAsync(next, token));
    }

    public void Dispose() => FileSystems.RemoveTree(_folder);
}
