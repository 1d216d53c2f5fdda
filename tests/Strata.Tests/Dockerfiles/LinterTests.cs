using Strata.Dockerfiles;
using Strata.Dockerfiles.Lint;
using Xunit;

namespace Strata.Tests.Dockerfiles;

/// <summary>Rules beyond the examples of their pages, and what --fix makes of files.</summary>
public sealed class LinterTests
{
    private const string Head = "FROM debian:bookworm\n";

    // Each: a file, and the rules of its findings with their lines.
    [Theory]
    [InlineData("FROM debian@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "")]
    [InlineData("FROM localhost:5000/debian", "DL3006 1")]
    [InlineData("FROM localhost:5000/debian:latest", "DL3007 1")]
    [InlineData("FROM scratch AS a\nFROM a\nLABEL x=y", "")]
    [InlineData("ARG BASE=debian\nFROM $BASE", "")]
    [InlineData(Head + "RUN apt-get update; apt-get install -y --no-install-recommends x; rm -rf /var/lib/apt/lists/*", "")]
    [InlineData(Head + "RUN apt-get update && \\\n # why\n  apt-get install -yqq \\\n\"curl\"", "DL3009 2,DL3015 2")]
    [InlineData(Head + "RUN ( apt-get update && sudo -E apt-get -y install x )", "DL3009 2,DL3015 2")]
    [InlineData(Head + "RUN sh -c 'apt-get update && apt-get install -y x'", "DL3009 2,DL3015 2")]
    [InlineData(Head + "RUN [\"sh\", \"-ec\", \"apt-get update && apt-get install -y x\"]", "DL3009 2,DL3015 2")]
    [InlineData(Head + "RUN <<EOF\nset -e\napt-get update\napt-get install -y --no-install-recommends x\nEOF", "DL3009 2")]
    [InlineData(Head + "RUN bash -e <<EOF\napt-get update\nEOF", "DL3009 2")]
    [InlineData(Head + "RUN <<EOF\n#!/usr/bin/env python3\napt_get = 'apt-get update'\nEOF", "")]
    [InlineData(Head + "RUN <<EOF\ncat >/x <<INNER\napt-get update\nINNER\nEOF", "")]
    [InlineData(Head + "RUN echo 'apt-get update' \"apt-get install x\"", "")]
    [InlineData(Head + "RUN --mount=type=cache,target=/var/lib/apt --mount=type=cache,target=/var/cache/apt apt-get update && apt-get install -y --no-install-recommends x", "")]
    [InlineData("FROM debian:bookworm AS build\nRUN apt-get update && apt-get install -y gcc\nFROM debian:bookworm\nCOPY --from=build /x /x", "")]
    [InlineData(Head + "RUN DEBIAN_FRONTEND=noninteractive apt-get update || true", "DL3009 2")]
    [InlineData(Head + "RUN apk --no-cache add curl && apk add --no-cache git", "")]
    [InlineData(Head + "RUN apk update && apk add curl && rm -rf /var/cache/apk/*", "")]
    [InlineData(Head + "RUN yum install -y x && yum clean all && rm -rf /var/cache/yum", "")]
    [InlineData(Head + "RUN microdnf install -y x", "DL3040 2")]
    [InlineData(Head + "RUN zypper -n in x && zypper cc -a", "")]
    [InlineData(Head + "RUN python3 -m pip install x", "DL3042 2")]
    [InlineData(Head + "ENV PIP_NO_CACHE_DIR=1\nRUN pip install x", "")]
    [InlineData(Head + "RUN --mount=type=cache,target=/root/.cache/pip pip install x", "")]
    [InlineData(Head + "RUN yarn install && yarn cache clean", "")]
    [InlineData(Head + "ADD https://example.org/x /x\nADD x.tar.gz /\nADD git@github.com:a/b.git /b", "")]
    [InlineData(Head + "ADD --chown=1:1 a b/ /c/", "DL3020 2")]
    [InlineData(Head + "COPY a.tgz /tmp/a.tgz\nRUN tar -xf /tmp/a.tgz", "DL3010 2")]
    [InlineData(Head + "COPY . /app\nRUN chmod +x /app/run.sh", "ModeChangedInLaterLayer 3")]
    [InlineData(Head + "WORKDIR /app\nCOPY a b ./\nRUN chown -R 1:1 /app", "ModeChangedInLaterLayer 4")]
    [InlineData(Head + "COPY a /app/a\nRUN chown -R 1:1 /srv", "")]
    [InlineData(Head + "RUN touch /x && chmod 600 /x", "")]
    [InlineData("FROM --platform=linux/arm64 debian:bookworm AS arm64", "")]
    [InlineData("FROM --platform=linux/arm64 debian:bookworm AS app", "FromPlatformFlagConstDisallowed 1")]
    [InlineData(Head + "EXPOSE ${PORT:-80}/tcp", "")]
    [InlineData(Head + "EXPOSE 80:80 [::1]:443:443/tcp", "ExposeInvalidFormat 2,ExposeInvalidFormat 2")]
    [InlineData("# check=skip=DL3006\nFROM debian", "")]
    [InlineData("# check=skip=all\nFROM debian\nMAINTAINER x", "")]
    [InlineData("# hadolint ignore=DL3006\nFROM debian\nMAINTAINER x", "MaintainerDeprecated 3")]
    [InlineData("FROM debian\n# hadolint ignore=DL4000,DL3059\n# for a reason\nMAINTAINER x", "DL3006 1")]
    [InlineData("FROM debian\n# hadolint global ignore=DL3006\n", "")]
    [InlineData("# about A\nARG A\nFROM debian:$A", "InvalidDefaultArgInFrom 3")]
    public void Findings_are(string text, string expected)
        => Assert.Equal(expected, string.Join(',', DockerfileLinter.Lint(Dockerfile.Parse(text)).Select(f => $"{f.Rule} {f.Span.FirstLine}")));

    // Each: a file, what --fix makes of it.
    [Theory]
    [InlineData("RUN apt-get update && \\\n    # why\n    apt-get install -y --no-install-recommends curl", "RUN apt-get update && \\\n    # why\n    apt-get install -y --no-install-recommends curl \\\n    && rm -rf /var/lib/apt/lists/*")]
    [InlineData("RUN set -eux; \\\n\tapt-get update; \\\n\tapt-get install -y --no-install-recommends curl;", "RUN set -eux; \\\n\tapt-get update; \\\n\tapt-get install -y --no-install-recommends curl; \\\n    rm -rf /var/lib/apt/lists/*")]
    [InlineData("RUN <<EOF\nset -e\napt-get update\nEOF", "RUN <<EOF\nset -e\napt-get update\nrm -rf /var/lib/apt/lists/*\nEOF")]
    [InlineData("RUN <<EOF\napt-get update\nEOF", "RUN <<EOF\napt-get update\nEOF")]
    [InlineData("RUN apt-get update; apt-get install -y --no-install-recommends curl", "RUN apt-get update; apt-get install -y --no-install-recommends curl")]
    [InlineData("RUN apk \\\n  # all of it\n  add  curl", "RUN apk \\\n  # all of it\n  add --no-cache  curl")]
    [InlineData("RUN if true; then \"pip\" install 'x y'; fi", "RUN if true; then \"pip\" install --no-cache-dir 'x y'; fi")]
    [InlineData("run apk add a", "run apk add --no-cache a")]
    [InlineData("RUN touch /a\n\n# between\nRUN touch /b", "RUN touch /a \\\n# between\n    && touch /b")]
    [InlineData("RUN cd /a\nRUN touch b", "RUN cd /a\nRUN touch b")]
    [InlineData("ADD a.txt /", "COPY a.txt /")]
    [InlineData("ADD blob /", "ADD blob /")]
    [InlineData("RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*", "RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*")]
    [InlineData("RUN yum install x", "RUN yum install -y x \\\n    && yum clean all")]
    [InlineData("EXPOSE 80:8080/TCP", "EXPOSE 8080/tcp")]
    [InlineData("RUN apt-get update\nRUN apt-get install -y --no-install-recommends a", "RUN apt-get update \\\n    && apt-get install -y --no-install-recommends a \\\n    && rm -rf /var/lib/apt/lists/*")]
    [InlineData("RUN apt-get update\nENV A=b\nRUN apt-get install -y --no-install-recommends a && apt-get clean", "RUN apt-get update\nENV A=b\nRUN apt-get install -y --no-install-recommends a && apt-get clean")]
    public void A_fix_changes_that_and_nothing_else(string before, string after)
    {
        string keyword = before.StartsWith("run", StringComparison.Ordinal) ? "from" : "FROM";
        string once = DockerfileLinter.Fix(Dockerfile.Parse($"{keyword} debian:bookworm\n{before}\n"));
        Assert.Equal($"{keyword} debian:bookworm\n{after}\n", once);
        Assert.Equal(once, DockerfileLinter.Fix(Dockerfile.Parse(once)));
    }

    [Fact]
    public void Line_ends_and_the_byte_order_mark_stay()
        => Assert.Equal("\uFEFFFROM debian:bookworm\r\n# 注释\r\nRUN apk add --no-cache curl\r\n", DockerfileLinter.Fix(Dockerfile.Parse("\uFEFFFROM debian:bookworm\r\n# 注释\r\nRUN apk add curl\r\n")));

    [Fact]
    public void Rules_are_chosen_by_name_or_alias()
    {
        var file = Dockerfile.Parse("FROM debian\nMAINTAINER x\n");
        Assert.Equal(["DL3006"], Names(new LintOptions { Disabled = ["dl4000"] }));
        Assert.Equal(["MaintainerDeprecated"], Names(new LintOptions { Only = ["DL4000"] }));
        Assert.Equal(["DL3006"], Names(new LintOptions { Check = "skip=MaintainerDeprecated" }));
        Assert.Empty(DockerfileLinter.NamesOf("DL9999"));

        string[] Names(LintOptions options) => [.. DockerfileLinter.Lint(file, options).Select(f => f.Rule)];
    }

    [Theory]
    [InlineData("error=true", true)]
    [InlineData("skip=DL3006;error=true", true)]
    [InlineData("skip=DL3006,DL3007", false)]
    [InlineData("error=false", false)]
    public void The_file_says_whether_findings_are_errors(string check, bool expected)
        => Assert.Equal(expected, DockerfileLinter.MakesErrors(Dockerfile.Parse($"# check={check}\nFROM scratch\n"), new LintOptions()));

    [Theory]
    [InlineData("error=perhaps", "error=perhaps")]
    [InlineData("skip", "skip")]
    [InlineData("warn=true", "warn")]
    public void A_malformed_check_directive_is_refused_with_its_line(string check, string said)
    {
        DockerfileException error = Assert.Throws<DockerfileException>(() => DockerfileLinter.Lint(Dockerfile.Parse($"# syntax=docker/dockerfile:1\n# check={check}\nFROM scratch\n")));
        Assert.StartsWith("Dockerfile:2", error.Message, StringComparison.Ordinal);
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_ignored_file_that_is_copied_is_found_where_the_context_is_known()
    {
        var file = Dockerfile.Parse("FROM scratch\nCOPY secret.txt ./docs/a.md app /\n");
        LintFinding[] found = [.. DockerfileLinter.Lint(file, new LintOptions { Ignore = DockerIgnore.Parse("secret.txt\ndocs\n!docs/keep\n") })];
        Assert.Equal(["Attempting to Copy file \"./docs/a.md\" that is excluded by .dockerignore", "Attempting to Copy file \"secret.txt\" that is excluded by .dockerignore"], found.Select(f => f.Message));
        Assert.Empty(DockerfileLinter.Lint(file));
    }
}
