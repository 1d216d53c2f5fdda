using System.Text;
using System.Text.Json;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Oci;

/// <summary>Documents that could be read in two ways, or not at all, are refused; those that real tools write are not.</summary>
public sealed class DocumentTests
{
    private const string Config = """{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:c86f7763873b6c0aae22d963bab59b4f5debbed6685761b5951584f6efb0633b","size":1470}""";
    private const string Layer = """{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:9d3dd9504c685a304985025df4ed0283e47ac9ffa9bd0326fddf4d59513f0827","size":675598}""";
    private const string Entry = """{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e692418e4cbaf90ca69d05a66403747baa33ee08806650b51fab815ad7fc331f","size":7143,"platform":{"architecture":"amd64","os":"linux"}}""";
    private const string Hex = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    private const string RootFs = $$$"""{"type":"layers","diff_ids":["sha256:{{{Hex}}}"]}""";

    /// <summary>Manifests. C, L and M stand for a config's, a layer's and a manifest's descriptor.</summary>
    public static TheoryData<string> RefusedManifests =>
    [
        "", " ", "null", "[]", "\"x\"", "1", "{", "{}", "{}{}", "{\"schemaVersion\":2}",
        """{"schemaVersion":2,"config":C}""",
        """{"schemaVersion":2,"layers":[L]}""",
        """{"config":C,"layers":[L],"schemaVersion":1}""",
        """{"config":C,"layers":[L],"schemaVersion":"2"}""",
        """{"config":C,"layers":[L],"schemaVersion":2.5}""",
        """{"config":C,"layers":[L],"schemaVersion":null}""",
        """{"schemaVersion":2,"schemaVersion":2,"config":C,"layers":[L]}""",
        """{"schemaVersion":2,"config":C,"config":C,"layers":[L]}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"layers":[]}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"Layers":[L]}""",
        """{"schemaVersion":2,"config":C,"LAYERS":[L],"layers":[L]}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"layer\u0073":[]}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"layer\u017f":[]}""",
        """{"SchemaVersion":2,"config":C,"layers":[L]}""",
        """{"schemaVersion":2,"Config":C,"layers":[L]}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"MediaType":"application/vnd.oci.image.index.v1+json"}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"x":1,"x":2}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"x":1,"X":2}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"x":{"y":[{"z":1,"z":2}]}}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"annotations":{"a":"1","a":"2"}}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"annotations":{"a":1}}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"annotations":{"a":null}}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"annotations":[]}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"manifests":[M]}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"manifests":[]}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"Manifests":[]}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"fsLayers":[]}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"mediaType":"application/vnd.oci.image.index.v1+json"}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json"}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"mediaType":"application/json"}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"mediaType":""}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"mediaType":2}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"artifactType":"nonsense"}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"subject":"x"}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"subject":{}}""",
        """{"schemaVersion":2,"config":C,"layers":{}}""",
        """{"schemaVersion":2,"config":C,"layers":[null]}""",
        """{"schemaVersion":2,"config":C,"layers":[L,]}""",
        """{"schemaVersion":2,"config":C,"layers":[L] /* no */}""",
        """{"schemaVersion":2,"config":null,"layers":[L]}""",
        """{"schemaVersion":2,"config":[C],"layers":[L]}""",
        """{"schemaVersion":2,"config":C,"layers":[L],"x":"\ud800"}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:../../../../etc/passwd","size":1},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:5F70BF18A086007016E948B04AED3B82103A36BEA41755B6CDDFAF10ACE3C6EF","size":1},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:5f70","size":1},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"md5:5f70bf18a086007016e948b04aed3b82","size":1},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"","size":1},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":null,"size":1},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","size":1},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX"},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"digest":"sha256:HEX","size":1},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"ab","digest":"sha256:HEX","size":1},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":-1},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":"1"},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":1.5},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":1e99},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":9223372036854775808},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":1,"size":2},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":1,"Size":2},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":1,"Digest":"x"},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":1},"layers":[{"mediaType":"a/b","digest":"sha256:HEX","size":2}]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":1,"data":"!"},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":1,"data":"AA=="},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":1,"urls":["/etc/passwd"]},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":1,"urls":[null]},"layers":[L]}""",
        """{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":1,"urls":"https://a"},"layers":[L]}""",
    ];

