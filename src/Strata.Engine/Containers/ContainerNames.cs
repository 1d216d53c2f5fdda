using System.Globalization;

namespace Strata.Containers;

/// <summary>Names for containers that were given none: a quality and a rock.</summary>
internal static class ContainerNames
{
    private static readonly string[] s_qualities =
    [
        "ancient", "banded", "bedded", "bright", "broken", "buried", "calm", "carved", "clear", "coarse", "cold", "crossed", "curved", "dark", "deep",
        "dense", "dim", "dry", "dusty", "early", "eastern", "even", "faint", "fine", "firm", "flat", "folded", "fresh", "gentle", "glassy", "golden",
        "grained", "grey", "hard", "hidden", "high", "hollow", "inland", "late", "layered", "level", "light", "lonely", "long", "lower", "massive",
        "mellow", "molten", "mossy", "narrow", "northern", "old", "open", "pale", "patient", "plain", "polished", "proud", "quiet", "rare", "raw",
        "ribbed", "rising", "rough", "rounded", "rugged", "salty", "sandy", "sharp", "silent", "silver", "slanted", "slow", "smooth", "soft", "solid",
        "southern", "spotted", "steady", "steep", "stern", "stony", "strong", "sunken", "tall", "thick", "thin", "tilted", "upper", "veined", "warm",
        "weathered", "western", "wide", "wild", "windy", "young",
    ];
    private static readonly string[] s_rocks =
    [
        "agate", "alabaster", "amber", "amphibolite", "andesite", "anorthosite", "aplite", "arkose", "basalt", "bauxite", "beryl", "breccia", "calcite",
        "chalk", "chert", "clay", "coal", "conglomerate", "coquina", "dacite", "diabase", "diorite", "dolomite", "dunite", "eclogite", "feldspar", "flint",
        "gabbro", "garnet", "gneiss", "granite", "granulite", "gravel", "greywacke", "gypsum", "halite", "hematite", "hornfels", "jade", "jasper",
        "komatiite", "laterite", "limestone", "loess", "magnetite", "marble", "marl", "mica", "migmatite", "mudstone", "mylonite", "norite", "obsidian",
        "olivine", "onyx", "opal", "pegmatite", "peridotite", "phonolite", "phyllite", "porphyry", "pumice", "pyrite", "quartz", "quartzite", "rhyolite",
        "sandstone", "schist", "scoria", "serpentine", "shale", "siltstone", "skarn", "slate", "soapstone", "syenite", "talc", "tephra", "tonalite",
        "topaz", "trachyte", "travertine", "tuff", "turbidite", "zircon",
    ];

    /// <summary>A random name; from the third attempt on with a number, so that a full store still gets one.</summary>
    public static string Create(int attempt)
    {
        string name = $"{s_qualities[Random.Shared.Next(s_qualities.Length)]}_{s_rocks[Random.Shared.Next(s_rocks.Length)]}";
        return attempt < 3 ? name : name + Random.Shared.Next(1_000_000).ToString(CultureInfo.InvariantCulture);
    }
}
