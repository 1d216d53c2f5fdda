using Strata.IntegrationTests.Seeds;
using Xunit;

namespace Strata.IntegrationTests.Interop;

/// <summary>
/// The same Dockerfiles built by us, by docker's classic builder and by buildah: the same files (kinds, modes, owners, content, links, extended
/// attributes) and the same settings. What differs is in docs/compatibility.md, and each line of it is expected here: a difference that goes
/// away fails the test as one that comes does.
/// </summary>
public sealed class BuildEqualityTests(BuildEqualityTests.Bases bases) : IClassFixture<BuildEqualityTests.Bases>
{
    // One context for all: names with spaces and letters beyond ASCII, links, modes, owners, an archive, files that .dockerignore takes and gives back.
    private const string MakeContext = """
        umask 022; cd "$1"; mkdir -p app/doc app/empty app/private conf/deep node_modules/x pack/usr/lib
        echo main >app/main.c; echo util >app/util.c; echo read >app/doc/readme.md; echo draft >app/doc/draft.tmp; echo keep >app/doc/keep.tmp
        printf '#!/bin/sh\necho run\n' >app/run.sh; chmod 755 app/run.sh; ln -s main.c app/link; ln -s doc app/docs
        chmod 700 app/private; echo p >app/private/key; chmod 600 app/private/key
        echo a >conf/a.conf; echo b >conf/b.conf; echo c >conf/c.txt; echo d >conf/deep/d.conf; echo hidden >conf/.hidden.conf; echo é >'conf/é à.conf'
        echo s >secret.key; echo m >node_modules/x/m.js; printf 'name=$HOME\n' >text
        echo l >pack/usr/lib/lib.so; ln pack/usr/lib/lib.so pack/usr/lib/lib.so.1; ln -s lib.so pack/usr/lib/lib; mkdir -m 1777 pack/tmp; mknod pack/null c 1 3
        echo u >pack/su; chown 1000:1000 pack/su; chmod 4755 pack/su
        tar -C pack -czf data.tar.gz .; rm -r pack; printf '.dockerignore\nsecret.*\nnode_modules\n**/*.tmp\n!app/doc/keep.tmp\n' >.dockerignore
        chown -R 1234:1234 app
        """;

    private static readonly Case[] s_cases =
    [
        new("stages", """
            ARG BASE=box:1
            FROM ${BASE} AS build
            RUN mkdir /out && echo built >/out/file && ln /out/file /out/same && ln -s file /out/link && chmod 2750 /out && chown 1000:1000 /out/file
            FROM build AS unused
            RUN echo never seen >/unused
            FROM scratch AS data
            COPY conf /conf
            FROM box:1
            COPY --from=build /out /copied/
            COPY --from=0 /out/file /single
            COPY --from=data / /data
            COPY --from=build /out/link /out/same /two/
            """),
        new("arguments", """
            ARG VERSION=1
            FROM box:1
            ARG VERSION
            ARG NAME=default
            ARG UNSET
            ENV A=$VERSION B="${NAME}-${UNSET:-none}" C=${A:-x}y D='$A' E=a\ b
            ENV F=$A:${B}
            RUN echo "$VERSION $NAME $A $B $C $D $E $F ${UNSET-unset}" >/said
            LABEL v=$VERSION f="${F}"
            WORKDIR /$NAME
            COPY conf/a.conf ./
            """, Arguments: ["--build-arg", "NAME=given"]),
        new("chown", """
            FROM box:1
            COPY --chown=app:app conf /conf
            COPY --chown=1000 app/main.c /new/deep/main.c
            COPY --chown=2000:3000 app /app
            COPY --chown=app conf/a.conf /home/app/
            ADD --chown=app:root data.tar.gz /tar/
            COPY app /plain
            USER app
            COPY conf/b.conf /b
            """),
        new("chmod", """
            FROM box:1
            COPY --chmod=640 conf/a.conf /a
            COPY --chmod=755 --chown=app:app conf /conf
            ADD --chmod=600 conf/b.conf /b/c/
            """, Docker: false),
        new("archive", """
            FROM box:1
            RUN mkdir -p /x/usr && echo old >/x/su
            ADD data.tar.gz /x/
            ADD data.tar.gz /y
            COPY data.tar.gz /z/
            ADD app/doc conf/a.conf /mixed/
            """),
        new("workdir", """
            FROM box:1
            WORKDIR /a/b
            WORKDIR c
            RUN touch made && chown app:app /home/app
            USER app
            RUN id -u >$HOME/owner; id -g >>$HOME/owner; echo $HOME >>$HOME/owner; pwd >>$HOME/owner
            WORKDIR /home/app/new
            WORKDIR ../other
            COPY conf/a.conf .
            COPY conf/b.conf sub/
            """),
        new("heredoc", """
            FROM box:1
            RUN <<EOF
            mkdir /made
            echo "two lines" >/made/a
            EOF
            COPY <<"TEXT" /made/text
            name=$HOME
            TEXT
            """, Plain: """
            FROM box:1
            RUN mkdir /made && echo "two lines" >/made/a
            COPY text /made/text
            """),
        new("ignore", """
            FROM scratch
            COPY . /all/
            COPY app/ /app
            ADD app/doc /doc/
            """),
        new("wildcard", """
            FROM box:1
            COPY conf/*.conf /conf/
            COPY app/[mu]*.c app/ru?.sh /bin2/
            COPY app/d* /d/
            COPY ["conf/é à.conf", "/with space/"]
            COPY app/link /followed
            """),
        new("again", """
            FROM box:1
            RUN mkdir -p /d/sub /e /f && echo 1 >/d/one && echo 2 >/d/sub/two && echo e >/e/e && echo f >/f/f && echo g >/g
            RUN rm -rf /d && mkdir /d && echo new >/d/new && rm -r /e && echo file >/e && rm -r /f && ln -s /d /f && rm /g && mkdir /g
            COPY conf/a.conf /f/
            RUN rm -rf /usr/share/doc && chmod 700 /home/app && mv /etc/motd /etc/motd2 && chown 5:6 /bin/busybox
            """),
        new("settings", """
            FROM box:1
            MAINTAINER someone <some@one.example>
            LABEL a=1 "b c"="d e" \
                  f='g'
            EXPOSE 80 443/tcp 53/udp
            VOLUME ["/data", "/var/more"]
            VOLUME /etc
            HEALTHCHECK --interval=5s --timeout=3s --retries=2 CMD ["ls", "/"]
            STOPSIGNAL 9
            USER 7:8
            SHELL ["/bin/sh", "-ec"]
            ENTRYPOINT exec ls
            CMD ["/", "-l"]
            ONBUILD LABEL later=1
            ENV P=/x:$PATH
            WORKDIR /w/
            """),
    ];

