using System.Globalization;
using Microsoft.AspNetCore.Http;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>Lists: tags, repositories, referrers. Ordered by their bytes, page by page (<c>n</c>, <c>last</c>, <c>Link</c>).</summary>
internal static class ListEndpoints
{
    public static async Task TagsAsync(OciRegistry registry, HttpContext context, RegistryRoute route)
    {
        // Of an upstream's tags those that were fetched are listed: the others are not here.
        string repository = registry.Proxy?.Find(route.Repository)?.Local ?? route.Repository;
        IReadOnlyList<string> tags = registry.TryListTags(repository) ?? throw new RegistryFault(404, DistributionCodes.NameUnknown, $"no repository {route.Repository}");
        IReadOnlyList<string> page = Page(registry, context, tags);
        await RegistryAnswers.WriteAsync(context, new RegistryTags(route.Repository, page), RegistryServerJson.Default.RegistryTags);
    }

    public static async Task CatalogAsync(OciRegistry registry, HttpContext context, RegistryIdentity identity)
    {
        registry.Access.DemandCatalog(context, identity);
        IReadOnlyList<string> page = Page(registry, context, registry.Repositories().Where(name => registry.Access.MaySee(identity, name)));
        await RegistryAnswers.WriteAsync(context, new RegistryCatalog(page), RegistryServerJson.Default.RegistryCatalog);
    }

    // An index made on the spot of the manifests whose subject it is. None is no error.
    public static async Task ReferrersAsync(OciRegistry registry, HttpContext context, RegistryRoute route)
    {
        Digest subject = route.Digest;
        List<Descriptor> referrers = [];
        foreach (Descriptor manifest in registry.Names(route.Repository).Where(n => n.Reference.Tag is null).Select(n => n.Manifest))
        {
            byte[] bytes = await registry.Manifests.ReadAsync(manifest, context.RequestAborted);
            Descriptor? referrer = MediaTypes.IsIndex(manifest.MediaType)
                ? Referrer(manifest, OciJson.ParseIndex(bytes, manifest.MediaType), subject)
                : Referrer(manifest, OciJson.ParseManifest(bytes, manifest.MediaType), subject);
            if (referrer is not null)
            {
                referrers.Add(referrer);
            }
        }
        string? type = context.Request.Query["artifactType"];
        if (!string.IsNullOrEmpty(type))
        {
            referrers.RemoveAll(r => r.ArtifactType != type);
            context.Response.Headers["OCI-Filters-Applied"] = "artifactType";
        }
        await RegistryAnswers.WriteAsync(context, OciJson.Serialize(new ImageIndex([.. referrers]) { MediaType = MediaTypes.OciIndex }), MediaTypes.OciIndex);
    }

    private static Descriptor? Referrer(Descriptor manifest, ImageManifest content, Digest subject) => content.Subject?.Digest == subject
        ? manifest with { ArtifactType = content.ArtifactType ?? content.Config.MediaType, Annotations = content.Annotations }
        : null;

    private static Descriptor? Referrer(Descriptor manifest, ImageIndex content, Digest subject) => content.Subject?.Digest == subject
        ? manifest with { ArtifactType = content.ArtifactType, Annotations = content.Annotations }
        : null;

    private static List<string> Page(OciRegistry registry, HttpContext context, IEnumerable<string> all)
    {
        string? asked = context.Request.Query["n"];
        int most = registry.Options.MaxPage;
        int n = most;
        if (!string.IsNullOrEmpty(asked))
        {
            bool isNumber = long.TryParse(asked, NumberStyles.None, CultureInfo.InvariantCulture, out long number);
            n = isNumber ? (int)Math.Min(number, most) : throw new RegistryFault(400, DistributionCodes.Unsupported, "n= is not a number");
        }
        string last = context.Request.Query["last"].ToString();
        List<string> sorted = [.. all.Where(name => string.CompareOrdinal(name, last) > 0).Order(StringComparer.Ordinal).Take(n + 1)];
        if (sorted.Count > n)
        {
            sorted.RemoveAt(n);
            if (n > 0)
            {
                context.Response.Headers.Link = $"<{context.Request.Path}?n={RegistryEndpoints.Number(n)}&last={Uri.EscapeDataString(sorted[^1])}>; rel=\"next\"";
            }
        }
        return sorted;
    }
}
