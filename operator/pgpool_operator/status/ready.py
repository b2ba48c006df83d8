"""Ready: the current spec serves clients. Its reason is the first that holds, bad ones before good ones."""

from collections.abc import Callable, Mapping

from pgpool_pooler.contract import Endpoint

from ..api import ConditionStatus
from ..scaling import Limit
from . import budget_satisfied, config_valid, database_reachable, database_saturated, scaling_limited
from .facts import EndpointFacts, Facts, Verdict
from .problems import other_problems

TYPE = "Ready"

Said = Mapping[str, Verdict]


def ready(facts: Facts, said: Said) -> Verdict:
    """From the facts and from what was said of configuration, database and budget."""
    found = (check(facts, said) for check in _CHECKS)
    return next((verdict for verdict in found if verdict is not None), _serving(facts))


def is_settled(said: Said) -> bool:
    """Whether the current generation is known to be accepted or refused; before, Ready speaks of the one before."""
    return said[config_valid.TYPE].status is not ConditionStatus.UNKNOWN


def _paused(facts: Facts, _: Said) -> Verdict | None:
    if not facts.pool.spec.paused:
        return None
    queue = facts.pool.spec.timeouts.queue_seconds
    end = f" and fail after queueSeconds ({queue})" if queue else ""
    return _no("Paused", f"paused: true: clients wait{end}; it stops queries, not the operator")


def _invalid_config(_: Facts, said: Said) -> Verdict | None:
    config = said[config_valid.TYPE]
    return _no("InvalidConfig", config.message) if config.status is ConditionStatus.FALSE else None


def _budget_too_small(facts: Facts, _: Said) -> Verdict | None:
    why = budget_satisfied.too_small(facts)
    return _no("BudgetTooSmall", why) if why else None


def _server_claimed(facts: Facts, said: Said) -> Verdict | None:
    return (
        _no("ServerClaimed", said[budget_satisfied.TYPE].message) if budget_satisfied.claimed(facts) else None
    )


def _database_unreachable(_: Facts, said: Said) -> Verdict | None:
    reach = said[database_reachable.TYPE]
    return _no("DatabaseUnreachable", reach.message) if reach.status is ConditionStatus.FALSE else None


def _starting(facts: Facts, said: Said) -> Verdict | None:
    down = _down(facts)
    if not (down or not facts.endpoints) or _was_up(facts, down):
        return None
    return _no("Starting", _with_cause(f"no {_names(down)} pod is ready yet", facts, said))


def _pods_not_ready(facts: Facts, said: Said) -> Verdict | None:
    down = _down(facts)
    if not down:
        return None
    return _no("PodsNotReady", _with_cause(f"no {_names(down)} pod is ready any more", facts, said))


def _budget_held(facts: Facts, said: Said) -> Verdict | None:
    held = any(server.held for server in facts.servers)
    return _yes("BudgetHeld", said[budget_satisfied.TYPE].message) if held else None


def _saturated(_: Facts, said: Said) -> Verdict | None:
    saturated = said[database_saturated.TYPE]
    return _yes("DatabaseSaturated", saturated.message) if saturated.status is ConditionStatus.TRUE else None


def _budget_limited(_: Facts, said: Said) -> Verdict | None:
    limited = said[scaling_limited.TYPE]
    short = limited.reason == Limit.BUDGET_FLOOR
    return _yes("BudgetLimited", limited.message) if short else None


def _rolling_out(facts: Facts, said: Said) -> Verdict | None:
    if any(found.rolling_out for found in facts.endpoints.values()):
        return _yes("RollingOut", "new pods replace the old ones, clients are served meanwhile")
    if not is_settled(said):
        return _yes(
            "RollingOut", "the new configuration is on its way to the pods, the last one serves meanwhile"
        )
    return None


def _scaling(facts: Facts, said: Said) -> Verdict | None:
    if any(found.scaling for found in facts.endpoints.values()):
        message = "the number of ready pods is on its way to what shall run"
        return _yes("Scaling", _with_cause(message, facts, said))
    return None


_CHECKS: tuple[Callable[[Facts, Said], Verdict | None], ...] = (
    _paused,
    _invalid_config,
    _budget_too_small,
    _server_claimed,
    _database_unreachable,
    _starting,
    _pods_not_ready,
    _budget_held,
    _saturated,
    _budget_limited,
    _rolling_out,
    _scaling,
)


def _serving(facts: Facts) -> Verdict:
    return _yes(
        "Serving", f"{' and '.join(endpoint.value for endpoint in facts.endpoints)} pods serve clients"
    )


def _down(facts: Facts) -> dict[Endpoint, EndpointFacts]:
    """Endpoints that shall serve and have no pod that does."""
    return {
        endpoint: found
        for endpoint, found in facts.endpoints.items()
        if found.wanted > 0 and found.ready == 0
    }


def _was_up(facts: Facts, down: Mapping[Endpoint, EndpointFacts]) -> bool:
    before = facts.previous.get(TYPE)
    if before is not None and before.reason == "PodsNotReady":
        return True
    status = {Endpoint.WRITE: facts.pool.status.write, Endpoint.READ: facts.pool.status.read}
    return any(known is not None and known.ready_replicas > 0 for known in map(status.get, down))


def _with_cause(message: str, facts: Facts, said: Said) -> str:
    """Pods without connections never become ready, nor do those whose engine fails: the cause is told along."""
    budget = said[budget_satisfied.TYPE]
    wanting = budget.message if budget.status is ConditionStatus.FALSE else ""
    return ": ".join(filter(None, [message, wanting, other_problems(facts)]))


def _names(endpoints: Mapping[Endpoint, EndpointFacts]) -> str:
    return " or ".join(endpoint.value for endpoint in endpoints) or "pooler"


def _no(reason: str, message: str) -> Verdict:
    return Verdict(ConditionStatus.FALSE, reason, message)


def _yes(reason: str, message: str) -> Verdict:
    return Verdict(ConditionStatus.TRUE, reason, message)
