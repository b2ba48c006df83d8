from pgpool_operator.scaling.settle import SETTLE_SECONDS, saying, settle


def test_what_is_seen_is_said_once_it_has_held() -> None:
    now = saying("room", 0.0)
    now = settle(now, "full", 1.0)
    assert (now.said, now.quiet) == ("room", False)
    now = settle(now, "full", 1.0 + SETTLE_SECONDS)
    assert (now.said, now.quiet) == ("full", True)


def test_what_flickers_is_not_said() -> None:
    now = saying("room", 0.0)
    for second in range(1, 60):
        now = settle(now, "full" if second % 2 else "room", float(second))
        assert now.said == "room"


def test_what_is_seen_in_between_starts_the_time_anew() -> None:
    now = settle(saying("room", 0.0), "full", 1.0)
    now = settle(now, "locked", 9.0)
    assert settle(now, "locked", 12.0).said == "room"
    assert settle(now, "locked", 9.0 + SETTLE_SECONDS).said == "locked"
