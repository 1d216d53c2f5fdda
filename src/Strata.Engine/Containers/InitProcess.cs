using System.Collections.Immutable;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>The small first process of --init: catatonit of the host, which is static, seen at a path below /dev, which every container has.</summary>
internal static class InitProcess
{
    private const string Target = "/dev/init";

    /// <summary>The words that start it with others behind it.</summary>
    public static ImmutableArray<string> Wrap(ImmutableArray<string> arguments) => [Target, "--", .. arguments];

    /// <summary>The mount of the program.</summary>
    /// <exception cref="ContainerStartException">It is not installed.</exception>
    public static ImmutableArray<SpecMount> Mounts() => [new SpecMount(Target, "bind", Find(), ["bind", "ro", "nosuid", "nodev", "rprivate"])];

    private static string Find() => ChildProcess.FindProgram("catatonit") ?? OciRuntime.Find("/usr/libexec/podman/catatonit", "the first process of --init", "catatonit");
}
