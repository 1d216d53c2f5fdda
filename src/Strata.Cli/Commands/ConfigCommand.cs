using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Distribution;
using Strata.Oci;
using Strata.Server;

namespace Strata.Cli.Commands;

/// <summary><c>strata config check</c> and <c>strata mirror explain</c>.</summary>
internal static class ConfigCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> file = Options.One("FILE", "strata.toml, registries.json, daemon.json, hosts.toml or registries.conf");
        var check = new Command("check", "Say what is wrong in a file about registries, and print it corrected") { file };
        check.SetAction(parsed =>
        {
            string path = parsed.GetValue(file);
            ConfigCheck result = ConfigCheck.Read(path);
            if (result.Mistakes.Count == 0)
            {
                context.Out.WriteLine($"{SafeText.Escape(path)}: OK");
                return 0;
            }
            foreach (ConfigMistake mistake in result.Mistakes)
            {
                context.Error.WriteLine(SafeText.Escape($"{mistake.Place}: {mistake.Message}"));
                if (mistake.Hint is { } hint)
                {
                    context.Error.WriteLine($"hint: {SafeText.Escape(hint)}");
                }
            }
            if (result.Corrected is { } corrected)
            {
                context.Error.WriteLine("corrected:");
                context.Out.Write(SafeText.Lines(corrected));
                if (!corrected.EndsWith('\n'))
                {
                    context.Out.WriteLine();
                }
            }
            return ErrorTable.CheckFailedExitCode;
        });
        return new Command("config") { check };
    }

    internal static Command CreateMirror(CommandContext context)
    {
        Argument<string> name = Options.One("IMAGE", "name");
        var explain = new Command("explain", "Ask each server that a pull would ask, and show what it answers") { name };
        explain.SetAction(async (parsed, cancellationToken) =>
        {
            ImageReference reference = ImageReference.Parse(parsed.GetValue(name));
            var table = new Table("ORDER", "SERVER", "KIND", "ANSWER", "TIME", "SERVES");
            bool isServed = false;
            int order = 0;
            await foreach (MirrorAnswer answer in context.Registries.ExplainAsync(reference, cancellationToken))
            {
                string said = answer.Failure ?? (answer.Status is { } status ? $"{(int)status} {status}" : "");
                string time = answer.Elapsed == TimeSpan.Zero ? "" : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{answer.Elapsed.TotalMilliseconds:0} ms");
                table.Add($"{++order}", answer.Address.ToString().TrimEnd('/'), answer.IsMirror ? "mirror" : "registry", said, time, answer.IsServing ? "yes" : "");
                isServed |= answer.IsServing;
            }
            table.Write(context.Out);
            return isServed ? 0 : 1;
        });
        return new Command("mirror") { explain };
    }
}
