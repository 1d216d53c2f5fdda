using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Strata.Oci;
using Strata.Server.Registry;
using Xunit;

namespace Strata.Tests.Server;

/// <summary>A registry on a socket of this machine, over a store in a folder of its own.</summary>
internal sealed class TestRegistry : IAsyncDisposable
{
    internal const string Passwords = "alice:$2y$04$GhnpbM13mktp13t9oBMqq.dtsXvjr5evpJd951Qm7aYP2SeJQ.Q2K\nbob:$2y$04$HumwYzT7dsrJE0HS/63HoeZGgK/nWWB1IhIkTyZRTMmxHkMu3/OqG\n";

    private TestRegistry(string root, Engine engine, RegistryServer server, HttpClient http, List<string> lines) => (Root, Engine, Server, Http, Lines) = (root, engine, server, http, lines);

    internal string Root { get; }
    internal Engine Engine { get; }
    internal RegistryServer Server { get; }
    internal HttpClient Http { get; }
    /// <summary>The access log.</summary>
    internal List<string> Lines { get; }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    internal static async Task<TestRegistry> StartAsync(Func<string, RegistryServerOptions>? options = null)
    {
        string root = Directory.CreateTempSubdirectory("strata-registry-").FullName;
        List<string> lines = [];
        Engine engine = Engine.Open(new EngineOptions { Root = Path.Combine(root, "store") });
        RegistryServerOptions made = (options?.Invoke(root) ?? new RegistryServerOptions()) with
        {
            AccessLog = AccessLog.To(line =>
            {
                lock (lines)
                {
                    lines.Add(line);
                }
            }),
        };
        RegistryServer server;
        try
        {
            server = await RegistryServer.StartAsync(engine, "127.0.0.1:0", made, Token);
        }
        catch (StrataException)
        {
            // refused at the start: some tests are about that
            engine.Dispose();
            Directory.Delete(root, recursive: true);
            throw;
        }
#pragma warning disable CA5359 // its certificate is its own; ServerTlsTests looks at it
        HttpClient http = new(new SocketsHttpHandler { SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true } })
        {
            BaseAddress = new Uri($"{(server.Certificate is null ? "http" : "https")}://{server.Address}"),
        };
#pragma warning restore CA5359
        return new TestRegistry(root, engine, server, http, lines);
    }

    internal static string Write(string root, string name, string text)
    {
        string path = Path.Combine(root, name);
        File.WriteAllText(path, text);
        return path;
    }

    internal static (string, string) Basic(string user, string password) => ("Authorization", "Basic " + Convert.ToBase64String(Encoding.UTF8.GetBytes($"{user}:{password}")));

    internal async Task<Answer> SendAsync(string method, string path, byte[]? body = null, params (string Name, string Value)[] headers)
    {
        using HttpRequestMessage request = new(new HttpMethod(method), path) { Content = body is null ? null : new ByteArrayContent(body) };
        foreach ((string name, string value) in headers)
        {
            if (!request.Headers.TryAddWithoutValidation(name, value))
            {
                request.Content!.Headers.TryAddWithoutValidation(name, value);
            }
        }
        int before = LineCount;
        using HttpResponseMessage response = await Http.SendAsync(request, Token);
        Answer answer = new(response.StatusCode, response.Headers, await response.Content.ReadAsByteArrayAsync(Token));
        // The server notes what it did once its answer has gone: a client may be faster.
        for (int i = 0; i < 200 && LineCount == before; i++)
        {
            await Task.Delay(5, Token);
        }
        return answer;
    }

    private int LineCount
    {
        get
        {
            lock (Lines)
            {
                return Lines.Count;
            }
        }
    }

    /// <summary>Pushes an image of one layer; gives its manifest.</summary>
    internal async Task<TestImage> PushAsync(string repository, string tag, string layer = "layer", string? description = null, params (string Name, string Value)[] headers)
    {
        TestImage image = TestImage.Make(layer, description);
        foreach (byte[] blob in (byte[][])[image.Layer, image.Config])
        {
            Assert.Equal(201, (await SendAsync("POST", $"/v2/{repository}/blobs/uploads/?digest={Digest.Of(blob)}", blob, headers)).Status);
        }
        Answer put = await SendAsync("PUT", $"/v2/{repository}/manifests/{tag}", image.Manifest, [("Content-Type", MediaTypes.OciManifest), .. headers]);
        Assert.True(put.Status == 201, put.Text);
        return image;
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await Server.DisposeAsync();
        Engine.Dispose();
        Directory.Delete(Root, recursive: true);
    }
}

/// <summary>What a registry answered.</summary>
internal sealed record Answer(HttpStatusCode StatusCode, HttpResponseHeaders Headers, byte[] Body)
{
    internal int Status => (int)StatusCode;
    internal string Text => Encoding.UTF8.GetString(Body);

    /// <summary>The code of the error.</summary>
    internal string Code
    {
        get
        {
            using JsonDocument json = JsonDocument.Parse(Body);
            return json.RootElement.GetProperty("errors")[0].GetProperty("code").GetString()!;
        }
    }
}

/// <summary>An image of one layer.</summary>
internal sealed record TestImage(byte[] Layer, byte[] Config, byte[] Manifest)
{
    internal Digest Digest => Digest.Of(Manifest);

    internal static TestImage Make(string text, string? description)
    {
        byte[] layer = [.. Encoding.UTF8.GetBytes(text), .. new byte[1000]];
        ImageConfig config = new()
        {
            Architecture = "amd64",
            Os = "linux",
            RootFs = new RootFs("layers", [Digest.Of(layer)]),
            Config = description is null ? null : new ContainerConfig { Labels = System.Collections.Immutable.ImmutableSortedDictionary<string, string>.Empty.Add("org.opencontainers.image.description", description) },
        };
        byte[] configuration = OciJson.Serialize(config);
        ImageManifest manifest = new(new Descriptor(MediaTypes.OciConfig, Digest.Of(configuration), configuration.Length), [new Descriptor(MediaTypes.OciLayer, Digest.Of(layer), layer.Length)]) { MediaType = MediaTypes.OciManifest };
        return new TestImage(layer, configuration, OciJson.Serialize(manifest));
    }
}
