using System.Collections.Immutable;
using Strata.Build;
using Strata.Dockerfiles;
using Strata.Dockerfiles.Lint;
using Strata.Oci;

namespace Strata;

public sealed partial class Engine
{
    // What the linter says of the file that is built is found beside the build, on a processor of its own; before it where the file makes it an error.
    private static Task<ImmutableArray<LintFinding>> StartLinting(Dockerfile file, IReadOnlyDictionary<BaseName, BaseImage> bases, BuildRequest request, DockerIgnore? ignore, IBuildProgress progress)
    {
        var options = new LintOptions
        {
            BaseVariables = name => VariablesOf(name, bases), Ignore = ignore, Check = request.Options.Arguments.GetValueOrDefault("BUILDKIT_DOCKERFILE_CHECK"),
        };
        if (!DockerfileLinter.MakesErrors(file, options))
        {
            return request.Lints ? Task.Run(() => DockerfileLinter.Lint(file, options)) : Task.FromResult(ImmutableArray<LintFinding>.Empty);
        }
        ImmutableArray<LintFinding> findings = DockerfileLinter.Lint(file, options);
        if (findings is [LintFinding first, ..])
        {
            Warn(findings, progress);
            throw new DockerfileException(first.Span, $"{first.Rule}: {first.Message}") { Hint = $"the file has check=error=true, so what lint finds ends the build; {first.Advice}" };
        }
        return Task.FromResult(findings);
    }

    private static void Warn(ImmutableArray<LintFinding> findings, IBuildProgress progress)
    {
        foreach (LintFinding finding in findings)
        {
            progress.Warn($"{finding.Span}: {finding.Rule}: {finding.Message}{(finding.Advice.Length == 0 ? "" : $" ({finding.Advice})")}");
        }
    }

    private static string[]? VariablesOf(string name, IReadOnlyDictionary<BaseName, BaseImage> bases)
    {
        foreach ((BaseName key, BaseImage found) in bases)
        {
            ImageReference image = key.Image;
            if (image.Familiar == name || image.Familiar == name + ":latest" || image.ToString() == name)
            {
                return [.. (found.Config.Config?.Env ?? []).Select(v => v.Split('=')[0])];
            }
        }
        return null;
    }
}
