"""Objects of the cluster in words, for whoever reads why a test has failed. Pure."""

from collections.abc import Iterable
from typing import Any

from e2e.kube import Object

_CONTAINERS = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


def of_grant(grant: Object) -> str:
    """One grant of a PgBudget in a line."""
    detects, assumed = grant.get("detectsDeadClients"), grant.get("assumedToDetect")
    return (
        f"{grant['pod']} on {grant.get('node') or 'no node'}: {grant.get('state')} since {grant.get('since')}, "
        f"reserved {grant.get('reserved')}, cap {grant.get('cap')}, generation {grant.get('generation')}, "
        f"detectsDeadClients {_word(detects)}, assumedToDetect {_word(assumed)}"
    )


def of_unsettled(budget: Object) -> str:
    """Why a PgBudget is not all in use, in a line: the grants that are not Active, and what its conditions say."""
    status = budget.get("status", {})
    grants = [of_grant(grant) for grant in status.get("grants", ()) if grant.get("state") != "Active"]
    return "; ".join([_sum(status), *grants, *_conditions(budget)])


def of_budget(budget: Object) -> list[str]:
    """A PgBudget: its sum, then its grants and its conditions, each in a line."""
    status = budget.get("status", {})
    grants = [of_grant(grant) for grant in status.get("grants", ())]
    return [f"{_name(budget)}: {_sum(status)}", *_below([*grants, *_conditions(budget)])]


def of_pool(pool: Object) -> list[str]:
    """A PgPool, then its conditions, each in a line."""
    return [f"{_name(pool)}: generation {pool['metadata'].get('generation')}", *_below(_conditions(pool))]


def of_pod(pod: Object) -> list[str]:
    """A pod, then its containers, each in a line."""
    metadata, status = pod["metadata"], pod.get("status", {})
    reason = f" ({status['reason']})" if "reason" in status else ""
    node = pod.get("spec", {}).get("nodeName", "no node")
    # The time at which its grace period is over.
    leaving = (
        f", deletionTimestamp {metadata['deletionTimestamp']}" if "deletionTimestamp" in metadata else ""
    )
    return [
        f"{_name(pod)}: {status.get('phase')}{reason} on {node}{leaving}",
        *_below(_of_container(each) for each in containers(pod)),
    ]


def containers(pod: Object) -> list[Object]:
    """The statuses of a pod's containers of all kinds."""
    status = pod.get("status", {})
    return [each for kind in _CONTAINERS for each in status.get(kind, ())]


def of_node(node: Object) -> list[str]:
    """A node, then its condition Ready."""
    return [_name(node), *_below(line for line in _conditions(node) if line.startswith("Ready="))]


def of_lease(lease: Object) -> list[str]:
    """A Lease in a line."""
    spec = lease.get("spec", {})
    return [f"{_name(lease)}: renewed at {spec.get('renewTime')} by {spec.get('holderIdentity')}"]


def of_error(error: Exception) -> str:
    """An error's kind and words in a line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _sum(status: Object) -> str:
    recovering = ", recovering" if status.get("recovering") else ""
    return (
        f"{status.get('reserved')} of {status.get('connections')} reserved, "
        f"{status.get('unknown')} of them by pods not heard of{recovering}"
    )


def _conditions(obj: Object) -> list[str]:
    return [_of_condition(each) for each in obj.get("status", {}).get("conditions", ())]


def _of_condition(found: Object) -> str:
    of = f", of generation {found['observedGeneration']}" if "observedGeneration" in found else ""
    heard = f", heard {found['lastHeartbeatTime']}" if "lastHeartbeatTime" in found else ""
    head = f"{found['type']}={found['status']} {found.get('reason')}"
    return f"{head} since {found.get('lastTransitionTime')}{of}{heard}: {found.get('message')}"


def _of_container(found: Object) -> str:
    ready = "" if found.get("ready") else "not ready, "
    last = found.get("lastState")
    before = f", before that {_of_state(last)}" if last else ""
    state = _of_state(found.get("state", {}))
    return f"{found['name']}: {ready}{state}, restarts {found.get('restartCount')}{before}"


def _of_state(state: Object) -> str:
    match state:
        case {"running": now}:
            return f"running since {now.get('startedAt')}"
        case {"waiting": now}:
            return f"waiting ({now.get('reason')}: {now.get('message')})"
        case {"terminated": now}:
            code, reason = now.get("exitCode"), now.get("reason")
            return f"ended with {code} ({reason}) at {now.get('finishedAt')}"
        case _:
            return "in no state"


def _name(obj: Object) -> str:
    metadata = obj["metadata"]
    return "/".join(part for part in (metadata.get("namespace"), metadata["name"]) if part)


def _word(value: Any) -> str:
    return "unknown" if value is None else str(value).lower()


def _below(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
