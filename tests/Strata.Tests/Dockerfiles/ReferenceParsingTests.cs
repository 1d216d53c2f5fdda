using Strata.Dockerfiles;
using Xunit;

namespace Strata.Tests.Dockerfiles;

/// <summary>What the Dockerfile reference says of how a file is read: its examples and its sentences, section by section.</summary>
public sealed class ReferenceParsingTests
{
    // Each: instructions behind FROM a, and what they hold, a line each.
    [Theory]
    // Format
    [InlineData("RUN echo 'we are running some # of cool things'", "sh:echo 'we are running some # of cool things'")]
    [InlineData("# Comment\nRUN echo 1", "sh:echo 1")]
    [InlineData("        # this is a comment-line\n    RUN echo hello\nRUN echo world", "sh:echo hello\nsh:echo world")]
    [InlineData("RUN echo hello \\\n# comment\nworld", "sh:echo hello world")]
    [InlineData("RUN echo \"\\\n     hello\\\n     world\"", "sh:echo \"     hello     world\"")]
    [InlineData("RUN echo a \\\n\n# comment\n\n  b", "sh:echo a   b")]
    [InlineData("run echo a\nRun echo b\nrUN echo c", "sh:echo a\nsh:echo b\nsh:echo c")]
    [InlineData("RUN\techo\ta", "sh:echo\ta")]
    [InlineData("RUN echo a\\\\\nRUN echo b", "sh:echo a\\\\\nsh:echo b")]
    [InlineData("RUN echo a \\  \n  b", "sh:echo a   b")]
    [InlineData("RUN echo a \\\r\n  b\r\n", "sh:echo a   b")]
    [InlineData("RUN echo a \\", "sh:echo a")]
    // RUN: shell and exec form
    [InlineData("RUN source $HOME/.bashrc && \\\necho $HOME", "sh:source $HOME/.bashrc && echo $HOME")]
    [InlineData("RUN [\"/bin/bash\", \"-c\", \"echo hello\"]", "/bin/bash|-c|echo hello")]
    [InlineData("RUN [ \"echo\", \"$HOME\" ]", "echo|$HOME")]
    [InlineData("RUN [\"c:\\windows\\system32\\tasklist.exe\"]", "sh:[\"c:\\windows\\system32\\tasklist.exe\"]")]
    [InlineData("RUN [\"c:\\\\windows\\\\system32\\\\tasklist.exe\"]", "c:\\windows\\system32\\tasklist.exe")]
    [InlineData("RUN ['echo', 'single']", "sh:['echo', 'single']")]
    [InlineData("RUN [\"sh\", \"-c\", \\\n  \"a\"]", "sh|-c|a")]
    [InlineData("RUN [\"\"]", "")]
    [InlineData("RUN [\"a\"] b", "sh:[\"a\"] b")]
    [InlineData("RUN [ \"tab\\there\", \"\\\"quoted\\\"\" ]", "tab\there|\"quoted\"")]
    // RUN --mount, --network, --security
    [InlineData("RUN --mount=type=bind,target=/x ls", "mount:type=bind,target=/x sh:ls")]
    [InlineData("RUN --mount=type=cache,target=/root/.cache/go-build \\\n  go build", "mount:type=cache,target=/root/.cache/go-build sh:go build")]
    [InlineData("RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked apt update", "mount:type=cache,target=/var/cache/apt,sharing=locked mount:type=cache,target=/var/lib/apt,sharing=locked sh:apt update")]
    [InlineData("RUN --mount=type=secret,id=aws,target=/root/.aws/credentials aws s3 cp s3://a b", "mount:type=secret,id=aws,target=/root/.aws/credentials sh:aws s3 cp s3://a b")]
    [InlineData("RUN --mount=type=secret,id=API_KEY,env=API_KEY some-command", "mount:type=secret,id=API_KEY,env=API_KEY sh:some-command")]
    [InlineData("RUN --mount=type=ssh ssh -q git@gitlab.com", "mount:type=ssh sh:ssh -q git@gitlab.com")]
    [InlineData("RUN --mount=type=tmpfs,target=/t,size=1g [\"ls\"]", "mount:type=tmpfs,target=/t,size=1g ls")]
    [InlineData("RUN --network=none pip install --find-links wheels mypackage", "network:none sh:pip install --find-links wheels mypackage")]
    [InlineData("RUN --network=default a\nRUN --network=host b", "network:default sh:a\nnetwork:host sh:b")]
    [InlineData("RUN --security=insecure cat /proc/self/status", "security:insecure sh:cat /proc/self/status")]
    [InlineData("RUN --security=sandbox a", "security:sandbox sh:a")]
    [InlineData("RUN -- --mount", "sh:--mount")]
    [InlineData("RUN echo --mount=type=cache", "sh:echo --mount=type=cache")]
    // Here-Documents
    [InlineData("RUN <<EOT bash\n  set -ex\n  apt-get update\nEOT", "sh:<<EOT bash <EOT:  set -ex\\n  apt-get update\\n>")]
    [InlineData("RUN <<EOT\n  mkdir -p foo/bar\nEOT", "sh:<<EOT <EOT:  mkdir -p foo/bar\\n>")]
    [InlineData("RUN <<EOT\n#!/usr/bin/env python\nprint(\"hello world\")\nEOT", "sh:<<EOT <EOT:#!/usr/bin/env python\\nprint(\"hello world\")\\n>")]
    [InlineData("RUN <<FILE1 cat > file1 && <<FILE2 cat > file2\nI am\nfirst\nFILE1\nI am\nsecond\nFILE2", "sh:<<FILE1 cat > file1 && <<FILE2 cat > file2 <FILE1:I am\\nfirst\\n> <FILE2:I am\\nsecond\\n>")]
    [InlineData("RUN <<-EOT\n\tmkdir a\n\t\tEOT\n", "sh:<<-EOT <EOT:mkdir a\\n>")]
    [InlineData("RUN 3<<EOF cat /dev/fd/3\nx\nEOF", "sh:3<<EOF cat /dev/fd/3 <EOF:x\\n>")]
    [InlineData("COPY <<EOF /greeting.txt\nHello $name\nEOF", "copy <<EOF -> /greeting.txt <EOF:Hello $name\\n>")]
    [InlineData("COPY <<\"EOF\" /script.sh\n  echo hello ${FOO}\nEOF", "copy <<\"EOF\" -> /script.sh <EOF!:  echo hello ${FOO}\\n>")]
    [InlineData("COPY <<robots.txt <<humans.txt /usr/share/nginx/html/\na\nrobots.txt\nb\nhumans.txt", "copy <<robots.txt|<<humans.txt -> /usr/share/nginx/html/ <robots.txt:a\\n> <humans.txt:b\\n>")]
    [InlineData("ADD <<EOF f /d/\nEOF", "add <<EOF|f -> /d/ <EOF:>")]
    [InlineData("COPY <<EOF /a\n# no comment\n\n\\\nEOF\nRUN b", "copy <<EOF -> /a <EOF:# no comment\\n\\n\\\\n>\nsh:b")]
    [InlineData("COPY [\"<<EOF\", \"/a\"]", "copy <<EOF -> /a")]
    [InlineData("CMD cat <<EOF", "sh:cat <<EOF")]
    // CMD, ENTRYPOINT
    [InlineData("CMD [\"executable\",\"param1\",\"param2\"]", "executable|param1|param2")]
    [InlineData("CMD command param1 param2", "sh:command param1 param2")]
    [InlineData("CMD echo \"This is a test.\" | wc -", "sh:echo \"This is a test.\" | wc -")]
    [InlineData("CMD [\"/usr/bin/wc\",\"--help\"]", "/usr/bin/wc|--help")]
    [InlineData("CMD []", "")]
    [InlineData("ENTRYPOINT [\"top\", \"-b\"]", "top|-b")]
    [InlineData("ENTRYPOINT exec top -b", "sh:exec top -b")]
    [InlineData("ENTRYPOINT []", "")]
    [InlineData("ENTRYPOINT [\"/usr/sbin/apache2ctl\", \"-D\", \"FOREGROUND\"]", "/usr/sbin/apache2ctl|-D|FOREGROUND")]
    // LABEL
    [InlineData("LABEL \"com.example.vendor\"=\"ACME Incorporated\"", "\"com.example.vendor\"=\"ACME Incorporated\"")]
    [InlineData("LABEL com.example.label-with-value=\"foo\"", "com.example.label-with-value=\"foo\"")]
    [InlineData("LABEL version=\"1.0\"", "version=\"1.0\"")]
    [InlineData("LABEL description=\"This text illustrates \\\nthat label-values can span multiple lines.\"", "description=\"This text illustrates that label-values can span multiple lines.\"")]
    [InlineData("LABEL multi.label1=\"value1\" multi.label2=\"value2\" other=\"value3\"", "multi.label1=\"value1\";multi.label2=\"value2\";other=\"value3\"")]
    [InlineData("LABEL multi.label1=\"value1\" \\\n      multi.label2=\"value2\"", "multi.label1=\"value1\";multi.label2=\"value2\"")]
    [InlineData("LABEL org.opencontainers.image.authors=\"SvenDowideit@home.org.au\"", "org.opencontainers.image.authors=\"SvenDowideit@home.org.au\"")]
    [InlineData("LABEL example=\"foo-$ENV_VAR\"", "example=\"foo-$ENV_VAR\"")]
    [InlineData("LABEL a b c", "a=b c")]
    // MAINTAINER, EXPOSE
    [InlineData("MAINTAINER  a  b <c@d>", "a  b <c@d>")]
    [InlineData("EXPOSE 80/tcp\nEXPOSE 80/udp", "80/tcp\n80/udp")]
    [InlineData("EXPOSE 80 443  8000-8010/udp", "80|443|8000-8010/udp")]
    // ENV
    [InlineData("ENV MY_NAME=\"John Doe\"", "MY_NAME=\"John Doe\"")]
    [InlineData("ENV MY_DOG=Rex\\ The\\ Dog", "MY_DOG=Rex\\ The\\ Dog")]
    [InlineData("ENV MY_CAT=fluffy", "MY_CAT=fluffy")]
    [InlineData("ENV MY_NAME=\"John Doe\" MY_DOG=Rex\\ The\\ Dog \\\n    MY_CAT=fluffy", "MY_NAME=\"John Doe\";MY_DOG=Rex\\ The\\ Dog;MY_CAT=fluffy")]
    [InlineData("ENV MY_VAR my-value", "MY_VAR=my-value")]
    [InlineData("ENV ONE TWO= THREE=world", "ONE=TWO= THREE=world")]
    [InlineData("ENV a= b=''", "a=;b=''")]
    [InlineData("ENV a=b=c", "a=b=c")]
    // ADD
    [InlineData("ADD file1.txt file2.txt /usr/src/things/", "add file1.txt|file2.txt -> /usr/src/things/")]
    [InlineData("ADD https://example.com/archive.zip /usr/src/things/", "add https://example.com/archive.zip -> /usr/src/things/")]
    [InlineData("ADD git@github.com:user/repo.git /usr/src/things/", "add git@github.com:user/repo.git -> /usr/src/things/")]
    [InlineData("ADD *.png /dest/\nADD index.?s /dest/", "add *.png -> /dest/\nadd index.?s -> /dest/")]
    [InlineData("ADD arr[[]0].txt /dest/", "add arr[[]0].txt -> /dest/")]
    [InlineData("ADD [\"a file\", \"/with blank/\"]", "add a file -> /with blank/")]
    [InlineData("ADD --keep-git-dir=true https://github.com/moby/buildkit.git#v0.10.1 /buildkit", "add git https://github.com/moby/buildkit.git#v0.10.1 -> /buildkit")]
    [InlineData("ADD --keep-git-dir a /b", "add git a -> /b")]
    [InlineData("ADD --keep-git-dir=false a /b", "add a -> /b")]
    [InlineData("ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://x/y /", "add checksum:sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://x/y -> /")]
    [InlineData("ADD --chown=55:mygroup files* /somedir/", "add chown:55:mygroup files* -> /somedir/")]
    [InlineData("ADD --chown=bin files* /somedir/", "add chown:bin files* -> /somedir/")]
    [InlineData("ADD --chown=myuser:mygroup --chmod=644 files* /somedir/", "add chown:myuser:mygroup chmod:644 files* -> /somedir/")]
    [InlineData("ADD --chmod=u=rwX,go=rX a /b", "add chmod:u=rwX,go=rX a -> /b")]
    [InlineData("ADD --link foo/ /foo", "add link foo/ -> /foo")]
    [InlineData("ADD --link=false foo/ /foo", "add foo/ -> /foo")]
    [InlineData("ADD --unpack=true https://example.com/archive.tar.gz /download", "add unpack:True https://example.com/archive.tar.gz -> /download")]
    [InlineData("ADD --unpack=false my-archive.tar.gz .", "add unpack:False my-archive.tar.gz -> .")]
    [InlineData("ADD --exclude=*.txt --exclude=*.md hom* /mydir/", "add exclude:*.txt exclude:*.md hom* -> /mydir/")]
    // COPY
    [InlineData("COPY --from=build /myapp /usr/bin/", "copy from:build /myapp -> /usr/bin/")]
    [InlineData("COPY --from=nginx:latest /etc/nginx/nginx.conf /nginx.conf", "copy from:nginx:latest /etc/nginx/nginx.conf -> /nginx.conf")]
    [InlineData("COPY --from=0 a b", "copy from:0 a -> b")]
    [InlineData("COPY --chown=1 files* /somedir/\nCOPY --chown=10:11 files* /somedir/", "copy chown:1 files* -> /somedir/\ncopy chown:10:11 files* -> /somedir/")]
    [InlineData("COPY --chmod=$MODE a /", "copy chmod:$MODE a -> /")]
    [InlineData("COPY --parents ./x/a.txt ./y/a.txt /parents/", "copy parents ./x/a.txt|./y/a.txt -> /parents/")]
    [InlineData("COPY --parents ./x/./y/*.txt /parents/", "copy parents ./x/./y/*.txt -> /parents/")]
    [InlineData("COPY --link --chown=1 --chmod=755 --parents --exclude=a x y z/", "copy chown:1 chmod:755 link parents exclude:a x|y -> z/")]
    [InlineData("COPY --chown=\"a b\" x /y", "copy chown:a b x -> /y")]
    [InlineData("COPY \\\n  a \\\n  b \\\n  /c/", "copy a|b -> /c/")]
    [InlineData("COPY [\"a b\",\"c\",\"/d/\"]", "copy a b|c -> /d/")]
    // VOLUME, USER, WORKDIR
    [InlineData("VOLUME /var/log", "/var/log")]
    [InlineData("VOLUME /var/log /var/db", "/var/log|/var/db")]
    [InlineData("VOLUME [\"/var/log/\", \"/a b\"]", "/var/log/|/a b")]
    [InlineData("USER patrick", "patrick")]
    [InlineData("USER 1000:1000", "1000:1000")]
    [InlineData("WORKDIR /path/to/workdir", "/path/to/workdir")]
    [InlineData("WORKDIR $DIRPATH/$DIRNAME", "$DIRPATH/$DIRNAME")]
    [InlineData("WORKDIR a b", "a b")]
    // ARG
    [InlineData("ARG user1\nARG buildno", "user1\nbuildno")]
    [InlineData("ARG user1=someuser\nARG buildno=1", "user1=someuser\nbuildno=1")]
    [InlineData("ARG A=1 B C=\"x y\"", "A=1\nB\nC=\"x y\"")]
    [InlineData("ARG A=", "A=")]
    // ONBUILD
    [InlineData("ONBUILD ADD . /app/src", "Copy ADD . /app/src")]
    [InlineData("ONBUILD RUN /usr/local/bin/python-build --dir /app/src", "Run RUN /usr/local/bin/python-build --dir /app/src")]
    [InlineData("ONBUILD COPY --from=build a b", "Copy COPY --from=build a b")]
    [InlineData("onbuild run a", "Run run a")]
    // STOPSIGNAL, HEALTHCHECK, SHELL
    [InlineData("STOPSIGNAL SIGKILL\nSTOPSIGNAL 9", "SIGKILL\n9")]
    [InlineData("HEALTHCHECK --interval=5m --timeout=3s \\\n  CMD curl -f http://localhost/ || exit 1", "interval:300000000000 timeout:3000000000 sh:curl -f http://localhost/ || exit 1")]
    [InlineData("HEALTHCHECK CMD [\"curl\", \"-f\"]", "curl|-f")]
    [InlineData("HEALTHCHECK --start-period=5s --start-interval=1s --retries=3 CMD a", "start-period:5000000000 start-interval:1000000000 retries:3 sh:a")]
    [InlineData("HEALTHCHECK NONE", "none")]
    [InlineData("healthcheck cmd a", "sh:a")]
    [InlineData("HEALTHCHECK --interval=1.5h --timeout=0 --retries=0 CMD a", "interval:5400000000000 timeout:0 retries:0 sh:a")]
    [InlineData("SHELL [\"executable\", \"parameters\"]", "executable|parameters")]
    [InlineData("SHELL [\"powershell\", \"-command\"]", "powershell|-command")]
    public void Instructions_hold_what_they_say(string text, string expected)
        => Assert.Equal(expected, string.Join('\n', Dockerfile.Parse("FROM a\n" + text).Stages[0].Instructions.Select(ShownInstruction.Of)));

