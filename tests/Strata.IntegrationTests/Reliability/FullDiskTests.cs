using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Reliability;

/// <summary>A disk that fills up at any byte, and one with no byte left: an error like others, and a way out (docs/reliability.md).</summary>
[Collection(nameof(ReliabilityCollection))]
public sealed class FullDiskTests(CrashScene scene)
{
    private const long NeededBytes = 6 << 20, Bytes = 48 << 20; // more than any of the commands writes; the template and that

    [Fact]
    public async Task A_disk_that_fills_up_in_the_middle_of_a_command_is_an_ordinary_error()
    {
        string folder = Path.Combine(scene.Folder, "full"), start = Path.Combine(folder, "start.img");
        Directory.CreateDirectory(folder);
        await CrashDisk.MakeAsync(scene, start, Bytes);
        var log = new TrialLog("sizes of a full disk");
        CrashCommand[] commands = [.. scene.Commands.Where(c => c.Name is "load" or "copy" or "commit" or "import")];
        int sizes = CrashScene.IsLong ? 25 : 3;
        var cases = commands.SelectMany(c => Enumerable.Range(0, sizes).Select(i => (Command: c, Free: NeededBytes * i / sizes))).ToList();
        await Parallel.ForEachAsync(cases, CrashScene.AtOnce, async (item, _) =>
        {
            string image = Path.Combine(folder, $"{item.Command.Name}-{item.Free}.img"), mount = image + ".mnt", root = Path.Combine(mount, "store"), filler = Path.Combine(mount, "filler");
            await CrashDisk.CopyAsync(start, image);
            await CrashDisk.MountAsync(image, mount);
            await FillAsync(filler, item.Free);
            var faults = new List<string>();
            Outcome outcome = await Programs.StrataAsync(root, item.Command.Arguments);
            if (outcome.Code != 0 && (!outcome.Err.Contains("space", StringComparison.OrdinalIgnoreCase) || outcome.Err.Contains("   at ", StringComparison.Ordinal)))
            {
                faults.Add($"ended with {outcome.Code}: {outcome.Err.Trim()}");
            }
            await StoreInspector.CheckAsync(root, faults);
            string[] names = await StoreInspector.VerifyAsync(root, faults);
            if (names.Contains(item.Command.Makes) != (outcome.Code == 0))
            {
                faults.Add($"ended with {outcome.Code} and lists {string.Join(' ', names)}");
            }
            File.Delete(filler);
            faults.AddRange(await StoreInspector.FindFaultsAsync(root, item.Command, isThorough: false));
            log.Add($"{item.Command.Name} with {item.Free} bytes free", outcome.Code == 0 ? "fitted" : "did not fit", faults);
            CrashScene.Forget(root);
            await CrashDisk.UnmountAsync(mount);
            File.Delete(image);
        });
        FileSystems.RemoveTree(folder);
        log.AssertClean(cases.Count);
    }

    [Fact]
    public async Task With_no_byte_left_looking_and_removing_still_work()
    {
        string image = Path.Combine(scene.Folder, "none.img"), mount = image + ".mnt", root = Path.Combine(mount, "store");
        await CrashDisk.MakeAsync(scene, image, Bytes);
        await CrashDisk.MountAsync(image, mount);
        await FillAsync(Path.Combine(mount, "filler"), free: 0);
        Assert.Equal(0, FileSystems.GetSpace(mount).FreeBytes);
        foreach (string[] arguments in new string[][] { ["images"], ["ps", "-a"], ["system", "df"], ["inspect", "app:1"], ["verify", "keep:1"], ["system", "check", "--deep"] })
        {
            (await Programs.StrataAsync(root, arguments)).Ok();
        }
        foreach (string[] arguments in new string[][] { ["rm", "work"], ["rmi", "app:1"], ["system", "prune", "-af"] })
        {
            (await Programs.StrataAsync(root, arguments)).Ok();
        }
        Assert.True(FileSystems.GetSpace(mount).FreeBytes > 1 << 20, $"{FileSystems.GetSpace(mount).FreeBytes} bytes free after everything was removed");
        Assert.Equal("", (await Programs.StrataAsync(root, "images", "-q")).Ok().Out);
        (await Programs.StrataAsync(root, "system", "check", "--deep")).Ok();
        CrashScene.Forget(root);
        await CrashDisk.UnmountAsync(mount);
        File.Delete(image);
    }

    // All but so many bytes: in smaller and smaller pieces, because the file's own extents need blocks as well.
    internal static async Task FillAsync(string path, long free)
    {
        string folder = Path.GetDirectoryName(path)!;
        await using FileStream filler = new(path, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
        for (int piece = 1 << 20; piece >= 4096;)
        {
            long left = FileSystems.GetSpace(folder).FreeBytes - free;
            if (left < 4096)
            {
                break;
            }
            try
            {
                await filler.WriteAsync(new byte[Math.Min(piece, left / 4096 * 4096)]);
                filler.Flush(flushToDisk: true);
            }
            catch (IOException)
            {
                piece /= 4;
            }
        }
    }
}