    /// <summary>Indexes.</summary>
    public static TheoryData<string> RefusedIndexes =>
    [
        """{"schemaVersion":2}""",
        """{"schemaVersion":1,"manifests":[M]}""",
        """{"schemaVersion":2,"manifests":[M],"manifests":[]}""",
        """{"schemaVersion":2,"manifests":[M],"Manifests":[]}""",
        """{"schemaVersion":2,"manifests":[M],"layers":[L]}""",
        """{"schemaVersion":2,"manifests":[M],"layers":[]}""",
        """{"schemaVersion":2,"manifests":[M],"Layers":[]}""",
        """{"schemaVersion":2,"manifests":[M],"config":C}""",
        """{"schemaVersion":2,"manifests":[M],"fsLayers":[]}""",
        """{"schemaVersion":2,"manifests":[M],"mediaType":"application/vnd.oci.image.manifest.v1+json"}""",
        """{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:HEX","size":1,"platform":{"os":"linux"}}]}""",
        """{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:HEX","size":1,"platform":{"architecture":"amd64"}}]}""",
        """{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:HEX","size":1,"platform":{"architecture":"amd64","os":"linux","OS":"windows"}}]}""",
        """{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:HEX","size":1,"platform":{"architecture":"amd64","os":"linux","Variant":"v8"}}]}""",
        """{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:HEX","size":1,"platform":"linux/amd64"}]}""",
        """{"schemaVersion":2,"manifests":[null]}""",
    ];

    /// <summary>Configs. R stands for a rootfs.</summary>
    public static TheoryData<string> RefusedConfigs =>
    [
        """{"architecture":"amd64","os":"linux"}""",
        """{"os":"linux","rootfs":R}""",
        """{"architecture":"amd64","rootfs":R}""",
        """{"architecture":null,"os":"linux","rootfs":R}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"os":"windows"}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"OS":"windows"}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"Cmd":["a"],"cmd":["b"]}}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"cmd":["b"]}}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"User":"0","User":"1"}}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"User":"1\u0000"}}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"Cmd":["a\u0000b"]}}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"Env":["A=b\u0000"]}}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"Env":["A"]}}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"Env":["=b"]}}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"Env":[null]}}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"Env":"A=b"}}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"Cmd":"sh"}}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"Labels":{"a":"1","a":"2"}}}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"Volumes":{"/a\u0000":{}}}}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"WorkingDir":"/a\u0000"}}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"history":[null]}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"history":[{"created":"yesterday"}]}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"history":[{"empty_layer":true,"Empty_Layer":false}]}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"created":"2020-13-01T00:00:00Z"}""",
        """{"architecture":"amd64","os":"linux","rootfs":R,"created":"2020-01-01 00:00:00Z"}""",
        """{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:../x"]}}""",
        """{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:HEX"],"Diff_Ids":[]}}""",
        """{"architecture":"amd64","os":"linux","rootfs":{"type":"squash","diff_ids":["sha256:HEX"]}}""",
        """{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":["sha256:HEX"]}}""",
        """{"architecture":"amd64","os":"linux","rootfs":null}""",
    ];

    [Theory]
    [MemberData(nameof(RefusedManifests))]
    public void An_ambiguous_manifest_is_refused(string json) => AssertRefused(() => OciJson.ParseManifest(Bytes(json)));

    [Theory]
    [MemberData(nameof(RefusedIndexes))]
    public void An_ambiguous_index_is_refused(string json) => AssertRefused(() => OciJson.ParseIndex(Bytes(json)));

    [Theory]
    [MemberData(nameof(RefusedConfigs))]
    public void An_ambiguous_config_is_refused(string json) => AssertRefused(() => OciJson.ParseConfig(Bytes(json)));

    private const string Plain = """{"schemaVersion":2,"config":C,"layers":[L]}""";
    private const string Oci = """{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":C,"layers":[L]}""";
    private const string Docker = """{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":C,"layers":[L]}""";

