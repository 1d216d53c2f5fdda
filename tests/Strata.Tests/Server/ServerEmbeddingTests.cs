using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Strata.Oci;
using Strata.Server.Registry;
using Xunit;

namespace Strata.Tests.Server;

/// <summary>The registry as a part of somebody else's ASP.NET Core program.</summary>
public sealed class ServerEmbeddingTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Any_program_serves_a_registry_beside_its_own_pages()
    {
        string root = Directory.CreateTempSubdirectory("strata-embedded-").FullName;
        try
        {
            using Engine engine = Engine.Open(new EngineOptions { Root = root });
            using OciRegistry registry = new(engine, new RegistryServerOptions { Namespace = "images.example" });
            WebApplicationBuilder builder = WebApplication.CreateBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.UseUrls("http://127.0.0.1:0");
            await using WebApplication app = builder.Build();
            int passed = 0;
            app.Use(next => context =>
            {
                Interlocked.Increment(ref passed); // its own middleware sees our requests
                return next(context);
            });
            app.MapGet("/hello", (RequestDelegate)(context => context.Response.WriteAsync("hello")));
            app.MapOciRegistry(registry);
            await app.StartAsync(Token);
            using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(Token);
            Task housekeeping = registry.RunHousekeepingAsync(over.Token);
            using HttpClient http = new() { BaseAddress = new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()) };

            Assert.Equal("hello", await http.GetStringAsync("/hello", Token));
            TestImage image = TestImage.Make("embedded", null);
            byte[] large = new byte[40 << 20]; // more than the server's own limit for bodies
            foreach (byte[] blob in (byte[][])[image.Layer, image.Config, large])
            {
                using ByteArrayContent body = new(blob);
                Assert.Equal(201, (int)(await http.PostAsync($"/v2/team/app/blobs/uploads/?digest={Digest.Of(blob)}", body, Token)).StatusCode);
            }
            using (ByteArrayContent body = new(image.Manifest) { Headers = { { "Content-Type", MediaTypes.OciManifest } } })
            {
                Assert.Equal(201, (int)(await http.PutAsync("/v2/team/app/manifests/1", body, Token)).StatusCode);
            }
            Assert.Equal(image.Manifest, await http.GetByteArrayAsync("/v2/team/app/manifests/1", Token));
            Assert.Equal(large, await http.GetByteArrayAsync($"/v2/team/app/blobs/{Digest.Of(large)}", Token));
            Assert.Equal(404, (int)(await http.GetAsync("/nowhere", Token)).StatusCode);
            Assert.Equal(image.Digest, (await engine.Images.ResolveAsync(ImageReference.Parse("images.example/team/app:1"), Token)).Digest);
            Assert.True(passed >= 8, $"{passed} requests passed");
            await over.CancelAsync();
            await housekeeping;
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }
}
