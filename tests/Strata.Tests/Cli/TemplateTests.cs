using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Xunit;

namespace Strata.Tests.Cli;

public sealed class TemplateTests
{
    private const string Data = """
        {"Id":"sha256:abc","Empty":"","Null":null,"Size":52428800,"Ratio":0.5,"Yes":true,"No":false,"Names":["a:1","b:2"],"None":[],
         "Config":{"Env":["A=1","PATH=/bin"],"Labels":{"org.x":"1","a":"z"},"Nested":{"Deep":"down"}},"Rows":[{"N":"x"},{"N":"y"}]}
        """;

    [Theory]
    [InlineData("plain", "plain")]
    [InlineData("", "")]
    [InlineData("{{.Id}}", "sha256:abc")]
    [InlineData("<{{ .Config.Nested.Deep }}>", "<down>")]
    [InlineData("{{.Size}} {{.Ratio}} {{.Yes}}", "52428800 0.5 true")]
    [InlineData("{{.Null}}", "<no value>")]
    [InlineData("{{.Names}}", "[a:1 b:2]")]
    [InlineData("{{.Config.Labels}}", "map[a:z org.x:1]")]
    [InlineData("{{json .Names}}", "[\"a:1\",\"b:2\"]")]
    [InlineData("{{json .Null}}{{json .Id}}", "null\"sha256:abc\"")]
    [InlineData("{{json .}}", "{\"Id\":", true)]
    [InlineData("{{.Config.Env | json}}", "[\"A=1\",\"PATH=/bin\"]")]
    [InlineData("{{len .Names}} {{len .Null}} {{len .Id}} {{len .Config.Labels}}", "2 0 10 2")]
    [InlineData("{{index .Names 1}}", "b:2")]
    [InlineData("{{index .Config.Labels \"org.x\"}}", "1")]
    [InlineData("[{{index .Config.Labels \"missing\"}}]", "[]")]
    [InlineData("{{index .Rows 1 \"N\"}}", "y")]
    [InlineData("{{join .Names \",\"}}", "a:1,b:2")]
    [InlineData("{{upper .Id}} {{lower \"AbC\"}} {{title \"two words\"}}", "SHA256:ABC abc Two Words")]
    [InlineData("{{range split \"a,b\" \",\"}}<{{.}}>{{end}}", "<a><b>")]
    [InlineData("{{truncate .Id 6}}|{{truncate \"ab\" 6}}", "sha256|ab")]
    [InlineData("{{slice .Id 7}} {{slice .Id 0 3}} {{len (slice .Names 1)}}", "abc sha 1")]
    [InlineData("{{pad .Id 1 2}}|", " sha256:abc  |")]
    [InlineData("{{print .Yes \"x\"}} {{println .Size}}", "truex 52428800\n")]
    [InlineData("{{printf \"%-5s|%5s|%05d|%q|%x|%.2f|%%\" \"ab\" \"cd\" 42 \"q\" 255 .Ratio}}", "ab   |   cd|00042|\"q\"|ff|0.50|%")]
    [InlineData("{{range .Names}}{{.}};{{end}}", "a:1;b:2;")]
    [InlineData("{{range .None}}x{{else}}none{{end}}", "none")]
    [InlineData("{{range .Null}}x{{else}}none{{end}}", "none")]
    [InlineData("{{range $i, $n := .Names}}{{$i}}={{$n}} {{end}}", "0=a:1 1=b:2 ")]
    [InlineData("{{range $n := .Names}}{{$n}} {{end}}", "a:1 b:2 ")]
    [InlineData("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}", "a=z org.x=1 ")]
    [InlineData("{{range .Rows}}{{.N}}{{$.Id}} {{end}}", "xsha256:abc ysha256:abc ")]
    [InlineData("{{if .Yes}}y{{end}}{{if .No}}n{{end}}{{if .Empty}}e{{end}}{{if .None}}0{{end}}{{if .Null}}0{{end}}", "y")]
    [InlineData("{{if .No}}1{{else}}2{{end}}", "2")]
    [InlineData("{{if .No}}1{{else if .Yes}}2{{else}}3{{end}}", "2")]
    [InlineData("{{if .No}}1{{else if .Empty}}2{{else if .Null}}3{{else}}4{{end}}", "4")]
    [InlineData("{{if and .Null .Yes}}1{{else}}2{{end}}", "2")]
    [InlineData("{{if or .No .Yes}}1{{end}}{{if not .No}}2{{end}}", "12")]
    [InlineData("{{if eq .Id \"sha256:abc\"}}1{{end}}{{if ne .Size 1}}2{{end}}{{if gt .Size 100}}3{{end}}{{if lt .Ratio 1}}4{{end}}{{if eq .Size 1 52428800}}5{{end}}", "12345")]
    [InlineData("{{if (and (eq (len .Names) 2) .Yes)}}both{{end}}", "both")]
    [InlineData("{{with .Config.Nested}}{{.Deep}}{{end}}{{with .Empty}}x{{else}}y{{end}}", "downy")]
    [InlineData("{{(index .Rows 0).N}}", "x")]
    [InlineData("{{$x := .Id}}{{$x | upper}}", "SHA256:ABC")]
    [InlineData("a {{- .Yes -}} b", "atrueb")]
    [InlineData("a{{/* }} \" said here */}}b", "ab")]
    [InlineData("a {{- /* trims */ -}} b", "ab")]
    [InlineData("a{{/* nothing */}}b", "ab")]
    [InlineData("{{`raw \\n`}}{{\"}}\"}}{{\"a\\tb\\\"\"}}", "raw \\n}}a\tb\"")]
    public void A_template_gives_what_go_gives(string template, string expected, bool isStart = false)
    {
        string actual = Template.Parse(template).Render(JsonNode.Parse(Data));
        Assert.Equal(expected, isStart ? actual[..expected.Length] : actual);
    }