    [Theory]
    [InlineData(Plain, MediaTypes.OciManifest, true)]
    [InlineData(Plain, null, true)]
    [InlineData(Plain, MediaTypes.DockerManifest, false)]
    [InlineData(Oci, MediaTypes.OciManifest, true)]
    [InlineData(Oci, MediaTypes.OciManifest + "; charset=utf-8", true)]
    [InlineData(Oci, MediaTypes.DockerManifest, false)]
    [InlineData(Oci, MediaTypes.OciIndex, false)]
    [InlineData(Oci, "application/json", false)]
    [InlineData(Docker, MediaTypes.DockerManifest, true)]
    [InlineData(Docker, MediaTypes.OciManifest, false)]
    [InlineData(Docker, MediaTypes.DockerManifestList, false)]
    public void What_the_sender_says_and_what_the_document_says_must_agree(string json, string? mediaType, bool agree)
    {
        if (agree)
        {
            Assert.Equal(2, OciJson.ParseManifest(Bytes(json), mediaType).SchemaVersion);
        }
        else
        {
            AssertRefused(() => OciJson.ParseManifest(Bytes(json), mediaType));
        }
    }

    [Fact]
    public void Documents_have_limits()
    {
        string many = string.Join(',', Enumerable.Repeat(Layer, 10_000));
        AssertRefused(() => OciJson.ParseManifest(Bytes($$"""{"schemaVersion":2,"config":C,"layers":[{{many}}]}""")));
        string deep = string.Concat(Enumerable.Repeat("[", 64)) + string.Concat(Enumerable.Repeat("]", 64));
        AssertRefused(() => OciJson.ParseManifest(Bytes($$"""{"schemaVersion":2,"config":C,"layers":[L],"x":{{deep}}}""")));
        AssertRefused(() => OciJson.ParseManifest(new byte[OciJson.MaxDocumentBytes + 1]));
        AssertRefused(() => OciJson.ParseManifest([0xEF, 0xBB, 0xBF, .. Bytes(Plain)]));
        byte[] notUtf8 = Bytes("""{"schemaVersion":2,"config":C,"layers":[L],"x":"?"}""");
        notUtf8[Array.LastIndexOf(notUtf8, (byte)'?')] = 0xFF;
        AssertRefused(() => OciJson.ParseManifest(notUtf8));
    }

