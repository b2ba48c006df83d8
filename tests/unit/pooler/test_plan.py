from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from pgpool_pooler.agent.lately import Lately
from pgpool_pooler.agent.plan import (
    AbortBusy,
    Apply,
    Idle,
    Pause,
    Restart,
    Resume,
    Retire,
    Revive,
    Start,
    View,
    decide,
    interrupted,
    over_limit,
    serve_on,
    settled,
    shares,
    shrink,
    still_closing,
)
from pgpool_pooler.contract import Grant, Mode, PoolMode
from pgpool_pooler.engines.base import EngineStatus, Material, Setup

from .builders import config, database, grant, material, monitored, setup, status


def view(granted: Grant, now: Setup | None, open_: dict[str, int] | None = None, **more: object) -> View:
    base = View(grant=granted, material=material("a", "b"), in_force=now, status=status(open_ or {}))
    return replace(base, **more)  # type: ignore[arg-type]


AB = material("a", "b")
RUNNING = setup({"a": 2, "b": 2}, material=AB)


def test_a_granted_pod_starts_its_engine_with_its_shares() -> None:
    step = decide(view(grant({"a": 3, "b": 1}), None))
    assert isinstance(step, Start)
    assert (step.setup.host, step.setup.cap, step.setup.limits) == ("10.0.0.1", 4, {"a": 3, "b": 1})


def test_no_engine_starts_while_backends_of_an_earlier_one_may_exist() -> None:
    step = decide(view(grant({"a": 1}), None, holding=True))
    assert step == Idle("waiting until the backends of the earlier engine are gone")


def test_no_engine_starts_without_connections_because_0_means_unlimited_to_it() -> None:
    assert isinstance(decide(view(grant({}, cap=0), None)), Idle)
    assert isinstance(decide(view(grant({"unknown": 3}), None)), Idle)


def test_an_engine_that_ends_shrinks_whatever_else_there_were_to_do_and_does_nothing_else() -> None:
    busy = {"a": 2, "b": 2}
    for also in ({"restart_needed": True}, {"outage": True}, {}):
        step = shrink(view(grant({"a": 1, "b": 1}), RUNNING, busy, **also))
        assert isinstance(step, Apply)
        assert step.setup.limits == {"a": 1, "b": 1}
    for granted in (grant({"a": 1, "b": 1}, host="10.0.0.2"), grant({}, cap=0), grant({"a": 2, "b": 2})):
        assert shrink(view(granted, RUNNING, busy, outage=True)) == Idle()
    assert shrink(view(grant({"a": 1}), None)) == Idle()


def test_an_engine_that_ends_soon_serves_as_always_but_does_not_restart_and_gives_up_nothing() -> None:
    newer = material("a", "b", config_hash="c2")
    ab = grant({"a": 2, "b": 2})
    assert serve_on(view(ab, RUNNING, material=newer, restart_needed=True)) == Idle()
    assert serve_on(view(ab, RUNNING, outage=True)) == Pause()
    paused = status({}, paused=True)
    assert serve_on(view(ab, RUNNING, status=paused, material=newer, restart_needed=True)) == Resume()
    assert serve_on(view(grant({}, cap=0), RUNNING)) == Idle()
    assert serve_on(view(grant({"a": 2, "b": 2}, mode=Mode.PAUSE), RUNNING)) == Idle()


def test_clients_are_interrupted_by_what_passes_by_itself_and_not_by_what_somebody_ordered() -> None:
    ab = grant({"a": 2, "b": 2})
    paused = status({}, paused=True)
    assert interrupted(view(ab, RUNNING, status=paused))
    assert interrupted(view(ab, RUNNING, outage=True))
    assert interrupted(view(grant({"a": 2, "b": 2}, host="10.0.0.2"), RUNNING))
    assert not interrupted(view(ab, RUNNING))
    assert not interrupted(view(grant({}, cap=0), RUNNING, status=paused))
    assert not interrupted(view(grant({"a": 2, "b": 2}, mode=Mode.PAUSE), RUNNING, status=paused))


def test_a_running_engine_that_does_what_it_should_is_left_alone() -> None:
    assert decide(view(grant({"a": 2, "b": 2}), RUNNING)) == Idle()


def test_cap_0_pauses_a_running_engine() -> None:
    assert decide(view(grant({}, cap=0), RUNNING)) == Pause()
    paused = view(grant({}, cap=0), RUNNING, status=status({"a": 1}, paused=True))
    assert isinstance(decide(paused), Idle)
    assert not settled(paused)
    assert settled(replace(paused, status=status({"a": 0}, paused=True)))


