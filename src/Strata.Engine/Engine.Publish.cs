using System.Collections;
using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Strata.Build;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;
using Strata.Supply;

namespace Strata;

public sealed partial class Engine
{
    private const int SaidLines = 20;

    // The oldest time a zip archive knows, which is what NuGet gives files whose time shall not count.
    private static readonly DateTimeOffset s_publishedTime = new(1980, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>
    /// Makes an image of a .NET project: publishes it, and puts the runtime, the packages, the referenced projects and the application into a layer each,
    /// so that a change of the application changes its own layer only. Equal files give equal digests: times and umask do not count.
    /// </summary>
    /// <exception cref="StrataException">NotFound: no such project or output; Unsupported: no dotnet here; Invalid: publishing failed, or the output has no application.</exception>
    public async ValueTask<BuildResult> PublishAsync(PublishRequest request, IBuildProgress progress, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        using StoreLease lease = Content.AcquireLease("publish");
        string work = Layout.NewIngestPath("publish");
        Directory.CreateDirectory(work);
        try
        {
            string output = request.Folder is { } given ? Path.GetFullPath(given) : Path.Combine(work, "output");
            if (request.Folder is null)
            {
                await RunPublishAsync(request, output, cancellationToken).ConfigureAwait(false);
            }
            PublishedApplication application = ReadPublished(output, request);
            string context = Path.Combine(work, "context");
            string dockerfile = Stage(output, application, context, request);
            ImmutableArray<ImageReference> tags = request.Tags.IsEmpty && ImageReference.TryParse(NameOf(application.Name), out ImageReference? named) ? [named] : request.Tags;
            var build = new BuildRequest
            {
                Context = context, DockerfileText = dockerfile, DockerfileName = "strata publish", Tags = tags, SourceDateEpoch = request.SourceDateEpoch, Pull = request.Pull, Supply = request.Supply,
                Options = new BuildOptions { Platform = request.Platform ?? Platform.Host, Labels = request.Labels },
            };
            return await BuildAsync(build, progress, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            FileSystems.RemoveTree(work);
        }
    }

    private static async ValueTask RunPublishAsync(PublishRequest request, string output, CancellationToken cancellationToken)
    {
        string project = Path.GetFullPath(request.Project);
        if (!File.Exists(project) && !Directory.Exists(project))
        {
            throw new StrataException(ErrorKind.NotFound, $"publish {request.Project}: no such project");
        }
        string program = ChildProcess.FindProgram("dotnet") ?? throw new StrataException(ErrorKind.Unsupported, "publish: dotnet is not installed")
        {
            Hint = "publish elsewhere and name the output: strata publish --from FOLDER",
        };
        // No servers that stay behind: they would hold our pipes open.
        List<string> arguments = ["publish", project, "--nologo", "-c", request.Configuration, "-o", output, "-nodeReuse:false", "-p:UseSharedCompilation=false", "-p:PublishStrataImage=false"];
        if (request.Runtime is { } runtime)
        {
            arguments.AddRange(["-r", runtime]);
        }
        if (request.SelfContained is { } selfContained)
        {
            arguments.Add(selfContained ? "--self-contained" : "--no-self-contained");
        }
        arguments.AddRange(request.Properties.Select(p => "-p:" + p));
        string[] environment = [.. Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(e => $"{e.Key}={e.Value}")];
        ChildResult result = await ChildProcess.RunAsync(new ChildStart { Program = program, Arguments = arguments, Environment = environment }, cancellationToken: cancellationToken).ConfigureAwait(false);
        if (result.ExitCode != 0)
        {
            string[] said = Encoding.UTF8.GetString([.. result.Output, .. result.Error]).Split('\n', StringSplitOptions.RemoveEmptyEntries);
            throw new StrataException(ErrorKind.Invalid, $"publish {request.Project}: dotnet publish ended with {result.ExitCode}:\n{string.Join('\n', said.TakeLast(SaidLines))}");
        }
    }

    private static PublishedApplication ReadPublished(string output, PublishRequest request)
    {
        if (!Directory.Exists(output))
        {
            throw new StrataException(ErrorKind.NotFound, $"publish {output}: no such directory");
        }
        string[] files = [.. Directory.EnumerateFiles(output, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(output, f)).Order(StringComparer.Ordinal)];
        const string Suffix = ".runtimeconfig.json";
        string[] configs = [.. files.Where(f => f.EndsWith(Suffix, StringComparison.Ordinal) && !f.Contains('/', StringComparison.Ordinal))];
        string[] programs = [.. files.Where(f => !f.Contains('/', StringComparison.Ordinal) && IsProgram(Path.Combine(output, f)))];
        string name = request.Entry ?? (configs, programs) switch
        {
            ([var config], _) => config[..^Suffix.Length],
            ([], [var program]) => program,
            _ => throw new StrataException(ErrorKind.Invalid, $"publish {output}: {(configs.Length > 1 ? $"several applications: {string.Join(", ", configs)}" : "no application in it")}") { Hint = "name it: --entry NAME" },
        };
        byte[] Bytes(string file) => files.Contains(file) ? File.ReadAllBytes(Path.Combine(output, file)) : [];
        try
        {
            var runtime = RuntimeChoice.Read(Bytes(name + Suffix), Environment.Version);
            Dictionary<string, PublishPart> parts = PublishedFiles.Assign(files, Bytes(name + ".deps.json"), name);
            string[] entry = runtime.BringsRuntime || !files.Contains(name + ".dll") ? [$"/app/{name}"] : ["dotnet", $"/app/{name}.dll"];
            return files.Contains(entry[^1]["/app/".Length..]) ? new PublishedApplication(name, runtime, parts, entry)
                : throw new StrataException(ErrorKind.Invalid, $"publish {output}: {entry[^1]["/app/".Length..]} is not in it");
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Invalid, $"publish {output}: {name}: {e.Message}", e);
        }
    }

    private static bool IsProgram(string path) => (File.GetUnixFileMode(path) & UnixFileMode.UserExecute) != 0;

    // A copy of the files, a folder for each part, with times and modes that depend on nothing; returns the Dockerfile that takes them.
    private static string Stage(string output, PublishedApplication application, string context, PublishRequest request)
    {
        const UnixFileMode Plain = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
        const UnixFileMode Program = Plain | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
        DateTime time = (request.SourceDateEpoch ?? s_publishedTime).UtcDateTime;
        foreach ((string file, PublishPart part) in application.Parts)
        {
            string from = Path.Combine(output, file), to = Path.Combine(context, part.ToString(), file);
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.Copy(from, to);
            File.SetUnixFileMode(to, IsProgram(from) && !file.EndsWith(".dll", StringComparison.Ordinal) ? Program : Plain);
            File.SetLastWriteTimeUtc(to, time);
        }
        foreach (string folder in Directory.EnumerateDirectories(context, "*", SearchOption.AllDirectories).OrderByDescending(f => f.Length))
        {
            File.SetUnixFileMode(folder, Program);
            Directory.SetLastWriteTimeUtc(folder, time);
        }
        var dockerfile = new StringBuilder($"FROM {request.Base ?? application.Runtime.BaseName}\n");
        foreach (PublishPart part in application.Parts.Values.Distinct().Order())
        {
            dockerfile.Append(System.Globalization.CultureInfo.InvariantCulture, $"COPY {part}/ /app/\n");
        }
        dockerfile.Append(request.User is null ? "" : $"USER {request.User}\n").Append("WORKDIR /app\n");
        return dockerfile.Append(System.Globalization.CultureInfo.InvariantCulture, $"ENTRYPOINT [{string.Join(", ", application.Entry.Select(w => $"\"{JsonEncodedText.Encode(w)}\""))}]\n").ToString();
    }