    // Each: a file, its stages as name=base@platform, and the arguments before them.
    [Theory]
    // FROM, and how ARG and FROM interact
    [InlineData("FROM a", "=a@", "")]
    [InlineData("FROM a:1", "=a:1@", "")]
    [InlineData("FROM a@sha256:0000000000000000000000000000000000000000000000000000000000000000", "=a@sha256:0000000000000000000000000000000000000000000000000000000000000000@", "")]
    [InlineData("FROM a AS b", "b=a@", "")]
    [InlineData("FROM a as B", "b=a@", "")]
    [InlineData("from a As b-1.x_y", "b-1.x_y=a@", "")]
    [InlineData("FROM --platform=linux/amd64 a AS b", "b=a@linux/amd64", "")]
    [InlineData("FROM --platform=$BUILDPLATFORM a", "=a@$BUILDPLATFORM", "")]
    [InlineData("ARG  CODE_VERSION=latest\nFROM base:${CODE_VERSION}\nCMD  /code/run-app\n\nFROM extras:${CODE_VERSION}\nCMD  /code/run-extras", "=base:${CODE_VERSION}@ =extras:${CODE_VERSION}@", "CODE_VERSION=latest")]
    [InlineData("ARG VERSION=latest\nFROM busybox:$VERSION\nARG VERSION\nRUN echo $VERSION > image_version", "=busybox:$VERSION@", "VERSION=latest")]
    [InlineData("ARG A B=2\nARG C='3'\nFROM scratch", "=scratch@", "A B=2 C='3'")]
    [InlineData("FROM a AS x\nFROM x AS y\nFROM y", "x=a@ y=x@ =y@", "")]
    public void Stages_are_from_one_FROM_to_the_next(string text, string stages, string arguments)
    {
        var file = Dockerfile.Parse(text);
        Assert.Equal(stages, string.Join(' ', file.Stages.Select(s => $"{s.Name}={s.BaseName}@{s.Platform}")));
        Assert.Equal(arguments, string.Join(' ', file.GlobalArgs.Select(ShownInstruction.Of)));
    }

