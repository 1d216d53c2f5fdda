using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Strata.Linux;

namespace Strata.Server.Registry;

/// <summary>
/// Names and passwords of a file in htpasswd's form. A wrong name costs what a wrong password does. What was right is remembered for a while as an
/// HMAC under a key of this process, so that a client of a hundred requests does not cost a hundred hashes.
/// </summary>
#pragma warning disable CA1001 // a semaphore whose handle nobody asks for has nothing to dispose of; it lives as long as the process
internal sealed class Htpasswd
#pragma warning restore CA1001
{
    private const int MostRemembered = 10_000, MostWaiting = 64, MostBcryptBytes = 72;

    // bcrypt's own test vector: for names that are not there in a file that has none at all.
    private const string SomeHash = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";

    private static readonly string[] s_methods = ["$2y$", "$2b$", "$2a$", "$y$", "$gy$", "$7$", "$6$", "$5$"];
    private static readonly TimeSpan s_memory = TimeSpan.FromMinutes(5);

    private readonly ReloadedFile<Dictionary<string, string>> _file;
    private readonly TimeProvider _time;
    private readonly byte[] _key = RandomNumberGenerator.GetBytes(32);
    private readonly ConcurrentDictionary<string, long> _right = new(StringComparer.Ordinal);

    // Hashing is all they can make us do; half of the machine is left to those who are in.
    private readonly SemaphoreSlim _turns = new(Math.Max(1, Environment.ProcessorCount / 2));
    private int _waiting;

    /// <exception cref="StrataException">Invalid: no such file, or an entry that is none, or of a method that guards nothing.</exception>
    public Htpasswd(string path, TimeProvider time, Action<string>? notify)
    {
        _time = time;
        _file = new([path], () => Parse(Encoding.UTF8.GetString(ServerFiles.Read(path)), path), time, notify);
    }

    internal static Dictionary<string, string> Parse(string text, string path)
    {
        Dictionary<string, string> entries = new(StringComparer.Ordinal);
        foreach ((int index, string raw) in text.Split('\n').Index())
        {
            string line = raw.TrimEnd('\r');
            if (line.Trim().Length == 0 || line.StartsWith('#'))
            {
                continue;
            }
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            string where = $"{path}: line {index + 1}";
            if (colon <= 0)
            {
                throw new StrataException(ErrorKind.Invalid, $"{where}: not NAME:HASH");
            }
            string name = line[..colon], hash = line[(colon + 1)..];
            if (!s_methods.Any(m => hash.StartsWith(m, StringComparison.Ordinal)))
            {
                // MD5 ($apr1$), SHA-1 ({SHA}), DES and plain text: guessed at millions a second.
                throw new StrataException(ErrorKind.Invalid, $"{where}: the password of {AccessLog.Escape(name)} is not hashed by a method that guards it") { Hint = $"write it anew with bcrypt: htpasswd -B {path} {AccessLog.Escape(name)}" };
            }
            if (!entries.TryAdd(name, hash))
            {
                throw new StrataException(ErrorKind.Invalid, $"{where}: {AccessLog.Escape(name)} is there twice");
            }
        }
        return entries;
    }

    // bcrypt reads 72 bytes: what is behind them would not count.
    private static bool IsWhole(string password, string hash)
        => !hash.StartsWith("$2", StringComparison.Ordinal) || Encoding.UTF8.GetByteCount(password) <= MostBcryptBytes;

    /// <summary>Whether name and password belong together.</summary>
    /// <exception cref="RegistryFault">429: too many ask at once.</exception>
    public async ValueTask<bool> VerifyAsync(string user, string password, CancellationToken cancellationToken)
    {
        Dictionary<string, string> entries = _file.Value;
        bool isThere = entries.TryGetValue(user, out string? hash);
        hash ??= entries.Values.FirstOrDefault() ?? SomeHash;
        string memory = Convert.ToHexString(HMACSHA256.HashData(_key, Encoding.UTF8.GetBytes($"{user.Length}:{user}{hash}{password}")));
        if (isThere && _right.TryGetValue(memory, out long since) && _time.GetElapsedTime(since) < s_memory)
        {
            return true;
        }
        if (Interlocked.Increment(ref _waiting) > MostWaiting)
        {
            Interlocked.Decrement(ref _waiting);
            throw new RegistryFault(429, DistributionCodes.TooManyRequests, "too many passwords are being checked; try again");
        }
        try
        {
            await _turns.WaitAsync(cancellationToken);
            try
            {
                bool isRight = PasswordHash.Verify(password, hash) && isThere && IsWhole(password, hash);
                if (isRight)
                {
                    Remember(memory);
                }
                return isRight;
            }
            finally
            {
                _turns.Release();
            }
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
    }

    private void Remember(string memory)
    {
        if (_right.Count >= MostRemembered)
        {
            _right.Clear();
        }
        _right[memory] = _time.GetTimestamp();
    }
}
