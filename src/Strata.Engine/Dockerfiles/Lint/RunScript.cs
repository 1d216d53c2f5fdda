using System.Runtime.CompilerServices;
using System.Text;

namespace Strata.Dockerfiles.Lint;

/// <summary>
/// The script of a RUN with its place in the file, so that a rule can put a word behind another or a command at the end and leave all else as it
/// was written: comments, continuation lines, columns.
/// </summary>
internal sealed class RunScript
{
    // A dozen rules ask for the same scripts.
    private static readonly ConditionalWeakTable<RunInstruction, RunScript> s_known = [];

    private readonly Dockerfile _file;
    private readonly RunInstruction _run;
    private readonly string _raw; // the instruction's lines
    private readonly List<int> _offsets = []; // where each character of the script stands in them
    private readonly int _end = -1; // where a document's last line ends; -1 where the script is no document

    private RunScript(Dockerfile file, RunInstruction run)
    {
        (_file, _run) = (file, run);
        string[] lines = SourceLines.Of(file, run.Span);
        _raw = string.Join('\n', lines);
        if (!run.Command.IsShell || (!run.Heredocs.IsEmpty && !ShellCommands.IsScript(run)))
        {
            Commands = ShellCommands.Of(run);
            return;
        }
        if (run.Heredocs.IsEmpty)
        {
            Commands = ShellCommands.Split(ReadContinued(lines));
            return;
        }
        int count = run.Heredocs[0].Content.Count(c => c == '\n');
        int start = lines.Take(lines.Length - 1 - count).Sum(l => l.Length + 1);
        _end = start + lines.Skip(lines.Length - 1 - count).Take(count).Sum(l => l.Length + 1);
        _offsets.AddRange(Enumerable.Range(start, _end - start));
        Commands = ShellCommands.Split(_raw[start.._end]);
    }

    internal static RunScript Of(Dockerfile file, RunInstruction run) => s_known.GetValue(run, r => new RunScript(file, r));

    /// <summary>Its commands; their words know where they stand, but in the exec form.</summary>
    internal List<ShellCommand> Commands { get; }

    /// <summary>Puts a word behind the first of a command's words that is one of these; null where that cannot be done.</summary>
    internal LintFix? InsertBehind(ShellCommand command, string text, params string[] words)
    {
        int at = Array.FindIndex(command.Words, w => words.Contains(w));
        if (at < 0 || command.Ends.Length != command.Words.Length || command.Ends[at] - 1 is not (>= 0 and var last) || last >= _offsets.Count)
        {
            return null;
        }
        return new LintFix(_run.Span, _raw.Insert(_offsets[last] + 1, " " + text));
    }

    /// <summary>Runs a command at the end if all before it went well; null where that is not sure.</summary>
    internal LintFix? Append(string command)
    {
        string text = _raw.TrimEnd();
        bool stops = Commands.Count > 0 && Commands[0] is { Program: "set" } set && set.Words.Skip(1).Any(w => w is ['-', not '-', ..] && w.Contains('e', StringComparison.Ordinal));
        if (!_run.Command.IsShell || text.EndsWith(_file.Escape))
        {
            return null;
        }
        if (_end >= 0)
        {
            // Without set -e the document's last command decides, and a command behind it would hide that it failed.
            bool tabs = _raw[_offsets[0]] == '\t';
            return stops ? new LintFix(_run.Span, _raw.Insert(_end, (tabs ? "\t" : "") + command + "\n")) : null;
        }
        if (RunJoiner.CanJoin(_run))
        {
            return new LintFix(_run.Span, $"{text} {_file.Escape}\n    && {command}");
        }
        string script = _run.Command.Words[0];
        return stops && _run.Heredocs.IsEmpty && !script.Contains('#', StringComparison.Ordinal) && !script.TrimEnd().EndsWith('&')
            ? new LintFix(_run.Span, $"{text.TrimEnd(';').TrimEnd()}; {_file.Escape}\n    {command}") : null;
    }

    // The script on one line, as the parser makes it: what ends in the escape character goes on, comments and empty lines between go.
    private string ReadContinued(string[] lines)
    {
        var text = new StringBuilder();
        int start = 0;
        for (int i = 0; i < lines.Length; start += lines[i++].Length + 1)
        {
            string line = lines[i];
            ReadOnlySpan<char> shown = line.AsSpan().TrimStart();
            if (i > 0 && (shown.IsEmpty || shown[0] == '#'))
            {
                continue;
            }
            ReadOnlySpan<char> end = line.AsSpan().TrimEnd(" \t");
            bool goesOn = !end.IsEmpty && end[^1] == _file.Escape && (end.Length == 1 || end[^2] != _file.Escape);
            int length = goesOn ? end.Length - 1 : line.Length;
            text.Append(line, 0, length);
            _offsets.AddRange(Enumerable.Range(start, length));
        }
        string whole = text.ToString();
        string behind = Words.TakeFlags(Words.Head(whole.TrimStart()).Behind ?? "").Behind;
        _offsets.RemoveRange(0, whole.Length - behind.Length);
        return behind;
    }
}