    /// <summary>What tools write: kind and document.</summary>
    public static TheoryData<string, string> Accepted => new()
    {
        { "manifest", Plain },
        { "manifest", Oci },
        { "manifest", Docker },
        { "manifest", """{"schemaVersion":2,"config":C,"layers":[]}""" },                       // umoci new
        { "manifest", """{"schemaVersion":2,"config":C,"layers":null}""" },                     // a nil slice
        { "manifest", """{"layers":[L,L],"config":C,"schemaVersion":2}""" },
        { "manifest", """{"schemaVersion":2,"config":C,"layers":[L],"annotations":null}""" },
        { "manifest", """{"schemaVersion":2,"config":C,"layers":[L],"annotations":{"a":"1","A":"2","":""}}""" },
        { "manifest", """{"schemaVersion":2,"config":C,"layers":[L],"annotations":{"org.opencontainers.image.base.digest":"","org.opencontainers.image.base.name":""}}""" }, // buildah
        { "manifest", """{"schemaVersion":2,"config":C,"layers":[L],"subject":M}""" },
        { "manifest", """{"schemaVersion":2,"artifactType":"application/vnd.example+type","config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","data":"e30="},"layers":[L]}""" },
        { "manifest", """{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"sha256:HEX","size":0},"layers":[L]}""" },
        { "manifest", """{"schemaVersion":2,"config":C,"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","size":1654613376,"digest":"sha256:HEX","urls":["https://go.microsoft.com/fwlink/?linkid=837858"]}]}""" },
        { "manifest", """{"schemaVersion":2,"config":C,"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","digest":"sha512:9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043","size":5}]}""" },
        { "manifest", """{"schemaVersion":2,"config":C,"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:HEX","size":9223372036854775807,"annotations":{"containerd.io/snapshot/stargz/toc.digest":"sha256:HEX"}}]}""" },
        { "manifest", """{"schemaVersion":2,"config":C,"layers":[L],"x-vendor":{"y":[1,null,{"z":true}]}}""" },
        { "manifest", " \r\n\t{ \"schemaVersion\" : 2 , \"config\" : C , \"layers\" : [ L ] } \n" },
        { "index", """{"schemaVersion":2,"manifests":[M]}""" },
        { "index", """{"schemaVersion":2,"manifests":[]}""" },
        { "index", """{"schemaVersion":2,"manifests":null}""" },
        { "index", """{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[M]}""" },
        { "index", """{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:HEX","size":405,"annotations":{"org.opencontainers.image.ref.name":"latest"}}]}""" }, // skopeo
        { "index", """{"schemaVersion":2,"manifests":[M,{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:HEX","size":566,"annotations":{"vnd.docker.reference.digest":"sha256:HEX","vnd.docker.reference.type":"attestation-manifest"},"platform":{"architecture":"unknown","os":"unknown"}}]}""" }, // buildx
        { "index", """{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","size":1,"digest":"sha256:HEX","platform":{"architecture":"amd64","os":"windows","os.version":"10.0.17763.2300","os.features":["win32k"],"variant":"","features":["sse4"]}}]}""" },
        { "index", """{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","size":1,"digest":"sha256:HEX"}]}""" },
        { "config", """{"architecture":"amd64","os":"linux","rootfs":R}""" },
        { "config", """{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}}""" },             // docker, FROM scratch
        { "config", """{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":null}}""" },
        { "config", """{"created":"2026-11-21T04:34:40.267914811Z","architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}""" }, // umoci
        { "config", """{"architecture":"amd64","os":"linux","rootfs":R,"history":null,"config":null,"created":null}""" },
        { "config", """{"architecture":"amd64","os":"linux","rootfs":R,"created":"0001-01-01T00:00:00Z"}""" },
        { "config", """{"architecture":"amd64","os":"linux","rootfs":R,"created":"2015-10-31T22:22:56.015925234+02:00"}""" },
        { "config", """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"Env":["A=","PATH=/bin:/usr/bin","a=b","A=c"],"Labels":{"a":"1","A":"2"}}}""" },
        { "config", """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"Env":null,"Cmd":null,"Entrypoint":null,"Volumes":null,"ExposedPorts":null,"Labels":null,"OnBuild":null,"Healthcheck":null}}""" },
        { "config", """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"User":"","WorkingDir":"","Cmd":[],"OnBuild":[],"Shell":["/bin/bash","-c"],"StopSignal":"SIGTERM","ArgsEscaped":true}}""" },
        { "config", """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"Healthcheck":{"Test":["CMD","true"],"Interval":30000000000,"Timeout":30000000000,"Retries":3}}}""" },
        { "config", """{"architecture":"amd64","os":"linux","rootfs":R,"config":{"ExposedPorts":{"80/tcp":{},"53/udp":{}},"Volumes":{"/v":{}}}}""" },
        { "config", """{"architecture":"arm64","variant":"v8","os":"linux","rootfs":R,"history":[{"created":"2022-03-19T16:12:58.834095198Z","created_by":"/bin/sh -c #(nop) COPY file:a in / "},{"created":"2022-03-19T16:12:58.923371954Z","created_by":"CMD [\"/hello\"]","empty_layer":true,"comment":"buildkit.dockerfile.v0"}]}""" },
        { "config", """{"architecture":"arm64","config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":["PATH=/bin"],"Cmd":["/hello"],"Image":"sha256:HEX","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null},"container":"b2af","container_config":{"Hostname":"b2af51419cbf","Cmd":["/bin/sh","-c","#(nop) ","CMD [\"/hello\"]"],"Labels":{}},"created":"2022-03-19T16:12:58.923371954Z","docker_version":"20.10.12","os":"linux","rootfs":R,"variant":"v8"}""" },
        { "config", """{"architecture":"amd64","os":"windows","os.version":"10.0.17763","os.features":["win32k"],"rootfs":R}""" },
        { "config", """{"architecture":"amd64","os":"linux","rootfs":R,"moby.buildkit.cache.v0":"bnVsbA==","moby.buildkit.buildinfo.v1":"e30="}""" },
    };

