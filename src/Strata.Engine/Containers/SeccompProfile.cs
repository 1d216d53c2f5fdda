using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Strata.Containers;

/// <summary>
/// Reads filters as Docker's profiles are written (moby, profiles/seccomp): names, actions and conditions as the runtime spec has them, and rules
/// that count for some capabilities, processors or kernels only (<c>includes</c>, <c>excludes</c>).
/// </summary>
internal static class SeccompProfile
{
    /// <summary>The profile as the runtime takes it.</summary>
    /// <exception cref="StrataException">Invalid: it is no profile.</exception>
    public static SpecSeccomp Read(string json, IReadOnlyCollection<string> capabilities, ImmutableArray<string> architectures)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            JsonElement root = document.RootElement;
            ImmutableArray<SpecSyscall>.Builder rules = ImmutableArray.CreateBuilder<SpecSyscall>();
            foreach (JsonElement rule in root.TryGetProperty("syscalls", out JsonElement calls) && calls.ValueKind == JsonValueKind.Array ? calls.EnumerateArray() : default)
            {
                if (Counts(rule, capabilities))
                {
                    rules.Add(ReadRule(rule));
                }
            }
            return new SpecSeccomp(root.GetProperty("defaultAction").GetString()!, Number(root, "defaultErrnoRet"), ReadArchitectures(root) ?? architectures, rules.DrainToImmutable());
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new StrataException(ErrorKind.Invalid, $"seccomp profile: {e.Message}", e);
        }
    }

    private static SpecSyscall ReadRule(JsonElement rule)
    {
        ImmutableArray<string> names = Strings(rule, "names") is { Length: > 0 } several ? several : [rule.GetProperty("name").GetString()!];
        ImmutableArray<SpecSyscallArg> conditions = rule.TryGetProperty("args", out JsonElement args) && args.ValueKind == JsonValueKind.Array
            ? [.. args.EnumerateArray().Select(a => new SpecSyscallArg(a.GetProperty("index").GetInt32(), a.GetProperty("value").GetUInt64(), a.GetProperty("op").GetString()!)
            {
                ValueTwo = a.TryGetProperty("valueTwo", out JsonElement two) ? two.GetUInt64() : null,
            })] : [];
        return new SpecSyscall(names, rule.GetProperty("action").GetString()!) { ErrnoRet = Number(rule, "errnoRet"), Args = conditions.IsEmpty ? null : conditions };
    }

    private static bool Counts(JsonElement rule, IReadOnlyCollection<string> capabilities)
    {
        if (rule.TryGetProperty("includes", out JsonElement includes) && includes.ValueKind == JsonValueKind.Object
            && ((Strings(includes, "caps") is { Length: > 0 } needed && !needed.All(capabilities.Contains)) || (Strings(includes, "arches") is { Length: > 0 } arches && !arches.Contains(Own)) || IsNewer(includes)))
        {
            return false;
        }
        return !rule.TryGetProperty("excludes", out JsonElement excludes) || excludes.ValueKind != JsonValueKind.Object
            || !((Strings(excludes, "caps") is { Length: > 0 } unwanted && unwanted.Any(capabilities.Contains)) || Strings(excludes, "arches").Contains(Own));
    }

    private static bool IsNewer(JsonElement includes)
        => includes.TryGetProperty("minKernel", out JsonElement minimum) && Version.TryParse(minimum.GetString(), out Version? needed)
            && Version.TryParse(string.Join('.', Linux.Host.KernelRelease.Split('.', '-').Take(2)), out Version? running) && running < needed;

    private static string Own => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? "arm64" : "amd64";

    private static ImmutableArray<string>? ReadArchitectures(JsonElement root)
    {
        if (Strings(root, "architectures") is { Length: > 0 } plain)
        {
            return plain;
        }
        string native = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64";
        foreach (JsonElement map in root.TryGetProperty("archMap", out JsonElement maps) && maps.ValueKind == JsonValueKind.Array ? maps.EnumerateArray() : default)
        {
            if (map.GetProperty("architecture").GetString() == native)
            {
                return [native, .. Strings(map, "subArchitectures")];
            }
        }
        return null;
    }

    private static ImmutableArray<string> Strings(JsonElement value, string name)
        => value.TryGetProperty(name, out JsonElement list) && list.ValueKind == JsonValueKind.Array ? [.. list.EnumerateArray().Select(s => s.GetString()!)] : [];

    private static int? Number(JsonElement value, string name) => value.TryGetProperty(name, out JsonElement number) && number.ValueKind == JsonValueKind.Number ? number.GetInt32() : null;
}
