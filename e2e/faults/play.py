"""One scenario: faults begin and end by a schedule while clients work, and what PostgreSQL saw is judged."""

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
from e2e.faults.stage import HOME, PODS, Stage
from e2e.faults.writers import Writers, missing
from e2e.judge.load import Crowd
from e2e.judge.watch import watched
from e2e.world import USER

CLIENTS = 200
SCRIPT = """BEGIN;
SELECT count(*) FROM generate_series(1, 200) AS g WHERE g % 7 = 3;
SELECT pg_sleep(0.02);
COMMIT;"""
"""Holds a backend for a while and computes little: the machine is needed for the faults."""
GIVE_UP = " tcp_user_timeout=5000 keepalives_idle=3 keepalives_interval=1 keepalives_count=3"
"""For clients of a pooler that vanishes: they come back to another one."""


@dataclass(frozen=True)
class Planned:
    """A fault with its time: it begins `at` seconds after the scenario and lasts `seconds`."""

    at: float
    fault: Fault
    seconds: float


@dataclass(frozen=True)
class Scenario:
    """Faults that may overlap."""

    title: str
    plan: Sequence[Planned]
    most: int
    """The largest B of the whole time."""
    seconds: float = 0.0
    """Its least length."""


def alone(fault: Fault) -> Scenario:
    """One fault by itself."""
    return Scenario(fault.name, [Planned(0.0, fault, fault.seconds)], fault.most)


def play(stage: Stage, scenario: Scenario, folder: Path) -> Outcome:
    """Play a scenario; a timeline is left in `folder` where a promise was broken or an error came in between."""
    outcome = Outcome(title=scenario.title, most=scenario.most)
    recorder = Recorder(stage.kubectl, stage.kubectl.kubeconfig, stage.database.dsn, [USER])
    with recorder as timeline:
        try:
            _play(stage, scenario, timeline, outcome)
        finally:
            if outcome.broken():
                title = scenario.title.replace("/", "-")
                story.write(timeline, scenario.title, folder / title, str(outcome.log_peak))
    keep(outcome, folder)
    return outcome


def _play(stage: Stage, scenario: Scenario, timeline: Timeline, outcome: Outcome) -> None:
    dsn = stage.pool.dsn() + GIVE_UP
    with (
        watched(stage.database) as seen,
        Crowd(stage.kubectl, "load", dsn, CLIENTS, SCRIPT, node=HOME) as crowd,
        Writers(lambda: dsn) as record,
    ):
        stage.wait_whole()
        _break(stage, scenario, timeline)
        ended = timeline.mark("all faults are over")
        stage.wait_for_pods(PODS)
        stage.wait_whole()
        outcome.whole_after = timeline.mark("whole again") - ended
        crowd_result = crowd.stop()
    assert seen.log is not None
    outcome.log_peak, outcome.sampled_peak = seen.log.peak, seen.samples.peak
    outcome.over = tuple(map(str, timeline.backends_over()))
    outcome.transactions, outcome.acknowledged = crowd_result.transactions, len(record.acknowledged)
    outcome.lost = tuple(missing(stage.database, record))


def _break(stage: Stage, scenario: Scenario, timeline: Timeline) -> None:
    """Begin and end the faults at their times."""
    started = time.monotonic()
    with ExitStack() as broken:
        steps = [(planned.at, number, planned) for number, planned in enumerate(scenario.plan)]
        acts: dict[int, ExitStack] = {}
        steps += [
            (planned.at + planned.seconds, number, planned) for number, planned in enumerate(scenario.plan)
        ]
        for at, number, planned in sorted(steps, key=lambda step: step[:2]):
            time.sleep(max(0.0, started + at - time.monotonic()))
            if number in acts:
                acts.pop(number).close()
                timeline.mark(f"{planned.fault.name} ends")
                continue
            timeline.mark(f"{planned.fault.name} begins")
            acts[number] = broken.enter_context(ExitStack())
            acts[number].enter_context(planned.fault.act(stage))
        time.sleep(max(0.0, started + scenario.seconds - time.monotonic()))
