using System.Text.Json.Nodes;
using Xunit;

namespace Strata.IntegrationTests.Interop;

/// <summary>
/// Many small Dockerfiles built by us, by docker's BuildKit and by buildah: files, modes, owners, attributes and settings are equal, and with BuildKit the
/// history too. What differs is in <see cref="BuildPeerDifferences"/> case by case, with the reasons in docs/compatibility.md; one that goes away fails as one
/// that comes does.
/// </summary>
public sealed class BuildPeerTests(BuildPeerTests.Builds builds) : IClassFixture<BuildPeerTests.Builds>
{
    /// <summary>The cases' names.</summary>
    public static TheoryData<string> Names { get; } = [.. BuildPeerCases.All.Select(c => c.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void BuildKit_builds_the_same(string name)
    {
        Image ours = builds.Ours(name), theirs = builds.OfBuildKit(name);
        string[] differences = [.. Differences(ours, theirs), .. ours.History.SequenceEqual(theirs.History) ? [] : new[] { $"history: {string.Join(' ', ours.History)} | {string.Join(' ', theirs.History)}" }];
        Check(name, BuildPeerDifferences.BuildKit, differences);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Buildah_builds_the_same(string name) => Check(name, BuildPeerDifferences.Buildah, [.. Differences(builds.Ours(name), builds.OfBuildah(name))]);

    [Fact]
    public void At_least_sixty_are_compared() => Assert.True(BuildPeerCases.All.Length >= 60, $"{BuildPeerCases.All.Length}");

    private static IEnumerable<string> Differences(Image ours, Image theirs) => [.. ImageDocument.Differences(ours.Document, theirs.Document), .. ImageTree.Differences(ours.Files, theirs.Files)];

    private static void Check(string name, Dictionary<string, string[]> known, string[] differences)
        => Assert.True(differences.Select(d => d.Split(": ")[0]).ToHashSet().SetEquals(known.GetValueOrDefault(name, [])), $"expected: {string.Join(' ', known.GetValueOrDefault(name, []))}\nfound:\n{string.Join('\n', differences)}");

    /// <summary>What a tool built: settings, files, and the history's instructions; a star says that one made a layer.</summary>
    internal sealed record Image(ImageDocument Document, SortedDictionary<string, string> Files, string[] History);

    /// <summary>All cases, built by each tool in one go when the first test asks for it.</summary>
    public sealed class Builds : IDisposable
    {
        // The Dockerfiles lie in $1 as NAME.Dockerfile with NAME.args; the context is $2; files go to $1/TOOL/NAME, settings to NAME.TOOL.json.
        private const string DockerBuilds = """
            d=$1 c=$2; mkdir "$d/docker"; export DOCKER_HOST=$3 d c
            ls "$d" | sed -n 's/\.args$//p' | DOCKER_BUILDKIT=1 xargs -P 3 -I '{}' sh -c '/usr/bin/docker build -q --network host $(cat "$d/{}.args") -t "many-{}" -f "$d/{}.Dockerfile" "$c" >"$d/{}.docker.log" 2>&1 || echo failed >>"$d/{}.docker.log"'
            images=$(/usr/bin/docker images --format '{{.Repository}}' | grep ^many-)
            /usr/bin/docker save -o "$d/docker.tar" $images; mkdir "$d/saved"; tar -C "$d/saved" -xf "$d/docker.tar" --exclude=layer.tar
            /usr/bin/docker image inspect -f '{{index .RepoTags 0}} {{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}' $images | while read -r name layers; do
              name=${name#many-}; name=${name%:latest}; layers=${layers%:'<no value>'}; mkdir -p "$d/docker/$name" "$d/mount"
              case $layers in *:*) mount -t overlay overlay -o "ro,lowerdir=$layers" "$d/mount"; cp -a "$d/mount"/. "$d/docker/$name"; umount "$d/mount" ;; *) cp -a "$layers"/. "$d/docker/$name" ;; esac
            done
            """;

        // Its layers are directories, named in layers.json with their parents: mounted as it mounts them, without a container for each.
        private const string BuildahBuilds = """
            d=$1 c=$2; shift 2; mkdir "$d/buildah"; export d c; export options="$*"
            ls "$d" | sed -n 's/\.args$//p' | xargs -P 3 -I '{}' sh -c '{ buildah $options bud -q --isolation chroot --network host --format docker --identity-label=false --pull-never $(cat "$d/{}.args") -t "many-{}" -f "$d/{}.Dockerfile" "$c" &&
              buildah $options inspect --type image "many-{}" >"$d/{}.buildah.json"; } >"$d/{}.buildah.log" 2>&1 || echo failed >>"$d/{}.buildah.log"'
            mkdir -p "$d/mount"; python3 - "$d" "$2" <<'END'
            import json, os, subprocess, sys
            out, root = sys.argv[1:]
            layers = {l['id']: l.get('parent') for l in json.load(open(root + '/overlay-layers/layers.json'))}
            for image in json.load(open(root + '/overlay-images/images.json')):
                for name in image.get('names', []):
                    if '/many-' not in name:
                        continue
                    chain, at = [], image['layer']
                    while at:
                        chain.append(f'{root}/overlay/{at}/diff')
                        at = layers[at]
                    to = f"{out}/buildah/{name.split('/many-')[1].split(':')[0]}"
                    os.mkdir(to)
                    if len(chain) > 1:
                        subprocess.check_call(['mount', '-t', 'overlay', 'overlay', '-o', 'ro,lowerdir=' + ':'.join(chain), out + '/mount'])
                    subprocess.check_call(['cp', '-a', (out + '/mount' if len(chain) > 1 else chain[0]) + '/.', to])
                    if len(chain) > 1:
                        subprocess.check_call(['umount', out + '/mount'])
            END
            """;

        private readonly BuildEqualityTests.Bases _bases = new(BuildPeerCases.MakeContext);
        private readonly Dictionary<string, Image> _ours = new(StringComparer.Ordinal);
        private readonly string _folder;
        private readonly Lazy<Dictionary<string, JsonNode>> _docker;
        private readonly Lazy<bool> _buildah;

        public Builds()
        {
            _folder = _bases.Peers.New("many");
            Directory.CreateDirectory(_folder);
            foreach (BuildPeerCases.Case test in BuildPeerCases.All)
            {
                File.WriteAllText(Path.Combine(_folder, test.Name + ".Dockerfile"), test.Dockerfile);
                File.WriteAllText(Path.Combine(_folder, test.Name + ".args"), test.Arguments);
            }
            _docker = new(() =>
            {
                _bases.Peers.RunForDocker(DockerBuilds, _folder, _bases.Context).Ok();
                JsonArray saved = JsonNode.Parse(File.ReadAllText(Path.Combine(_folder, "saved/manifest.json")))!.AsArray();
                return saved.ToDictionary(i => i!["RepoTags"]![0]!.GetValue<string>().Split(':')[0]["many-".Length..], i => JsonNode.Parse(File.ReadAllText(Path.Combine(_folder, "saved", i!["Config"]!.GetValue<string>())))!);
            });
            _buildah = new(() => _bases.Peers.RunForBuildah(BuildahBuilds, _folder, _bases.Context).Ok().Code == 0);
        }

        internal Image Ours(string name)
        {
            if (!_ours.TryGetValue(name, out Image? image))
            {
                string file = Path.Combine(_folder, name);
                _bases.Peers.Store.Run(["build", "-q", .. File.ReadAllText(file + ".args").Split(' ', StringSplitOptions.RemoveEmptyEntries), "-t", "many-" + name, "-f", file + ".Dockerfile", _bases.Context]).Ok();
                JsonNode config = JsonNode.Parse(Peers.StrataConfig(_bases.Peers.Store.Root, "many-" + name))!;
                _ours[name] = image = new Image(ImageDocument.Parse(Peers.StrataConfig(_bases.Peers.Store.Root, "many-" + name)), _bases.Peers.StrataFiles(_bases.Peers.Store.Root, "many-" + name), HistoryOf(config));
            }
            return image;
        }

        internal Image OfBuildKit(string name)
        {
            Assert.True(_docker.Value.TryGetValue(name, out JsonNode? config), Log(name, "docker"));
            return new Image(ImageDocument.Parse(config), ImageTree.OfDirectory(Path.Combine(_folder, "docker", name)), HistoryOf(config));
        }

        internal Image OfBuildah(string name)
        {
            Assert.True(_buildah.Value && File.ReadLines(Path.Combine(_folder, name + ".buildah.log")).LastOrDefault() != "failed", Log(name, "buildah"));
            JsonNode config = JsonNode.Parse(File.ReadAllText(Path.Combine(_folder, name + ".buildah.json")))!["Docker"]!;
            return new Image(ImageDocument.Parse(config), ImageTree.OfDirectory(Path.Combine(_folder, "buildah", name)), []);
        }

        /// <inheritdoc/>
        public void Dispose() => _bases.Dispose();

        private string Log(string name, string tool) => File.ReadAllText(Path.Combine(_folder, $"{name}.{tool}.log"));

        // The base's own rows are ours; from there on the instruction's keyword, and a star where it made a layer.
        private static string[] HistoryOf(JsonNode config)
            => [.. (config["history"]?.AsArray() ?? []).Select(r => (r!["created_by"]?.GetValue<string>() ?? "").Split(' ')[0] + (r["empty_layer"]?.GetValue<bool>() == true ? "" : "*"))];
    }
}