    // Each: the top of a file, and the directives that are ones.
    [Theory]
    [InlineData("#directive=value\n", "")]
    [InlineData("# escape=`\n", "escape=`")]
    [InlineData("#escape=`\n", "escape=`")]
    [InlineData("# escape =`\n", "escape=`")]
    [InlineData("#\tescape= `\n", "escape=`")]
    [InlineData("# escape = `\n", "escape=`")]
    [InlineData("#\t  EsCaPe=`\n", "escape=`")]
    [InlineData("# escape=\\\n", "escape=\\")]
    [InlineData("# About my dockerfile\n# escape=`\n", "")]
    [InlineData("\n# escape=`\n", "")]
    [InlineData("# unknowndirective=value\n# escape=`\n", "")]
    [InlineData("# syntax=docker/dockerfile:1\n# escape=`\n", "syntax=docker/dockerfile:1 escape=`")]
    [InlineData("# syntax=docker.io/docker/dockerfile:1.7-labs\n", "syntax=docker.io/docker/dockerfile:1.7-labs")]
    [InlineData("# check=skip=all;error=true\n", "check=skip=all;error=true")]
    [InlineData("# check=error=true\n# syntax=a\n# escape=`\n", "check=error=true syntax=a escape=`")]
    [InlineData("# direc \\\ntive=value\n", null)]
    [InlineData("#!/usr/bin/env docker\n# escape=`\n", "")]
    public void Directives_stand_before_anything_else(string top, string? expected)
    {
        if (expected is null)
        {
            Assert.Throws<DockerfileException>(() => Dockerfile.Parse(top + "FROM a"));
            return;
        }
        var file = Dockerfile.Parse(top + "FROM a");
        Assert.Equal(expected, string.Join(' ', file.Directives.Select(d => $"{d.Name}={d.Value}")));
        Assert.Equal(expected.Contains("escape=`", StringComparison.Ordinal) ? '`' : '\\', file.Escape);
    }

