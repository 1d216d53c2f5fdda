using Strata.Cli;

Strata.Linux.Host.SetUmask(0b000_111_111);
return CommandLine.Run(args);
