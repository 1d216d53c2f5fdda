using Strata.IntegrationTests.Seeds;
using Xunit;

namespace Strata.IntegrationTests.Build;

/// <summary>What is wrong in a Dockerfile, as the real executable tells it: where, the line itself, what to write; and the store stays as it was.</summary>
public sealed class MistakeTests(SeedStore store)
{
    // Each: a Dockerfile ({0} is the base), and what the message has, in order.
    [Theory]
    [InlineData("FROM {0}\nCOPY a \\\n  --form=b c\nRNU echo x\n", "Dockerfile:4: unknown instruction: RNU", "     4 | RNU echo x\n", "^ column 1\n", "hint: did you mean: RUN echo x")]
    [InlineData("FROM {0}\nCOPY --chown=1 \\\n   --form=b c d\n", "Dockerfile:2: unknown flag: --form", "     3 |    --form=b c d\n", "   ^ column 4\n", "hint: did you mean --from?")]
    [InlineData("FROM {0}\nHEALTHCHECK --interval=5 CMD true\n", "Dockerfile:2: --interval: time: missing unit", "     2 | HEALTHCHECK --interval=5 CMD true\n", "^ column 13\n", "hint: a unit is missing; write: --interval=5s")]
    [InlineData("FROM {0}\nEXPOSE 99999\n", "Dockerfile:2: invalid containerPort: 99999", "     2 | EXPOSE 99999\n", "hint: write it like 80, 80/udp or 8000-8010")]
    [InlineData("FROM {0}\nSTOPSIGNAL SIGNONE\n", "Dockerfile:2: invalid signal: SIGNONE", "     2 | STOPSIGNAL SIGNONE\n", "^ column 12\n")]
    [InlineData("FROM {0} AS a\nCOPY --from=b /x /\nFROM {0} AS b\nCOPY --from=a /x /\n", "Dockerfile:2: circular dependency detected on stage: a", "     2 | COPY --from=b /x /\n", "^ column", "hint: stage b needs stage a")]
    [InlineData("FROM {0} AS build\nFROM {0}\nCOPY --from=build /etc /x\nFROM {0} AS me\nCOPY --from=me /x /\n", "Dockerfile:5: circular dependency detected on stage: me", "hint: a stage cannot copy from itself")]
    [InlineData("FROM {0} AS a\nCOPY --from=b /x /\nFROM {0} AS b\nFROM a\n", "Dockerfile:2: cannot copy from stage \"b\", it needs to be defined before current stage \"a\"", "hint: move stage b (line 3) above line 1")]
    [InlineData("FROM {0} AS build\nFROM {0} AS test\nFROM {0}\nCOPY --from=biuld /x /\n", "Dockerfile:4: base image biuld:latest is not here", "     4 | COPY --from=biuld /x /\n", "hint: no stage has that name; the stages before this one are: build, test; did you mean build?")]
    [InlineData("FROM {0} AS build\nFROM biuld\n", "Dockerfile:2: base image biuld:latest is not here", "     2 | FROM biuld\n", "^ column 6\n", "did you mean build?")]
    [InlineData("FROM {0}\nCOPY --from=3 /x /\n", "Dockerfile:2: invalid stage index 3", "hint: there is no stage before this one")]
    [InlineData("FROM {0}\nFROM {0}\nCOPY --from=3 /x /\n", "Dockerfile:3: invalid stage index 3", "hint: the stages before this one have no names; they are 0 to 0")]
    [InlineData("FROM {0}\nRUN --mount=type=secret,id=token,required=true cat /run/secrets/token\n", "Dockerfile:2", "secret token: not found", "--secret id=token")]
    [InlineData("FROM {0}\nCOPY hidden.txt /\n", "Dockerfile:2", "hidden.txt", "ignore")]
    [InlineData("FROM {0}\nCOPY a.txd /\n", "Dockerfile:2", "a.txd", "a.txt")]
    public void A_mistake_is_shown_with_its_line_and_the_way_out(string dockerfile, params string[] said)
    {
        ArgumentNullException.ThrowIfNull(said);
        string context = store.Context(("Dockerfile", string.Format(System.Globalization.CultureInfo.InvariantCulture, dockerfile, store.Busybox)), ("a.txt", "x"), ("hidden.txt", "x"), (".dockerignore", "hidden.txt\n"));
        File.WriteAllText(Path.Combine(store.Folder, "no-registries.toml"), "");
        Outcome failed = SeedStore.Exec("env", null, "http_proxy=http://127.0.0.1:1", "https_proxy=http://127.0.0.1:1", SeedStore.Binary, "--root", store.Root, "build", "-t", "mistake:1", context).Fails(1);
        int at = 0;
        foreach (string part in said)
        {
            int found = failed.Err.IndexOf(part, at, StringComparison.Ordinal);
            Assert.True(found >= 0, $"'{part}' is not in\n{failed.Err}");
            at = found;
        }
        Assert.Equal("", store.Run("images", "-q", "mistake:1").Ok().Out);
    }

    [Fact]
    public void Lint_and_check_show_the_line_too()
    {
        string context = store.Context(("Dockerfile", "FROM scratch\n  RNU x\n"));
        Assert.Contains("     2 |   RNU x\n       |   ^ column 3\n", store.Run("lint", Path.Combine(context, "Dockerfile")).Fails(1).Err, StringComparison.Ordinal);
        Assert.Contains("     2 |   RNU x\n       |   ^ column 3\n", store.Run("build", "--check", context).Fails(1).Err, StringComparison.Ordinal);
    }
}
