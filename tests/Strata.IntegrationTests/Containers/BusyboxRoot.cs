using Strata.Linux;

namespace Strata.IntegrationTests.Containers;

/// <summary>A small root file system of the machine's static busybox.</summary>
internal static class BusyboxRoot
{
    private static readonly string[] s_applets =
    [
        "awk", "cat", "chmod", "cp", "cut", "date", "dd", "df", "echo", "env", "false", "find", "grep", "head", "hostname", "id", "kill", "ln", "ls", "md5sum", "mkdir",
        "mknod", "mount", "mv", "nproc", "od", "ps", "pwd", "readlink", "rm", "rmdir", "sed", "seq", "sh", "sleep", "sort", "stat", "stty", "tail", "tar", "test", "touch", "tr",
        "true", "tty", "umount", "uname", "unshare", "wc", "who", "yes",
    ];

    /// <summary>Makes it in an empty directory.</summary>
    public static void Create(string root)
    {
        string busybox = ChildProcess.FindProgram("busybox") ?? throw new InvalidOperationException("these tests need the Debian package busybox-static");
        foreach (string directory in (string[])["bin", "etc", "tmp", "home/app", "var/data", "root"])
        {
            Directory.CreateDirectory(Path.Combine(root, directory));
        }
        File.Copy(busybox, Path.Combine(root, "bin/busybox"));
        File.SetUnixFileMode(Path.Combine(root, "bin/busybox"), (UnixFileMode)0b111_101_101);
        foreach (string applet in s_applets)
        {
            File.CreateSymbolicLink(Path.Combine(root, "bin", applet), "busybox");
        }
        File.SetUnixFileMode(Path.Combine(root, "tmp"), (UnixFileMode)0b1_111_111_111);
        File.WriteAllText(Path.Combine(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n");
        File.WriteAllText(Path.Combine(root, "etc/group"), "root:x:0:\napp:x:1001:\nextra:x:1500:app,other\nwheel:x:10:app\n");
        File.WriteAllText(Path.Combine(root, "var/data/seed"), "from the image\n");
        File.WriteAllText(Path.Combine(root, "etc/plain"), "no program\n");
        File.WriteAllText(Path.Combine(root, "etc/junk"), "\u0001\u0002 no program either\n");
        File.SetUnixFileMode(Path.Combine(root, "etc/junk"), (UnixFileMode)0b111_101_101);
    }
}
