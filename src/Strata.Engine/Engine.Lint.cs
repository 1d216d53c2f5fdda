using Strata.Build;
using Strata.Dockerfiles;
using Strata.Dockerfiles.Lint;
using Strata.Oci;

namespace Strata;

public sealed partial class Engine
{
    // What the linter says of the file that is built: as warnings, or as an error where the file asks for it.
    private static void WarnOfFindings(Dockerfile file, IReadOnlyDictionary<BaseName, BaseImage> bases, BuildRequest request, DockerIgnore? ignore, IBuildProgress progress)
    {
        var options = new LintOptions
        {
            BaseVariables = name => VariablesOf(name, bases), Ignore = ignore, Check = request.Options.Arguments.GetValueOrDefault("BUILDKIT_DOCKERFILE_CHECK"),
        };
        LintFinding? first = null;
        foreach (LintFinding finding in DockerfileLinter.Lint(file, options))
        {
            first ??= finding;
            progress.Warn($"{finding.Span}: {finding.Rule}: {finding.Message}{(finding.Advice.Length == 0 ? "" : $" ({finding.Advice})")}");
        }
        if (first is not null && DockerfileLinter.MakesErrors(file, options))
        {
            throw new DockerfileException(first.Span, $"{first.Rule}: {first.Message}") { Hint = $"the file has check=error=true, so what lint finds ends the build; {first.Advice}" };
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
