using System.Collections.Immutable;
using Strata.Containers;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata.Build;

/// <summary>RUN: the process of a step, in the step's snapshot, with the network of the host.</summary>
internal sealed class RunWork(RunStep step, StepResult[] inputs, BuildEnvironment environment, BuildSettings settings, IBuildProgress progress) : IStepWork
{
    private readonly RunMounts _mounts = new(step, inputs, environment, settings);

    public ValueTask<Digest?> HashInputsAsync(CancellationToken cancellationToken) => ValueTask.FromResult(_mounts.Hash(cancellationToken));

    public void WriteFiles(TextWriter lines) => _mounts.WriteFiles(lines);

    public async ValueTask<IReadOnlyList<MountPoint>> PrepareAsync(CancellationToken cancellationToken)
    {
        await _mounts.PrepareAsync(cancellationToken).ConfigureAwait(false);
        return _mounts.MountPoints.Count == 0 ? StepRunner.MountPoints : [.. StepRunner.MountPoints, .. _mounts.MountPoints];
    }

    public DateTimeOffset? TimeOf(TimeProvider clock) => clock.GetUtcNow();

    public async ValueTask RunAsync(ActiveSnapshot snapshot, CancellationToken cancellationToken)
    {
        string? folder = step.Program is { } program ? WriteProgram(program) : null;
        try
        {
            await RunAsync(snapshot, folder is null ? [] : [new SpecMount(RunStep.ProgramFolder, "bind", folder, ["rbind", "ro", "nosuid", "nodev"])], cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            if (folder is not null)
            {
                FileSystems.RemoveTree(folder);
            }
        }
    }

    // Everybody may read and run it: the step's user need not be root.
    private string WriteProgram(InlineFile program)
    {
        string folder = environment.Content.Layout.NewIngestPath("program");
        Directory.CreateDirectory(folder);
        File.SetUnixFileMode(folder, (UnixFileMode)0b111_101_101);
        using RootedDirectory root = RootedDirectory.Open(folder);
        using var file = new FileStream(root.CreateFile(program.Name, 0b111_101_101), FileAccess.Write);
        file.Write(System.Text.Encoding.UTF8.GetBytes(program.Content));
        return folder;
    }

    private async ValueTask RunAsync(ActiveSnapshot snapshot, ImmutableArray<SpecMount> mounts, CancellationToken cancellationToken)
    {
        var process = new StepProcess
        {
            Mounts = [.. mounts, .. _mounts.Mounts],
            Snapshots = [.. _mounts.Snapshots],
            Secrets = [.. _mounts.Secrets],
            Agents = [.. _mounts.Agents],
            Hosts = [.. step.Limits.Hosts.Select(h => (h.Address, h.Name))],
            Arguments = step.Arguments,
            Environment = [.. step.Environment, .. step.UnkeyedEnvironment, .. _mounts.Variables],
            WorkingDirectory = step.WorkingDirectory,
            User = step.User,
            Isolation = new IsolationOptions
            {
                Network = step.NoNetwork ? NetworkMode.None : NetworkMode.Host,
                Privileged = step.Insecure,
                SharedMemoryBytes = step.Limits.SharedMemoryBytes ?? new IsolationOptions().SharedMemoryBytes,
                Limits = [.. step.Limits.Limits.Select(l => new SpecRlimit(l.Name, l.Hard, l.Soft))],
            },
        };
        int code;
        var output = new StepOutput(step, progress, isError: false);
        var error = new StepOutput(step, progress, isError: true);
        await using (output.ConfigureAwait(false))
        await using (error.ConfigureAwait(false))
        {
            code = await environment.Runner.RunAsync(snapshot, process, output, error, cancellationToken).ConfigureAwait(false);
        }
        if (code != 0)
        {
            throw new BuildStepException(step.Span, step.Command, code) { Hint = error.HintFor(code) ?? output.HintFor(code) };
        }
    }

    public ValueTask DisposeAsync() => _mounts.DisposeAsync();

    /// <summary>Tells what a process writes, and keeps the end of it for a hint.</summary>
    private sealed class StepOutput(RunStep step, IBuildProgress progress, bool isError) : Stream
    {
        private const int KeptBytes = 4096;
        private readonly byte[] _kept = new byte[KeptBytes];
        private int _length;

        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        internal string? HintFor(int code)
        {
            string text = System.Text.Encoding.UTF8.GetString(_kept, 0, _length);
            return code == 127 ? "the shell did not find a command: is the package that has it installed in the base image?"
                : IsGoneRelease(text)
                ? "the package mirror has no such release any more: it may be past its end of life (archive.debian.org, old-releases.ubuntu.com, vault.centos.org keep old ones)" : null;
        }

        // As apt, yum and dnf say it.
        private static bool IsGoneRelease(string text)
            => (text.Contains("404", StringComparison.Ordinal) && text.Contains("Release", StringComparison.Ordinal))
            || text.Contains("Cannot find a valid baseurl for repo", StringComparison.Ordinal) || text.Contains("Failed to download metadata for repo", StringComparison.Ordinal);

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            progress.Output(step, buffer, isError);
            ReadOnlySpan<byte> tail = buffer.Length > KeptBytes ? buffer[^KeptBytes..] : buffer;
            int keep = Math.Min(_length, KeptBytes - tail.Length);
            _kept.AsSpan(_length - keep, keep).CopyTo(_kept);
            tail.CopyTo(_kept.AsSpan(keep));
            _length = keep + tail.Length;
        }

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Write(buffer.Span);
            return ValueTask.CompletedTask;
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
        public override void Flush() { }
        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
