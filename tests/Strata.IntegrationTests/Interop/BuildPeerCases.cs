namespace Strata.IntegrationTests.Interop;

/// <summary>Small Dockerfiles, each about one sentence of the Dockerfile reference. BuildKit is the one in Debian's docker 20.10, so nothing newer is in them.</summary>
internal static class BuildPeerCases
{
    // Kinds, modes, owners, links, names, an attribute, what .dockerignore takes and gives back.
    internal const string MakeContext = """
        umask 022; cd "$1"; mkdir -p app/sub conf/deep skip/keep pack/usr
        echo main >app/main.c; printf '#!/bin/sh\necho run\n' >app/run.sh; chmod 755 app/run.sh; ln -s main.c app/link; ln -s sub app/dirlink; echo s >app/sub/s; chmod 700 app/sub; chmod 640 app/sub/s
        echo a >conf/a.conf; echo b >conf/b.conf; echo c >conf/c.txt; echo d >conf/deep/d.conf; echo hidden >conf/.hidden
        echo 1 >skip/one; echo 2 >skip/keep/two; echo x >a.log; echo y >important.log; echo e >'é à.txt'; : >empty; chmod 4755 conf/c.txt
        python3 -c "import os; os.setxattr('app/main.c', 'user.note', b'kept')"
        echo l >pack/usr/lib; ln pack/usr/lib pack/usr/same; ln -s lib pack/usr/l; mkdir -m 1777 pack/tmp; echo u >pack/su; chown 1000:1000 pack/su; chmod 4755 pack/su
        tar -C pack -czf data.tar.gz .; tar -C pack -cf data.tar .; rm -r pack; printf '.dockerignore\n*.log\n!important.log\nskip\n!skip/keep\n' >.dockerignore; chown -R 12:34 app
        """;

