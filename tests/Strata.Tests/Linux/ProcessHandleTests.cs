using System.Globalization;
using Strata.Linux;
using Xunit;

namespace Strata.Tests.Linux;

public sealed class ProcessHandleTests
{
    // Linux numbers threads like processes: what a dead process was called may be a thread's number when somebody asks for it.
    [Fact]
    public void A_number_that_is_a_threads_now_is_no_process()
    {
        using var done = new ManualResetEventSlim();
        var thread = new Thread(done.Wait);
        thread.Start();
        try
        {
            int[] threads = [.. Directory.GetDirectories("/proc/self/task").Select(d => int.Parse(Path.GetFileName(d), CultureInfo.InvariantCulture)).Where(id => id != Environment.ProcessId)];
            Assert.NotEmpty(threads);
            Assert.All(threads, id => Assert.Null(ProcessHandle.TryOpen(id)));
        }
        finally
        {
            done.Set();
            thread.Join();
        }
        using ProcessHandle? own = ProcessHandle.TryOpen(Environment.ProcessId);
        Assert.NotNull(own);
    }
}
