using System.Collections.Immutable;
using System.Text;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Dockerfiles;
using Strata.Dockerfiles.Lint;
using Strata.Server;

namespace Strata.Cli.Commands;

/// <summary><c>strata lint</c>: 3 where something was found.</summary>
internal static class LintCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string[]> files = Options.Many("FILE", "Dockerfiles; - reads standard input (default: Dockerfile)", atLeastOne: false);
        Option<bool> fix = Options.Flag("--fix", "rewrite the files where the text alone decides");
        Option<bool> unsafeFixes = Options.Flag("--unsafe-fixes", "with --fix: also where the image may hold other files afterwards");
        Option<string?> format = Options.Value("--format", "FORMAT", "text (default), json or sarif");
        Option<string[]> disable = Options.Values("--disable", "RULE", "do not ask this rule (may come again, or RULE,RULE)");
        Option<string[]> enable = Options.Values("--enable", "RULE", "ask this rule too, which is off by itself");
        Option<string[]> only = Options.Values("--only", "RULE", "ask only this rule");
        var command = new Command("lint") { files, fix, unsafeFixes, format, disable, enable, only };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            Action<TextWriter, IReadOnlyList<LintedFile>> write = parsed.GetValue(format) switch
            {
                null or "text" => LintText.Write,
                "json" => LintJson.Write,
                "sarif" => LintJson.WriteSarif,
                string other => throw new StrataException(ErrorKind.Invalid, $"--format {other}: there are text, json and sarif"),
            };
            var options = new LintOptions { Disabled = Rules(parsed.GetValue(disable)), Enabled = Rules(parsed.GetValue(enable)), Only = Rules(parsed.GetValue(only)) };
            bool mends = parsed.GetValue(fix), withUnsafe = parsed.GetValue(unsafeFixes);
            if (withUnsafe && !mends)
            {
                throw new StrataException(ErrorKind.Invalid, "--unsafe-fixes: --fix is missing") { Hint = "write: --fix --unsafe-fixes" };
            }
            var linted = new List<LintedFile>();
            foreach (string name in parsed.GetValue(files) is { Length: > 0 } given ? given : ["Dockerfile"])
            {
                Dockerfile file = Parse(await ReadAsync(name, cancellationToken), name == "-" ? "Dockerfile" : name);
                LintOptions own = options with { Ignore = name == "-" ? null : ReadIgnore(name) };
                if (mends)
                {
                    file = await MendAsync(context, name, file, own, withUnsafe);
                }
                linted.Add(new LintedFile(name, DockerfileLinter.Lint(file, own)));
            }
            // The mended text of standard input goes where the findings would.
            write(mends && linted.Any(l => l.Name == "-") ? context.Error : context.Out, linted);
            return linted.All(l => l.Findings.IsEmpty) ? 0 : ErrorTable.CheckFailedExitCode;
        });
        return command;
    }

    private static Dockerfile Parse(string text, string name)
    {
        try
        {
            return Dockerfile.Parse(text, name);
        }
        catch (DockerfileException e)
        {
            throw e.In(text);
        }
    }

    private static ImmutableArray<string> Rules(string[] given)
    {
        string[] names = [.. given.SelectMany(g => g.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))];
        string? unknown = names.FirstOrDefault(n => DockerfileLinter.NamesOf(n).IsEmpty);
        return unknown is null ? [.. names]
            : throw new StrataException(ErrorKind.Invalid, $"lint rule {unknown}: there is none of that name") { Hint = $"there are: {string.Join(", ", DockerfileLinter.Rules)}" };
    }

    private static async Task<string> ReadAsync(string name, CancellationToken cancellationToken)
    {
        if (name != "-" && !File.Exists(name))
        {
            throw new StrataException(ErrorKind.NotFound, $"{name}: {(Directory.Exists(name) ? "it is a directory" : "no such file")}");
        }
        if (name == "-")
        {
            return await Console.In.ReadToEndAsync(cancellationToken);
        }
        // By hand: a reader would take the byte order mark away, which --fix keeps.
        return Encoding.UTF8.GetString(await File.ReadAllBytesAsync(name, cancellationToken));
    }

    private static DockerIgnore? ReadIgnore(string dockerfile)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(dockerfile))!;
        string? path = new[] { dockerfile + ".dockerignore", Path.Combine(folder, ".dockerignore") }.FirstOrDefault(File.Exists);
        try
        {
            return path is null ? null : DockerIgnore.Parse(File.ReadAllText(path));
        }
        catch (FormatException e)
        {
            throw new StrataException(ErrorKind.Invalid, $"{path}: {e.Message}", e);
        }
    }

    private static async Task<Dockerfile> MendAsync(CommandContext context, string name, Dockerfile file, LintOptions options, bool withUnsafe)
    {
        string text = DockerfileLinter.Fix(file, options, withUnsafe);
        if (name == "-")
        {
            context.Out.Write(text);
        }
        else if (text != file.Source)
        {
            UnixFileMode mode = File.GetUnixFileMode(name);
            await OutputFile.WriteAsync(name, stream => stream.WriteAsync(Encoding.UTF8.GetBytes(text)).AsTask());
            File.SetUnixFileMode(name, mode);
            context.Error.WriteLine($"{SafeText.Escape(name)}: rewritten");
        }
        return text == file.Source ? file : Dockerfile.Parse(text, file.Stages[0].Span.File);
    }
}
