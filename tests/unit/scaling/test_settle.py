from pgpool_operator.scaling.settle import SETTLE_SECONDS, Settled, settle


def test_the_first_look_is_said_at_once() -> None:
    assert settle(None, "full", 0.0) == Settled("full")


def test_what_is_seen_is_said_once_it_has_held() -> None:
    now = settle(Settled("room"), "full", 1.0)
    assert (now.said, now.quiet) == ("room", False)
    now = settle(now, "full", 1.0 + SETTLE_SECONDS)
    assert (now.said, now.quiet) == ("full", True)


def test_what_flickers_is_not_said() -> None:
    now = Settled("room")
    for second in range(1, 60):
        now = settle(now, "full" if second % 2 else "room", float(second))
        assert now.said == "room"


def test_what_is_not_so_any_more_is_not_said_for_ever_though_what_is_so_changes() -> None:
    now = Settled("room")
    for second in range(1, 13):
        now = settle(now, "full" if second % 2 else "locked", float(second))
    assert now.said in ("full", "locked")
