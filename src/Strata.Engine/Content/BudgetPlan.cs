using System.Collections.Immutable;

namespace Strata.Content;

/// <summary>What may go when a store is over its limit, in the order in which it goes.</summary>
public enum BudgetKind
{
    /// <summary>The result of a build step.</summary>
    CacheRecord,
    /// <summary>An image without a name.</summary>
    UnnamedImage,
    /// <summary>An image with names: all of them go at once.</summary>
    NamedImage,
    /// <summary>Never goes; stands for what it holds.</summary>
    Holder,
}

/// <summary>Why something does not go, the strongest reason first.</summary>
public enum BudgetHold
{
    /// <summary>A container, running or stopped, is made of it.</summary>
    Container,
    /// <summary>Its owner has pinned it.</summary>
    Pin,
    /// <summary>A process is using it, or this one just has.</summary>
    InUse,
    /// <summary>It was used within the time that <c>gc.keep</c> says.</summary>
    Recent,
}

/// <summary>Something that takes space in the store.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Name">What people call it.</param>
/// <param name="LastUsed">When it was used.</param>
public sealed record BudgetItem(BudgetKind Kind, string Name, DateTimeOffset LastUsed)
{
    /// <summary>Why it does not go; null where it may.</summary>
    public BudgetHold? Hold { get; init; }
    /// <summary>What it is there for, and may share with others: layers, packed and unpacked, by their paths.</summary>
    public ImmutableArray<string> Content { get; init; } = [];
    /// <summary>What comes along: names, records, documents. Alone they are not worth an image.</summary>
    public ImmutableArray<string> Records { get; init; } = [];
    /// <summary>How many layers it stands on: of those used at the same time the topmost goes first, for the others are worth more.</summary>
    public int Depth { get; init; }
    /// <summary>What its maker needs to remove it; nothing to the plan.</summary>
    internal object? Tag { get; init; }
}

/// <summary>Something that goes, and the bytes on disk that become free when it goes after those before it.</summary>
public sealed record BudgetVictim(BudgetItem Item, long Bytes);

/// <summary>What has to go so that a store stays within its limit.</summary>
/// <param name="Victims">In order.</param>
/// <param name="UsedBytes">What the store takes when they are gone.</param>
public sealed record BudgetPlan(ImmutableArray<BudgetVictim> Victims, long UsedBytes)
{
    /// <summary>Bytes on disk of what stays, by the strongest reason why it does.</summary>
    public ImmutableSortedDictionary<BudgetHold, long> Held { get; init; } = ImmutableSortedDictionary<BudgetHold, long>.Empty;

    /// <summary>
    /// Chooses, least recently used first within a kind, until <paramref name="usedBytes"/> is at most <paramref name="limitBytes"/>. Whatever would free none
    /// of its content, because others have the same layers, waits: it goes with the last of those others, or once that is gone. Does no I/O.
    /// </summary>
    /// <param name="usedBytes">What the whole store takes.</param>
    /// <param name="limitBytes">What it may take.</param>
    /// <param name="items">All that takes space, also what must stay.</param>
    /// <param name="sizeOf">Bytes on disk of a path of an item.</param>
    public static BudgetPlan Choose(long usedBytes, long limitBytes, IEnumerable<BudgetItem> items, Func<string, long> sizeOf)
    {
        ArgumentNullException.ThrowIfNull(items);
        ArgumentNullException.ThrowIfNull(sizeOf);
        return new Choice(usedBytes, limitBytes, [.. items], sizeOf).Run();
    }

    private sealed class Choice(long usedBytes, long limitBytes, IReadOnlyList<BudgetItem> items, Func<string, long> sizeOf)
    {
        private readonly Dictionary<string, int> _users = new(StringComparer.Ordinal); // of each path, among those that are not gone
        private readonly Dictionary<string, int> _waitingUsers = new(StringComparer.Ordinal); // of these, among those that wait
        private readonly List<BudgetItem> _waiting = [];
        private readonly ImmutableArray<BudgetVictim>.Builder _victims = ImmutableArray.CreateBuilder<BudgetVictim>();
        private readonly HashSet<BudgetItem> _gone = new(ReferenceEqualityComparer.Instance);
        private long _used = usedBytes;

