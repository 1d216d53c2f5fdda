using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Strata.Linux;

/// <summary>crypt_r(3) of libxcrypt: bcrypt, yescrypt, sha512crypt and what else the machine's library has.</summary>
public static unsafe partial class PasswordHash
{
    // struct crypt_data of libxcrypt (crypt.h): "32768 bytes", whatever the method.
    private const int CryptDataBytes = 32768;
    private const int MaxPasswordBytes = 512; // CRYPT_MAX_PASSPHRASE_SIZE

    [LibraryImport("libcrypt.so.1", SetLastError = true)]
    private static partial byte* crypt_r(byte* phrase, byte* setting, void* data);

    /// <summary>Whether the password has this hash. Takes as long as the hash's method does: a tenth of a second is usual.</summary>
    /// <exception cref="LinuxException">EINVAL: no hash of a method that the library knows.</exception>
    public static bool Verify(string password, string hash)
    {
        ArgumentNullException.ThrowIfNull(password);
        ArgumentNullException.ThrowIfNull(hash);
        byte[] phrase = Encoding.UTF8.GetBytes(password + '\0'), setting = Encoding.ASCII.GetBytes(hash + '\0');
        // What crypt would cut off at a NUL, or refuse, is no password of anybody; it costs what another would.
        bool isFit = phrase.Length <= MaxPasswordBytes && Array.IndexOf(phrase, (byte)0) == phrase.Length - 1;
        void* data = NativeMemory.AllocZeroed(CryptDataBytes);
        try
        {
            fixed (byte* phraseStart = isFit ? phrase : "\0"u8.ToArray())
            fixed (byte* settingStart = setting)
            {
                byte* made = crypt_r(phraseStart, settingStart, data);
                // '*' starts what is no hash (crypt(5), failure tokens).
                if (made is null || *made == (byte)'*')
                {
                    throw new LinuxException("crypt", "(a password)", Errno.EINVAL);
                }
                ReadOnlySpan<byte> actual = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(made);
                return CryptographicOperations.FixedTimeEquals(actual, setting.AsSpan(0, setting.Length - 1)) && isFit;
            }
        }
        finally
        {
            new Span<byte>(data, CryptDataBytes).Clear();
            NativeMemory.Free(data);
            CryptographicOperations.ZeroMemory(phrase);
        }
    }
}
