using Strata.Cli.Syntax;
using Strata.Server.Registry;

namespace Strata.Cli.Commands;

/// <summary><c>strata registry serve|rm</c>.</summary>
internal static class RegistryCommand
{
    internal static Command Create(CommandContext context)
    {
        Option<string?> address = Options.Value("--addr", "ADDRESS:PORT", "where to listen (127.0.0.1:5000)");
        var serve = new Command("serve", "Serve this store by the OCI distribution protocol, until interrupted") { address };
        serve.SetAction(async (parsed, cancellationToken) =>
        {
            string text = parsed.GetValue(address) ?? "127.0.0.1:5000";
            await ServeAsync(context, text, cancellationToken);
            return 0;
        });
        return new Command("registry") { serve, RemoteCommand.CreateRemove(context) };
    }

    // Apart, so that the web server's assemblies are loaded by those who serve only.
    private static async Task ServeAsync(CommandContext context, string address, CancellationToken cancellationToken)
    {
        await RegistryServer.RunAsync(context.Engine, address, started => context.Error.WriteLine($"serving {context.Engine.Layout.Root} on {started}"), cancellationToken);
    }
}