def test_after_cap_0_the_smaller_limits_come_before_resume() -> None:
    paused = status({"a": 0, "b": 0}, paused=True)
    first = decide(view(grant({"a": 1, "b": 1}), RUNNING, status=paused))
    assert isinstance(first, Apply)
    assert first.setup.limits == {"a": 1, "b": 1}
    assert decide(view(grant({"a": 1, "b": 1}), first.setup, status=paused)) == Resume()


def test_mode_pause_pauses_and_counts_when_nothing_is_open() -> None:
    asked = grant({"a": 2, "b": 2}, mode=Mode.PAUSE)
    assert decide(view(asked, RUNNING)) == Pause()
    assert not settled(view(asked, RUNNING, status=status({"a": 1}, paused=True)))
    assert settled(view(asked, RUNNING, status=status({"a": 0}, paused=True)))


def test_an_outage_pauses_and_its_end_resumes() -> None:
    asked = grant({"a": 2, "b": 2})
    assert decide(view(asked, RUNNING, outage=True)) == Pause()
    assert decide(view(asked, RUNNING, status=status({}, paused=True))) == Resume()


def test_a_database_that_is_no_longer_granted_is_closed_before_it_leaves_the_file() -> None:
    asked = grant({"a": 4})
    assert decide(view(asked, RUNNING, {"b": 1})) == Retire("b")
    closing = decide(view(asked, RUNNING, status=status({"a": 2, "b": 1}, retired=frozenset({"b"}))))
    assert isinstance(closing, Apply)
    assert closing.setup.limits == {"a": 2, "b": 0}
    closed = decide(view(asked, closing.setup, status=status({"a": 3, "b": 0}, retired=frozenset({"b"}))))
    assert isinstance(closed, Apply)
    assert closed.setup.limits == {"a": 4}


def test_while_all_is_paused_a_database_that_goes_keeps_its_limit_until_its_connections_are_gone() -> None:
    paused = status({"a": 0, "b": 1}, paused=True)
    assert decide(view(grant({"a": 4}), RUNNING, status=paused, outage=True)) == Idle()
    gone = decide(view(grant({"a": 4}), RUNNING, status=status({"a": 0, "b": 0}, paused=True), outage=True))
    assert isinstance(gone, Apply)
    assert "b" not in gone.setup.limits


def test_a_database_that_comes_back_while_it_is_being_closed_is_opened_again() -> None:
    retired = status({}, retired=frozenset({"b"}), withheld=frozenset({"b"}))
    assert decide(view(grant({"a": 2, "b": 2}), RUNNING, status=retired)) == Revive("b")


def test_a_database_that_was_only_half_revived_is_revived_and_not_settled_before() -> None:
    half = view(grant({"a": 2, "b": 2}), RUNNING, status=status({}, withheld=frozenset({"b"})))
    assert decide(half) == Revive("b")
    assert not settled(half)


def test_a_database_that_was_only_half_retired_is_retired() -> None:
    half = status({}, withheld=frozenset({"b"}))
    assert decide(view(grant({"a": 2}), RUNNING, status=half)) == Retire("b")


def test_what_only_a_start_changes_restarts_the_engine() -> None:
    assert decide(view(grant({"a": 2, "b": 2}), RUNNING, restart_needed=True)) == Restart()


def test_a_move_pauses_then_waits_then_goes() -> None:
    asked = grant({"a": 2, "b": 2}, host="10.0.0.2")
    assert decide(view(asked, RUNNING, {"a": 2})) == Pause()
    waiting = view(asked, RUNNING, status=status({"a": 1}, paused=True))
    assert isinstance(decide(waiting), Idle)
    assert decide(replace(waiting, move_overdue=True)) == AbortBusy()
    gone = decide(replace(waiting, status=status({"a": 0}, paused=True)))
    assert isinstance(gone, Apply)
    assert gone.setup.host == "10.0.0.2"
    assert decide(view(asked, gone.setup, status=status({}, paused=True))) == Resume()


def test_a_move_is_not_settled_while_the_engine_has_the_old_server() -> None:
    assert not settled(view(grant({"a": 2, "b": 2}, host="10.0.0.2"), RUNNING))


def test_a_grant_is_settled_when_every_database_is_at_its_share() -> None:
    asked = grant({"a": 2, "b": 2})
    assert settled(view(asked, RUNNING, {"a": 2, "b": 1}))
    over = view(asked, RUNNING, {"a": 3})
    assert over_limit(over)
    assert not settled(over)
    assert not settled(view(grant({"a": 2, "b": 1}), RUNNING))


def test_a_pod_without_an_engine_obeys_a_grant_of_nothing_and_one_that_takes_away() -> None:
    assert settled(view(grant({}), None))
    assert settled(view(grant({"a": 2}), None, takes_away=True))
    assert not settled(view(grant({"a": 2}), None))


