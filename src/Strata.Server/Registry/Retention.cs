using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>A name that goes, and why.</summary>
public sealed record RetentionVictim(ImageReference Name, Digest Manifest, string Reason);

/// <summary>Applies retention to the names of a registry.</summary>
internal sealed class Retention(OciRegistry registry)
{
    private sealed record Entry(ImageReference Name, Descriptor Manifest, NameTimes Times);

    public async Task<IReadOnlyList<RetentionVictim>> ApplyAsync(RetentionRules rules, bool dryRun, CancellationToken cancellationToken)
    {
        DateTimeOffset began = registry.Options.Time.GetUtcNow();
        List<RetentionVictim> victims = [];
        foreach (IGrouping<string, (ImageReference Reference, Descriptor Manifest)> repository in registry.Names().GroupBy(n => n.Reference.Repository).ToList())
        {
            victims.AddRange(await PlanAsync(rules, repository.Key, repository, cancellationToken));
        }
        if (!dryRun)
        {
            // Digests last: killed between, what is left is whole.
            foreach (RetentionVictim victim in victims.OrderBy(v => v.Name.Tag is null))
            {
                await RemoveAsync(victim, began, cancellationToken);
            }
        }
        return victims;
    }

    private async Task<List<RetentionVictim>> PlanAsync(RetentionRules rules, string repository, IEnumerable<(ImageReference Reference, Descriptor Manifest)> names, CancellationToken cancellationToken)
    {
        Entry[] all = [.. names.Select(n => (n.Reference, n.Manifest, Times: registry.Engine.TryGetNameTimes(n.Reference))).Where(n => n.Times is not null).Select(n => new Entry(n.Reference, n.Manifest, n.Times!.Value))];
        Entry[] tags = [.. all.Where(e => e.Name.Tag is not null)];
        List<RetentionVictim> victims = [];
        foreach (IGrouping<RetentionRule?, Entry> meant in tags.GroupBy(t => rules.Rules.FirstOrDefault(r => Glob.IsMatch(r.Repositories, repository) && Glob.IsMatch(r.Tags, t.Name.Tag!))))
        {
            if (meant.Key is { } rule)
            {
                victims.AddRange(Expired(rule, meant));
            }
        }
        TimeSpan? untagged = rules.Rules.FirstOrDefault(r => r.Untagged is not null && Glob.IsMatch(r.Repositories, repository))?.Untagged;
        HashSet<ImageReference> gone = [.. victims.Select(v => v.Name)];
        victims.AddRange(await UntaggedAsync(all, [.. tags.Where(t => !gone.Contains(t.Name))], [.. victims.Select(v => v.Manifest)], untagged, cancellationToken));
        return victims;
    }

    private IEnumerable<RetentionVictim> Expired(RetentionRule rule, IEnumerable<Entry> tags)
    {
        DateTimeOffset now = registry.Options.Time.GetUtcNow();
        foreach ((int index, Entry tag) in tags.OrderByDescending(t => t.Times.Set).ThenByDescending(t => t.Name.Tag, StringComparer.Ordinal).Index())
        {
            bool isOld = rule.OlderThan is not { } age || now - tag.Times.Set > age;
            bool isUnused = rule.NotPulledFor is not { } pause || now - tag.Times.Used > pause;
            if (index >= rule.KeepLast && isOld && isUnused)
            {
                string[] reasons = [.. new[]
                {
                    rule.KeepLast > 0 ? $"not among the last {rule.KeepLast}" : null,
                    rule.OlderThan is null ? null : $"pushed {tag.Times.Set:u}",
                    rule.NotPulledFor is null ? null : $"last used {tag.Times.Used:u}",
                }.OfType<string>()];
                yield return new RetentionVictim(tag.Name, tag.Manifest.Digest, reasons.Length > 0 ? string.Join(", ", reasons) : "none are kept");
            }
        }
    }

    // What a tag leads to stays, and what is about that (signatures). What lost its last tag just now goes with it; what had none long ago, when it is old enough.
    private async Task<List<RetentionVictim>> UntaggedAsync(Entry[] all, Entry[] keptTags, HashSet<Digest> expired, TimeSpan? age, CancellationToken cancellationToken)
    {
        DateTimeOffset now = registry.Options.Time.GetUtcNow();
        HashSet<Digest> kept = [], lost = [];
        foreach (Entry tag in keptTags)
        {
            await AddAsync(tag.Manifest, kept, cancellationToken);
        }
        Entry[] byDigest = [.. all.Where(e => e.Name.Tag is null)];
        foreach (Entry entry in byDigest.Where(e => expired.Contains(e.Manifest.Digest)))
        {
            await AddAsync(entry.Manifest, lost, cancellationToken);
        }
        // A signature of what stays stays; one of what goes is lost with it.
        for (bool more = true; more;)
        {
            more = false;
            foreach (Entry entry in byDigest)
            {
                if (await SubjectAsync(entry.Manifest, cancellationToken) is { } subject)
                {
                    more |= kept.Contains(subject) && kept.Add(entry.Manifest.Digest);
                    more |= lost.Contains(subject) && lost.Add(entry.Manifest.Digest);
                }
            }
        }
        bool IsOld(Entry entry) => age is { } limit && now - entry.Times.Used > limit;
        return [.. byDigest.Where(e => !kept.Contains(e.Manifest.Digest) && (lost.Contains(e.Manifest.Digest) || IsOld(e)))
            .Select(e => new RetentionVictim(e.Name, e.Manifest.Digest, lost.Contains(e.Manifest.Digest) ? "its tags go" : $"no tag leads to it, last used {e.Times.Used:u}"))];
    }

    private async ValueTask AddAsync(Descriptor manifest, HashSet<Digest> found, CancellationToken cancellationToken)
    {
        if (found.Add(manifest.Digest) && MediaTypes.IsIndex(manifest.MediaType))
        {
            foreach (Descriptor child in await registry.Contents.ChildrenAsync(manifest, cancellationToken))
            {
                await AddAsync(child, found, cancellationToken);
            }
        }
    }

    private async ValueTask<Digest?> SubjectAsync(Descriptor manifest, CancellationToken cancellationToken)
    {
        try
        {
            byte[] bytes = await registry.Content.ReadAsync(manifest, cancellationToken);
            return MediaTypes.IsIndex(manifest.MediaType) ? OciJson.ParseIndex(bytes, manifest.MediaType).Subject?.Digest : OciJson.ParseManifest(bytes, manifest.MediaType).Subject?.Digest;
        }
        catch (StrataException e) when (e.Kind is ErrorKind.NotFound or ErrorKind.Corrupt or ErrorKind.Invalid)
        {
            return null; // a check tells of it
        }
    }

    // Only while it is what it was, and nobody has pushed or pulled it since.
    private async Task RemoveAsync(RetentionVictim victim, DateTimeOffset began, CancellationToken cancellationToken)
    {
        string last = victim.Name.Tag ?? victim.Manifest.ToString();
        using NameLocks.Held turn = await registry.Turns.HoldAsync(victim.Name.Repository + ":" + last, cancellationToken);
        if ((await registry.Images.TryResolveAsync(victim.Name, cancellationToken))?.Digest == victim.Manifest
            && registry.Engine.TryGetNameTimes(victim.Name)?.Used < began)
        {
            await registry.Images.RemoveAsync(victim.Name, cancellationToken);
        }
    }
}
