"""The named scenarios show what they are there for."""

import pytest
from click.testing import CliRunner

from pgpool_operator.scaling import Limit, Reason
from tests.simulator import Run, simulate
from tests.simulator.__main__ import main
from tests.simulator.scenarios import SCENARIOS


def played(name: str) -> Run:
    return simulate(SCENARIOS[name])


def replicas(run: Run) -> list[int]:
    return [count for _, count in run.changes]


def test_pods_come_and_go_with_the_poolers_load() -> None:
    run = played("pooler-bound")
    assert max(replicas(run)) > 2 == replicas(run)[0] == replicas(run)[-1]
    assert len(run.turns) == 1


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("database-bound", Reason.CPU_SATURATED),
        ("disk-bound", Reason.IO_SATURATED),
        ("lock-storm", Reason.LOCK_CONTENTION),
        ("held-transactions", Reason.CLIENTS_HOLD_TRANSACTIONS),
        ("slow-queries", Reason.CPU_SATURATED),
    ],
)
def test_what_holds_the_database_up_is_named_and_adds_no_pod(name: str, cause: Reason) -> None:
    run = played(name)
    assert cause in [look.saturation for look in run.looks]
    assert replicas(run) == [2]


def test_more_pods_than_the_budget_can_feed_are_not_started() -> None:
    run = played("small-budget")
    assert Limit.BUDGET_FLOOR in [look.limit for look in run.looks]
    assert max(replicas(run)) == 3
    assert replicas(run)[-1] == 2


def test_a_ramp_up_and_down_turns_the_number_of_pods_once() -> None:
    run = played("open-ramp")
    assert max(replicas(run)) > 2 == replicas(run)[-1]
    assert len(run.turns) == 1


def test_a_pod_that_is_not_heard_changes_nothing() -> None:
    run = played("silent-pod")
    silence = run.scenario.silences[0]
    assert not [at for at, _ in run.changes if silence.at <= at]


def test_the_command_says_what_happened_and_draws_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    plot = tmp_path_factory.mktemp("plots") / "plot.svg"
    result = CliRunner().invoke(main, ["turning-skew", "--output", str(plot)])
    assert result.exit_code == 0, result.output
    assert "backends: at most 24 of B = 24" in result.output
    drawn = plot.read_text()
    assert all(label in drawn for label in ("<svg", "waiting clients", "longest wait", "B = 24"))


def test_the_help_lists_the_scenarios() -> None:
    text = CliRunner().invoke(main, ["--help"]).output
    assert all(name in text and scenario.about in text for name, scenario in SCENARIOS.items())
