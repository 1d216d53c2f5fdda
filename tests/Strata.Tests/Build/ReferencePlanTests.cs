using System.Collections.Immutable;
using Strata.Build;
using Strata.Dockerfiles;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Build;

/// <summary>What the Dockerfile reference says of what instructions mean: its examples and its sentences, planned and not run.</summary>
public sealed class ReferencePlanTests
{
    private const string Path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    // Each: instructions behind FROM scratch, what is asked, the answer, and --build-arg.
    [Theory]
    // Environment replacement
    [InlineData("ENV FOO=/bar\nWORKDIR ${FOO}", "WorkingDir", "/bar")]
    [InlineData("ENV FOO=/bar\nWORKDIR $FOO", "WorkingDir", "/bar")]
    [InlineData("ENV FOO=/bar\nADD . $FOO", "Copy", ". -> /bar")]
    [InlineData("ENV FOO=/bar\nCOPY \\$FOO /quux", "Copy", "$FOO -> /quux")]
    [InlineData("ENV FOO=/bar\nCOPY \\${FOO} /quux", "Copy", "${FOO} -> /quux")]
    [InlineData("ENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc", "Env", "abc=bye def=hello ghi=bye")]
    [InlineData("ENV v=1\nLABEL x=\"$v\" y='$v' z=$v", "Labels", "x=1 y=$v z=1")]
    [InlineData("ENV v=1\nENV w=${v}_${u:-none}", "Env", "v=1 w=1_none")]
    [InlineData("ENV v=\nENV a=${v:-empty} b=${v:+set} c=${v-unset}", "Env", "v= a=empty b= c=")]
    [InlineData("ENV str=foobarbaz\nENV a=${str#f*b} b=${str##f*b} c=${str%b*} d=${str%%b*}", "Env", "str=foobarbaz a=arbaz b=az c=foobar d=foo")]
    [InlineData("ENV string=foobarbaz\nENV a=${string/ba/fo} b=${string//ba/fo}", "Env", "string=foobarbaz a=fooforbaz b=fooforfoz")]
    [InlineData("ENV P=80\nEXPOSE $P ${P}80/udp", "ExposedPorts", "80/tcp 8080/udp")]
    [InlineData("ENV S=SIGINT\nSTOPSIGNAL $S", "StopSignal", "SIGINT")]
    [InlineData("ENV U=me\nUSER $U:${U}s", "User", "me:mes")]
    [InlineData("ENV V=/v\nVOLUME $V $V/2", "Volumes", "/v /v/2")]
    [InlineData("ENV v=1\nONBUILD RUN echo $v", "OnBuild", "RUN echo $v")]
    [InlineData("ENV v=1\nCMD [\"$v\"]", "Cmd", "$v")]
    [InlineData("ENV v=1\nENTRYPOINT echo $v", "Entrypoint", "/bin/sh|-c|echo $v")]
    [InlineData("ENV v=1\nRUN echo $v", "Run", "/bin/sh|-c|echo $v")]
    [InlineData("ENV v=755\nCOPY --chmod=$v --chown=$v a b", "Rules", "755 755")]
    [InlineData("ENV v=*.md\nCOPY --exclude=$v a b", "Exclude", "*.md")]
    [InlineData("ENV v=1\nHEALTHCHECK CMD echo $v", "Health", "CMD-SHELL|echo $v")]
    // ENV
    [InlineData("ENV MY_NAME=\"John Doe\" MY_DOG=Rex\\ The\\ Dog \\\n    MY_CAT=fluffy", "Env", "MY_NAME=John Doe MY_DOG=Rex The Dog MY_CAT=fluffy")]
    [InlineData("ENV ONE TWO= THREE=world", "Env", "ONE=TWO= THREE=world")]
    [InlineData("ENV A=1\nENV A=2\nENV B=3\nENV A=4", "Env", "A=4 B=3")]
    [InlineData("ENV PATH=/x:$PATH", "AllEnv", "PATH=/x:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")]
    [InlineData("RUN a", "AllEnv", Path)]
    [InlineData("ENV A=1\nRUN a", "RunEnv", "A=1")]
    // LABEL, MAINTAINER
    [InlineData("LABEL \"com.example.vendor\"=\"ACME Incorporated\"\nLABEL version=\"1.0\"", "Labels", "com.example.vendor=ACME Incorporated version=1.0")]
    [InlineData("LABEL description=\"This text illustrates \\\nthat label-values can span multiple lines.\"", "Labels", "description=This text illustrates that label-values can span multiple lines.")]
    [InlineData("LABEL a=1\nLABEL a=2", "Labels", "a=2")]
    [InlineData("MAINTAINER a\nMAINTAINER b", "Author", "b")]
    // EXPOSE, VOLUME
    [InlineData("EXPOSE 80/tcp\nEXPOSE 80/udp", "ExposedPorts", "80/tcp 80/udp")]
    [InlineData("EXPOSE 8000-8002", "ExposedPorts", "8000/tcp 8001/tcp 8002/tcp")]
    [InlineData("EXPOSE 1/SCTP", "ExposedPorts", "1/sctp")]
    [InlineData("VOLUME [\"/var/log/\"]\nVOLUME /a /b", "Volumes", "/a /b /var/log/")]
    // WORKDIR
    [InlineData("WORKDIR /a\nWORKDIR b\nWORKDIR c", "WorkingDir", "/a/b/c")]
    [InlineData("ENV DIRPATH=/path\nWORKDIR $DIRPATH/$DIRNAME", "WorkingDir", "/path")]
    [InlineData("WORKDIR a", "WorkingDir", "/a")]
    [InlineData("WORKDIR /a/../b/./c//d/", "WorkingDir", "/b/c/d")]
    [InlineData("WORKDIR ../..", "WorkingDir", "/")]
    [InlineData("WORKDIR /a\nRUN x", "RunDir", "/a")]
    [InlineData("WORKDIR /a\nCOPY x y", "Copy", "x -> /a/y")]
    [InlineData("WORKDIR /a\nCOPY x ./", "Copy", "x -> /a/")]
    [InlineData("WORKDIR /a\nADD test.txt relativeDir/", "Copy", "test.txt -> /a/relativeDir/")]
    [InlineData("WORKDIR /a\nADD test.txt /absoluteDir/", "Copy", "test.txt -> /absoluteDir/")]
    [InlineData("WORKDIR /a\nCOPY x ..", "Copy", "x -> /")]
    [InlineData("COPY x .", "Copy", "x -> /")]
    // CMD and ENTRYPOINT, and how they interact
    [InlineData("CMD command param1", "Cmd", "/bin/sh|-c|command param1")]
    [InlineData("CMD [\"a\",\"b\"]\nCMD [\"c\"]", "Cmd", "c")]
    [InlineData("CMD [\"a\"]\nENTRYPOINT [\"b\"]", "Cmd", "a")]
    [InlineData("ENTRYPOINT [\"top\", \"-b\"]\nCMD [\"-c\"]", "Entrypoint", "top|-b")]
    [InlineData("ENTRYPOINT exec_entry p1_entry", "Entrypoint", "/bin/sh|-c|exec_entry p1_entry")]
    // USER, STOPSIGNAL, HEALTHCHECK, SHELL
    [InlineData("USER patrick\nRUN x", "RunUser", "patrick")]
    [InlineData("STOPSIGNAL 9", "StopSignal", "9")]
    [InlineData("STOPSIGNAL rtmin+3", "StopSignal", "rtmin+3")]
    [InlineData("HEALTHCHECK CMD a\nHEALTHCHECK NONE", "Health", "NONE")]
    [InlineData("HEALTHCHECK CMD a\nHEALTHCHECK CMD [\"b\", \"c\"]", "Health", "CMD|b|c")]
    [InlineData("SHELL [\"/bin/bash\", \"-ec\"]\nRUN a", "Run", "/bin/bash|-ec|a")]
    [InlineData("SHELL [\"/bin/bash\", \"-ec\"]\nCMD a", "Cmd", "/bin/bash|-ec|a")]
    [InlineData("SHELL [\"/bin/bash\", \"-ec\"]\nRUN [\"a\"]", "Run", "a")]
    [InlineData("SHELL [\"a\"]\nSHELL [\"/bin/bash\", \"-ec\"]\nENTRYPOINT a", "Entrypoint", "/bin/bash|-ec|a")]
    // ARG: defaults, scope
    [InlineData("ARG user1=someuser\nUSER $user1", "User", "someuser")]
    [InlineData("ARG user1=someuser\nUSER $user1", "User", "other", "user1=other")]
    [InlineData("ARG user1\nUSER x$user1", "User", "x")]
    [InlineData("ARG user1=\nUSER x${user1:-y}", "User", "xy")]
    [InlineData("USER ${username:-some_user}\nRUN one", "RunUser", "some_user", "username=what_user")]
    [InlineData("USER ${username:-some_user}\nARG username\nUSER $username", "User", "what_user", "username=what_user")]
    [InlineData("ARG A=1\nARG A=2\nUSER $A", "User", "2")]
    [InlineData("ARG A=1 B=$A\nUSER $B", "User", "1")]
    [InlineData("ARG A='a b'\nLABEL l=$A", "Labels", "l=a b")]
    [InlineData("ARG A=1\nRUN x", "RunEnv", "A=1")]
    [InlineData("ARG A\nRUN x", "RunEnv", "")]
    [InlineData("ARG A=1\nRUN x", "Row", "RUN |1 A=1 /bin/sh -c x")]
    // Using ARG variables: ENV goes before ARG
    [InlineData("ARG CONT_IMG_VER\nENV CONT_IMG_VER=v1.0.0\nRUN echo $CONT_IMG_VER", "RunEnv", "CONT_IMG_VER=v1.0.0", "CONT_IMG_VER=v2.0.1")]
    [InlineData("ARG CONT_IMG_VER\nENV CONT_IMG_VER=${CONT_IMG_VER:-v1.0.0}\nRUN echo", "RunEnv", "CONT_IMG_VER=v2.0.1", "CONT_IMG_VER=v2.0.1")]
    [InlineData("ARG CONT_IMG_VER\nENV CONT_IMG_VER=${CONT_IMG_VER:-v1.0.0}\nRUN echo", "RunEnv", "CONT_IMG_VER=v1.0.0")]
    // Predefined ARGs
    [InlineData("RUN echo", "Proxies", "HTTP_PROXY=http://user:pass@proxy", "HTTP_PROXY=http://user:pass@proxy")]
    [InlineData("RUN echo", "Row", "RUN /bin/sh -c echo", "HTTP_PROXY=http://user:pass@proxy")]
    [InlineData("RUN echo", "RunEnv", "", "no_proxy=x")]
    // Platform ARGs in the global scope
    [InlineData("ARG TARGETOS\nLABEL l=$TARGETOS", "Labels", "l=linux")]
    [InlineData("LABEL l=x$TARGETOS", "Labels", "l=x")]
    [InlineData("ARG TARGETPLATFORM\nARG TARGETARCH\nARG TARGETVARIANT\nLABEL l=$TARGETPLATFORM,$TARGETARCH,$TARGETVARIANT", "Labels", "l=linux/arm/v7,arm,v7", "@linux/arm/v7")]
    [InlineData("ARG TARGETSTAGE\nLABEL l=$TARGETSTAGE", "Labels", "l=default")]
    // ONBUILD
    [InlineData("ONBUILD ADD . /app/src\nONBUILD RUN /usr/local/bin/python-build --dir /app/src", "OnBuild", "ADD . /app/src|RUN /usr/local/bin/python-build --dir /app/src")]
    public void A_stage_becomes(string text, string asked, string expected, string argument = "")
        => Assert.Equal(expected, Ask(Plan("FROM scratch\n" + text, argument), asked));

