using Strata.Cli;

Strata.Linux.Host.SetUmask(0b000_111_111);
return await CommandLine.RunAsync(args);