    // The reference's example for Windows, and what else the directive changes.
    [Theory]
    [InlineData("# escape=`\n\nFROM a\nCOPY testfile.txt c:\\\nRUN dir c:\\", "copy testfile.txt -> c:\\\nsh:dir c:\\")]
    [InlineData("# escape=`\n\nFROM a\nRUN one `\n  two", "sh:one   two")]
    [InlineData("# escape=`\n\nFROM a\nRUN one \\\nRUN two", "sh:one \\\nsh:two")]
    [InlineData("# escape=`\n\nFROM a\nENV A=b` c D=e", "A=b` c;D=e")]
    [InlineData("# escape=`\n\nFROM a\nENV A=c:\\ D=e", "A=c:\\;D=e")]
    public void The_escape_character_is_the_one_that_was_chosen(string text, string expected)
        => Assert.Equal(expected, string.Join('\n', Dockerfile.Parse(text).Stages[0].Instructions.Select(ShownInstruction.Of)));

    // Each: instructions that are refused, and a word of why.
    [Theory]
    [InlineData("RUN", "RUN requires at least one argument")]
    [InlineData("RUN --network=none", "RUN requires at least one argument")]
    [InlineData("RUN --mount=type=cache", "RUN requires at least one argument")]
    [InlineData("RUN --network=nosuch a", "invalid network mode")]
    [InlineData("RUN --security=some a", "security some is not supported")]
    [InlineData("RUN --nosuch a", "unknown flag: --nosuch")]
    [InlineData("RUN <<EOF\nnever ends", "unterminated heredoc")]
    [InlineData("LABEL", "LABEL requires at least one argument")]
    [InlineData("LABEL a", "must have two arguments")]
    [InlineData("ENV", "ENV requires at least one argument")]
    [InlineData("ENV =b", "ENV names can not be blank")]
    [InlineData("ENV a=b c", "can't find =")]
    [InlineData("ADD a", "ADD requires at least two arguments")]
    [InlineData("ADD --parents a b", "unknown flag: --parents")]
    [InlineData("COPY --checksum=x a b", "unknown flag: --checksum")]
    [InlineData("COPY --keep-git-dir a b", "unknown flag: --keep-git-dir")]
    [InlineData("COPY --chmod= a", "COPY requires at least two arguments")]
    [InlineData("COPY --parents=maybe a b", "expecting boolean value")]
    [InlineData("VOLUME", "VOLUME requires at least one argument")]
    [InlineData("USER", "USER requires exactly one argument")]
    [InlineData("ARG", "ARG requires at least one argument")]
    [InlineData("ONBUILD", "ONBUILD requires at least one argument")]
    [InlineData("ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger")]
    [InlineData("ONBUILD nosuch a", "unknown instruction: nosuch")]
    [InlineData("STOPSIGNAL", "STOPSIGNAL requires exactly one argument")]
    [InlineData("MAINTAINER", "MAINTAINER requires exactly one argument")]
    [InlineData("HEALTHCHECK", "HEALTHCHECK requires at least one argument")]
    [InlineData("HEALTHCHECK --retries=many CMD a", "is no number")]
    [InlineData("HEALTHCHECK --interval=-5s CMD a", "cannot be less than 1ms")]
    [InlineData("HEALTHCHECK --bad=1s CMD a", "unknown flag: --bad")]
    [InlineData("SHELL", "SHELL requires at least one argument")]
    [InlineData("FROM --platform a", "missing a value on flag")]
    [InlineData("FROM a AS b/c", "invalid name for build stage")]
    [InlineData("FROM a b c", "FROM requires either one or three arguments")]
    public void What_cannot_be_meant_is_refused(string text, string said)
    {
        DockerfileException refused = Assert.Throws<DockerfileException>(() => Dockerfile.Parse("FROM a\n" + text + "\n"));
        Assert.Contains(said, refused.Message, StringComparison.Ordinal);
        Assert.Equal(2, refused.Span.FirstLine);
    }