    // Each: a whole file, what is asked of its last stage, the answer, and --build-arg or the target.
    [Theory]
    [InlineData("ARG A=1\nFROM scratch\nLABEL l=x$A", "Labels", "l=x")]
    [InlineData("ARG A=1\nFROM scratch\nARG A\nLABEL l=$A", "Labels", "l=1")]
    [InlineData("ARG A=1\nFROM scratch\nARG A=2\nLABEL l=$A", "Labels", "l=2")]
    [InlineData("ARG A=1\nFROM scratch\nARG A=2\nLABEL l=$A", "Labels", "l=3", "A=3")]
    [InlineData("ARG A=1\nARG B=$A$A\nFROM scratch\nARG B\nLABEL l=$B", "Labels", "l=11")]
    [InlineData("FROM scratch AS a\nARG A=1\nFROM scratch\nLABEL l=x$A", "Labels", "l=x")]
    [InlineData("FROM scratch AS a\nARG NAME=joe\nFROM a\nLABEL l=$NAME", "Labels", "l=joe")]
    [InlineData("FROM scratch AS a\nARG NAME=joe\nFROM a AS b\nFROM b\nRUN x", "RunEnv", "NAME=joe")]
    [InlineData("FROM scratch AS a\nENV E=1\nFROM a\nENV F=$E", "Env", "E=1 F=1")]
    [InlineData("FROM scratch AS a\nENV E=1\nFROM scratch\nENV F=x$E", "Env", "F=x")]
    [InlineData("FROM scratch AS a\nWORKDIR /w\nUSER u\nFROM a\nRUN x", "RunDir", "/w")]
    [InlineData("FROM scratch AS a\nUSER u\nFROM a\nRUN x", "RunUser", "u")]
    [InlineData("FROM scratch AS a\nSHELL [\"s\"]\nFROM a\nRUN x", "Run", "s|x")]
    [InlineData("FROM scratch AS a\nCMD [\"c\"]\nFROM a\nENTRYPOINT [\"e\"]", "Cmd", "")]
    [InlineData("FROM scratch AS a\nLABEL l=1\nFROM a\nLABEL m=2", "Labels", "l=1 m=2")]
    [InlineData("FROM scratch AS a\nONBUILD LABEL l=1\nFROM a", "OnBuild", "")]
    [InlineData("FROM scratch AS a\nONBUILD LABEL l=1\nFROM a\nLABEL m=2", "Labels", "l=1 m=2")]
    [InlineData("FROM scratch AS a\nONBUILD LABEL l=1\nLABEL k=0\nFROM a\nFROM a AS b\nLABEL m=2\nFROM b", "Labels", "k=0 l=1 m=2")]
    [InlineData("FROM scratch AS x\nWORKDIR /x\nFROM scratch AS a\nONBUILD COPY --from=x / /\nFROM a", "Inputs", "Directory")]
    [InlineData("ARG B=base\nFROM scratch AS base\nLABEL l=1\nFROM $B", "Labels", "l=1")]
    [InlineData("ARG B=base\nFROM scratch AS base\nLABEL l=1\nFROM scratch AS other\nLABEL l=2\nFROM ${B}", "Labels", "l=2", "B=other")]
    [InlineData("FROM scratch AS BASE\nLABEL l=1\nFROM base", "Labels", "l=1")]
    [InlineData("FROM scratch AS a\nLABEL l=1\nFROM scratch AS b\nLABEL l=2", "Labels", "l=1", "target a")]
    [InlineData("FROM scratch AS a\nLABEL l=1\nFROM scratch AS b\nLABEL l=2", "Labels", "l=1", "target 0")]
    [InlineData("FROM scratch AS a\nARG TARGETSTAGE\nLABEL l=$TARGETSTAGE\nFROM a AS b", "Labels", "l=a", "target a")]
    [InlineData("FROM scratch AS one\nWORKDIR /one\nFROM scratch AS two\nCOPY --from=one / /\n", "Inputs", "Directory")]
    [InlineData("FROM scratch AS one\nWORKDIR /one\nFROM scratch AS two\nCOPY --from=ONE / /\n", "Inputs", "Directory")]
    [InlineData("FROM scratch\nWORKDIR /one\nFROM scratch AS two\nCOPY --from=0 / /\n", "Inputs", "Directory")]
    [InlineData("ARG F=one\nFROM scratch AS one\nWORKDIR /one\nFROM scratch\nRUN --mount=from=one,target=/x y\n", "Inputs", "Directory")]
    public void Stages_hang_together(string text, string asked, string expected, string argument = "")
        => Assert.Equal(expected, Ask(Plan(text, argument), asked));

