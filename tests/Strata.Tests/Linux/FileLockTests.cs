using System.Runtime.InteropServices;
using Strata.Linux;
using Xunit;

namespace Strata.Tests.Linux;

public sealed class FileLockTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-lock").FullName;

    private string Path => System.IO.Path.Combine(_folder, "lock");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void One_that_is_let_go_is_free_though_a_child_has_its_descriptor()
    {
        ChildProcess child;
        using (FileLock held = FileLock.TryAcquire(Path, exclusive: true)!)
        {
            child = ChildProcess.Start(new ChildStart { Program = ChildProcess.FindProgram("sleep")!, Arguments = ["100"], Descriptors = new Dictionary<int, SafeHandle> { [3] = held.Handle } });
            Assert.Null(FileLock.TryAcquire(Path, exclusive: true));
        }
        using (child)
        {
            using FileLock? again = FileLock.TryAcquire(Path, exclusive: true);
            child.Kill(9);
            child.Wait();
            Assert.NotNull(again);
        }
    }
}
