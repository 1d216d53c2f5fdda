using System.Collections.Immutable;

namespace Strata.Dockerfiles.Lint;

/// <summary>Which rules are asked, and what the text of a Dockerfile does not say.</summary>
public sealed record LintOptions
{
    /// <summary>
    /// The variables that an image sets, by the name after FROM; null where the image is not known. Where none is known,
    /// <c>UndefinedVar</c> speaks only of what looks like a slip of a declared name.
    /// </summary>
    public Func<string, IReadOnlyCollection<string>?> BaseVariables { get; init; } = static _ => null;

    /// <summary>What .dockerignore leaves out of the context; null where the context is not known.</summary>
    public DockerIgnore? Ignore { get; init; }

    /// <summary>Rules that are not asked, by name or alias (<see cref="DockerfileLinter.NamesOf"/>).</summary>
    public ImmutableArray<string> Disabled { get; init; } = [];

    /// <summary>Only these are asked; all where it is empty. A rule that is off by itself is on when it is named here.</summary>
    public ImmutableArray<string> Only { get; init; } = [];

    /// <summary>Rules that are off by themselves and are asked nevertheless.</summary>
    public ImmutableArray<string> Enabled { get; init; } = [];

    /// <summary>A <c>check</c> setting from outside the file (BUILDKIT_DOCKERFILE_CHECK); it stands in for the file's own. Null where there is none.</summary>
    public string? Check { get; init; }
}