    // Each: what the base says, instructions on it, what is asked, the answer.
    [Theory]
    [InlineData("LABEL x=1", "Env", "E=base F=2")]
    [InlineData("ENV E=$E/more", "Env", "E=base/more F=2")]
    [InlineData("LABEL x=$F", "Labels", "b=base x=2")]
    [InlineData("LABEL b=mine", "Labels", "b=mine")]
    [InlineData("RUN x", "Run", "/bin/ash|-c|x")]
    [InlineData("RUN x", "RunUser", "base")]
    [InlineData("WORKDIR sub", "WorkingDir", "/base/sub")]
    [InlineData("COPY a b", "Copy", "a -> /base/b")]
    [InlineData("LABEL x=1", "Cmd", "base cmd")]
    [InlineData("ENTRYPOINT [\"x\"]", "Cmd", "")]
    [InlineData("ENTRYPOINT [\"x\"]\nCMD [\"y\"]", "Cmd", "y")]
    [InlineData("CMD [\"y\"]\nENTRYPOINT [\"x\"]", "Cmd", "y")]
    [InlineData("CMD [\"y\"]", "Entrypoint", "base entry")]
    [InlineData("LABEL x=1", "OnBuild", "")]
    [InlineData("LABEL x=1", "ExposedPorts", "1/tcp 9/udp")]
    [InlineData("EXPOSE 2", "ExposedPorts", "1/tcp 2/tcp 9/udp")]
    [InlineData("HEALTHCHECK NONE", "Health", "NONE")]
    [InlineData("LABEL x=1", "Health", "CMD|ok")]
    [InlineData("LABEL x=1", "StopSignal", "SIGQUIT")]
    public void A_base_s_settings_are_where_a_stage_starts(string text, string asked, string expected)
    {
        var config = new ContainerConfig
        {
            Env = ["E=base", "F=2"], Labels = ImmutableSortedDictionary<string, string>.Empty.Add("b", "base"), User = "base", WorkingDir = "/base", Cmd = ["base cmd"], Entrypoint = ["base entry"],
            Shell = ["/bin/ash", "-c"], OnBuild = ["EXPOSE 9/udp"], ExposedPorts = ImmutableSortedDictionary<string, EmptyObject>.Empty.Add("1/tcp", new EmptyObject()), StopSignal = "SIGQUIT",
            Healthcheck = new HealthcheckConfig { Test = ["CMD", "ok"] },
        };
        Assert.Equal(expected, Ask(BuildPlanner.Plan(Dockerfile.Parse("FROM base\n" + text), BasesOf(config, new BaseName(ImageReference.Parse("base"))), new BuildOptions()), asked));
    }

