using Xunit;

namespace Strata.IntegrationTests.Seeds;

/// <summary>Rows C of the checklist: the four operations of copy-on-write.</summary>
public sealed class CopyOnWriteSeeds(SeedStore store)
{
    [Fact]
    public void C1_a_read_is_answered_by_the_topmost_layer_that_has_the_path()
    {
        store.Build("c1", $"FROM {store.Busybox}\nRUN echo low >/p\nRUN echo middle >/p\nRUN echo top >/p\nRUN echo other >/q\n").Ok();
        Assert.Equal("top\n", store.Run("run", "--rm", "c1", "cat", "/p").Ok().Out);
        string[] layers = store.Layers("c1");
        Outcome where = store.Run("where", "c1", "/p").Ok();
        Assert.Contains(layers[3][7..19], where.Out, StringComparison.Ordinal);
        string container = store.Run("create", "c1").Ok().Out.Trim();
        Assert.Contains(layers[3][7..19], store.Run("where", container, "/p").Ok().Out, StringComparison.Ordinal);
        store.Run("rm", container).Ok();
    }

    [Fact]
    public void C2_a_change_is_made_to_a_copy_in_the_container_layer()
    {
        store.Build("c2", $"FROM {store.Busybox}\nRUN echo old >/etc/hosts2\n").Ok();
        store.Run("run", "--name", "c2a", "c2", "sh", "-c", "echo y >>/etc/hosts2").Ok();
        Assert.Equal(["C /etc", "C /etc/hosts2"], store.Run("diff", "c2a").Ok().Lines);
        Assert.Equal("old\n", store.Run("run", "--rm", "c2", "cat", "/etc/hosts2").Ok().Out);
        store.Run("rm", "c2a").Ok();
    }

    [Fact]
    public void C3_a_deletion_is_recorded_in_the_container_layer()
    {
        store.Build("c3", $"FROM {store.Busybox}\nRUN echo x >/etc/x\n").Ok();
        store.Run("run", "--name", "c3a", "c3", "rm", "/etc/x").Ok();
        Assert.Equal(["C /etc", "D /etc/x"], store.Run("diff", "c3a").Ok().Lines);
        Assert.Equal("x\n", store.Run("run", "--rm", "c3", "cat", "/etc/x").Ok().Out);
        store.Run("rm", "c3a").Ok();
    }

    [Fact]
    public void C4_a_new_file_goes_straight_into_the_container_layer()
    {
        store.Run("run", "--name", "c4a", store.Busybox, "touch", "/n").Ok();
        Assert.Equal(["A /n"], store.Run("diff", "c4a").Ok().Lines);
        store.Run("run", "--rm", store.Busybox, "test", "!", "-e", "/n").Ok();
        store.Run("rm", "c4a").Ok();
    }

    [Fact]
    public void C5_deletion_never_makes_an_image_smaller()
    {
        store.Build("c5", $"FROM {store.Debian}\nRUN rm -rf /usr/share/doc\n").Ok();
        Assert.True(long.Parse(store.Inspect("c5", "{{.Size}}"), null) >= long.Parse(store.Inspect(store.Debian, "{{.Size}}"), null));
        Assert.Equal("gone\n", store.Run("run", "--rm", "c5", "sh", "-c", "test -e /usr/share/doc/apt || echo gone").Ok().Out);
    }

    [Fact]
    public void C6_containers_do_not_disturb_each_other()
    {
        string box = store.Busybox;
        store.Run("create", "--name", "c6a", box, "sh", "-c", "[ -e /who ] || echo a >/who; cat /who").Ok();
        store.Run("create", "--name", "c6b", box, "sh", "-c", "[ -e /who ] || echo b >/who; cat /who").Ok();
        foreach (string _ in new[] { "first run", "second run" })
        {
            Assert.Equal("a\n", store.Run("start", "-a", "c6a").Ok().Out);
            Assert.Equal("b\n", store.Run("start", "-a", "c6b").Ok().Out);
        }
        store.Run("rm", "c6a", "c6b").Ok();
    }

    [Fact]
    public void C7_whatever_a_container_destroys_the_next_one_is_intact()
    {
        string files = store.Run("run", "--rm", store.Debian, "sh", "-c", "find /usr | wc -l").Ok().Out;
        store.Run("run", "--rm", store.Debian, "rm", "-rf", "/usr").Ok();
        Assert.Equal(files, store.Run("run", "--rm", store.Debian, "sh", "-c", "find /usr | wc -l").Ok().Out);
    }
}
