namespace Strata.Server;

/// <summary>
/// What each kind of failure is called outside: the exit code of a command, the status of an HTTP answer, the code of the
/// distribution spec where the request gives no better one. The only place that maps them.
/// </summary>
public static class ErrorTable
{
    /// <summary>Exit code of a command line that could not be understood.</summary>
    public const int UsageExitCode = 2;

    /// <summary>Exit code of a check that ran well and found something.</summary>
    public const int CheckFailedExitCode = 3;

    /// <summary>Exit code of a command that was interrupted (128 + SIGINT).</summary>
    public const int InterruptedExitCode = 130;

    /// <summary>The exit code of a command that failed so.</summary>
    public static int ExitCode(ErrorKind kind) => kind switch
    {
        ErrorKind.Internal or ErrorKind.Invalid or ErrorKind.NotFound or ErrorKind.Conflict or ErrorKind.Unauthenticated or ErrorKind.Denied
            or ErrorKind.Unavailable or ErrorKind.Corrupt or ErrorKind.Unsupported => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
    };

    /// <summary>The status of an HTTP answer. <paramref name="isFromClient"/>: what is corrupt came with the request, and is not ours.</summary>
    public static int HttpStatus(ErrorKind kind, bool isFromClient = true) => kind switch
    {
        ErrorKind.Internal => 500,
        ErrorKind.Invalid => 400,
        ErrorKind.NotFound => 404,
        ErrorKind.Conflict => 409,
        ErrorKind.Unauthenticated => 401,
        ErrorKind.Denied => 403,
        ErrorKind.Unavailable => 503,
        ErrorKind.Corrupt => isFromClient ? 400 : 500,
        ErrorKind.Unsupported => 501,
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
    };

    /// <summary>The code of the distribution spec, where the request gives no better one.</summary>
    public static string DistributionCode(ErrorKind kind) => kind switch
    {
        ErrorKind.Invalid => DistributionCodes.ManifestInvalid,
        ErrorKind.NotFound => DistributionCodes.NameUnknown,
        ErrorKind.Unauthenticated => DistributionCodes.Unauthorized,
        ErrorKind.Conflict or ErrorKind.Denied => DistributionCodes.Denied,
        ErrorKind.Unavailable => DistributionCodes.TooManyRequests,
        ErrorKind.Corrupt => DistributionCodes.DigestInvalid,
        ErrorKind.Unsupported => DistributionCodes.Unsupported,
        ErrorKind.Internal => DistributionCodes.Unknown,
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
    };
}

/// <summary>Error codes of the distribution spec.</summary>
/// <remarks><see href="https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes"/></remarks>
public static class DistributionCodes
{
#pragma warning disable CS1591 // the names and values are the spec's
    public const string BlobUnknown = "BLOB_UNKNOWN";
    public const string BlobUploadInvalid = "BLOB_UPLOAD_INVALID";
    public const string BlobUploadUnknown = "BLOB_UPLOAD_UNKNOWN";
    public const string DigestInvalid = "DIGEST_INVALID";
    public const string ManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN";
    public const string ManifestInvalid = "MANIFEST_INVALID";
    public const string ManifestUnknown = "MANIFEST_UNKNOWN";
    public const string NameInvalid = "NAME_INVALID";
    public const string NameUnknown = "NAME_UNKNOWN";
    public const string SizeInvalid = "SIZE_INVALID";
    public const string Unauthorized = "UNAUTHORIZED";
    public const string Denied = "DENIED";
    public const string Unsupported = "UNSUPPORTED";
    public const string TooManyRequests = "TOOMANYREQUESTS";
    public const string Unknown = "UNKNOWN";
#pragma warning restore CS1591
}
