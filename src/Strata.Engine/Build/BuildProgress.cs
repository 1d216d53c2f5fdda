namespace Strata.Build;

/// <summary>How a step ended well.</summary>
public enum StepOutcome
{
    /// <summary>It ran.</summary>
    Done,
    /// <summary>An earlier build's result was used.</summary>
    Cached,
    /// <summary>It is an image, and was there or was unpacked.</summary>
    Opened,
}

/// <summary>Told what a build does. Called from several threads at once.</summary>
public interface IBuildProgress
{
    /// <summary>The plan is made.</summary>
    void Begin(BuildGraph graph);
    /// <summary>A step starts to work.</summary>
    void Started(BuildStep work);
    /// <summary>Why a step has to be done.</summary>
    void Missed(BuildStep work, System.Collections.Immutable.ImmutableArray<MissCause> causes)
    {
    }

    /// <summary>A step's process wrote something.</summary>
    void Output(BuildStep work, ReadOnlySpan<byte> bytes, bool isError);
    /// <summary>A step ended well.</summary>
    void Finished(BuildStep work, TimeSpan elapsed, StepOutcome outcome);
    /// <summary>Something should be known.</summary>
    void Warn(string message);
}