@dataclass
class FakeEngine:
    """Does what it is told at once, and opens or closes connections as hypothesis likes, within its limits."""

    now: Setup | None = None
    open: dict[str, int] = field(default_factory=dict)
    paused: bool = False
    retired: set[str] = field(default_factory=set)
    server: str = ""

    def carry_out(self, step: object) -> None:
        match step:
            case Start(told) | Apply(told):
                assert all(
                    limit > 0 or name in self.retired or self.paused for name, limit in told.limits.items()
                )
                removed = {name for name, count in self.open.items() if count and name not in told.limits}
                assert not removed, f"{removed} left the file with connections open"
                if self.now is not None and told.host != self.now.host:
                    assert not any(self.open.values())
                self.now = told
                self.retired &= set(told.limits)
            case Pause():
                self.paused = True
            case Resume():
                self.paused = False
            case Retire(name):
                self.retired.add(name)
            case Revive(name):
                self.retired.discard(name)

    def live(self, name: str, change: int) -> None:
        if self.now is None:
            return
        count = self.open.get(name, 0)
        if change < 0:
            self.open[name] = max(count + change, 0)
        elif not self.paused and name not in self.retired and name in self.now.limits:
            # 0 in the file means unlimited, so what is rendered is at least 1.
            self.open[name] = max(count, min(count + change, max(self.now.limits[name], 1)))

    def look(self) -> EngineStatus:
        gone = frozenset(self.retired)
        return status(self.open, paused=self.paused, retired=gone, withheld=gone)


grants = st.builds(
    lambda a, b, c, monitor, mode, host: grant(
        {"a": a, "b": b, "c": c, "pgpool_monitor": monitor}, mode=mode, host=host
    ),
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(0, 1),
    st.sampled_from([Mode.SERVE, Mode.SERVE, Mode.PAUSE]),
    st.sampled_from(["10.0.0.1", "10.0.0.1", "10.0.0.2"]),
)
materials = st.sampled_from([material("a", "b"), monitored("a", "b"), material("a", "b", "c"), material("b")])
life = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "pgpool_monitor"]), st.integers(-4, 4)), min_size=1, max_size=6
)


def drive(
    engine: FakeEngine, granted: Grant, pool: Material, outage: bool, moves: list[tuple[str, int]]
) -> None:
    seen = engine.look()
    for name, change in moves:
        engine.live(name, change) if change > 0 else None
    world = View(grant=granted, material=pool, in_force=engine.now, status=seen, outage=outage)
    engine.carry_out(decide(world))
    for name, change in moves:
        engine.live(name, change)


@given(
    script=st.lists(
        st.tuples(grants, materials, st.booleans(), st.lists(life, min_size=1, max_size=8)),
        min_size=1,
        max_size=6,
    )
)
def test_no_sequence_of_grants_makes_the_pod_hold_more_than_the_largest_cap_not_yet_left(
    script: list[tuple[Grant, Material, bool, list[list[tuple[str, int]]]]],
) -> None:
    engine, ceiling = FakeEngine(), 0
    for granted, pool, outage, lives in script:
        ceiling = max(ceiling, granted.servers[0].cap)
        for moves in lives:
            drive(engine, granted, pool, outage, moves)
            assert sum(engine.open.values()) <= ceiling
            world = View(
                grant=granted, material=pool, in_force=engine.now, status=engine.look(), outage=outage
            )
            if settled(world):
                ceiling = granted.servers[0].cap
                assert sum(engine.open.values()) <= ceiling


@given(before=grants, after=grants, pool=materials)
def test_every_grant_is_settled_in_the_end_when_clients_let_go(
    before: Grant, after: Grant, pool: Material
) -> None:
    engine = FakeEngine()
    for granted in (before, after):
        for _ in range(12):
            engine.carry_out(
                decide(View(grant=granted, material=pool, in_force=engine.now, status=engine.look()))
            )
            engine.open = dict.fromkeys(engine.open, 0)
    world = View(grant=after, material=pool, in_force=engine.now, status=engine.look())
    assert settled(world) or (engine.now is None and not shares(world))


def test_a_database_with_too_many_closes_and_is_not_settled_as_long_as_it_has_them() -> None:
    asked = grant({"a": 2, "b": 2})
    step = decide(view(asked, RUNNING, {"a": 3, "b": 2}))
    assert isinstance(step, Apply)
    assert step.setup.closing == {"a"}
    still = view(asked, step.setup, {"a": 3, "b": 2})
    assert decide(still) == Idle()
    assert not settled(still)


def test_at_cap_0_nothing_is_closing_as_all_is_paused() -> None:
    closing = replace(RUNNING, closing=frozenset({"a"}), held_back={"a": 1})
    assert still_closing(view(grant({"a": 2, "b": 2}), closing))
    assert not still_closing(view(grant({}), closing))