    // Each: a file that parses and cannot be planned, where it is wrong, and what is said.
    [Theory]
    [InlineData("FROM $NONE", 1, "base name ($NONE) should not be blank")]
    [InlineData("FROM scratch\nEXPOSE 99999", 2, "invalid containerPort: 99999")]
    [InlineData("FROM scratch\nEXPOSE 80/http", 2, "invalid containerPort: 80/http")]
    [InlineData("FROM scratch\nEXPOSE 9-8", 2, "invalid containerPort: 9-8")]
    [InlineData("FROM scratch\nSTOPSIGNAL SIGNONE", 2, "invalid signal: SIGNONE")]
    [InlineData("FROM scratch\nCOPY --chmod=999 a b", 2, "invalid chmod parameter")]
    [InlineData("FROM scratch\nCOPY --chmod=u+q a b", 2, "invalid chmod parameter")]
    [InlineData("FROM scratch\nADD --checksum=sha256:0 a b", 2, "checksum requires HTTP(S) or Git sources")]
    [InlineData("FROM scratch\nADD --checksum=md5 https://x/y b", 2, "not a digest")]
    [InlineData("FROM scratch\nADD --checksum=sha256:00 https://x/y https://x/z b/", 2, "checksum can't be specified for multiple sources")]
    [InlineData("FROM scratch\nENV A=${B?missing}", 2, "B: missing")]
    [InlineData("FROM scratch\nENV A=${", 2, "syntax error")]
    [InlineData("FROM scratch\nVOLUME $NONE", 2, "VOLUME specified can not be an empty string")]
    [InlineData("FROM scratch AS a\nCOPY --from=7 a b", 2, "invalid stage index 7")]
    [InlineData("FROM scratch AS a\nCOPY --from=a x y", 2, "circular dependency detected on stage: a")]
    [InlineData("FROM scratch AS a\nCOPY --from=0 x y", 2, "circular dependency detected on stage: a")]
    [InlineData("FROM scratch AS a\nCOPY --from=b x y\nFROM a AS b", 2, "circular dependency detected on stage: a")]
    [InlineData("FROM scratch AS a\nRUN --mount=from=b,target=/x y\nFROM scratch AS b\nCOPY --from=a x y", 2, "circular dependency detected on stage: a")]
    [InlineData("FROM scratch AS a\nCOPY --from=b x y\nFROM scratch AS b\nCOPY --from=c x y\nFROM scratch AS c\nCOPY --from=a x y\nFROM scratch", 2, "circular dependency detected on stage: a")]
    [InlineData("FROM scratch AS a\nCOPY --from=B x y\nFROM scratch AS b\nFROM a", 2, "cannot copy from stage \"B\", it needs to be defined before current stage \"a\"")]
    [InlineData("FROM scratch AS a\nFROM --platform=what/is/this/now a", 2, "")]
    [InlineData("FROM --platform=$NONE base", 1, "empty platform value from expression $NONE")]
    [InlineData("FROM --platform=/ base", 1, "failed to parse platform /")]
    [InlineData("FROM Not:a:name", 1, "failed to parse stage name")]
    public void What_cannot_be_built_is_told_with_its_line(string text, int line, string said)
    {
        var file = Dockerfile.Parse(text);
        var options = new BuildOptions();
        if (said.Length == 0)
        {
            _ = BuildPlanner.Plan(file, new Dictionary<BaseName, BaseImage>(), options); // a stage has its platform already
            return;
        }
        DockerfileException failure = Assert.Throws<DockerfileException>(() =>
        {
            _ = BuildPlanner.FindBases(file, options);
            _ = BuildPlanner.Plan(file, new Dictionary<BaseName, BaseImage>(), options);
        });
        Assert.Contains(said, failure.Message, StringComparison.Ordinal);
        Assert.Equal(line, failure.Span.FirstLine);
    }

