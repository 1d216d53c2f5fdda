using Strata.Content;
using Strata.Snapshots;

namespace Strata.IntegrationTests.Snapshots;

public sealed class ErofsSnapshotterTests : SnapshotterContract
{
    protected override ISnapshotter Open(StoreLayout layout) => ErofsSnapshotter.Open(layout);
}
