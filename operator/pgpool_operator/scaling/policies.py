"""The table: which number of pods the load asks for. The first policy that has an opinion decides.

| pooler CPU      | clients wait | backends   | database          | decision                     |
|-----------------|--------------|------------|-------------------|------------------------------|
| any             | any          | any        | does not answer   | Frozen                       |
| any             | somewhere    | busy there | seen at its limit | its cause                    |
| above target    | any          | any        | any other         | add: PoolerBusy              |
| below           | somewhere    | all busy   | any other         | ClientsHoldTransactions or BudgetExhausted |
| below           | somewhere    | busy there | any other         | BudgetMoves                  |
| below           | nowhere      | any        | any               | clients near their limit: add: ClientLimit |
| low without one | nowhere      | spare      | any               | remove: PoolerIdle           |
| here and there  | nowhere      | any        | any               | ClientsUneven                |

A saturation that the status speaks of holds until it has been over for a while: no pod comes meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .formula import proposal
from .saturation import saturation
from .view import CLIENTS_TARGET, CPU_TARGET, EndpointView, Reason

ROOM = 0.6
"""Pods go if the others stay below this part of their targets."""


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


def saturated(view: EndpointView) -> Opinion | None:
    """Clients wait for the database, or did until a moment ago: more pods would only bring it more clients."""
    reason = saturation(view) or view.said
    if reason is None:
        return None
    asked = max(_for_cpu(view), _for_clients(view))
    return Opinion(view.current, reason, vetoed=asked if asked > view.current else 0)


def pooler_busy(view: EndpointView) -> Opinion | None:
    """The poolers need more CPU than their processes have."""
    return _more(view, _for_cpu(view), Reason.POOLER_BUSY)


def budget_moves(view: EndpointView) -> Opinion | None:
    """Clients wait here and backends are idle there."""
    return Opinion(view.current, Reason.BUDGET_MOVES) if view.waits and not view.full else None


def client_limit(view: EndpointView) -> Opinion | None:
    """New clients would soon be refused."""
    return _more(view, _for_clients(view), Reason.CLIENT_LIMIT)


def pooler_idle(view: EndpointView) -> Opinion | None:
    """The fewest pods that are known to bear the load, if that is fewer than there are."""
    if len(view.known) < view.current or any(load.waits for load in view.known):
        return None
    cpu, clients = view.cpu * view.current, view.clients * view.current
    enough = 1 + int(max(cpu / (ROOM * CPU_TARGET), clients / (ROOM * CLIENTS_TARGET)))
    fewest = max(enough, view.minimum)
    return Opinion(fewest, Reason.POOLER_IDLE) if fewest < view.current else None


def clients_uneven(view: EndpointView) -> Opinion | None:
    """More pods would take only clients that come anew."""
    return Opinion(view.current, Reason.CLIENTS_UNEVEN) if view.uneven else None


def _for_clients(view: EndpointView) -> int:
    shares = [load.clients if load else None for load in view.loads]
    return proposal(view.current, shares, CLIENTS_TARGET)


def _for_cpu(view: EndpointView) -> int:
    return proposal(view.current, [load.cpu if load else None for load in view.loads], CPU_TARGET)


def _more(view: EndpointView, asked: int, reason: Reason) -> Opinion | None:
    return Opinion(asked, reason) if asked > view.current else None


POLICIES: tuple[Policy, ...] = (
    frozen,
    blind,
    saturated,
    pooler_busy,
    budget_moves,
    client_limit,
    pooler_idle,
    clients_uneven,
)