    // Each: a file, the target, and the images that are asked for.
    [Theory]
    [InlineData("FROM a\nFROM b", "", "b")]
    [InlineData("FROM a AS x\nFROM b AS y\nCOPY --from=x / /", "", "b a")]
    [InlineData("FROM a AS x\nFROM b AS y\nFROM x", "", "a")]
    [InlineData("FROM a AS x\nFROM b AS y", "x", "a")]
    [InlineData("FROM a\nCOPY --from=c:1 / /\nRUN --mount=from=d,target=/x y", "", "a c:1 d")]
    [InlineData("ARG V=3\nFROM a:$V\nFROM a:${V}", "", "a:3")]
    [InlineData("FROM --platform=linux/s390x a", "", "a@linux/s390x")]
    [InlineData("FROM --platform=$TARGETPLATFORM a", "", "a")]
    [InlineData("FROM --platform=linux/s390x a AS s\nFROM a\nCOPY --from=s / /", "", "a a@linux/s390x")]
    [InlineData("ARG P=linux/riscv64\nFROM --platform=$P a", "", "a@linux/riscv64")]
    public void Only_what_the_target_needs_is_asked_for(string text, string target, string expected)
        => Assert.Equal(expected, string.Join(' ', BuildPlanner.FindBases(Dockerfile.Parse(text), new BuildOptions { Target = target.Length == 0 ? null : target })
            .Select(b => b.Name.Image.Familiar.Replace(":latest", "", StringComparison.Ordinal) + (b.Name.Platform is { } platform ? $"@{platform}" : ""))));

