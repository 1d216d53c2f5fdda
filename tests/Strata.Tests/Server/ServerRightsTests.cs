using Strata.Oci;
using Strata.Server.Registry;
using Xunit;

namespace Strata.Tests.Server;

/// <summary>
/// Bad case 27: every route and method, asked by everybody, in a repository that all may read and in one that is hidden, where the thing is there and where it
/// is not. What is answered to who may not is the same in both cases, so that nothing is told.
/// </summary>
public sealed class ServerRightsTests
{
    private const string Public = "public/app", Hidden = "hidden/app", Nothing = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    private const string Rules = """
        { "rules": [
          { "repositories": "public/**", "users": ["anonymous", "*"], "actions": ["read"] },
          { "repositories": "hidden/**", "users": ["reader", "creator", "writer", "deleter"], "actions": ["read"] },
          { "repositories": "**", "users": ["creator"], "actions": ["create"] },
          { "repositories": "**", "users": ["writer"], "actions": ["write"] },
          { "repositories": "**", "users": ["deleter"], "actions": ["delete"] },
          { "repositories": "**", "users": ["admin"], "actions": ["read", "write", "delete"] },
          { "repositories": "elsewhere/**", "users": ["outsider"], "actions": ["read", "write", "delete"] }
        ] }
        """;

    [Flags]
    private enum May
    {
        Nothing = 0,
        Read = 1,
        Create = 2,
        Overwrite = 4,
        Delete = 8,
    }

    // What the rules above mean, said once more and in another way.
    private static May RightsOf(string who, string repository) => (who, repository) switch
    {
        ("admin", _) => May.Read | May.Create | May.Overwrite | May.Delete,
        ("creator", _) => May.Read | May.Create,
        ("writer", _) => May.Read | May.Create | May.Overwrite,
        ("deleter", _) => May.Read | May.Delete,
        ("reader", _) or (_, Public) => May.Read,
        _ => May.Nothing,
    };

    private sealed record Row(string Method, string Path, May Needs, int There, int Missing, byte[]? Body = null, string? Type = null);

    private static IEnumerable<Row> Rows(TestImage image, TestImage other, string upload, bool maySeeOther)
    {
        foreach (string reference in (string[])["1", image.Digest.ToString()])
        {
            yield return new("GET", "manifests/" + reference, May.Read, 200, 404);
            yield return new("HEAD", "manifests/" + reference, May.Read, 200, 404);
            yield return new("DELETE", "manifests/" + reference, May.Delete, 202, 404);
        }
        yield return new("GET", $"blobs/{Digest.Of(image.Layer)}", May.Read, 200, 404);
        yield return new("HEAD", $"blobs/{Digest.Of(image.Layer)}", May.Read, 200, 404);
        yield return new("DELETE", $"blobs/{Digest.Of(image.Layer)}", May.Delete, 405, 405);
        yield return new("GET", "tags/list", May.Read, 200, 404);
        yield return new("GET", $"referrers/{Nothing}", May.Read, 200, 200);
        yield return new("PUT", "manifests/1", May.Create, 201, 404, image.Manifest, MediaTypes.OciManifest); // the same again; where its blobs are not there they are missed
        yield return new("PUT", "manifests/1", May.Create | May.Overwrite, 404, 404, other.Manifest, MediaTypes.OciManifest); // its blobs are not here
        yield return new("POST", "blobs/uploads/", May.Create, 202, 202, []);
        yield return new("POST", $"blobs/uploads/?mount={Digest.Of(other.Layer)}&from=secret/app", May.Create, maySeeOther ? 201 : 202, maySeeOther ? 201 : 202, []);
        foreach (string method in (string[])["GET", "PATCH", "PUT", "DELETE"])
        {
            yield return new(method, $"blobs/uploads/{upload}{(method == "PUT" ? "?digest=" + Nothing : "")}", May.Create, 404, 404, method is "PATCH" or "PUT" ? [1] : null); // another user's
        }
    }

    [Fact]
    public async Task Everybody_gets_what_the_rules_say_and_learns_nothing_else()
    {
        string[] names = ["reader", "creator", "writer", "deleter", "admin", "outsider"];
        await using TestRegistry registry = await TestRegistry.StartAsync(root => new RegistryServerOptions
        {
            Access = new RegistryAccessOptions
            {
                // htpasswd -nbB -C 4 NAME secret: a hash has no name in it
                HtpasswdFile = TestRegistry.Write(root, "passwords", string.Concat(names.Select(n => $"{n}:$2y$04$GhnpbM13mktp13t9oBMqq.dtsXvjr5evpJd951Qm7aYP2SeJQ.Q2K\n"))),
                RulesFile = TestRegistry.Write(root, "rules.json", Rules),
            },
        });
        (string, string) admin = TestRegistry.Basic("admin", "secret");
        TestImage other = await registry.PushAsync("secret/app", "1", "only there", headers: admin), image = TestImage.Make("shown", null);
        string upload = (await registry.SendAsync("POST", $"/v2/{Public}/blobs/uploads/", [], admin)).Headers.Location!.ToString().Split('/')[^1];
        List<string> wrong = [];
        int asked = 0;
        foreach (string who in (string[])["anonymous", "wrong", .. names])
        {
            (string, string)[] identity = who switch
            {
                "anonymous" => [],
                "wrong" => [TestRegistry.Basic("admin", "guess")],
                _ => [TestRegistry.Basic(who, "secret")],
            };
            foreach (string repository in (string[])[Public, Hidden])
            {
                foreach (Row row in Rows(image, other, who == "admin" ? "00000000000000000000000000000000" : upload, who == "admin"))
                {
                    await registry.PushAsync(repository, "1", "shown", headers: admin); // what an allowed row has taken away
                    May may = RightsOf(who, repository);
                    foreach (bool isThere in (bool[])[true, false])
                    {
                        (string, string)[] headers = row.Type is null ? identity : [("Content-Type", row.Type), .. identity];
                        Answer answer = await registry.SendAsync(row.Method, $"/v2/{repository}{(isThere ? "" : "/none")}/{row.Path}", row.Body, headers);
                        bool mayAsk = (may & (row.Needs & ~May.Overwrite)) == (row.Needs & ~May.Overwrite);
                        int expected = who == "wrong" ? 401
                            : !mayAsk ? who == "anonymous" ? 401 : 403
                            : isThere && row.Needs.HasFlag(May.Overwrite) && !may.HasFlag(May.Overwrite) ? 403 // the tag stays what it is
                            : isThere ? row.There : row.Missing;
                        asked++;
                        if (answer.Status != expected)
                        {
                            wrong.Add($"{who}: {row.Method} {repository}{(isThere ? "" : "/none")}/{row.Path}: {answer.Status}, not {expected}");
                        }
                    }
                }
            }
        }
        Assert.True(wrong.Count == 0, $"{wrong.Count} of {asked}:\n{string.Join('\n', wrong.Take(40))}");
        Assert.True(asked >= 300, $"{asked} asked");
        Answer list = await registry.SendAsync("GET", "/v2/_catalog?n=1000000000", null, TestRegistry.Basic("outsider", "secret"));
        Assert.Equal($$"""{"repositories":["{{Public}}"]}""", list.Text);
    }
}
