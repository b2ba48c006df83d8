"""Faults leave nothing broken behind, whatever fails while they last; what they break with is written down."""

from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from e2e.cluster.mending import RULE_MARK
from e2e.cluster.shell import CommandError
from e2e.faults import nodes, processes
from e2e.faults.crashes import require_the_protocol
from e2e.faults.everything import FAULTS
from e2e.faults.network import cut_off_from
from e2e.faults.proxy import Counters, Policy
from e2e.faults.stage import LEDGER, PODS, Stage
from e2e.kube import Object

NODE = "w2"
QUIET = Counters(
    requests=0,
    writes=0,
    delayed=0,
    failed=0,
    conflicted=0,
    budgets_and_pods_conflicted=0,
    dropped=0,
    killed_at="",
)


class OtherFaultError(Exception):
    """What fails while a fault lasts."""


@dataclass
class Commands:
    """What was run on nodes, without `docker`; a command that has `refused` in it fails."""

    said: list[str] = field(default_factory=list)
    refused: str = "nothing"

    def run(self, *words: str) -> str:
        command = " ".join(words[1:])
        if self.refused in command:
            raise CommandError(words, "no")
        self.said.append(command)
        return ""


@dataclass
class FakeStage:
    """The stage as faults see it; notes what is asked of it."""

    said: list[str] = field(default_factory=list)
    policy: Policy = field(default_factory=Policy)
    counters: Counters = QUIET
    random: Random = field(default_factory=Random)
    victim: str = NODE

    @property
    def operators(self) -> Any:
        return SimpleNamespace(
            set_policy=lambda policy: setattr(self, "policy", policy),
            clear=lambda: setattr(self, "policy", Policy()),
            all_counters=lambda: [self.counters],
        )

    @property
    def pool(self) -> Any:
        return SimpleNamespace(pods=list)

    def kubectl(self, *words: str) -> str:
        self.said.append(" ".join(words))
        return ""

    def any_pod(self) -> Object:
        return {"metadata": {"name": "app-rw-1"}}

    def occupied_victim(self) -> str:
        return self.victim

    def mend_victim(self) -> None:
        self.said.append("mend the victim")

    def wait_whole(self) -> None:
        self.said.append("wait for the whole budget")

    def scale(self, replicas: int) -> None:
        self.said.append(f"scale to {replicas}")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    commands = Commands()
    for module in (nodes, processes):
        monkeypatch.setattr(module, "run", commands.run)
    return commands


def interrupted(fault: str, stage: FakeStage) -> None:
    """Play a fault, and let something fail while it lasts."""
    with pytest.raises(OtherFaultError), FAULTS[fault].act(cast(Stage, stage)):
        raise OtherFaultError


@pytest.mark.parametrize(
    ("fault", "broken", "mended"),
    [
        (
            "node/kubelet-stopped",
            f"exec {NODE} systemctl stop kubelet",
            f"exec {NODE} systemctl start kubelet",
        ),
        ("node/paused", f"pause {NODE}", f"unpause {NODE}"),
    ],
)
def test_a_node_is_mended_where_another_fault_fails(
    commands: Commands, fault: str, broken: str, mended: str
) -> None:
    stage = FakeStage()
    interrupted(fault, stage)
    assert commands.said == [broken, mended]
    assert stage.said == ["mend the victim"]


def test_a_node_that_was_cut_off_is_heard_again_where_another_fault_fails(commands: Commands) -> None:
    stage = FakeStage()
    interrupted("node/cut-off", stage)
    rules = [said for said in commands.said if "-I" in said]
    assert all(said.endswith(f" -m comment --comment {RULE_MARK}") for said in rules)
    assert {said.split()[2] for said in rules} == {"iptables", "ip6tables"}
    assert [said for said in commands.said if "-D" in said] == [
        f"exec {NODE} sh -c ! {rule.replace('-I', '-C')} 2>/dev/null || {rule.replace('-I', '-D')}"
        for rule in (said.removeprefix(f"exec {NODE} ") for said in rules)
    ]
    assert stage.said == ["mend the victim"]


def test_a_node_that_was_cut_off_by_half_is_mended(commands: Commands) -> None:
    commands.refused = "-t mangle -I"
    stage = FakeStage()
    with pytest.raises(CommandError), FAULTS["node/cut-off"].act(cast(Stage, stage)):
        pass
    assert any("-t raw -D" in said for said in commands.said)
    assert stage.said == ["mend the victim"]


def test_a_pod_that_was_cut_off_from_an_address_reaches_it_again_where_something_fails(
    commands: Commands,
) -> None:
    pod: Object = {"spec": {"nodeName": NODE}, "status": {"podIP": "10.1.0.7"}}
    with pytest.raises(OtherFaultError), cut_off_from(pod, "10.1.0.9"):
        raise OtherFaultError
    there, back = (
        f"-s {a} -d {b} -j DROP -m comment --comment {RULE_MARK}"
        for a, b in (("10.1.0.7", "10.1.0.9"), ("10.1.0.9", "10.1.0.7"))
    )
    chain = "iptables -t raw {} PREROUTING"
    assert commands.said == [
        *(f"exec {NODE} {chain.format('-I')} {way}" for way in (there, back)),
        *(
            f"exec {NODE} sh -c ! {chain.format('-C')} {way} 2>/dev/null || {chain.format('-D')} {way}"
            for way in (there, back)
        ),
    ]


