using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Server;

namespace Strata.Cli.Commands;

/// <summary>The options of build about what goes in and what is known of it.</summary>
internal sealed class SupplyFlags
{
    internal Option<bool> Lock { get; } = Options.Flag("--lock", "write Dockerfile.lock: the digests of what the build takes from outside");
    internal Option<bool> Locked { get; } = Options.Flag("--locked", "fail where something from outside is not what Dockerfile.lock says");
    internal Option<bool> Verify { get; } = Options.Flag("--verify-reproducible", "build twice, and name the first difference");
    internal Option<bool> Sbom { get; } = Options.Flag("--sbom", "attach a bill of materials (SPDX)");
    internal Option<bool> Provenance { get; } = Options.Flag("--provenance", "attach how it was built (SLSA)");

    internal SupplyOptions Read(ParseResult parsed)
    {
        bool write = parsed.GetValue(Lock), obey = parsed.GetValue(Locked);
        return write && obey ? throw new StrataException(ErrorKind.Invalid, "--lock and --locked: one writes the lock file, the other obeys it")
            : new SupplyOptions
            {
                Lock = write ? LockUse.Write : obey ? LockUse.Obey : LockUse.None, Verify = parsed.GetValue(Verify), Sbom = parsed.GetValue(Sbom), Provenance = parsed.GetValue(Provenance),
            };
    }

    /// <summary>Says what a second build showed; the command's exit code.</summary>
    internal int Tell(CommandContext context, ParseResult parsed, BuildResult build)
    {
        if (parsed.GetValue(Verify))
        {
            context.Error.WriteLine(build.Difference is null ? "Reproducible: the second build gave the same image" : $"Not reproducible: {SafeText.Escape(build.Difference)}");
        }
        return build.Difference is null ? 0 : ErrorTable.CheckFailedExitCode;
    }
}