    /// <summary>The cases' names.</summary>
    public static TheoryData<string> Names { get; } = [.. s_cases.Select(c => c.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Docker_builds_the_same(string name)
    {
        Case test = s_cases.Single(c => c.Name == name);
        string[] expected = BuildDifferences.Docker.GetValueOrDefault(name, []);
        Outcome built = bases.Peers.Docker(["build", "-q", "--network", "host", .. test.Arguments ?? [], "-t", "eq-" + name, "-f", bases.Write(name, test.Plain ?? test.Dockerfile), bases.Context]);
        if (!test.Docker)
        {
            Assert.Contains("requires BuildKit", built.Fails(1).Err, StringComparison.Ordinal);
            return;
        }
        built.Ok();
        string saved = bases.Peers.New("docker.tar");
        bases.Peers.Docker("save", "-o", saved, "eq-" + name).Ok();
        Compare(test, expected, ImageDocument.OfSaved(saved), bases.Peers.DockerFiles("eq-" + name));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Buildah_builds_the_same(string name)
    {
        Case test = s_cases.Single(c => c.Name == name);
        string file = bases.Write(name, test.Plain ?? test.Dockerfile), saved = bases.Peers.New("buildah.tar");
        // Docker's format, for OCI's has no health check; the base is here, in buildah's own store.
        bases.Peers.Buildah(["bud", "-q", "--isolation", "chroot", "--network", "host", "--format", "docker", "--identity-label=false", "--pull-never", .. test.Arguments ?? [], "-t", "eq-" + name, "-f", file, bases.Context]).Ok();
        bases.Peers.Buildah("push", "-q", "localhost/eq-" + name, $"docker-archive:{saved}:eq:1").Ok();
        Compare(test, BuildDifferences.Buildah.GetValueOrDefault(name, []), ImageDocument.OfSaved(saved), bases.Peers.BuildahFiles("localhost/eq-" + name));
    }

    private void Compare(Case test, string[] expected, ImageDocument document, SortedDictionary<string, string> files)
    {
        (ImageDocument ours, SortedDictionary<string, string> ourFiles) = bases.Ours(test);
        List<string> differences = [.. ImageDocument.Differences(ours, document), .. ImageTree.Differences(ourFiles, files)];
        Assert.True(differences.Select(d => d.Split(": ")[0]).ToHashSet().SetEquals(expected), $"expected: {string.Join(' ', expected)}\nfound:\n{string.Join('\n', differences)}");
    }

    /// <summary>A Dockerfile; <paramref name="Plain"/> says the same without what the peers' versions do not know.</summary>
    internal sealed record Case(string Name, string Dockerfile, string? Plain = null, string[]? Arguments = null, bool Docker = true);

    /// <summary>The base image in everybody's store, and the context.</summary>
    public sealed class Bases : IDisposable
    {
        private readonly Dictionary<string, (ImageDocument, SortedDictionary<string, string>)> _ours = new(StringComparer.Ordinal);

        public Bases() : this(MakeContext)
        {
        }

        internal Bases(string makeContext)
        {
            Peers = new Peers();
            Context = Peers.New("context");
            try
            {
                Directory.CreateDirectory(Context);
                SeedStore.Exec("sh", null, "-ec", makeContext, "sh", Context).Ok();
                string archive = Peers.New("box.tar");
                Peers.Store.Run("save", "-o", archive, Peers.Store.Busybox).Ok();
                Peers.Docker("load", "-i", archive).Ok();
                Peers.Buildah("pull", "-q", "docker-archive:" + archive).Ok();
            }
            catch
            {
                Peers.Dispose(); // nobody disposes what was not made: dockerd would stay
                throw;
            }
        }

        internal Peers Peers { get; }

        internal string Context { get; }

        /// <summary>Writes a Dockerfile beside the context and says where.</summary>
        internal string Write(string name, string text)
        {
            string path = Peers.New(name + ".Dockerfile");
            File.WriteAllText(path, text + "\n");
            return path;
        }

        /// <summary>What we build of it, once for all peers.</summary>
        internal (ImageDocument Document, SortedDictionary<string, string> Files) Ours(Case test)
        {
            if (!_ours.TryGetValue(test.Name, out (ImageDocument, SortedDictionary<string, string>) ours))
            {
                string image = "eq-" + test.Name;
                Peers.Store.Run(["build", "-q", .. test.Arguments ?? [], "-t", image, "-f", Write(test.Name, test.Dockerfile), Context]).Ok();
                _ours[test.Name] = ours = (Peers.StrataDocument(Peers.Store.Root, image), Peers.StrataFiles(Peers.Store.Root, image));
            }
            return ours;
        }

        /// <inheritdoc/>
        public void Dispose() => Peers.Dispose();
    }
}
