"""One scenario: faults begin and end by a schedule while clients work, and what PostgreSQL saw is judged."""

import heapq
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from e2e.faults import story
from e2e.faults.fault import Fault
from e2e.faults.moments import Timeline
from e2e.faults.outcome import Outcome, keep
from e2e.faults.recorder import Recorder
from e2e.faults.stage import HOME, PODS, Bound, Stage, require_home
from e2e.faults.writers import Writers, missing
from e2e.judge.application import Record
from e2e.judge.connection_log import Verdict
from e2e.judge.load import Crowd
from e2e.judge.watch import Watched, watched
from e2e.kube import eventually
from e2e.world import BUDGET, USER

CLIENTS = 200
SCRIPT = """BEGIN;
SELECT count(*) FROM generate_series(1, 200) AS g WHERE g % 7 = 3;
SELECT pg_sleep({seconds});
COMMIT;"""
"""Holds a backend for a while and computes little: the machine is needed for the faults."""
_RECENT_LOOKS = 100
_CLIENT_TIMEOUTS = " tcp_user_timeout=5000 keepalives_idle=3 keepalives_interval=1 keepalives_count=3"
"""For clients of a pooler that vanishes: they come back to another one."""


@dataclass(frozen=True)
class Planned:
    """A fault with its time: it begins `at` seconds after the scenario, and lasts `seconds` once it is in force."""

    at: float
    fault: Fault
    seconds: float


@dataclass(frozen=True)
class Scenario:
    """Faults that may overlap."""

    title: str
    again: str
    """The command that plays it again."""
    plan: Sequence[Planned]
    most: int
    """The largest B of the whole time."""
    seconds: float = 0.0
    """Its least length."""
    steady: bool = False
    """Somebody has to be served all the time."""


def alone(fault: Fault) -> Scenario:
    """One fault by itself."""
    plan = [Planned(0.0, fault, fault.seconds)]
    again = f"make faults FAULT={fault.name}"
    return Scenario(fault.name, again, plan, fault.most, steady=not fault.interrupts)


def play(stage: Stage, scenario: Scenario, folder: Path) -> Outcome:
    """Play a scenario; a timeline is left in `folder` where a promise was broken or an error came in between."""
    outcome = Outcome(title=scenario.title, most=scenario.most, steady=scenario.steady)
    recorder = Recorder(stage.kubectl, stage.kubectl.kubeconfig, stage.database.dsn, [USER])
    with recorder as timeline:
        try:
            _play(stage, scenario, timeline, outcome)
        except BaseException as error:
            outcome.error = f"{type(error).__name__}: {error}"
            raise
        finally:
            keep(outcome, folder)
            if outcome.broken():
                told = folder / scenario.title.replace("/", "-")
                story.write(timeline, scenario.title, scenario.again, told, str(outcome.log_peak))
    return outcome


def _play(stage: Stage, scenario: Scenario, timeline: Timeline, outcome: Outcome) -> None:
    dsn = stage.pool.dsn() + _CLIENT_TIMEOUTS
    script = SCRIPT.format(seconds=max(planned.fault.transaction_seconds for planned in scenario.plan))
    stage.bounds.clear()
    stage.occupy_victim()
    with ExitStack() as last, watched(stage.database) as seen, Writers(lambda: dsn) as record:
        # Judged whatever happens, once both have seen all.
        last.callback(_judge, stage, timeline, outcome, seen, record)
        with Crowd(stage.kubectl, "load", dsn, CLIENTS, script, node=HOME) as crowd:
            require_home(stage.kubectl, "load")
            stage.wait_whole()
            _wait_for_load(seen)
            stage.waits.clear()
            broken_at = time.monotonic()
            break_by(scenario, stage, timeline)
            timeline.mark("all faults are over")
            served = len(record.acknowledged)
            whole_since = stage.wait_moved(PODS)
            outcome.whole_after = max(stage.waits)
            outcome.silence = record.silence(broken_at, whole_since)
            timeline.mark("whole again")
            with stage.bounded(BUDGET):
                _wait_for_load(seen)
            outcome.transactions = crowd.stop().transactions
        outcome.served_after = len(record.acknowledged) - served


def _wait_for_load(seen: Watched) -> None:
    """Until the clients want more than the budget gives: fewer would show nothing."""
    looks = seen.samples.busy
    before = len(looks)
    eventually(
        "the clients use all connections", lambda: max(looks[before:][-_RECENT_LOOKS:], default=0) >= BUDGET
    )


def _judge(stage: Stage, timeline: Timeline, outcome: Outcome, seen: Watched, record: Record) -> None:
    log = seen.log
    outcome.log_peak, outcome.sampled_peak = log.peak, seen.samples.peak
    over = [str(each) for each in timeline.backends_over()]
    outcome.over = (
        *timeline.unseen(),
        *over,
        *(words for bound in stage.bounds if (words := _above(bound, log))),
    )
    outcome.acknowledged = len(record.acknowledged)
    outcome.lost = tuple(missing(stage.database, record))


def _above(bound: Bound, log: Verdict) -> str:
    """Words if PostgreSQL's log has more sessions than were allowed for a time, else nothing."""
    peak = log.peak_between(bound.since, bound.until)
    if peak <= bound.most:
        return ""
    return (
        f"{bound.since:%H:%M:%S} to {bound.until:%H:%M:%S}: {peak} sessions by the log, {bound.most} allowed"
    )


def break_by(scenario: Scenario, stage: Stage, timeline: Timeline) -> None:
    """Begin and end a scenario's faults at their times: one that took long to begin lasts as long as any."""
    started = time.monotonic()
    steps = [(started + planned.at, number) for number, planned in enumerate(scenario.plan)]
    heapq.heapify(steps)
    begun: dict[int, ExitStack] = {}
    with ExitStack() as broken:
        while steps:
            at, number = heapq.heappop(steps)
            planned = scenario.plan[number]
            time.sleep(max(0.0, at - time.monotonic()))
            if number in begun:
                begun[number].close()
                timeline.mark(f"{planned.fault.name} ends")
                continue
            timeline.mark(f"{planned.fault.name} begins")
            begun[number] = broken.enter_context(ExitStack())
            begun[number].enter_context(planned.fault.act(stage))
            heapq.heappush(steps, (time.monotonic() + planned.seconds, number))
        time.sleep(max(0.0, started + scenario.seconds - time.monotonic()))
