using System.Globalization;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Build;

/// <summary>What a build holds of its context, by the kernel's account of the program. STRATA_LONG=1: 200,000 files.</summary>
public sealed class LargeContextTests(SeedStore store)
{
    private const int MostBytesAFile = 500, MostBytesOfAll = 200_000_000, Buffers = 40 << 20;

    [Fact]
    public async Task Many_files_take_few_bytes_each()
    {
        int count = Environment.GetEnvironmentVariable("STRATA_LONG") == "1" ? 200_000 : 50_000;
        string context = store.Context(("Dockerfile", "FROM scratch\nCOPY files /files\n"), ("one/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n"));
        for (int i = 0; i < count; i++)
        {
            string folder = Path.Combine(context, "files", $"folder-{i / 500 % 20}", $"package-{i / 500}");
            if (i % 500 == 0)
            {
                Directory.CreateDirectory(folder);
            }
            await File.WriteAllTextAsync(Path.Combine(folder, $"a-file-{i}.txt"), i.ToString(CultureInfo.InvariantCulture), TestContext.Current.CancellationToken);
        }
        long few = await PeakOfAsync("build", "-q", Path.Combine(context, "one")), many = await PeakOfAsync("build", "-q", "-t", "many", context);
        TestContext.Current.TestOutputHelper?.WriteLine($"{few} bytes for one file, {many} for {count}: {(many - few) / count} each");
        Assert.InRange(many - few, 1, Buffers + (MostBytesAFile * (long)count));
        Assert.InRange(many, few, MostBytesOfAll);
        store.Run("rmi", "many").Ok();
        FileSystems.RemoveTree(context);
    }

    private async Task<long> PeakOfAsync(params string[] words)
    {
        using ChildProcess program = ChildProcess.Start(new ChildStart { Program = SeedStore.Binary, Arguments = ["--root", store.Root, .. words], Environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", $"DOTNET_ROOT={Environment.GetEnvironmentVariable("DOTNET_ROOT")}"] });
        Task<int> ended = program.WaitAsync(TestContext.Current.CancellationToken).AsTask();
        long peak = 0;
        while (!ended.IsCompleted)
        {
            peak = Math.Max(peak, TryReadPeak(program.Id) ?? 0);
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }
        Assert.Equal(0, await ended);
        return peak;
    }

    private static long? TryReadPeak(int processId)
    {
        try
        {
            string? line = File.ReadLines($"/proc/{processId}/status").FirstOrDefault(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
            return line is null ? null : long.Parse(line.AsSpan("VmHWM:".Length).Trim().TrimEnd(" kB"), CultureInfo.InvariantCulture) << 10;
        }
        catch (IOException)
        {
            return null; // it has just ended
        }
    }
}