@pytest.mark.usefixtures("commands")
def test_nobody_but_the_control_plane_deletes_the_pods_of_a_node_that_is_tainted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pods: list[Object] = [{"metadata": {"name": "app-rw-1"}, "spec": {"nodeName": NODE}}]
    looks = iter([pods, []])
    stage = FakeStage()
    monkeypatch.setattr(FakeStage, "pool", SimpleNamespace(pods=lambda: next(looks)))
    monkeypatch.setattr(nodes, "_taints", lambda *_: {nodes.OUT_OF_SERVICE})
    with FAULTS["node/stopped-and-tainted"].act(cast(Stage, stage)):
        pass
    assert stage.said == [
        f"taint node {NODE} {nodes.OUT_OF_SERVICE}=nodeshutdown:NoExecute",
        "wait for the whole budget",
        "mend the victim",
        f"taint node {NODE} {nodes.OUT_OF_SERVICE}-",
    ]


def test_a_node_is_scheduled_to_again_where_another_fault_fails() -> None:
    stage = FakeStage()
    interrupted("pod/drain", stage)
    assert stage.said[-2:] == [f"uncordon {NODE}", "mend the victim"]


@pytest.mark.parametrize("fault", ["api/slow", "api/failing", "api/conflicting", "api/deaf"])
def test_requests_are_left_alone_again_where_another_fault_fails(fault: str) -> None:
    stage = FakeStage()
    interrupted(fault, stage)
    assert stage.policy == Policy()
    assert stage.said[-1] == f"scale to {PODS}"


DISTURBANCES = [
    ("api/slow", "delayed"),
    ("api/failing", "failed"),
    ("api/conflicting", "budgets_and_pods_conflicted"),
    ("api/deaf", "dropped"),
]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e2e.faults.control_plane.time.sleep", lambda _: None)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(("fault", "met"), DISTURBANCES)
def test_a_disturbance_that_the_leader_met_is_one(fault: str, met: str) -> None:
    stage = FakeStage(counters=QUIET.model_copy(update={"writes": 1, met: 1}))
    with FAULTS[fault].act(cast(Stage, stage)):
        pass


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("fault", [fault for fault, _ in DISTURBANCES])
@pytest.mark.parametrize(
    "others",
    [{"requests": 9, "writes": 9}, {"requests": 9, "writes": 9, "conflicted": 9}],
    ids=["passed on", "refused elsewhere"],
)
def test_a_disturbance_that_nothing_came_of_is_none(fault: str, others: dict[str, int]) -> None:
    stage = FakeStage(counters=QUIET.model_copy(update=others))
    with pytest.raises(AssertionError, match="nothing came of"), FAULTS[fault].act(cast(Stage, stage)):
        pass


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(("fault", "met"), DISTURBANCES)
def test_a_disturbance_that_only_an_operator_met_that_waits_to_lead_is_none(fault: str, met: str) -> None:
    stage = FakeStage(counters=QUIET.model_copy(update={met: 1}))
    with pytest.raises(AssertionError, match="nothing came of"), FAULTS[fault].act(cast(Stage, stage)):
        pass


@pytest.mark.parametrize("process", [-5, 0, 1])
def test_no_signal_goes_to_more_than_one_process(process: int, commands: Commands) -> None:
    pod = {"spec": {"nodeName": NODE}}
    with pytest.raises(ValueError, match="no process of a pod"):
        processes.kill(pod, process)
    with pytest.raises(ValueError, match="no process of a pod"):
        processes.freeze(pod, process, 1.0)
    assert commands.said == []


LEDGER_PUT = f"PUT /apis/pgpool.dev/v1alpha1/namespaces/shop/pgbudgets/{LEDGER}/status"
POD_PATCH = "PATCH /api/v1/namespaces/shop/pods/app-rw-1"
POD_DELETE = "DELETE /api/v1/namespaces/shop/pods/app-rw-1"
OTHER = "PATCH /apis/apps/v1/namespaces/shop/deployments/app-rw"


OTHERS = [OTHER] * 14


def test_deaths_at_the_ledger_and_at_grants_are_required() -> None:
    require_the_protocol("before", [*OTHERS, LEDGER_PUT, POD_PATCH])


@pytest.mark.parametrize(
    ("writes", "words"),
    [
        ([*OTHERS[1:], LEDGER_PUT, POD_PATCH], "only 15 deaths after a write"),
        ([*OTHERS, POD_PATCH, POD_PATCH], "none after a ledger"),
        ([*OTHERS, POD_DELETE, LEDGER_PUT], "none after a grant"),
    ],
)
def test_too_few_deaths_are_named(writes: list[str], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        require_the_protocol("after", writes)