    [Theory]
    [InlineData("{{")]
    [InlineData("{{}}")]
    [InlineData("{{.Id")]
    [InlineData("{{.Id}")]
    [InlineData("{{end}}")]
    [InlineData("{{else}}")]
    [InlineData("{{if .Yes}}")]
    [InlineData("{{if .Yes}}{{else}}")]
    [InlineData("{{if .Yes}}{{else nonsense}}{{end}}")]
    [InlineData("{{range .Names}}")]
    [InlineData("{{range .Id}}x{{end}}")]
    [InlineData("{{json}}")]
    [InlineData("{{json .Id .Size}}")]
    [InlineData("{{index .Names 2}}")]
    [InlineData("{{index .Names -1}}")]
    [InlineData("{{index .Id 0}}")]
    [InlineData("{{slice .Id 99}}")]
    [InlineData("{{slice .Id 3 1}}")]
    [InlineData("{{truncate .Id -1}}")]
    [InlineData("{{pad \"x\" 99999999 0}}")]
    [InlineData("{{upper .Size}}")]
    [InlineData("{{join .Id \",\"}}")]
    [InlineData("{{printf}}")]
    [InlineData("{{printf \"%s\"}}")]
    [InlineData("{{printf \"%\"}}")]
    [InlineData("{{printf \"%z\" 1}}")]
    [InlineData("{{lt .Id 1}}")]
    [InlineData("{{.Missing}}")]
    [InlineData("{{.Id.More}}")]
    [InlineData("{{.Null.More}}")]
    [InlineData("{{Id}}")]
    [InlineData("{{.Id | .Size}}")]
    [InlineData("{{.Id .Size}}")]
    [InlineData("{{$x}}")]
    [InlineData("{{(.Id}}")]
    [InlineData("{{\"open}}")]
    [InlineData("{{1x}}")]
    [InlineData("{{template \"x\"}}")]
    [InlineData("{{.Id..Size}}")]
    [InlineData("{{/* open}}")]
    public void What_is_wrong_is_a_failure_of_the_caller_and_never_of_ours(string template)
    {
        StrataException failure = Assert.Throws<StrataException>(() => Template.Parse(template).Render(JsonNode.Parse(Data)));
        Assert.Equal(ErrorKind.Invalid, failure.Kind);
        Assert.StartsWith("template: ", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_slip_in_a_fields_case_gets_a_hint()
        => Assert.Equal("did you mean .Id?", Assert.Throws<StrataException>(() => Template.Parse("{{.ID}}").Render(JsonNode.Parse(Data))).Hint);

    [Fact]
    public void Deep_nesting_is_refused_and_does_not_use_up_the_stack()
    {
        Assert.Throws<StrataException>(() => Template.Parse("{{" + new string('(', 100_000)));
        Assert.Throws<StrataException>(() => Template.Parse(string.Concat(Enumerable.Repeat("{{if .Yes}}", 100_000))));
        Assert.Throws<StrataException>(() => Template.Parse("{{if .No}}" + string.Concat(Enumerable.Repeat("{{else if .No}}", 100_000)) + "{{end}}"));
    }

    [Fact]
    public void Random_pieces_of_templates_never_fail_otherwise()
    {
        string[] pieces = ["{{", "}}", "if ", "else", "end", "range ", "$i, ", "$x", " := ", ".", ".Id", ".Names", "(", ")", "|", "json ", "index ", "printf ", "\"%s\"", "\"", "`", "1", "-", " ", "/*", "*/", "len ", "and ", "x"];
        var random = new Random(20);
        JsonNode? data = JsonNode.Parse(Data);
        for (int i = 0; i < 20_000; i++)
        {
            string text = string.Concat(Enumerable.Range(0, random.Next(1, 14)).Select(_ => pieces[random.Next(pieces.Length)]));
            try
            {
                Template.Parse(text).Render(data);
            }
            catch (StrataException e) when (e.Kind == ErrorKind.Invalid)
            {
                // what was to be expected of most
            }
        }
    }

    [Theory]
    [InlineData("json", "{\"CreatedSince\":\"2 weeks ago\",\"ID\":\"abc\"}\n")]
    [InlineData("{{.ID}}", "abc\n")]
    [InlineData("{{.ID}}\\t{{.CreatedSince}}", "abc\t2 weeks ago\n")]
    [InlineData("table {{.ID}}\\t{{.CreatedSince}}", "ID        CREATED SINCE\nabc       2 weeks ago\n")]
    [InlineData("table {{upper .ID}}", "ID\nABC\n")]
    public void Rows_are_written_as_the_format_says(string format, string expected)
    {
        using var output = new StringWriter { NewLine = "\n" };
        Formatted.Write(output, format, [new JsonObject { ["CreatedSince"] = "2 weeks ago", ["ID"] = "abc" }]);
        Assert.Equal(expected, output.ToString());
    }

    [Fact]
    public void What_a_template_shows_cannot_speak_to_the_terminal_and_backslashes_stay_as_they_are()
    {
        using var output = new StringWriter { NewLine = "\n" };
        Formatted.Write(output, "{{.A}}", [new JsonObject { ["A"] = "\u001b[2J C:\\temp" }]);
        Assert.Equal("\\x1b[2J C:\\temp\n", output.ToString());
    }
}