    // Each: a file, and the line and column that a message about it points at.
    [Theory]
    [InlineData("FROM a\n  RNU x\n", 2, 3)]
    [InlineData("FROM a\nCOPY a \\\n  --form=b c\nRUNN\n", 4, 1)]
    [InlineData("FROM a\nCOPY --chown=1 \\\n     --form=b c d\n", 3, 6)]
    [InlineData("FROM a AS 1x\n", 1, 11)]
    [InlineData("FROM a\n\tHEALTHCHECK --retries=x CMD y\n", 2, 14)]
    [InlineData("FROM 你好 b\n", 1, 9)]
    [InlineData("\uFEFFFROMM a\n", 1, 1)]
    public void A_message_points_at_the_line_and_the_column(string text, int line, int column)
    {
        DockerfileExcerpt excerpt = Assert.Throws<DockerfileException>(() => Dockerfile.Parse(text)).In(text).Excerpt!;
        Assert.Equal((line, column), (excerpt.Line, excerpt.Column));
        string shown = text.TrimStart('\uFEFF').Split('\n')[line - 1];
        Assert.Contains($"{line} | {shown}\n", excerpt.Text, StringComparison.Ordinal);
        Assert.EndsWith($"^ column {column}", excerpt.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Of_a_very_long_line_only_the_part_around_the_mark_is_shown()
    {
        string text = $"FROM a\nHEALTHCHECK --timeout={new string('1', 300)}s --retries=x CMD y\n";
        DockerfileExcerpt excerpt = new DockerfileException(new SourceSpan("Dockerfile", 2, 2), "x") { Culprit = "--retries" }.In(text).Excerpt!;
        Assert.Equal((2, text.Split('\n')[1].IndexOf("--retries", StringComparison.Ordinal) + 1), (excerpt.Line, excerpt.Column));
        Assert.Contains("--retries=x", excerpt.Text, StringComparison.Ordinal);
        Assert.All(excerpt.Text.Split('\n'), l => Assert.InRange(l.Length, 1, 200));
    }
}