    [Fact]
    public void A_stage_for_another_platform_starts_from_that_platform_s_image()
    {
        var other = new BaseName(ImageReference.Parse("base"), new Platform("linux", "s390x"));
        Dictionary<BaseName, BaseImage> bases = BasesOf(new ContainerConfig { Env = ["E=other"] }, other);
        bases[new BaseName(ImageReference.Parse("base"))] = BasesOf(new ContainerConfig { Env = ["E=own"] }, new BaseName(ImageReference.Parse("base"))).Values.Single();
        Assert.Equal("E=other", Ask(BuildPlanner.Plan(Dockerfile.Parse("FROM --platform=linux/s390x base"), bases, new BuildOptions()), "Env"));
        Assert.Equal("E=own", Ask(BuildPlanner.Plan(Dockerfile.Parse("FROM base"), bases, new BuildOptions()), "Env"));
    }

    [Fact]
    public void A_misspelt_argument_is_told_and_those_that_are_always_there_are_not()
    {
        var options = new BuildOptions { Arguments = ImmutableSortedDictionary<string, string>.Empty.Add("A", "1").Add("NONE", "1").Add("HTTP_PROXY", "x").Add("BUILDKIT_INLINE_CACHE", "1") };
        BuildGraph graph = BuildPlanner.Plan(Dockerfile.Parse("FROM scratch\nARG A\n"), new Dictionary<BaseName, BaseImage>(), options);
        Assert.Equal(["[Warning] One or more build-args [NONE] were not consumed"], graph.Warnings);
    }

