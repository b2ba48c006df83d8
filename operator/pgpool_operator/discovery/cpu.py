"""How many CPUs a database server has, from the most to the least certain source."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ..api import CpuSource, parse_cpu
from .model import Cpu

Object = Mapping[str, Any]


def spec_cpu(*written: Decimal | None) -> Cpu | None:
    """The first that the user wrote, or None where nothing is written."""
    amount = next((cpu for cpu in written if cpu is not None), None)
    return None if amount is None else Cpu(Fraction(amount), CpuSource.SPEC)


def container_cpu(pod: Object, container: str | None, nodes: Mapping[str, Object]) -> Cpu:
    """CPUs of the database's container: its limit, else its request, else all that its node gives to pods.

    `nodes` are Node objects by name; a node that is not there (the operator may not read nodes) is not known.
    """
    containers = {found["name"]: found for found in pod["spec"]["containers"]}
    names, pod_name = ", ".join(sorted(containers)), pod["metadata"]["name"]
    if container is None and len(containers) > 1:
        return _unknown(
            f"pod {pod_name} has several containers ({names}): name the database's in "
            "database.cluster.container, or set budget.cpu"
        )
    chosen = containers.get(container) if container is not None else next(iter(containers.values()))
    if chosen is None:
        return _unknown(
            f"pod {pod_name} has no container {container}, only {names}: correct "
            "database.cluster.container, or set budget.cpu"
        )
    return _first_known(chosen, nodes.get(pod["spec"].get("nodeName", ""), {})) or _unknown(
        f"container {chosen['name']} of pod {pod_name} has no CPU limit or request, and the operator cannot "
        "see its node: set a limit there, or budget.cpu here"
    )


def _first_known(container: Object, node: Object) -> Cpu | None:
    resources = container.get("resources", {})
    for quantities, source in (
        (resources.get("limits", {}), CpuSource.CONTAINER_LIMIT),
        (resources.get("requests", {}), CpuSource.CONTAINER_REQUEST),
        (node.get("status", {}).get("allocatable", {}), CpuSource.NODE_ALLOCATABLE),
    ):
        amount = _amount(quantities.get("cpu"))
        if amount is not None:
            return Cpu(amount, source)
    return None


def _amount(quantity: str | None) -> Fraction | None:
    """CPUs; 0 is as good as not set, for Kubernetes too."""
    try:
        return None if quantity is None else Fraction(parse_cpu(quantity))
    except ValueError:
        return None


def _unknown(problem: str) -> Cpu:
    return Cpu(None, None, problem)
