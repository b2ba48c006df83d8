"""Packets that a node drops: rules that are there while a block runs, or until the cluster is mended."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from e2e.cluster.mending import RULE_MARK
from e2e.faults.processes import node_of, on_node
from e2e.kube import Object


@contextmanager
def dropped(node: str, rules: Sequence[str]) -> Iterator[None]:
    """A node follows rules, each a command with {} for what is done with it, until the block ends."""
    marked = [f"{rule} -m comment --comment {RULE_MARK}" for rule in rules]
    try:
        for rule in marked:
            on_node(node, *rule.format("-I").split())
        yield
    finally:
        for rule in marked:
            _remove(node, rule)


@contextmanager
def cut_off_from(pod: Object, address: str) -> Iterator[None]:
    """Nothing gets from a pod to an address or back; whoever else talks to either of them does so on.

    Its node drops the packets, which pass through there in both directions, before it looks where they go.
    """
    own = pod["status"]["podIP"]
    ways = ((own, address), (address, own))
    rules = [f"iptables -t raw {{}} PREROUTING -s {source} -d {target} -j DROP" for source, target in ways]
    with dropped(node_of(pod), rules):
        yield


def _remove(node: str, rule: str) -> None:
    """Take a rule out; nothing if it is not there."""
    there, delete = (rule.format(change) for change in ("-C", "-D"))
    on_node(node, "sh", "-c", f"! {there} 2>/dev/null || {delete}")