    [Theory]
    [MemberData(nameof(Accepted))]
    public void What_real_tools_write_is_read_and_written_back_whole(string kind, string json)
    {
        byte[] bytes = Bytes(json);
        byte[] written = kind switch
        {
            "manifest" => OciJson.Serialize(OciJson.ParseManifest(bytes)),
            "index" => OciJson.Serialize(OciJson.ParseIndex(bytes)),
            _ => OciJson.Serialize(OciJson.ParseConfig(bytes)),
        };
        using JsonDocument before = JsonDocument.Parse(bytes);
        using JsonDocument after = JsonDocument.Parse(written);
        AssertKept(before.RootElement, after.RootElement, "$");
        Assert.True(JsonElement.DeepEquals(after.RootElement, JsonDocument.Parse(kind switch
        {
            "manifest" => OciJson.Serialize(OciJson.ParseManifest(written)),
            "index" => OciJson.Serialize(OciJson.ParseIndex(written)),
            _ => OciJson.Serialize(OciJson.ParseConfig(written)),
        }).RootElement));
    }

    [Fact]
    public void There_are_enough_of_each()
    {
        Assert.True(RefusedManifests.Count + RefusedIndexes.Count + RefusedConfigs.Count >= 80);
        Assert.True(Accepted.Count >= 40);
    }

    [Fact]
    public void An_unsupported_digest_algorithm_is_told_from_nonsense()
    {
        StrataException e = Assert.Throws<StrataException>(() => OciJson.ParseDescriptor(Bytes("""{"mediaType":"a/b","size":1,"digest":"sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564"}""")));
        Assert.Equal(ErrorKind.Unsupported, e.Kind);
        Assert.Equal("descriptor: digest: the digest algorithm of 'sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564' is not supported", e.Message);
    }

    [Fact]
    public void Errors_name_the_field()
    {
        string Message(string json) => Assert.Throws<StrataException>(() => OciJson.ParseManifest(Bytes(json))).Message;
        Assert.Equal("image manifest: field 'config.Size' occurs twice (case aside)", Message("""{"schemaVersion":2,"config":{"mediaType":"a/b","size":1,"Size":2}}"""));
        Assert.StartsWith("image manifest: layers[1].digest: 'sha256:x' is not a digest", Message("""{"schemaVersion":2,"config":C,"layers":[L,{"mediaType":"a/b","size":1,"digest":"sha256:x"}]}"""), StringComparison.Ordinal);
        Assert.Equal("image manifest: layers[0].size: -1 is negative", Message("""{"schemaVersion":2,"config":C,"layers":[{"mediaType":"a/b","size":-1,"digest":"sha256:HEX"}]}"""));
    }

    [Fact]
    public void Times_keep_all_their_digits()
    {
        ImageConfig config = OciJson.ParseConfig(Bytes("""{"created":"2022-03-19T16:12:58.923371954+02:00","architecture":"amd64","os":"linux","rootfs":R}"""));
        Assert.Equal(new DateTimeOffset(2022, 3, 19, 14, 12, 58, TimeSpan.Zero).AddTicks(9233719), config.Created);
        Assert.Contains("2022-03-19T16:12:58.923371954+02:00", Encoding.UTF8.GetString(OciJson.Serialize(config with { Author = "x" })), StringComparison.Ordinal);
        Assert.Equal("2022-03-19T14:12:58.5Z", (config with { Created = new DateTimeOffset(2022, 3, 19, 16, 12, 58, 500, TimeSpan.FromHours(2)) }).CreatedText);
        Assert.Equal("1970-01-01T00:00:00Z", (config with { Created = DateTimeOffset.UnixEpoch }).CreatedText);
    }

    [Fact]
    public void A_manifest_is_written_compactly_in_the_usual_order()
    {
        ImageManifest manifest = OciJson.ParseManifest(Bytes(Oci));
        Assert.Equal(Encoding.UTF8.GetString(Bytes(Oci)), Encoding.UTF8.GetString(OciJson.Serialize(manifest)));
    }

