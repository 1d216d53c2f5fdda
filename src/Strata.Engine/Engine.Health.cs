using Strata.Containers;
using Strata.Linux;
using Strata.Oci;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>How often the supervisor looks which containers there are to check.</summary>
    private static readonly TimeSpan s_healthLook = TimeSpan.FromMilliseconds(250);

    // One supervisor per store, started with the first container that has a health check, and over with the last one: no daemon, and not one process
    // for each container. One more that is started finds the lock taken, and goes when the one who has it has had time to see the new container.
    private void WatchHealth(ContainerRecord record)
    {
        if (record.Healthcheck is null)
        {
            return;
        }
        HealthStore.Write(Containers.DirectoryOf(record.Id), new HealthState { Status = HealthState.Starting });
        if (_options.Program is { } program)
        {
            ChildProcess.Start(new ChildStart { Program = program[0], Arguments = [.. program.Skip(1), "container", "health"], NewSession = true, WorkingDirectory = "/" }).Dispose();
        }
    }

    /// <summary>What the health checks of a container found; null where it has none.</summary>
    public HealthState? GetHealth(ContainerRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        return record.Healthcheck is null ? null : HealthStore.TryRead(Containers.DirectoryOf(record.Id)) ?? new HealthState { Status = HealthState.Starting };
    }

    /// <summary>Checks the health of all running containers that have a check, until there is none.</summary>
    public async ValueTask SuperviseHealthAsync(CancellationToken cancellationToken = default)
    {
        const int TriesForTurn = 30;
        Directory.CreateDirectory(Layout.Containers);
        FileLock? turn = null;
        for (int i = 0; i < TriesForTurn && (turn = FileLock.TryAcquire(Path.Combine(Layout.Containers, "health.lock"), exclusive: true)) is null; i++)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(100), _options.Time, cancellationToken).ConfigureAwait(false);
        }
        if (turn is null)
        {
            return;
        }
        using (turn)
        {
            var watched = new Dictionary<string, Task>(StringComparer.Ordinal);
            do
            {
                foreach (Container container in ListContainers().Where(c => c.State.Status == ContainerStatus.Running && c.Record.Healthcheck is not null))
                {
                    string key = container.Record.Id + container.State.Pid;
                    if (!watched.TryGetValue(key, out Task? task) || task.IsCompleted)
                    {
                        watched[key] = WatchAsync(container.Record, cancellationToken);
                    }
                }
                await Task.Delay(s_healthLook, _options.Time, cancellationToken).ConfigureAwait(false);
                foreach (string over in watched.Where(w => w.Value.IsCompleted).Select(w => w.Key).ToArray())
                {
                    watched.Remove(over);
                }
            }
            while (watched.Count > 0);
        }
    }

    // One start of one container, to its end.
    private async Task WatchAsync(ContainerRecord record, CancellationToken cancellationToken)
    {
        HealthcheckConfig check = record.Healthcheck!;
        DateTimeOffset started = Containers.ReadStart(record.Id)?.At ?? _options.Time.GetUtcNow();
        var judge = new HealthJudge(check, started, HealthStore.TryRead(Containers.DirectoryOf(record.Id)) ?? new HealthState { Status = HealthState.Starting });
        try
        {
            while (true)
            {
                await Task.Delay(judge.NextDelay(_options.Time.GetUtcNow()), _options.Time, cancellationToken).ConfigureAwait(false);
                if (Containers.TryRead(record.Id) is not { } now || Containers.GetState(now) is not { Status: ContainerStatus.Running } state || Containers.ReadStart(record.Id)?.At != started)
                {
                    return;
                }
                if (state.IsPaused)
                {
                    continue;
                }
                HealthResult result = await CheckHealthAsync(now, check, cancellationToken).ConfigureAwait(false);
                string before = judge.State.Status;
                HealthStore.Write(Containers.DirectoryOf(record.Id), judge.Take(result));
                if (judge.State.Status != before)
                {
                    Containers.Note("health_status: " + judge.State.Status, now);
                }
            }
        }
        catch (Exception e) when (e is StrataException or IOException)
        {
            // It ended, or was removed, while it was checked: the next look finds out.
        }
    }

    private async ValueTask<HealthResult> CheckHealthAsync(ContainerRecord record, HealthcheckConfig check, CancellationToken cancellationToken)
    {
        DateTimeOffset start = _options.Time.GetUtcNow();
        long limit = check.Timeout is > 0 and long said ? said : HealthPlan.DefaultTimeout;
        using var output = new LimitedStream(HealthState.MostOutputBytes);
        ContainerSession? session = null;
        try
        {
            var options = new ExecOptions { Arguments = [.. HealthPlan.Command(check, record.Config.Shell)] };
            Task<int> running = ExecAsync(record.Id, options, new ContainerStreams(null, output, output), s => session = s, cancellationToken).AsTask();
            Task first = await Task.WhenAny(running, Task.Delay(TimeSpan.FromTicks(limit / 100), _options.Time, cancellationToken)).ConfigureAwait(false);
            if (first != running)
            {
                session?.Signal(KillSignal);
                _ = await Task.WhenAny(running, Task.Delay(s_patience, _options.Time, cancellationToken)).ConfigureAwait(false);
                return new HealthResult(start, _options.Time.GetUtcNow(), -1, $"Health check exceeded timeout ({TimeSpan.FromTicks(limit / 100).TotalSeconds:0.###}s)");
            }
            return new HealthResult(start, _options.Time.GetUtcNow(), await running.ConfigureAwait(false), output.Text);
        }
        catch (ContainerStartException e)
        {
            return new HealthResult(start, _options.Time.GetUtcNow(), -1, e.Message);
        }
    }
}
