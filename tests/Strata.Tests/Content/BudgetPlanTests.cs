using FsCheck;
using FsCheck.Fluent;
using Strata.Content;
using Xunit;

namespace Strata.Tests.Content;

public sealed class BudgetPlanTests
{
    private static readonly DateTimeOffset s_start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    // A path says its own size: "a=100".
    private static long SizeOf(string path) => long.Parse(path.Split('=')[1], System.Globalization.CultureInfo.InvariantCulture);

    private static BudgetItem Item(BudgetKind kind, string name, int used, string content, string records = "", BudgetHold? hold = null, int depth = 0) => new(kind, name, s_start.AddMinutes(used))
    {
        Content = [.. content.Split(' ', StringSplitOptions.RemoveEmptyEntries)], Records = [.. records.Split(' ', StringSplitOptions.RemoveEmptyEntries)], Hold = hold, Depth = depth,
    };

    private static BudgetItem Image(string name, int used, string content, BudgetHold? hold = null) => Item(BudgetKind.NamedImage, name, used, content, name + "=1", hold);

    private static BudgetItem Step(string name, int used, string content, int depth = 0) => Item(BudgetKind.CacheRecord, name, used, content, name + "=1", depth: depth);

    private static string Choose(long used, long limit, params BudgetItem[] items)
        => string.Join(' ', BudgetPlan.Choose(used, limit, items, SizeOf).Victims.Select(v => $"{v.Item.Name}:{v.Bytes}"));

    [Fact]
    public void Within_its_limit_nothing_goes() => Assert.Equal("", Choose(100, 100, Image("a", 1, "x=99")));

    [Fact]
    public void Cache_goes_before_images_without_names_and_these_before_named_ones_and_each_by_its_last_use()
        => Assert.Equal("s1:11 s2:11 n1:11 n2:11 i1:11 i2:11",
            Choose(1000, 0, Image("i2", 4, "a=10"), Image("i1", 3, "b=10"), Item(BudgetKind.UnnamedImage, "n2", 8, "c=10", "r=1"), Item(BudgetKind.UnnamedImage, "n1", 7, "d=10", "q=1"), Step("s2", 99, "e=10"), Step("s1", 98, "f=10")));

    [Fact]
    public void It_stops_as_soon_as_the_limit_is_kept() => Assert.Equal("a:11", Choose(33, 22, Image("a", 1, "x=10"), Image("b", 2, "y=10"), Image("c", 3, "z=10")));

    [Fact]
    public void Of_an_image_only_what_no_other_has_becomes_free() => Assert.Equal("a:11", Choose(122, 111, Image("a", 1, "base=100 x=10"), Image("b", 2, "base=100 y=10")));

    [Fact]
    public void A_record_whose_layer_an_image_has_goes_with_the_image() => Assert.Equal("step:1 a:101", Choose(103, 50, Step("step", 1, "x=100"), Image("a", 2, "x=100")));

    [Fact]
    public void A_record_whose_layer_stays_is_left_alone() => Assert.Equal("b:11", Choose(115, 104, Step("step", 1, "x=100"), Image("a", 9, "x=100"), Image("b", 2, "y=10")));

    [Fact]
    public void A_base_waits_for_the_images_on_it_and_goes_before_those_used_later()
        => Assert.Equal("app:11 base:101", Choose(124, 20, Image("base", 1, "b=100"), Image("app", 2, "b=100 a=10"), Image("other", 3, "o=10")));

    [Fact]
    public void Images_of_the_same_layers_go_together() => Assert.Equal("a:1 b:101", Choose(102, 10, Image("a", 1, "x=100"), Image("b", 2, "x=100")));

    [Fact]
    public void Of_steps_used_at_the_same_time_the_topmost_goes_first() => Assert.Equal("top:11 low:11", Choose(22, 0, Step("low", 1, "l=10", depth: 1), Step("top", 1, "t=10", depth: 2)));

    [Fact]
    public void A_step_that_made_no_layer_goes_in_its_turn() => Assert.Equal("test:1", Choose(12, 11, Step("test", 1, ""), Image("a", 2, "x=10")));

