using Strata.Dockerfiles;
using Xunit;

namespace Strata.Tests.Dockerfiles;

public sealed class DockerfileTests
{
    public static TheoryData<string, int, string, string?> Mistakes => new()
    {
        // as people paste them
        { "FROM scratch\nCOPY hello/\n", 2, "COPY requires at least two arguments, but only one was provided. Destination could not be determined.", "write: COPY hello /" },
        { "FROM scratch\nCMD[\"/hello\"]\n", 2, "unknown instruction: CMD[\"/hello\"]", "a blank is missing; write: CMD [\"/hello\"]" },
        { "FROM ubuntu:14.04 #基础镜像\n", 1, "FROM requires either one or three arguments", "a Dockerfile has no comments at the end of a line; write: FROM ubuntu:14.04" },
        // the shape of a file
        { "", 1, "file with no instructions", "a Dockerfile starts with FROM" },
        { "# only this\n\n", 1, "file with no instructions", "a Dockerfile starts with FROM" },
        { "ARG A=1\n", 1, "dockerfile contains no stages to build", "a Dockerfile starts with FROM" },
        { "# 注释\n\nRUN true\nFROM a\n", 3, "no build stage in current context", "the first instruction is FROM (only ARG may come before it)" },
        { "FROM a\nRNU true\n", 2, "unknown instruction: RNU", "did you mean: RUN true" },
        { "FROM a\nENTRYPONT [\"a\"]\n", 2, "unknown instruction: ENTRYPONT", "did you mean: ENTRYPOINT [\"a\"]" },
        { "FROM a\nRUN true\n && false\n", 3, "unknown instruction: &&", "the line above it does not end in the escape character that would join them" },
        { "# escape=!\nFROM a\n", 1, "invalid escape token '!' does not match ` or \\", "write: # escape=`" },
        { "# escape=`\n# escape=`\nFROM a\n", 2, "only one escape parser directive can be used", null },
        // FROM
        { "FROM\n", 1, "FROM requires either one or three arguments", "write: FROM IMAGE, or FROM scratch for an empty image" },
        { "FROM a b\n", 1, "FROM requires either one or three arguments", "write: FROM a or: FROM a AS b" },
        { "FROM a AS 1st\n", 1, "invalid name for build stage: \"1st\", name can't start with a number or contain symbols", "a name starts with a letter; letters, digits, - _ and . follow" },
        { "FROM --platfrom=linux/arm64 a\n", 1, "unknown flag: --platfrom", "did you mean --platform?" },
        // flags
        { "FROM a\nCOPY --form=b c d\n", 2, "unknown flag: --form", "did you mean --from?" },
        { "FROM a\nADD --from=b c d\n", 2, "unknown flag: --from", "ADD has: --chown, --chmod, --checksum, --link, --keep-git-dir, --unpack, --exclude" },
        { "FROM a\nCOPY --chown a b\n", 2, "missing a value on flag: --chown", "write: --chown=VALUE, without a blank" },
        { "FROM a\nCOPY --chown=a --chown=b a b\n", 2, "duplicate flag specified: --chown", null },
        { "FROM a\nCOPY --link=maybe a b\n", 2, "expecting boolean value for flag --link, not: maybe", "write: --link" },
        { "FROM a\nUSER --x root\n", 2, "unknown flag: --x", "USER has no flags" },
        { "FROM a\nRUN --network=bridge true\n", 2, "invalid network mode: bridge", "--network takes default, none or host" },
        { "FROM a\nRUN --mount=from=$b,target=/x true\n", 2, "'from' doesn't support variable expansion, define alias stage instead", null },
        { "FROM a\nRUN --mount=\"type=bind,\\\"x\" true\n", 2, "failed to parse csv mounts: \"type=bind,\"x\" has an open quote", null },
        // arguments
        { "FROM a\nENV PATH\n", 2, "ENV must have two arguments", "write: ENV PATH=VALUE" },
        { "FROM a\nENV A=1 B\n", 2, "Syntax error - can't find = in \"B\". Must be of the form: name=value", "quote values that have blanks: ENV NAME=\"a b\"" },
        { "FROM a\nLABEL =x\n", 2, "LABEL names can not be blank", "write: LABEL NAME=VALUE" },
        { "FROM a\nARG =x\n", 2, "ARG names can not be blank", "write: ARG NAME=VALUE" },
        { "FROM a\nCMD [ \"echo\", [ \"nested\" ] ]\n", 2, "when using JSON array syntax, arrays must be comprised of strings only", "write: CMD [\"word\", \"word\"]" },
        { "FROM a\nSHELL /bin/bash -c\n", 2, "SHELL requires the arguments to be in JSON form", "write: SHELL [\"/bin/bash\", \"-c\"]" },
        { "FROM a\nSHELL []\n", 2, "SHELL requires at least one argument", null },
        { "FROM a\nEXPOSE\n", 2, "EXPOSE requires at least one argument", null },
        { "FROM a\nWORKDIR\n", 2, "WORKDIR requires exactly one argument", null },
        { "FROM a\nVOLUME [\"\"]\n", 2, "VOLUME specified can not be an empty string", "write: VOLUME /PATH" },
        { "FROM a\nCOPY\n", 2, "COPY requires at least two arguments, but none were provided. Source and destination could not be determined.", "write: COPY SOURCE DESTINATION" },
        { "FROM a\nCOPY b <<EOF\nx\nEOF\n", 2, "COPY cannot accept a heredoc as a destination", "write: COPY b <<EOF DESTINATION" },
        { "FROM a\nRUN <<EOF\nx\n", 2, "unterminated heredoc", "a line that is only EOF ends it" },
        // ONBUILD
        { "FROM a\nONBUILD ONBUILD RUN x\n", 2, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", "write: ONBUILD RUN x" },
        { "FROM a\nonbuild from b\n", 2, "FROM isn't allowed as an ONBUILD trigger", null },
        { "FROM a\nONBUILD MAINTAINER b\n", 2, "MAINTAINER isn't allowed as an ONBUILD trigger", null },
        { "FROM a\nONBUILD COPY b\n", 2, "COPY requires at least two arguments, but only one was provided. Destination could not be determined.", "write: COPY b DESTINATION" },
        // HEALTHCHECK
        { "FROM a\nHEALTHCHECK NONE x\n", 2, "HEALTHCHECK NONE takes no arguments", "write: HEALTHCHECK NONE" },
        { "FROM a\nHEALTHCHECK --interval=5s curl x\n", 2, "Unknown type \"CURL\" in HEALTHCHECK (try CMD)", "write: HEALTHCHECK --interval=5s CMD curl x" },
        { "FROM a\nHEALTHCHECK CMD\n", 2, "Missing command after HEALTHCHECK CMD", "write: HEALTHCHECK CMD COMMAND" },
        { "FROM a\nHEALTHCHECK --interval=5 CMD x\n", 2, "--interval: time: missing unit in duration \"5\"", "a unit is missing; write: --interval=5s" },
        { "FROM a\nHEALTHCHECK --timeout=1us CMD x\n", 2, "Interval \"timeout\" cannot be less than 1ms", "write it like 30s, 1m30s or 500ms" },
        { "FROM a\nHEALTHCHECK --retries=-1 CMD x\n", 2, "--retries cannot be negative (-1)", "write: --retries=3" },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void A_mistake_is_named_in_Dockers_words_with_the_line_and_what_to_write(string text, int line, string message, string? hint)
    {
        DockerfileException e = Assert.Throws<DockerfileException>(() => Dockerfile.Parse(text));
        Assert.Equal($"Dockerfile:{line}: {message}", e.Message);
        Assert.Equal(line, e.Span.FirstLine);
        Assert.Equal(hint, e.Hint);
    }

    [Fact]
    public void A_comment_behind_MAINTAINER_is_the_authors_name_and_is_warned_of()
    {
        var file = Dockerfile.Parse("FROM a\nMAINTAINER xiongkun #创建者信息\n");
        Assert.Equal("xiongkun #创建者信息", Assert.IsType<MaintainerInstruction>(file.Stages[0].Instructions[0]).Author);
        DockerfileWarning warning = Assert.Single(file.Warnings);
        Assert.Equal(("InlineComment", 2, "MAINTAINER xiongkun"), (warning.Rule, warning.Span.FirstLine, warning.Fix));
    }

    [Theory]
    [InlineData("EXPOSE 80 # web", "EXPOSE 80")]
    [InlineData("WORKDIR /app # here", "WORKDIR /app")]
    [InlineData("CMD [\"/app\"] # go", "CMD [\"/app\"]")]
    [InlineData("COPY a b # c", "COPY a b")]
    [InlineData("RUN make # a shell has comments", null)]
    [InlineData("ENV COLOR=\"a #fff\"", null)]
    [InlineData("ENV COLOR=#fff", null)]
    public void Comments_behind_instructions_are_warned_of_where_no_shell_reads_them(string instruction, string? fix)
        => Assert.Equal(fix, Dockerfile.Parse($"FROM a\n{instruction}\n").Warnings.SingleOrDefault(w => w.Rule == "InlineComment")?.Fix);

    [Fact]
    public void Byte_order_mark_line_ends_comments_and_continuations_leave_the_lines_countable()
    {
        string text = "\uFEFF# syntax=docker/dockerfile:1\n# check=skip=all\n\n# 基础镜像\nFROM a AS base\nRUN one \\\n  # 注释\n\n  two\nfrom base\n\tcmd x\n";
        foreach (string each in new[] { text, text.Replace("\n", "\r\n", StringComparison.Ordinal) })
        {
            var file = Dockerfile.Parse(each);
            Assert.Equal([("syntax", "docker/dockerfile:1", 1), ("check", "skip=all", 2)], file.Directives.Select(d => (d.Name, d.Value, d.Span.FirstLine)));
            RunInstruction run = Assert.IsType<RunInstruction>(Assert.Single(file.Stages[0].Instructions));
            Assert.Equal((6, 9), (run.Span.FirstLine, run.Span.LastLine));
            Assert.Equal(["one   two"], run.Command.Words);
            Assert.Equal("RUN one   two", run.Original);
            Assert.Equal(["base", null], file.Stages.Select(s => s.Name));
            Assert.Equal("CMD x", file.Stages[1].Instructions[0].Original);
            Assert.Equal("cmd", file.Stages[1].Instructions[0].Keyword);
            Assert.Equal(11, file.Stages[1].Instructions[0].Span.FirstLine);
        }
    }

    [Theory]
    [InlineData("CMD [\"a\", \"b c\"]", false, "a|b c")]
    [InlineData("CMD  [ ]", false, "")]
    [InlineData("CMD [\"\\u4f60\\n\\/\"]", false, "你\n/")]
    [InlineData("CMD [\"a\\ud800\"]", false, "a\uFFFD")]
    [InlineData("CMD ['a']", true, "['a']")]
    [InlineData("CMD [\"a\",]", true, "[\"a\",]")]
    [InlineData("CMD [\"a\" \"b\"]", true, "[\"a\" \"b\"]")]
    [InlineData("CMD [\"a\\x\"]", true, "[\"a\\x\"]")]
    [InlineData("CMD", true, "")]
    [InlineData("CMD [ -f x ] && y", true, "[ -f x ] && y")]
    public void What_is_no_JSON_is_a_shells(string line, bool isShell, string words)
    {
        CmdInstruction cmd = Assert.IsType<CmdInstruction>(Dockerfile.Parse("FROM a\n" + line).Stages[0].Instructions[0]);
        Assert.Equal((isShell, words), (cmd.Command.IsShell, string.Join('|', cmd.Command.Words)));
    }

    [Fact]
    public void Documents_are_read_where_they_stand()
    {
        const string Text = "FROM a\nCOPY --chmod=755 <<one <<-\"two\" /dir/\n$x\n\none\n\t\tdeep\n\ttwo\nRUN <<EOF\n# a comment of the script\necho \\\nEOF\nRUN cat <<'A' > /x && echo \"<<B\"\nA\nRUN echo $((1<<2)) <<<word\n";
        Instruction[] all = [.. Dockerfile.Parse(Text).Stages[0].Instructions];
        CopyInstruction copy = Assert.IsType<CopyInstruction>(all[0]);
        Assert.Equal([new Heredoc("one", "$x\n\n", true), new Heredoc("two", "deep\n", false)], copy.Heredocs);
        Assert.Equal((2, 7), (copy.Span.FirstLine, copy.Span.LastLine));
        RunInstruction script = Assert.IsType<RunInstruction>(all[1]);
        Assert.Equal([new Heredoc("EOF", "# a comment of the script\necho \\\n", true)], script.Heredocs);
        Assert.Equal([new Heredoc("A", "", false)], Assert.IsType<RunInstruction>(all[2]).Heredocs);
        Assert.Empty(Assert.IsType<RunInstruction>(all[3]).Heredocs);
    }

    [Fact]
    public void Every_instruction_becomes_its_record()
    {
        Dictionary<string, Instruction> all = Dockerfile.Parse("""
            # escape=`
            ARG V=1
            FROM --platform=$BUILDPLATFORM img:${V} as Build
            ARG A B=2
            ENV C=1 D="x y" E=a` b
            ENV F g  h
            LABEL "k"="v w"
            COPY --from=x --chown=1:2 --chmod=644 --link --parents --exclude=*.a --exclude=b s1 s2 d/
            ADD --checksum=sha256:00 --keep-git-dir=true --unpack=false ["a b", "c"]
            RUN --mount=type=cache,target=/c,id="x" --mount=type=secret,id=s,required --network=NONE --security=insecure make
            HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=1h --start-interval=2s --retries=5 CMD ["curl", "x"]
            EXPOSE 80 443/udp
            VOLUME ["/a", "/b c"]
            STOPSIGNAL SIGQUIT
            SHELL ["/bin/bash", "-c"]
            USER 1000:1000
            WORKDIR /a b
            ENTRYPOINT ["/x"]
            ONBUILD RUN <<EOF
            hello
            EOF
            """).Stages[0].Instructions.GroupBy(i => i.GetType().Name).ToDictionary(g => g.Key, g => g.Last());
        CopyInstruction add = Assert.IsType<CopyInstruction>(all["CopyInstruction"]);
        Assert.Equal(("a b", "c", "sha256:00", true, false), (add.Sources[0], add.Destination, add.Checksum, add.KeepGitDirectory, add.Unpack!.Value));
        Assert.Equal([new("F", "g  h")], Assert.IsType<EnvInstruction>(all["EnvInstruction"]).Values);
        RunInstruction run = Assert.IsType<RunInstruction>(all["RunInstruction"]);
        Assert.Equal(("none", "insecure", "make"), (run.Network, run.Security, run.Command.Words[0]));
        Assert.Equal(["cache", "secret"], run.Mounts.Select(m => m.Type));
        HealthcheckInstruction health = Assert.IsType<HealthcheckInstruction>(all["HealthcheckInstruction"]);
        Assert.Equal((90_000_000_000, 500_000_000, 3_600_000_000_000, 2_000_000_000, 5), (health.Interval, health.Timeout, health.StartPeriod, health.StartInterval, health.Retries));
        Assert.Equal(["/a", "/b c"], Assert.IsType<VolumeInstruction>(all["VolumeInstruction"]).Paths);
        Assert.Equal(["80", "443/udp"], Assert.IsType<ExposeInstruction>(all["ExposeInstruction"]).Ports);
        Assert.Equal("/a b", Assert.IsType<WorkdirInstruction>(all["WorkdirInstruction"]).Path);
        OnbuildInstruction onbuild = Assert.IsType<OnbuildInstruction>(all["OnbuildInstruction"]);
        Assert.Equal("RUN <<EOF\nhello\nEOF", onbuild.Trigger);
        RunInstruction trigger = Assert.IsType<RunInstruction>(Dockerfile.ParseTrigger(onbuild.Trigger, onbuild.Span));
        Assert.Equal("hello\n", Assert.Single(trigger.Heredocs).Content);
    }

    [Theory]
    [InlineData("type=cache,target=/c,sharing=locked,mode=0700,uid=5", "Cache /c  False Locked 448 5 ")]
    [InlineData("target=.,rw", "Bind .  False Shared   ")]
    [InlineData("type=bind,src=a,\"dst=/x,y\"", "Bind /x,y a True Shared   ")]
    [InlineData("type=tmpfs,target=/t,size=1.5m", "Tmpfs /t  False Shared   1572864")]
    [InlineData("type=secret,id=$V,required=false", "Secret   True Shared   ")]
    [InlineData("type=cash,target=/x", "unsupported mount type \"cash\" (did you mean cache?)")]
    [InlineData("type=bind,z,target=/x", "invalid field 'z' must be a key=value pair")]
    [InlineData("tagret=/x", "unexpected key 'tagret' in 'tagret=/x' (did you mean target?)")]
    [InlineData("type=tmpfs,target=/x,mode=0700", "mode not allowed for \"tmpfs\" type mounts")]
    [InlineData("type=secret,from=x,id=y", "secret mount should not have a from")]
    [InlineData("target=/x,sharing=shared", "invalid cache sharing set for bind mount")]
    [InlineData("target=/x,required", "unexpected key 'required' for mount type 'bind'")]
    public void Mounts_are_read_when_their_variables_are_known(string text, string expected)
    {
        RunMount mount = Assert.Single(Assert.IsType<RunInstruction>(Dockerfile.Parse($"FROM a\nRUN --mount='{text}' x").Stages[0].Instructions[0]).Mounts);
        string actual;
        try
        {
            MountOptions options = mount.Resolve(v => v.Replace("$V", "expanded", StringComparison.Ordinal));
            actual = $"{options.Kind} {options.Target} {options.Source} {options.ReadOnly} {options.Sharing} {options.Mode} {options.UserId} {options.SizeLimit}";
            Assert.True(options.Kind != MountKind.Secret || options.Id == "expanded");
        }
        catch (FormatException e)
        {
            actual = e.Message;
        }
        Assert.Equal(expected, actual);
    }
}