#pragma warning disable CA1308 // names of images are lower case
    private static string NameOf(string application) => application.ToLowerInvariant();
#pragma warning restore CA1308

    private sealed record PublishedApplication(string Name, RuntimeChoice Runtime, Dictionary<string, PublishPart> Parts, string[] Entry);
}

/// <summary>What to publish as an image.</summary>
public sealed record PublishRequest
{
    /// <summary>A project file, or a folder with one.</summary>
    public string Project { get; init; } = ".";
    /// <summary>What <c>dotnet publish</c> has put out already; null: it is run.</summary>
    public string? Folder { get; init; }
    /// <summary>Names for the image; the application's where there are none.</summary>
    public ImmutableArray<ImageReference> Tags { get; init; } = [];
    /// <summary>The image below; null: Microsoft's for the application's runtime.</summary>
    public string? Base { get; init; }
    /// <summary>The application's name; null: the only one in the output.</summary>
    public string? Entry { get; init; }
    /// <summary>Release, Debug.</summary>
    public string Configuration { get; init; } = "Release";
    /// <summary>A runtime identifier: linux-x64.</summary>
    public string? Runtime { get; init; }
    /// <summary>Whether the runtime is brought; null: as the project says.</summary>
    public bool? SelfContained { get; init; }
    /// <summary>MSBuild's properties, <c>NAME=VALUE</c>.</summary>
    public ImmutableArray<string> Properties { get; init; } = [];
    /// <summary>USER of the image; null: the base's.</summary>
    public string? User { get; init; }
    /// <summary>Labels to add.</summary>
    public ImmutableSortedDictionary<string, string> Labels { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
    /// <summary>What it is for; null: this machine.</summary>
    public Platform? Platform { get; init; }
    /// <summary>Asks the registry for a newer base.</summary>
    public bool Pull { get; init; }
    /// <summary>The time that all is said to be made at.</summary>
    public DateTimeOffset? SourceDateEpoch { get; init; }
    /// <summary>What is kept of it beside the image.</summary>
    public SupplyOptions Supply { get; init; } = new();
}
