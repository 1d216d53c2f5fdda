using Strata.Content;
using Strata.Snapshots;

namespace Strata.IntegrationTests.Snapshots;

public sealed class OverlaySnapshotterTests : SnapshotterContract
{
    protected override ISnapshotter Open(StoreLayout layout) => OverlaySnapshotter.Open(layout);
}