        private bool IsOver => _used > limitBytes;

        internal BudgetPlan Run()
        {
            foreach (string path in items.SelectMany(PathsOf))
            {
                _users[path] = _users.GetValueOrDefault(path) + 1;
            }
            foreach (BudgetItem item in items.Where(i => i.Hold is null && i.Kind != BudgetKind.Holder).OrderBy(i => i.Kind).ThenBy(i => i.LastUsed).ThenByDescending(i => i.Depth).ThenBy(i => i.Name, StringComparer.Ordinal))
            {
                if (!IsOver)
                {
                    break;
                }
                if (TryTake(item))
                {
                    TakeWaiting();
                }
            }
            TakeRecords();
            return new BudgetPlan(_victims.DrainToImmutable(), _used) { Held = Explain() };
        }

        private static IEnumerable<string> PathsOf(BudgetItem item) => item.Content.Concat(item.Records);

        // Alone where that frees content; with those that wait for the same content; else it waits as well.
        private bool TryTake(BudgetItem item)
        {
            if (item.Content.IsEmpty || item.Content.Any(p => _users[p] == 1))
            {
                Take(item);
                return true;
            }
            HashSet<string> common = [.. item.Content.Where(p => _users[p] - _waitingUsers.GetValueOrDefault(p) == 1)];
            if (common.Count == 0)
            {
                _waiting.Add(item);
                Count(item, _waitingUsers, 1);
                return false;
            }
            foreach (BudgetItem other in _waiting.Where(w => w.Content.Any(common.Contains)).ToList())
            {
                Leave(other);
                Take(other);
            }
            Take(item);
            return true;
        }

        // Something went: what waited for it may be worth going now, and is older than what comes next.
        private void TakeWaiting()
        {
            for (bool again = true; again && IsOver;)
            {
                again = false;
                foreach (BudgetItem item in _waiting.ToList())
                {
                    if (IsOver && _waiting.Contains(item))
                    {
                        Leave(item);
                        again |= TryTake(item);
                    }
                }
            }
        }

        // Names and documents alone: only where that is enough. Else the limit is not reached anyhow, and a name is worth more than its bytes.
        private void TakeRecords()
        {
            long possible = _waitingUsers.Where(p => p.Value == _users[p.Key]).Sum(p => sizeOf(p.Key));
            if (_used - possible > limitBytes)
            {
                return;
            }
            foreach (BudgetItem item in _waiting.OrderBy(i => i.Kind).ThenBy(i => i.LastUsed).ToList())
            {
                if (IsOver)
                {
                    Leave(item);
                    Take(item);
                }
            }
        }

        private void Take(BudgetItem item)
        {
            Count(item, _users, -1);
            long bytes = PathsOf(item).Where(p => _users[p] == 0).Sum(sizeOf);
            _used -= bytes;
            _gone.Add(item);
            _victims.Add(new BudgetVictim(item, bytes));
        }

        private void Leave(BudgetItem item)
        {
            _waiting.Remove(item);
            Count(item, _waitingUsers, -1);
        }

        private static void Count(BudgetItem item, Dictionary<string, int> users, int change)
        {
            foreach (string path in PathsOf(item))
            {
                users[path] = users.GetValueOrDefault(path) + change;
            }
        }

        private ImmutableSortedDictionary<BudgetHold, long> Explain()
        {
            var counted = new HashSet<string>(StringComparer.Ordinal);
            ImmutableSortedDictionary<BudgetHold, long>.Builder held = ImmutableSortedDictionary.CreateBuilder<BudgetHold, long>();
            foreach (BudgetItem item in items.Where(i => i.Hold is not null && !_gone.Contains(i)).OrderBy(i => i.Hold))
            {
                held[item.Hold!.Value] = held.GetValueOrDefault(item.Hold.Value) + PathsOf(item).Where(counted.Add).Sum(sizeOf);
            }
            return held.ToImmutable();
        }
    }
}