    [Fact]
    public void Names_that_free_next_to_nothing_go_only_where_that_is_enough()
    {
        BudgetItem held = Image("held", 1, "x=100", BudgetHold.Container);
        Assert.Equal("same:1", Choose(102, 101, held, Image("same", 2, "x=100")));
        Assert.Equal("", Choose(102, 50, held, Image("same", 2, "x=100")));
    }

    [Theory]
    [InlineData(BudgetHold.Container)]
    [InlineData(BudgetHold.Pin)]
    [InlineData(BudgetHold.InUse)]
    [InlineData(BudgetHold.Recent)]
    public void What_is_held_stays_and_is_accounted_for(BudgetHold hold)
    {
        BudgetPlan plan = BudgetPlan.Choose(112, 10, [Image("a", 1, "x=100", hold), Image("b", 2, "y=10")], SizeOf);
        Assert.Equal(["b"], plan.Victims.Select(v => v.Item.Name));
        Assert.Equal(101, plan.UsedBytes);
        Assert.Equal([KeyValuePair.Create(hold, 101L)], plan.Held);
    }

    [Fact]
    public void What_two_hold_is_the_stronger_ones()
    {
        BudgetPlan plan = BudgetPlan.Choose(200, 10, [Image("young", 1, "x=100 y=10", BudgetHold.Recent), Image("used", 2, "x=100", BudgetHold.Container)], SizeOf);
        Assert.Equal([KeyValuePair.Create(BudgetHold.Container, 101L), KeyValuePair.Create(BudgetHold.Recent, 11L)], plan.Held);
    }

    private static readonly Gen<BudgetItem> s_item =
        from kind in Gen.Elements(BudgetKind.CacheRecord, BudgetKind.UnnamedImage, BudgetKind.NamedImage, BudgetKind.NamedImage, BudgetKind.Holder)
        from used in Gen.Choose(0, 20)
        from content in Gen.Choose(0, 4).SelectMany(n => Gen.Choose(0, 12).Select(p => $"layer{p}={p * 7}").ArrayOf(n))
        from own in Gen.Choose(0, 100_000)
        from hold in Gen.Frequency((3, Gen.Constant((BudgetHold?)null)), (1, Gen.Elements<BudgetHold?>(BudgetHold.Container, BudgetHold.Pin, BudgetHold.InUse, BudgetHold.Recent)))
        select new BudgetItem(kind, $"i{own}", s_start.AddHours(used)) { Content = [.. content.Distinct()], Records = [$"record{own}={own % 5}"], Hold = kind == BudgetKind.Holder ? BudgetHold.Container : hold };

    private static IEnumerable<string> PathsOf(IEnumerable<BudgetItem> items) => items.SelectMany(i => i.Content.Concat(i.Records)).Distinct();

    [Fact]
    public void The_limit_is_kept_unless_it_cannot_be_and_what_is_held_stays()
    {
        Gen<(BudgetItem[] Items, int Other, int Limit)> cases =
            from count in Gen.Choose(0, 15)
            from items in s_item.ArrayOf(count)
            from other in Gen.Choose(0, 50)
            from limit in Gen.Choose(0, 500)
            select (items, other, limit);
        Prop.ForAll(cases.ToArbitrary(), test =>
        {
            BudgetItem[] items = [.. test.Items.DistinctBy(i => i.Name)];
            long used = test.Other + PathsOf(items).Sum(SizeOf);
            BudgetPlan plan = BudgetPlan.Choose(used, test.Limit, items, SizeOf);
            BudgetItem[] gone = [.. plan.Victims.Select(v => v.Item)], left = [.. items.Except(gone)], held = [.. items.Where(i => i.Hold is not null)];
            long after = test.Other + PathsOf(left).Sum(SizeOf), least = test.Other + PathsOf(held).Sum(SizeOf);
            bool isSpared = gone.All(i => i.Hold is null && i.Kind != BudgetKind.Holder) && gone.Distinct().Count() == gone.Length;
            bool isExact = plan.UsedBytes == after && used - plan.Victims.Sum(v => v.Bytes) == after;
            // The whole of what may go is only named in vain where it would not have been enough.
            bool isKept = after <= test.Limit || least > test.Limit;
            bool isFrugal = used > test.Limit || gone.Length == 0;
            return isSpared && isExact && isKept && isFrugal;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));
    }
}