def test_where_a_user_has_more_than_his_part_the_engine_is_watched_though_it_closes_nothing_just_now() -> (
    None
):
    assert still_closing(
        view(grant({"a": 2, "b": 2}), RUNNING, status=status({}, overdrawn=frozenset({"a"})))
    )
    assert not still_closing(view(grant({"a": 2, "b": 2}), RUNNING))


def test_a_user_above_his_part_does_not_hold_up_a_grant_that_the_pod_is_within() -> None:
    seen = status({"a": 2}, overdrawn=frozenset({"a"}))
    step = decide(view(grant({"a": 2, "b": 2}), RUNNING, status=seen))
    assert isinstance(step, Apply)
    assert step.setup.closing == {"a"}
    assert settled(view(grant({"a": 2, "b": 2}), step.setup, status=seen))


def test_another_database_grows_only_when_postgresql_has_ended_what_closed() -> None:
    asked, now = grant({"a": 1, "b": 3}), setup({"a": 1, "b": 2}, material=AB, cap=4)
    closed = view(asked, now, {"a": 1, "b": 2}, lately=Lately(open={"a": 2, "b": 2}))
    assert decide(closed) == Idle()
    grown = decide(replace(closed, lately=Lately(open={"a": 1, "b": 2})))
    assert isinstance(grown, Apply)
    assert grown.setup.limits == {"a": 1, "b": 3}


def test_a_change_without_an_answer_is_made_again_and_not_acknowledged_before() -> None:
    asked, now = grant({"a": 2, "b": 2}), RUNNING
    assert decide(view(asked, now, unsure=True)) == Apply(now)
    assert not settled(view(asked, now, unsure=True))
    assert settled(view(asked, now))


def test_a_paused_engine_without_connections_has_given_back_all_whatever_its_limits_are() -> None:
    world = view(grant({}, cap=0), RUNNING, status=status({}, paused=True), unsure=True)
    assert settled(world)


def test_the_monitors_connection_is_a_share_like_any_other() -> None:
    watched = monitored("a")
    asked = grant({"a": 2, "pgpool_monitor": 1})
    step = decide(view(asked, None, material=watched))
    assert isinstance(step, Start)
    assert step.setup.limits == {"a": 2, "pgpool_monitor": 1}
    assert settled(view(asked, step.setup, {"a": 2, "pgpool_monitor": 1}, material=watched))
    assert not settled(view(asked, step.setup, {"a": 2, "pgpool_monitor": 2}, material=watched))


def test_a_monitor_without_a_share_and_a_share_without_a_monitor_stop_nothing() -> None:
    for asked, pool in (
        (grant({"a": 2}), monitored("a")),
        (grant({"a": 2, "pgpool_monitor": 1}), material("a")),
        (grant({"a": 2, "pgpool_monitor": 1}), monitored("a", monitor=None)),
    ):
        step = decide(view(asked, None, material=pool))
        assert isinstance(step, Start)
        assert step.setup.limits == {"a": 2}
        assert settled(view(asked, step.setup, material=pool))


def test_a_monitor_that_is_no_longer_configured_is_closed_like_a_database() -> None:
    now = setup({"a": 2, "pgpool_monitor": 1}, material=monitored("a"))
    asked = grant({"a": 2})
    assert decide(view(asked, now, {"pgpool_monitor": 1}, material=material("a"))) == Retire("pgpool_monitor")


SESSIONS = material(config=config(database("a", PoolMode.SESSION), database("b")))


def test_an_engine_that_was_in_session_mode_counts_as_in_it_until_it_starts_anew() -> None:
    """Its connections live on, and sessions may have reset them."""
    asked = grant({"a": 2, "b": 2})
    in_sessions = setup({"a": 2, "b": 2}, material=SESSIONS)
    assert decide(view(asked, in_sessions, material=SESSIONS)) == Idle()
    left = decide(view(asked, in_sessions))
    assert isinstance(left, Apply)
    assert left.setup.pool_mode is PoolMode.SESSION
    assert decide(view(asked, left.setup)) == Idle()
    smaller = decide(view(grant({"a": 1, "b": 1}), left.setup))
    assert isinstance(smaller, Apply)
    assert smaller.setup.pool_mode is PoolMode.SESSION
    anew = decide(view(asked, None))
    assert isinstance(anew, Start)
    assert anew.setup.pool_mode is PoolMode.TRANSACTION


def test_an_engine_that_comes_back_to_session_mode_is_told_so_once() -> None:
    left = replace(RUNNING, had_sessions=True)
    back = decide(view(grant({"a": 2, "b": 2}), left, material=SESSIONS))
    assert back == Apply(setup({"a": 2, "b": 2}, material=SESSIONS))
