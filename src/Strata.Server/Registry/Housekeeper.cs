using Strata.Linux;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>What a registry does beside serving: drops what nobody finishes, applies retention, collects, keeps the store's limit, checks blobs, sends events.</summary>
internal sealed class Housekeeper(OciRegistry registry)
{
    private const int ScrubBytes = 1 << 20;
    private static readonly TimeSpan s_tick = TimeSpan.FromSeconds(30), s_slice = TimeSpan.FromSeconds(1);

    private HousekeepingOptions Options => registry.Options.Housekeeping;
    private TimeProvider Time => registry.Options.Time;

    public Task RunAsync(CancellationToken cancellationToken) => Task.WhenAll(
        EveryAsync(Shorter(s_tick, Options.Grace), TidyAsync, cancellationToken),
        EveryAsync(Options.CollectInterval, CollectAsync, cancellationToken),
        EveryAsync(Options.ScrubInterval, ScrubAsync, cancellationToken),
        UntilCancelledAsync(registry.Events.RunAsync, cancellationToken));

    private static TimeSpan Shorter(TimeSpan a, TimeSpan b) => b > TimeSpan.Zero && b < a ? b : a;

    private async Task EveryAsync(TimeSpan? interval, Func<CancellationToken, Task> work, CancellationToken cancellationToken)
    {
        if (interval is not { } period)
        {
            return;
        }
        await UntilCancelledAsync(async token =>
        {
            while (true)
            {
                await Task.Delay(period, Time, token);
                try
                {
                    await work(token);
                }
                catch (Exception e) when (e is StrataException or IOException)
                {
                    registry.Options.Notify?.Invoke($"housekeeping: {e.Message}"); // the next round may do better; serving goes on
                }
            }
        }, cancellationToken);
    }

    private static async Task UntilCancelledAsync(Func<CancellationToken, Task> work, CancellationToken cancellationToken)
    {
        try
        {
            await work(cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // told to end
        }
    }

    private long _receivedBefore = -1;

    private async Task TidyAsync(CancellationToken cancellationToken)
    {
        registry.Uploads.Sweep();
        registry.Contents.Sweep();
        registry.RotateLeases();
        long received = registry.Metrics.Get(RegistryMetrics.BytesReceived) + registry.Metrics.Get(RegistryMetrics.ProxyMisses);
        if (received != _receivedBefore && !registry.Options.IsReadOnly)
        {
            _receivedBefore = received;
            using Engine keeper = OpenKeeper();
            if (await keeper.KeepBudgetAsync(cancellationToken: cancellationToken) is { } report)
            {
                registry.Options.Notify?.Invoke($"the store was over its limit: {report.UsedBytes - report.LeftBytes} bytes freed{(report.IsOver ? ", and it still is" : "")}");
            }
        }
    }

    /// <summary>Retention, then a collection: beside pushes and pulls, which it does not disturb.</summary>
    internal async Task CollectAsync(CancellationToken cancellationToken)
    {
        if (registry.Options.IsReadOnly)
        {
            return;
        }
        if (Options.RetentionFile is { } file)
        {
            RetentionRules rules = RetentionRules.Parse(ServerFiles.Read(file), file);
            IReadOnlyList<RetentionVictim> gone = await new Retention(registry).ApplyAsync(rules, dryRun: false, cancellationToken);
            registry.Metrics.Add(RegistryMetrics.RetainedAway, gone.Count(v => v.Name.Tag is not null));
        }
        using Engine keeper = OpenKeeper();
        CollectResult collected = await keeper.CollectAsync(dryRun: false, includeCache: false, cancellationToken);
        registry.Metrics.Add(RegistryMetrics.Collections);
        registry.Metrics.Add(RegistryMetrics.CollectedBytes, collected.Bytes);
    }

    // An engine of its own: ours spares what it has named or used since it began, as a command does, and a server has been at it for weeks.
    private Engine OpenKeeper() => Engine.Open(new EngineOptions { Root = registry.Content.Layout.Root });

    /// <summary>Hashes every blob, slowly. One that is not what its name says is not shown any more, so that it is pushed or fetched again.</summary>
    internal async Task ScrubAsync(CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[ScrubBytes];
        foreach ((Digest digest, long size) in registry.Content.List())
        {
            if (!registry.Damaged.ContainsKey(digest) && await FindDamageAsync(digest, size, buffer, cancellationToken) is { } problem)
            {
                registry.Damaged[digest] = true;
                registry.Metrics.Add(RegistryMetrics.DamagedBlobs);
                registry.Options.Notify?.Invoke($"check: {problem}; it is not served any more: push or pull what needs it again");
            }
            registry.Metrics.Add(RegistryMetrics.ScrubbedBlobs);
        }
    }

    private async Task<string?> FindDamageAsync(Digest digest, long size, byte[] buffer, CancellationToken cancellationToken)
    {
        try
        {
            await using Stream blob = await registry.Content.OpenAsync(new Descriptor("application/octet-stream", digest, size), cancellationToken);
            long slice = 0;
            for (int read; (read = await blob.ReadAsync(buffer, cancellationToken)) > 0;)
            {
                slice += read;
                if (slice >= Options.ScrubRate)
                {
                    slice = 0;
                    await Task.Delay(s_slice, Time, cancellationToken);
                }
            }
            return null;
        }
        catch (StrataException e) when (e.Kind == ErrorKind.NotFound)
        {
            return null; // collected since it was listed
        }
        catch (Exception e) when (e is StrataException or LinuxException)
        {
            return $"blob {digest}: {e.Message}";
        }
    }
}
