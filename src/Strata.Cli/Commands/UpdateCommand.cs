using Strata.Cli.Syntax;
using Strata.Containers;

namespace Strata.Cli.Commands;

/// <summary><c>strata update</c>: other limits, and another restart policy, for containers that are there.</summary>
internal static class UpdateCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string[]> names = Options.Many("CONTAINER", "names or IDs");
        Option<string?> memory = Options.Value("--memory", "BYTES", "most memory, e.g. 512m", "-m");
        Option<string?> swap = Options.Value("--memory-swap", "BYTES", "most memory and swap together; -1: no limit");
        Option<string?> reservation = Options.Value("--memory-reservation", "BYTES", "what it may keep when memory is short");
        Option<string?> cpus = Options.Value("--cpus", "N", "most processors, e.g. 1.5");
        Option<string?> shares = Options.Value("--cpu-shares", "N", "its weight beside others (1024)", "-c");
        Option<string?> cpuset = Options.Value("--cpuset-cpus", "LIST", "the processors it runs on, as 0-2,4");
        Option<string?> pids = Options.Value("--pids-limit", "N", "most processes; -1: no limit");
        Option<string?> weight = Options.Value("--blkio-weight", "N", "its weight at disks, 10 to 1000");
        Option<string?> restart = Options.Value("--restart", "POLICY", "no, on-failure[:N], always or unless-stopped");
        var command = new Command("update") { names, memory, swap, reservation, cpus, shares, cpuset, pids, weight, restart };
        command.SetAction((parsed, cancellationToken) =>
        {
            RestartPolicy? policy = parsed.GetValue(restart) is { } text ? RestartPolicy.Parse(text) : null;
            IsolationOptions Change(IsolationOptions old) => old with
            {
                MemoryLimit = parsed.GetValue(memory) is { } m ? RunCommand.ParseBytes(m, "--memory") : old.MemoryLimit,
                MemorySwap = parsed.GetValue(swap) is { } s ? s == "-1" ? -1 : RunCommand.ParseBytes(s, "--memory-swap") : old.MemorySwap,
                MemoryReservation = parsed.GetValue(reservation) is { } r ? RunCommand.ParseBytes(r, "--memory-reservation") : old.MemoryReservation,
                MilliCpus = parsed.GetValue(cpus) is { } c ? RunOptions.ReadCpus(c) : old.MilliCpus,
                CpuShares = parsed.GetValue(shares) is { } n ? (ulong)RunOptions.Number(n, "--cpu-shares") : old.CpuShares,
                CpusetCpus = parsed.GetValue(cpuset) ?? old.CpusetCpus,
                PidsLimit = parsed.GetValue(pids) is { } p ? RunOptions.Number(p, "--pids-limit", -1) is > 0 and int most ? most : null : old.PidsLimit,
                BlkioWeight = parsed.GetValue(weight) is { } w ? RunOptions.Number(w, "--blkio-weight", 10, 1000) : old.BlkioWeight,
            };
            return PauseCommand.EachAsync(context, "update", parsed.GetValue(names), async name => await context.Engine.UpdateContainerAsync(name, record => policy is not null && record.Remove && policy.Kind != RestartKind.No
                ? throw new StrataException(ErrorKind.Conflict, $"{record.Name}: it is removed when it ends, so it cannot be started again")
                : record with { Isolation = Change(record.Isolation), Life = record.Life with { Restart = policy ?? record.Life.Restart } }, cancellationToken));
        });
        return command;
    }
}
