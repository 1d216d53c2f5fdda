using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Strata.Tests")]
[assembly: InternalsVisibleTo("Strata.IntegrationTests")]
