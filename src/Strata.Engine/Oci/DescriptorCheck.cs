using System.Buffers.Text;
using System.Collections.Immutable;
using System.Globalization;

namespace Strata.Oci;

/// <summary>What the spec says of descriptors and types cannot: sizes, media types, embedded data, one size per digest.</summary>
internal sealed class DescriptorCheck(string what)
{
    private readonly Dictionary<Digest, long> _sizes = [];
    private int _count;

    public void Add(string field, ImmutableArray<Descriptor> descriptors)
    {
        for (int i = 0; i < descriptors.Length; i++)
        {
            Add(string.Create(CultureInfo.InvariantCulture, $"{field}[{i}]"), descriptors[i]);
        }
    }

    public void Add(string field, Descriptor? descriptor)
    {
        if (descriptor is null)
        {
            return;
        }
        if (++_count > OciJson.MaxDescriptors)
        {
            throw OciJson.Invalid(what, $"more than {OciJson.MaxDescriptors} descriptors");
        }
        string prefix = field.Length == 0 ? "" : field + ".";
        if (!MediaTypes.IsWellFormed(descriptor.MediaType))
        {
            throw OciJson.Invalid(what, $"{prefix}mediaType: '{descriptor.MediaType}' is not a media type");
        }
        if (descriptor.Size < 0)
        {
            throw OciJson.Invalid(what, $"{prefix}size: {descriptor.Size} is negative");
        }
        if (!_sizes.TryAdd(descriptor.Digest, descriptor.Size) && _sizes[descriptor.Digest] != descriptor.Size)
        {
            throw OciJson.Invalid(what, $"{prefix}size: {descriptor.Digest} has {descriptor.Size} bytes here and {_sizes[descriptor.Digest]} elsewhere");
        }
        OciJson.CheckMediaType(what, prefix + "artifactType", descriptor.ArtifactType);
        // What hardly any descriptor has is apart: what it needs of the base library is not loaded for the others.
        if (descriptor.Urls is { } urls)
        {
            CheckUrls(prefix, urls);
        }
        if (descriptor.Data is { } data)
        {
            CheckData(prefix, descriptor, data);
        }
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private void CheckUrls(string prefix, ImmutableArray<string> urls)
    {
        foreach (string url in urls)
        {
            // On Unix "/x" is an absolute URI to .NET: a scheme must be written.
            if (!Uri.TryCreate(url, UriKind.Absolute, out Uri? uri) || !url.StartsWith(uri.Scheme + ":", StringComparison.OrdinalIgnoreCase))
            {
                throw OciJson.Invalid(what, $"{prefix}urls: '{url}' is not a URL");
            }
        }
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private void CheckData(string prefix, Descriptor descriptor, string data)
    {
        byte[] bytes = new byte[Base64.GetMaxDecodedFromUtf8Length(data.Length)];
        if (!Convert.TryFromBase64String(data, bytes, out int length))
        {
            throw OciJson.Invalid(what, $"{prefix}data: not base64");
        }
        if (length != descriptor.Size || !descriptor.Digest.Matches(bytes.AsSpan(0, length)))
        {
            throw OciJson.Invalid(what, $"{prefix}data: is not the content of {descriptor.Digest}");
        }
    }
}

/// <summary>What the spec says of configs and types cannot: times, environment entries, strings the kernel cuts short.</summary>
internal static class ConfigCheck
{
    public static void Check(string what, ImageConfig config)
    {
        CheckTime(what, "created", config.CreatedText);
        for (int i = 0; i < config.History.Length; i++)
        {
            CheckTime(what, string.Create(CultureInfo.InvariantCulture, $"history[{i}].created"), config.History[i].CreatedText);
        }
        if (config.RootFs.Type != "layers")
        {
            throw OciJson.Invalid(what, $"rootfs.type: '{config.RootFs.Type}' is not 'layers'");
        }
        if (config.RootFs.DiffIds.Length > OciJson.MaxDescriptors)
        {
            throw OciJson.Invalid(what, $"rootfs.diff_ids: more than {OciJson.MaxDescriptors} layers");
        }
        if (config.Config is { } run)
        {
            CheckRun(what, run);
        }
    }

    private static void CheckRun(string what, ContainerConfig run)
    {
        foreach (string entry in run.Env ?? [])
        {
            if (entry.IndexOf('=', StringComparison.Ordinal) < 1)
            {
                throw OciJson.Invalid(what, $"config.Env: '{entry}' is not KEY=VALUE");
            }
        }
        CheckNul(what, "User", [run.User ?? ""]);
        CheckNul(what, "WorkingDir", [run.WorkingDir ?? ""]);
        CheckNul(what, "StopSignal", [run.StopSignal ?? ""]);
        CheckNul(what, "Env", run.Env);
        CheckNul(what, "Entrypoint", run.Entrypoint);
        CheckNul(what, "Cmd", run.Cmd);
        CheckNul(what, "Shell", run.Shell);
        CheckNul(what, "OnBuild", run.OnBuild);
        CheckNul(what, "Healthcheck.Test", run.Healthcheck?.Test);
        CheckNul(what, "Volumes", run.Volumes?.Keys);
        CheckNul(what, "ExposedPorts", run.ExposedPorts?.Keys);
    }

    private static void CheckTime(string what, string field, string? text)
    {
        if (text is not null && !Timestamps.TryParse(text, out _))
        {
            throw OciJson.Invalid(what, $"{field}: '{text}' is not a time (RFC 3339)");
        }
    }

    // An argument, a path or a variable ends at its first NUL for the kernel: what is shown and what runs would differ.
    private static void CheckNul(string what, string field, IEnumerable<string>? values)
    {
        if (values?.Any(v => v.Contains('\0', StringComparison.Ordinal)) == true)
        {
            throw OciJson.Invalid(what, $"config.{field}: contains a NUL character");
        }
    }
}
