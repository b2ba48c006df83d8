"""What a run that was killed has left broken in the nodes is mended, and nothing else is touched."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from e2e.cluster import mending
from e2e.cluster.mending import MEND, RULE_MARK, mend

FAULT = f"PREROUTING -i eth0 -m comment --comment {RULE_MARK} -j DROP"
QUOTED = f'PREROUTING -i eth0 -m comment --comment "{RULE_MARK}" -j DROP'
OTHER = "PREROUTING -m comment --comment kubernetes -j KUBE-PROXY"

_NOT_YET = """#!/bin/sh
exit 1
"""
_PROGRAM = """#!/bin/sh
echo "${0##*/} $*" >> "$SAID"
case "$*" in *-S) cat "$RULES" ;; esac
"""


PROGRAMS = ("iptables", "ip6tables", "systemctl")


def run_in_a_node(folder: Path, *rules: str, programs: Iterable[str] = PROGRAMS) -> list[str]:
    """What is done in a node that has these rules in all tables, besides looking at them."""
    for program in programs:
        (folder / program).write_text(_PROGRAM)
        (folder / program).chmod(0o755)
    said, there = folder / "said", folder / "rules"
    there.write_text("".join(f"-A {rule}\n" for rule in ("-P PREROUTING ACCEPT", *rules)))
    path = f"{folder}:{os.environ['PATH']}"
    environment = {"PATH": path, "SAID": str(said), "RULES": str(there)}
    subprocess.run(["sh", "-c", MEND], env=environment, check=True)
    return [line for line in said.read_text().splitlines() if not line.endswith(" -S")]


@pytest.mark.parametrize("fault", [FAULT, QUOTED], ids=["as it is", "quoted"])
def test_the_rules_of_faults_are_taken_out_of_all_tables_and_others_stay(tmp_path: Path, fault: str) -> None:
    assert run_in_a_node(tmp_path, OTHER, fault, OTHER) == [
        f"iptables -w -t raw -D {FAULT}",
        f"iptables -w -t mangle -D {FAULT}",
        f"ip6tables -w -t raw -D {FAULT}",
        f"ip6tables -w -t mangle -D {FAULT}",
        "systemctl start kubelet",
    ]


def test_in_a_node_without_such_rules_only_the_kubelet_is_started(tmp_path: Path) -> None:
    assert run_in_a_node(tmp_path, OTHER) == ["systemctl start kubelet"]


def test_a_node_that_has_just_begun_to_boot_is_left_to_it(tmp_path: Path) -> None:
    (tmp_path / "systemctl").write_text(_NOT_YET)
    (tmp_path / "systemctl").chmod(0o755)
    assert run_in_a_node(tmp_path, programs=("iptables", "ip6tables")) == []


def test_a_node_is_mended_once_it_is_not_paused_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def run(*words: str) -> str:
        said.append(" ".join(words))
        return ""

    monkeypatch.setattr(mending, "run", run)
    mend(["w1", "w2"], ["w2"])
    assert said == ["docker unpause w2", *(f"docker exec {node} sh -c {MEND}" for node in ("w1", "w2"))]
