"""The budget holds whatever breaks: each fault on the real cluster while 200 clients work, judged by PostgreSQL."""

import fnmatch
import random
from collections.abc import Iterator

import pytest

from e2e.conftest import nothing_left, pools
from e2e.faults.chaos import mixture
from e2e.faults.everything import FAULTS
from e2e.faults.operators import Operators
from e2e.faults.play import alone, play
from e2e.faults.stage import HOME, PODS, VICTIM, Stage, require_home
from e2e.kube import Kubectl, eventually
from e2e.world import PRIMARY, REPLICA, REPOSITORY, Postgres, install_operator

FOLDER = REPOSITORY / "build" / "faults"
NAMESPACE = "faults"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`--fault` and `--seeds` say what is played; what stands for its class and one mixture where they do not."""
    if "fault_name" in metafunc.fixturenames:
        metafunc.parametrize("fault_name", _asked(metafunc.config.getoption("--fault")))
    if "seed" in metafunc.fixturenames:
        first, _, last = metafunc.config.getoption("--seeds").partition("-")
        metafunc.parametrize("seed", range(int(first), int(last or first) + 1))


def _asked(pattern: str) -> list[str]:
    if not pattern:
        return [fault.name for fault in FAULTS.values() if fault.daily]
    names = fnmatch.filter(FAULTS, pattern)
    if not names:
        raise pytest.UsageError(f"--fault {pattern} names none of {', '.join(FAULTS)}")
    return names


@pytest.fixture(scope="module")
def stage(kube: Kubectl) -> Iterator[Stage]:
    """The operators run on the host, behind a proxy: what happens to nodes does not happen to them."""
    install_operator(kube, restart=False)
    _assert_worker(kube, VICTIM)
    inside = kube.within(NAMESPACE)
    database = Postgres(inside, HOME)
    database.create()
    require_home(inside, PRIMARY, REPLICA)
    _clear(inside)
    with Operators(inside, FOLDER / "operators") as operators, pools(inside) as make:
        operators.wait_leading()
        pool = make(read=None, write={"replicas": PODS}, timeouts={"drainSeconds": 5})
        yield Stage(inside, database, pool, operators)
        operators.clear()


def _assert_worker(kube: Kubectl, node: str) -> None:
    """What is broken there must not be the control plane."""
    found = kube.get("node", node)
    assert found is not None, f"there is no node {node}"
    assert "node-role.kubernetes.io/control-plane" not in found["metadata"]["labels"]


def _clear(inside: Kubectl) -> None:
    """Take away what a run that was interrupted has left."""
    inside("delete", "pods", "--selector=pgpool.dev/e2e=load", "--grace-period=0", "--force")
    inside("delete", "pgpools", "--all")
    eventually("nothing is left of an earlier run", lambda: nothing_left(inside))


def test_the_budget_holds_through_a_fault(stage: Stage, fault_name: str) -> None:
    stage.random = random.Random(fault_name)
    outcome = play(stage, alone(FAULTS[fault_name]), FOLDER)
    assert outcome.broken() == []


def test_the_budget_holds_through_chaos(stage: Stage, seed: int) -> None:
    stage.random = random.Random(seed)
    outcome = play(stage, mixture(seed, list(FAULTS.values())), FOLDER)
    assert outcome.broken() == []
