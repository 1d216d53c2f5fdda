using Strata.Build;
using Strata.Dockerfiles;
using Xunit;

namespace Strata.Tests.Build;

public sealed class StagePlannerTests
{
    private static BuildStep Plan(string text) => BuildPlanner.Plan(Dockerfile.Parse(text), new Dictionary<BaseName, BaseImage>(), new BuildOptions()).Result;

    private static string CopiedText(string text) => Assert.Single(Assert.IsType<InlineOrigin>(Assert.IsType<CopyStep>(Plan(text)).Origin).Files).Content;

    [Theory]
    [InlineData("<<f", "a $X ${X}-b ${N:-none}\n", "a 1 1-b none\n")]
    [InlineData("<<\"f\"", "a $X ${X}\n", "a $X ${X}\n")]
    [InlineData("<<'f'", "a $X\n", "a $X\n")]
    [InlineData("<<-f", "\ta $X\n\t\tb\n", "a 1\nb\n")]
    [InlineData("<<f", "say \"$X\" 'and $X' `date`\n", "say \"1\" 'and 1' `date`\n")]
    [InlineData("<<f", "\\$X \\\\ \\n\n", "$X \\ n\n")]
    [InlineData("<<f", "\n\n  $X\t\n\n", "\n\n  1\t\n\n")]
    public void A_document_s_variables_are_expanded_unless_its_name_is_quoted(string marker, string document, string expected)
        => Assert.Equal(expected, CopiedText($"FROM scratch\nENV X=1\nCOPY {marker} /f\n{document}f\n"));

    [Fact]
    public void A_document_that_cannot_be_expanded_is_told_with_its_line()
    {
        DockerfileException failure = Assert.Throws<DockerfileException>(() => Plan("FROM scratch\nCOPY <<f /f\n${A\nf\n"));
        Assert.Equal(2, failure.Span.FirstLine);
    }

    [Theory]
    [InlineData("RUN <<EOF\n#!/usr/bin/env awk -f\nx\nEOF\n", "/bin/sh|-c|/dev/pipes/EOF", "#!/usr/bin/env awk -f\nx\n")]
    [InlineData("RUN <<-EOF\n\t#!/bin/awk\nEOF\n", "/bin/sh|-c|/dev/pipes/EOF", "#!/bin/awk\n")]
    [InlineData("RUN <<EOF\n #!/bin/awk\nEOF\n", "/bin/sh|-c| #!/bin/awk\n", null)]
    [InlineData("RUN cat <<EOF\n#!/bin/awk\nEOF\n", "/bin/sh|-c|cat <<EOF\n#!/bin/awk\nEOF\n", null)]
    [InlineData("RUN <<EOF\necho $X\nEOF\n", "/bin/sh|-c|echo $X\n", null)]
    public void A_document_that_names_its_interpreter_is_a_program(string run, string arguments, string? program)
    {
        RunStep step = Assert.IsType<RunStep>(Plan("FROM scratch\nENV X=1\n" + run));
        Assert.Equal(arguments, string.Join('|', step.Arguments));
        Assert.Equal(program, step.Program?.Content);
    }
}
