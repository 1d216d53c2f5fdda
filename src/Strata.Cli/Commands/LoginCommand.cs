using System.Text;
using Strata.Cli.Syntax;
using Strata.Distribution;
using Strata.Linux;

namespace Strata.Cli.Commands;

/// <summary><c>strata login</c> and <c>strata logout</c>, in Docker's words.</summary>
internal static class LoginCommand
{
    // Longer than any password or token.
    private const int MostInput = 64 << 10;

    internal static Command Create(CommandContext context)
    {
        Argument<string?> server = Options.Maybe("SERVER", "host and port of the registry; Docker Hub where none is given");
        Option<string?> user = Options.Value("--username", "NAME", "user name", "-u");
        Option<string?> password = Options.Value("--password", "PASSWORD", "password; others see it in the list of processes", "-p");
        Option<bool> standardInput = Options.Flag("--password-stdin", "read the password from standard input");
        Option<string?> pin = Options.Value("--pin", "FINGERPRINT", "trust exactly the certificate with this fingerprint (sha256:…), whoever vouches for it");
        var command = new Command("login") { server, user, password, standardInput, pin };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var asked = new Asked(LoginFile.KeyOf(parsed.GetValue(server)), parsed.GetValue(user), parsed.GetValue(password), parsed.GetValue(standardInput));
            if (parsed.GetValue(pin) is { } fingerprint && await PinAsync(context, asked, fingerprint, cancellationToken))
            {
                return 0;
            }
            await LogInAsync(context, asked, cancellationToken);
            return 0;
        });
        return command;
    }

    internal static Command CreateLogout(CommandContext context)
    {
        Argument<string?> server = Options.Maybe("SERVER", "host and port of the registry; Docker Hub where none is given");
        Option<bool> pin = Options.Flag("--pin", "forget which certificate is trusted, too");
        var command = new Command("logout") { server, pin };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string key = LoginFile.KeyOf(parsed.GetValue(server));
            if (parsed.GetValue(pin) && await PinFile.OfUser().SetAsync(LoginFile.RegistryOf(key), null, cancellationToken))
            {
                context.Out.WriteLine($"Removing the pinned certificate of {LoginFile.RegistryOf(key)}");
            }
            bool wasThere = await LoginFile.OfUser().RemoveAsync(key, cancellationToken);
            context.Out.WriteLine(wasThere ? $"Removing login credentials for {key}" : $"Not logged in to {key}");
            return 0;
        });
        return command;
    }

    private sealed record Asked(string Key, string? User, string? Password, bool FromStandardInput)
    {
        internal string Registry => LoginFile.RegistryOf(Key);
    }

    // Kept only when the server has shown that certificate. Answers whether that was all there was to do: a registry that asks for no password needs no login.
    private static async Task<bool> PinAsync(CommandContext context, Asked asked, string fingerprint, CancellationToken cancellationToken)
    {
        var tls = new Dictionary<string, TlsFiles> { [asked.Registry] = new() { Pin = PinFile.Normalize(fingerprint) } };
        using var client = new RegistryClient(new RegistryOptions { Configuration = RegistryConfiguration.Empty with { Tls = tls }, Credentials = CredentialStore.Empty });
        bool isOpen = true;
        try
        {
            await client.PingAsync(asked.Registry, cancellationToken);
        }
        catch (StrataException e) when (e.Kind == ErrorKind.Unauthenticated)
        {
            isOpen = false;
        }
        await PinFile.OfUser().SetAsync(asked.Registry, fingerprint, cancellationToken);
        context.Out.WriteLine($"Pinned {PinFile.Normalize(fingerprint)} for {asked.Registry}");
        return isOpen && asked is { User: null, Password: null, FromStandardInput: false };
    }

    private static async Task LogInAsync(CommandContext context, Asked asked, CancellationToken cancellationToken)
    {
        if (asked.Password is not null && asked.FromStandardInput)
        {
            throw new StrataException(ErrorKind.Invalid, "--password and --password-stdin are mutually exclusive");
        }
        if (asked.FromStandardInput && string.IsNullOrEmpty(asked.User))
        {
            throw new StrataException(ErrorKind.Invalid, "Must provide --username with --password-stdin");
        }
        if (asked.Password is not null)
        {
            context.Error.WriteLine("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
        }
        string? password = asked.FromStandardInput ? await ReadPasswordAsync(cancellationToken) : asked.Password;
        if (asked.User is null && password is null && await LogInAgainAsync(context, asked, cancellationToken))
        {
            return;
        }
        Credential credential = await AskAsync(context, asked with { Password = password }, cancellationToken);
        await FinishAsync(context, asked, credential, cancellationToken);
    }

    // Nothing was said, and there is something to try.
    private static async Task<bool> LogInAgainAsync(CommandContext context, Asked asked, CancellationToken cancellationToken)
    {
        string? place = asked.Key.StartsWith(asked.Registry + "/", StringComparison.Ordinal) ? asked.Key[(asked.Registry.Length + 1)..] : null;
        if (await CredentialStore.OfUser().FindAsync(asked.Registry, place, cancellationToken) is not { } known)
        {
            return false;
        }
        context.Out.WriteLine("Authenticating with existing credentials...");
        context.Out.Flush();
        try
        {
            await FinishAsync(context, asked, known, cancellationToken);
            return true;
        }
        catch (StrataException e) when (e.Kind == ErrorKind.Unauthenticated && Terminal.IsTerminal(0))
        {
            context.Error.WriteLine($"Login did not succeed, error: {Output.SafeText.OneLine(e.Message)}");
            return false;
        }
    }

    private static async Task FinishAsync(CommandContext context, Asked asked, Credential credential, CancellationToken cancellationToken)
    {
        Credential kept = await context.Registries.LoginAsync(asked.Registry, credential, cancellationToken);
        LoginFile file = LoginFile.OfUser();
        if (await file.SaveAsync(asked.Key, kept, cancellationToken) is null)
        {
            context.Error.WriteLine($"WARNING! Your credentials are stored unencrypted in '{file.FilePath}'.\nConfigure a credential helper to remove this warning.");
        }
        context.Out.WriteLine("Login Succeeded");
    }

    private static async Task<Credential> AskAsync(CommandContext context, Asked asked, CancellationToken cancellationToken)
    {
        bool isTerminal = Terminal.IsTerminal(0);
        if ((string.IsNullOrEmpty(asked.User) || asked.Password is null) && !isTerminal)
        {
            throw new StrataException(ErrorKind.Invalid, "Cannot perform an interactive login from a non TTY device") { Hint = $"strata login -u NAME --password-stdin {(asked.Key == asked.Registry ? asked.Key : "")} reads the password from standard input" };
        }
        string user = asked.User ?? "";
        if (user.Length == 0)
        {
            user = (await PromptAsync(context, "Username: ", cancellationToken)).Trim();
        }
        string password = asked.Password ?? "";
        if (asked.Password is null)
        {
            using (Terminal.HideInput(0))
            {
                password = await PromptAsync(context, "Password: ", cancellationToken);
                context.Out.WriteLine(); // the one that was typed was not shown
            }
        }
        return user.Length == 0 ? throw new StrataException(ErrorKind.Invalid, "username is empty")
            : password.Length == 0 ? throw new StrataException(ErrorKind.Invalid, "password is empty")
            : new Credential(user, password);
    }

    private static async Task<string> PromptAsync(CommandContext context, string prompt, CancellationToken cancellationToken)
    {
        context.Out.Write(prompt);
        context.Out.Flush();
        return await ReadAsync(stopsAtLine: true, cancellationToken);
    }

    // As docker: one line end behind it is not part of it.
    private static async Task<string> ReadPasswordAsync(CancellationToken cancellationToken)
    {
        string text = await ReadAsync(stopsAtLine: false, cancellationToken);
        return text.Length > 0 ? text : throw new StrataException(ErrorKind.Invalid, "password is empty");
    }

    // Read by a thread of its own: Ctrl-C must not wait for a line that never comes.
    private static async Task<string> ReadAsync(bool stopsAtLine, CancellationToken cancellationToken)
    {
        using var file = new FileStream(new Microsoft.Win32.SafeHandles.SafeFileHandle(0, ownsHandle: false), FileAccess.Read, bufferSize: 0);
        byte[] bytes = await Task.Run(() =>
        {
            var read = new List<byte>();
            for (int next; read.Count < MostInput && (next = file.ReadByte()) >= 0 && !(stopsAtLine && next == '\n');)
            {
                read.Add((byte)next);
            }
            return read.ToArray();
        }, cancellationToken).WaitAsync(cancellationToken);
        string text = Encoding.UTF8.GetString(bytes);
        text = text.EndsWith('\n') ? text[..^1] : text;
        return text.EndsWith('\r') ? text[..^1] : text;
    }
}