    internal static readonly Case[] All =
    [
        // COPY
        new("copy-file", "COPY conf/a.conf /a"),
        new("copy-file-into-directory", "COPY conf/a.conf /etc/"),
        new("copy-file-to-new-name", "COPY conf/a.conf /new/deep/name"),
        new("copy-directory", "COPY conf /conf"),
        new("copy-directory-slashes", "COPY conf/ /conf/"),
        new("copy-two", "COPY conf/a.conf conf/b.conf /two/"),
        new("copy-two-directories", "COPY conf app /both/"),
        new("copy-all", "COPY . /all"),
        new("copy-to-workdir", "WORKDIR /w\nCOPY conf/c.txt .\nCOPY conf/a.conf sub/"),
        new("copy-over-file", "RUN echo old >/a && chmod 600 /a && chown 5:5 /a\nCOPY conf/a.conf /a"),
        new("copy-over-directory", "RUN mkdir -m 700 /conf && echo z >/conf/z && echo old >/conf/a.conf\nCOPY conf /conf"),
        new("copy-through-link", "RUN mkdir /real && ln -s /real /l\nCOPY conf/a.conf /l/"),
        new("copy-links", "COPY app /app"),
        new("copy-link-itself", "COPY app/link /followed"),
        new("copy-directory-link", "COPY app/dirlink /d"),
        new("copy-json", "COPY [\"é à.txt\", \"/with blank/\"]"),
        new("copy-empty-file", "COPY empty /e"),
        new("copy-glob-star", "COPY conf/*.conf /c/"),
        new("copy-glob-question", "COPY conf/?.conf /c/"),
        new("copy-glob-set", "COPY conf/[ab].conf /c/"),
        new("copy-glob-directory", "COPY con* /c/"),
        new("copy-glob-in-path", "COPY */a.conf /c/"),
        new("copy-chown-name", "COPY --chown=app conf /conf"),
        new("copy-chown-names", "COPY --chown=app:root conf /conf"),
        new("copy-chown-numbers", "COPY --chown=55:66 app /app"),
        new("copy-chown-new-parents", "COPY --chown=55 conf/a.conf /p/q/a"),
        new("copy-chmod", "COPY --chmod=751 conf/a.conf /a"),
        new("copy-chmod-directory", "COPY --chmod=750 conf /conf"),
        new("copy-keeps-setuid", "COPY conf/c.txt /c"),
        new("copy-after-user", "USER app\nCOPY conf /conf"),
        // COPY --from
        new("from-stage", "RUN mkdir -m 2750 /o && echo x >/o/f && chown 7:8 /o/f && ln /o/f /o/same && ln -s f /o/l\nFROM box:1\nCOPY --from=0 /o /o"),
        new("from-stage-content", "RUN mkdir -p /o/p && echo x >/o/p/f\nFROM box:1\nCOPY --from=0 /o/ /there/"),
        new("from-named-stage", "RUN echo x >/f && chmod 601 /f\nFROM box:1\nCOPY --from=first /f /g/", First: "first"),
        new("from-stage-chown", "RUN mkdir /o && echo x >/o/f\nFROM box:1\nCOPY --from=0 --chown=1:2 /o /o"),
        new("from-image", "COPY --from=box:1 /etc/passwd /p"),
        new("from-stage-of-stage", "RUN echo 1 >/1\nFROM first AS second\nRUN echo 2 >/2\nFROM second\nRUN echo 3 >/3", First: "first"),
        new("target", "RUN echo 1 >/1\nFROM box:1\nRUN echo 2 >/2", First: "first", Arguments: "--target first"),
        // ADD
        new("add-file", "ADD conf/a.conf /a"),
        new("add-directory", "ADD conf /conf/"),
        new("add-archive", "ADD data.tar.gz /x"),
        new("add-archive-plain", "ADD data.tar /x/"),
        new("add-archive-over", "RUN mkdir -p /x/usr && echo old >/x/su && echo stays >/x/usr/stays\nADD data.tar.gz /x/"),
        new("add-archive-and-file", "ADD data.tar.gz conf/a.conf /x/"),
        new("copy-archive", "COPY data.tar.gz /x/"),
        // .dockerignore
        new("ignore-exception", "COPY skip /skip/"),
        new("ignore-pattern", "COPY *.log /logs/"),
        // ENV, ARG
        new("env", "ENV A=1 B=\"two words\" C=a\\ b D='$A' E=$A\nENV F=${A:-x}${NONE:-y}${A:+z}\nRUN env | grep -E '^[A-F]=' >/env"),
        new("env-old-form", "ENV ONE TWO= THREE=world\nENV X  a b"),
        new("env-path", "ENV PATH=/x:$PATH"),
        new("env-same-line", "ENV a=hello\nENV a=bye b=$a\nENV c=$a"),
        new("env-in-others", "ENV D=/d U=app P=80\nWORKDIR $D\nCOPY conf/a.conf $D/x\nUSER $U\nEXPOSE $P\nVOLUME $D/v\nLABEL l=$D"),
        new("arg-default", "ARG A=1\nRUN echo $A >/a\nENV B=$A"),
        new("arg-given", "ARG A=1\nARG B\nRUN echo $A $B >/a", Arguments: "--build-arg A=2 --build-arg B=3"),
        new("arg-hidden-by-env", "ARG A=1\nENV A=2\nRUN echo $A >/a", Arguments: "--build-arg A=3"),
        new("arg-out-of-scope", "ARG A=1\nFROM box:1\nRUN echo x$A >/a"),
        // the rest of the settings
        new("labels", "LABEL a=1 \"b c\"=\"d e\" \\\n  f='g'\nLABEL a=2"),
        new("workdir", "WORKDIR /a\nWORKDIR b\nWORKDIR ../c\nRUN pwd >/p"),
        new("workdir-existing", "WORKDIR /etc"),
        new("user", "RUN mkdir -m 1777 /t\nUSER 7:8\nRUN id -u >/t/u; id -g >>/t/u"),
        new("user-name", "RUN mkdir -m 1777 /t\nUSER app\nRUN id -un >/t/u; echo $HOME >>/t/u"),
        new("cmd", "CMD echo \"a b\" | cat"),
        new("cmd-and-entrypoint", "CMD [\"a\"]\nENTRYPOINT [\"b\", \"c\"]"),
        new("entrypoint-of-base", "ENTRYPOINT [\"a\"]\nCMD [\"b\"]\nFROM first\nENTRYPOINT [\"c\"]", First: "first"),
        new("shell", "SHELL [\"/bin/sh\", \"-ec\"]\nRUN echo $0 $- >/s\nCMD x"),
        new("expose", "EXPOSE 80 80/udp 8000-8002/tcp"),
        new("volume", "VOLUME /v [\"x\"]\nVOLUME [\"/a b\", \"/c\"]"),
        new("volume-then-files", "RUN mkdir /v && echo 1 >/v/1\nVOLUME /v\nRUN echo 2 >/v/2\nCOPY conf/a.conf /v/"),
        new("stopsignal", "STOPSIGNAL SIGKILL"),
        new("healthcheck", "HEALTHCHECK --interval=5m --timeout=3s --start-period=1s --retries=2 CMD wget -q localhost || exit 1"),
        new("healthcheck-none", "HEALTHCHECK CMD x\nHEALTHCHECK NONE"),
        new("onbuild", "ONBUILD COPY conf/a.conf /o\nONBUILD LABEL o=1\nFROM first", First: "first"),
        new("onbuild-kept", "ONBUILD LABEL later=1"),
        new("maintainer", "MAINTAINER some one <a@b>"),
        // RUN
        new("run-exec-form", "RUN [\"sh\", \"-c\", \"echo $HOME >/h\"]"),
        new("run-modes", "RUN echo x >/s && chmod 6755 /s && mkdir -m 1777 /t && umask 077 && mkdir /u && echo y >/u/y"),
        new("run-links", "RUN echo x >/x && ln /x /y && ln -s /x /z && ln -s nowhere /n && mkfifo /f"),
        new("run-removes", "RUN rm -r /usr/share/doc /etc/motd && echo new >/etc/new"),
        new("run-changes-kind", "RUN mkdir /d && echo x >/d/x && echo f >/f\nRUN rm -r /d && echo file >/d && rm /f && mkdir /f && echo y >/f/y"),
        new("run-replaces-directory", "RUN mkdir /d && echo 1 >/d/1\nRUN rm -r /d && mkdir /d && echo 2 >/d/2"),
        new("run-changes-mode", "RUN chmod 700 /etc && chown 3:4 /etc/motd"),
        new("run-nothing", "RUN true\nRUN echo only says"),
        new("run-bind", "RUN --mount=type=bind,source=conf,target=/m cat /m/a.conf >/a && ls /m >/list"),
        new("run-bind-stage", "RUN echo x >/x\nFROM box:1\nRUN --mount=from=first,source=/x,target=/m/x cat /m/x >/y", First: "first"),
        new("run-cache", "RUN --mount=type=cache,target=/c,id=peers echo 1 >/c/1 && ls /c >/list\nRUN ls /c/1 >/after 2>/dev/null || echo gone >>/after"),
        new("run-tmpfs", "RUN --mount=type=tmpfs,target=/t echo x >/t/x && cat /t/x >/y"),
    ];

    /// <summary>A Dockerfile on the base that all have.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="Text">What follows FROM.</param>
    /// <param name="First">The name of the first stage.</param>
    /// <param name="Arguments">More of the command line, words without blanks.</param>
    internal sealed record Case(string Name, string Text, string? First = null, string Arguments = "")
    {
        internal string Dockerfile => $"FROM box:1{(First is null ? "" : $" AS {First}")}\n{Text}\n";
    }
}
