using Microsoft.Win32.SafeHandles;
using Strata.Content;
using Xunit;

namespace Strata.Tests.Content;

public sealed class AtomicFileTests : IDisposable
{
    private readonly TempFolder _folder = new();

    /// <summary>The base library's own way to open a file asks for a shared lock, and fails where it gets none.</summary>
    [Fact]
    public async Task A_record_can_be_opened_by_anybody_while_it_is_being_written()
    {
        string path = _folder.File("record");
        AtomicFile.Write(path, "0"u8, durable: false);
        using var written = new CancellationTokenSource();
        Task<int> reading = Task.Run(() =>
        {
            int read = 0;
            for (; !written.IsCancellationRequested; read++)
            {
                using SafeFileHandle file = File.OpenHandle(path);
            }
            return read;
        }, TestContext.Current.CancellationToken);
        for (int i = 0; i < 5_000 && !reading.IsCompleted; i++)
        {
            AtomicFile.Write(path, "1"u8, durable: false);
        }
        await written.CancelAsync();
        Assert.NotEqual(0, await reading);
    }

    /// <summary>One that its writer still holds is not swept, one whose writer is dead is.</summary>
    [Fact]
    public async Task A_sweeper_takes_no_record_from_its_writer()
    {
        using var written = new CancellationTokenSource();
        Task sweeping = Task.Run(() =>
        {
            while (!written.IsCancellationRequested)
            {
                AtomicFile.Sweep(_folder.File(""), recurse: false, dryRun: false);
            }
        }, TestContext.Current.CancellationToken);
        for (int i = 0; i < 2_000; i++)
        {
            AtomicFile.Write(_folder.File("record"), "1"u8, durable: false);
        }
        await written.CancelAsync();
        await sweeping;
        string left = _folder.File(AtomicFile.TemporaryPrefix + "dead");
        await File.WriteAllTextAsync(left, "half", TestContext.Current.CancellationToken);
        Assert.NotEqual(0, AtomicFile.Sweep(_folder.File(""), recurse: false, dryRun: false));
        Assert.False(File.Exists(left));
        Assert.Equal(["record"], Directory.GetFiles(_folder.File("")).Select(Path.GetFileName));
    }

    public void Dispose() => _folder.Dispose();
}
