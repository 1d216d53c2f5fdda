namespace Strata.AheadOfTime;

/// <summary>
/// Says which generic code is to be compiled ahead. The ahead-of-time compiler finds the instantiations of generic methods by following calls; those that are shared
/// by all reference types are called through tables it does not follow: the frames of asynchronous methods that return objects, LINQ over tuples, comparers. Each
/// would be compiled at every start (a pull did it 430 times). This writes a profile that names them (MIBC, what <c>crossgen2 --mibc</c> takes): the frames are
/// found in the assemblies themselves, the others stand in methods.txt, which eng/ahead-of-time.sh makes anew from what a run still compiles. Before that it looks
/// whether the trimmer has left them whole (<see cref="TrimCheck"/>).
/// </summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        if (args.Length != 4)
        {
            Console.Error.WriteLine("usage: AheadOfTime METHODS.TXT FOLDER-OF-ASSEMBLIES LIST-OF-UNTRIMMED OUT.MIBC");
            return 2;
        }
        string[] files = Directory.GetFiles(args[1], "*.dll");
        string[] lost = [.. TrimCheck.FindLost(files, File.ReadLines(args[2]).Where(l => l.Length > 0))];
        if (lost.Length > 0)
        {
            Console.Error.WriteLine($"the trimmer has lost a finally in {string.Join(", ", lost)}: --disable-opt ipconstprop ASSEMBLY in Strata.Cli.csproj leaves it");
            return 1;
        }
        var assemblies = new AssemblySet(files);
        var profile = new ProfileWriter(assemblies);
        int unknown = 0;
        foreach (MethodName method in AsyncFrames.Of(assemblies).Concat(File.ReadLines(args[0]).Where(l => l.Length > 0).Select(MethodName.Parse)))
        {
            unknown += profile.TryAdd(method) ? 0 : 1;
        }
        profile.Save(args[3]);
        Console.WriteLine($"{profile.Count} generic methods are compiled ahead; {unknown} of the list are not in these assemblies");
        return 0;
    }
}
