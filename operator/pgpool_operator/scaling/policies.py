"""The table: which number of pods the load asks for. The first policy that has an opinion decides.

| pooler CPU      | clients wait | backends   | database          | decision                     |
|-----------------|--------------|------------|-------------------|------------------------------|
| any             | any          | any        | does not answer   | Frozen                       |
| any             | everywhere   | all busy   | seen at its limit | its cause                    |
| above target    | any          | any        | any other         | add: PoolerBusy              |
| below           | any          | any        | any other         | clients near their limit: add: ClientLimit |
| below           | everywhere   | all busy   | any other         | ClientsHoldTransactions or BudgetExhausted |
| below           | on some pods | busy there | any               | BudgetMoves                  |
| low without one | nowhere      | spare      | any               | remove one: PoolerIdle       |
"""

from collections.abc import Callable
from dataclasses import dataclass

from .formula import proposal
from .saturation import saturation
from .view import CLIENTS_TARGET, CPU_TARGET, EndpointView, Reason

ROOM = 0.6
"""A pod goes if the others would stay below this part of their targets."""


@dataclass(frozen=True)
class Opinion:
    """What the load asks for, before limits and behaviour; `vetoed` is what was asked in vain."""

    replicas: int
    reason: Reason
    vetoed: int = 0


Policy = Callable[[EndpointView], Opinion | None]


def opinion(view: EndpointView) -> Opinion:
    """The opinion of the first policy that has one."""
    found = (policy(view) for policy in POLICIES)
    return next((one for one in found if one is not None), Opinion(view.current, Reason.STEADY))


def frozen(view: EndpointView) -> Opinion | None:
    """Without its database no pooler is busy, which says nothing about how many are needed."""
    return None if view.reachable else Opinion(view.current, Reason.FROZEN)


def blind(view: EndpointView) -> Opinion | None:
    """Nothing is known."""
    return None if view.known else Opinion(view.current, Reason.NO_SIGNAL)


def saturated_for_certain(view: EndpointView) -> Opinion | None:
    """More pods would bring more clients to a database that is at its end."""
    reason = saturation(view)
    if reason is None or not view.cause.saturated:
        return None
    asked = _for_cpu(view)
    return Opinion(view.current, reason, vetoed=asked if asked > view.current else 0)


def pooler_busy(view: EndpointView) -> Opinion | None:
    """The poolers need more CPU than their processes have."""
    return _more(view, _for_cpu(view), Reason.POOLER_BUSY)


def client_limit(view: EndpointView) -> Opinion | None:
    """New clients would soon be refused."""
    shares = [load.clients if load else None for load in view.loads]
    return _more(view, proposal(view.current, shares, CLIENTS_TARGET), Reason.CLIENT_LIMIT)


def saturated(view: EndpointView) -> Opinion | None:
    """Clients wait for the database, as far as one can tell."""
    reason = saturation(view)
    return None if reason is None else Opinion(view.current, reason)


def budget_moves(view: EndpointView) -> Opinion | None:
    """Clients wait here and backends are idle there."""
    return Opinion(view.current, Reason.BUDGET_MOVES) if view.some_full else None


def pooler_idle(view: EndpointView) -> Opinion | None:
    """One pod less, where the others are known to bear it."""
    left = view.current - 1
    if len(view.known) < view.current or left < max(1, view.minimum):
        return None
    if any(load.waits for load in view.known):
        return None
    grown = view.current / left
    fits = view.cpu * grown < ROOM * CPU_TARGET and view.clients * grown < ROOM * CLIENTS_TARGET
    return Opinion(left, Reason.POOLER_IDLE) if fits else None


def _for_cpu(view: EndpointView) -> int:
    return proposal(view.current, [load.cpu if load else None for load in view.loads], CPU_TARGET)


def _more(view: EndpointView, asked: int, reason: Reason) -> Opinion | None:
    return Opinion(asked, reason) if asked > view.current else None


POLICIES: tuple[Policy, ...] = (
    frozen,
    blind,
    saturated_for_certain,
    pooler_busy,
    client_limit,
    saturated,
    budget_moves,
    pooler_idle,
)
