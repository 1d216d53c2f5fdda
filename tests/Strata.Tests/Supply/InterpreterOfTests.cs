using System.Text;
using Strata.Supply;
using Xunit;

namespace Strata.Tests.Supply;

public sealed class InterpreterOfTests
{
    [Theory]
    [InlineData("#!/bin/bash\necho", "/bin/bash")]
    [InlineData("#! /usr/bin/env python3\n", "/usr/bin/env")]
    [InlineData("#!/bin/sh -e\r\n", "/bin/sh")]
    [InlineData("#!relative\n", null)]
    [InlineData("#!", null)]
    [InlineData("plain", null)]
    [InlineData("", null)]
    public void Of_a_script_it_is_what_the_first_line_names(string text, string? expected) => Assert.Equal(expected, InterpreterOf.Read(Encoding.UTF8.GetBytes(text)));

    [Fact]
    public void Of_a_program_it_is_the_loader_that_its_header_names()
    {
        byte[] head = File.ReadAllBytes("/bin/true")[..InterpreterOf.HeadBytes]; // a dynamic program on every machine that runs .NET
        string loader = InterpreterOf.Read(head)!;
        Assert.StartsWith("/lib", loader, StringComparison.Ordinal);
        Assert.Contains("ld-", loader, StringComparison.Ordinal);
        for (int length = 0; length < head.Length; length += 7)
        {
            Assert.True(InterpreterOf.Read(head.AsSpan(0, length)) is null or ['/', ..]); // a file that is cut off is no reason to fail
        }
    }

    [Fact]
    public void A_header_that_points_outside_the_file_names_nothing()
    {
        byte[] head = File.ReadAllBytes("/bin/true")[..InterpreterOf.HeadBytes];
        head[32 + 7] = 0x7F; // e_phoff
        Assert.Null(InterpreterOf.Read(head));
    }
}
