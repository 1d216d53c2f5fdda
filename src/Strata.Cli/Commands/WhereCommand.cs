using System.Globalization;
using Strata.Cli.Output;
using Strata.Cli.Syntax;

namespace Strata.Cli.Commands;

/// <summary><c>strata where</c>: the layers that have a path, top-down; the first answers.</summary>
internal static class WhereCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> name = Options.One("NAME", "image or container");
        Argument<string> path = Options.One("PATH", "path inside");
        var command = new Command("where") { name, path };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            IReadOnlyList<PathAnswer> answers = await context.Engine.WhereAsync(parsed.GetValue(name)!, parsed.GetValue(path)!, cancellationToken);
            if (answers.Count == 0)
            {
                throw new StrataException(ErrorKind.NotFound, $"{parsed.GetValue(path)}: no layer of {parsed.GetValue(name)} has it");
            }
            var table = new Table("LAYER", "DIFF ID", "WHAT", "SIZE", "PATH", "");
            bool decided = false;
            foreach (PathAnswer answer in answers)
            {
                string what = answer.IsWhiteout ? "deleted" : answer.Status.Kind.ToString().ToLowerInvariant();
                string note = answer.IsAnswer ? "<- answers a read" : answer.IsWhiteout && !decided ? "<- hides it" : "";
                decided = true;
                table.Add(answer.Layer.ToString(CultureInfo.InvariantCulture), answer.DiffId?.ToString()[..19] ?? "(container)", what, answer.IsWhiteout ? "-" : Sizes.Human(answer.Status.Size), answer.Path, note);
            }
            table.Write(context.Out);
            return 0;
        });
        return command;
    }
}
