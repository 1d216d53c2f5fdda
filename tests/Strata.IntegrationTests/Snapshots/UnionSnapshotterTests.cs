using Strata.Content;
using Strata.Snapshots;

namespace Strata.IntegrationTests.Snapshots;

public sealed class UnionSnapshotterTests : SnapshotterContract
{
    protected override ISnapshotter Open(StoreLayout layout) => UnionSnapshotter.Open(layout);
}