    private static Dictionary<BaseName, BaseImage> BasesOf(ContainerConfig config, BaseName name)
    {
        Digest digest = Digest.Of([1]);
        var image = new ImageConfig { Architecture = "amd64", Os = "linux", RootFs = new RootFs("layers", []), Config = config };
        return new() { [name] = new BaseImage(name.Image, new Descriptor(MediaTypes.OciManifest, digest, 1), new ImageManifest(new Descriptor(MediaTypes.OciConfig, digest, 1), []), image) };
    }

    // NAME=VALUE, @PLATFORM, or "target NAME".
    private static BuildGraph Plan(string text, string argument)
    {
        var options = new BuildOptions();
        if (argument.StartsWith("target ", StringComparison.Ordinal))
        {
            options = options with { Target = argument[7..] };
        }
        else if (argument.StartsWith('@'))
        {
            options = options with { Platform = Platform.Parse(argument[1..]) };
        }
        else if (argument.Split('=', 2) is [string name, string value])
        {
            options = options with { Arguments = options.Arguments.Add(name, value) };
        }
        return BuildPlanner.Plan(Dockerfile.Parse(text), new Dictionary<BaseName, BaseImage>(), options);
    }

    private static string Ask(BuildGraph graph, string asked) => asked switch
    {
        "Env" => string.Join(' ', graph.Config.Env!.Value.Where(e => e != Path)),
        "AllEnv" => string.Join(' ', graph.Config.Env!.Value),
        "WorkingDir" => graph.Config.WorkingDir ?? "",
        "Labels" => string.Join(' ', graph.Config.Labels!.Select(l => $"{l.Key}={l.Value}")),
        "ExposedPorts" => string.Join(' ', graph.Config.ExposedPorts!.Keys),
        "Volumes" => string.Join(' ', graph.Config.Volumes!.Keys),
        "StopSignal" => graph.Config.StopSignal ?? "",
        "User" => graph.Config.User ?? "",
        "OnBuild" => string.Join('|', graph.Config.OnBuild ?? []),
        "Cmd" => string.Join('|', graph.Config.Cmd ?? []),
        "Entrypoint" => string.Join('|', graph.Config.Entrypoint ?? []),
        "Health" => string.Join('|', graph.Config.Healthcheck!.Test!.Value),
        "Author" => graph.Author ?? "",
        "Row" => graph.History[^1].CreatedBy,
        "Inputs" => string.Join(' ', graph.Result.Inputs.Skip(1).Select(i => i.GetType().Name[..^"Step".Length])),
        "Copy" => $"{string.Join('|', Assert.IsType<CopyStep>(graph.Result).Sources)} -> {((CopyStep)graph.Result).Destination}",
        "Rules" => $"{Assert.IsType<CopyStep>(graph.Result).Options.Mode} {((CopyStep)graph.Result).Options.Owner}",
        "Exclude" => string.Join(' ', Assert.IsType<CopyStep>(graph.Result).Options.Exclude),
        _ => AskRun(Assert.IsType<RunStep>(graph.Result), asked),
    };

    private static string AskRun(RunStep run, string asked) => asked switch
    {
        "Run" => string.Join('|', run.Arguments),
        "RunEnv" => string.Join(' ', run.Environment.Where(e => e != Path)),
        "RunDir" => run.WorkingDirectory,
        "RunUser" => run.User ?? "",
        "Proxies" => string.Join(' ', run.UnkeyedEnvironment),
        _ => throw new ArgumentException(asked),
    };
}
