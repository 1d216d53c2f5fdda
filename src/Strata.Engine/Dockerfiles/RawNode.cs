using System.Collections.Immutable;

namespace Strata.Dockerfiles;

/// <summary>
/// An instruction before it means anything: a keyword, flags, words. One level below <see cref="Instruction"/>, and what BuildKit's
/// parser calls a node, so that its dump can be compared with ours.
/// </summary>
/// <param name="Keyword">The first word, as written.</param>
/// <param name="Flags"><c>--name=value</c>, quotes taken off.</param>
/// <param name="Arguments">What follows: words, one text, or names and values (see <see cref="NodeReader"/>).</param>
/// <param name="IsJson">Whether the arguments were a JSON array: the exec form.</param>
/// <param name="Text">Flags and arguments as written, on one line.</param>
internal sealed record RawNode(string Keyword, ImmutableArray<string> Flags, ImmutableArray<string> Arguments, bool IsJson, string Text)
{
    /// <summary>What ONBUILD holds.</summary>
    internal RawNode? Nested { get; init; }

    /// <summary>For ENV and LABEL: the old form, <c>ENV name value</c>.</summary>
    internal bool IsLegacyPair { get; init; }

    internal ImmutableArray<RawHeredoc> Heredocs { get; init; } = [];

    internal SourceSpan Span { get; init; }

    internal string Upper => Keyword.ToUpperInvariant();

    /// <summary>RUN, COPY and ADD read documents that follow them, in ONBUILD too; JSON has no place for a marker.</summary>
    internal bool CanHoldHeredocs
    {
        get
        {
            RawNode node = Nested is not null && Upper == "ONBUILD" ? Nested : this;
            return node.Upper is "RUN" or "COPY" or "ADD" && !node.IsJson;
        }
    }
}

/// <summary>A document of the file, as it stands there.</summary>
/// <param name="Marker">What announced it.</param>
/// <param name="Content">Its lines with their ends.</param>
internal sealed record RawHeredoc(HeredocMarker Marker, string Content)
{
    /// <summary>The content as the instruction gets it: <c>&lt;&lt;-</c> takes the tabs off.</summary>
    internal string Value => Marker.Chomp ? TrimTabs(Content) : Content;

    private static string TrimTabs(string text)
        => string.Join('\n', text.Split('\n').Select(line => line.TrimStart('\t')));
}