    [Theory]
    [InlineData(Plain, MediaTypes.OciManifest)]
    [InlineData(Docker, MediaTypes.DockerManifest)]
    [InlineData("""{"schemaVersion":2,"manifests":[]}""", MediaTypes.OciIndex)]
    [InlineData("""{"schemaVersion":2,"manifests":[],"layers":[]}""", null)]
    [InlineData("""{"schemaVersion":2,"config":{},"manifests":[]}""", null)]
    [InlineData("""{"schemaVersion":2}""", null)]
    [InlineData("""{"schemaVersion":2,"mediaType":"a/b","layers":[]}""", null)]
    public void The_kind_of_a_document_shows(string json, string? mediaType)
    {
        if (mediaType is null)
        {
            AssertRefused(() => OciJson.DetectMediaType(Bytes(json)));
        }
        else
        {
            Assert.Equal(mediaType, OciJson.DetectMediaType(Bytes(json)));
        }
    }

    [Fact]
    public void Layers_and_diff_ids_must_be_as_many()
    {
        ImageManifest manifest = OciJson.ParseManifest(Bytes(Plain));
        ImageConfig config = OciJson.ParseConfig(Bytes("""{"architecture":"amd64","os":"linux","rootfs":R}"""));
        ImageValidator.Check(manifest, config);
        Assert.False(ImageValidator.HistoryFits(config));
        AssertRefused(() => ImageValidator.Check(manifest with { Layers = [] }, config));
    }

    [Fact]
    public void Cases_of_the_image_spec_agree()
    {
        int count = 0;
        foreach (string line in File.ReadLines(Suites.File("image-spec", "schema-cases.jsonl")))
        {
            using JsonDocument test = JsonDocument.Parse(line);
            string kind = test.RootElement.GetProperty("kind").GetString()!;
            bool valid = test.RootElement.GetProperty("valid").GetBoolean();
            Assert.True(valid == IsValid(kind, Encoding.UTF8.GetBytes(test.RootElement.GetProperty("json").GetString()!)), $"{kind}: {test.RootElement.GetProperty("note")}");
            count++;
        }
        Assert.Equal(65, count);
    }

    private static bool IsValid(string kind, byte[] json)
    {
        try
        {
            switch (kind)
            {
                case "manifest": return ImageValidator.IsPortable(OciJson.ParseManifest(json));
                case "index": OciJson.ParseIndex(json); return true;
                case "config": OciJson.ParseConfig(json); return true;
                case "layout": OciJson.ParseLayout(json); return true;
                default: OciJson.ParseDescriptor(json); return true;
            }
        }
        catch (StrataException e) when (kind == "descriptor" && e.Kind == ErrorKind.Unsupported)
        {
            return true; // right by the schema, but of a digest algorithm that we do not have
        }
        catch (StrataException e) when (e.Kind is ErrorKind.Invalid or ErrorKind.Unsupported)
        {
            return false;
        }
    }

    // All that was there is there, save null and empty text where the field is one of the spec's.
    private static void AssertKept(JsonElement before, JsonElement after, string path)
    {
        if (before.ValueKind != JsonValueKind.Object)
        {
            Assert.True(JsonElement.DeepEquals(before, after) || before.ValueKind is JsonValueKind.Array, path);
            return;
        }
        foreach (JsonProperty property in before.EnumerateObject().Where(p => p.Value.ValueKind != JsonValueKind.Null && !(p.Name == "empty_layer")))
        {
            Assert.True(after.TryGetProperty(property.Name, out JsonElement kept), $"{path}.{property.Name} is gone");
            AssertKept(property.Value, kept, $"{path}.{property.Name}");
        }
    }

    private static void AssertRefused(Action parse)
    {
        StrataException e = Assert.Throws<StrataException>(parse);
        Assert.True(e.Kind is ErrorKind.Invalid or ErrorKind.Unsupported, e.Message);
        Assert.Matches("^(image|manifest)", e.Message);
    }

    private static byte[] Bytes(string json)
    {
        StringBuilder text = new(json.Length * 2);
        for (int i = 0; i < json.Length; i++)
        {
            // A letter that stands for a value follows ':' or '[' or ',' or a space, outside of a string.
            bool isValue = i > 0 && json[i - 1] is ':' or '[' or ',' or ' ' && i + 1 < json.Length && json[i + 1] is ',' or ']' or '}' or ' ';
            text.Append(isValue ? json[i] switch { 'C' => Config, 'L' => Layer, 'M' => Entry, 'R' => RootFs, char c => c.ToString() } : json[i].ToString());
        }
        return Encoding.UTF8.GetBytes(text.Replace("HEX", Hex).ToString());
    }
}
