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

With several servers, the database is what all of them are. A saturation that the status speaks of holds until it
has been over for a while: no pod comes meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .formula import proposal
from .saturation import everywhere_saturated, saturation
from .view import CLIENTS_TARGET, CPU_TARGET, EndpointView, Reason

ROOM = 0.6
"""Pods go if the others stay below this part of their targets."""


@dataclass(frozen=True)
class Opinion:
    """What the load asks for, before limits and behaviour."""

    replicas: int
    reason: Reason
    vetoed: bool = False
    """The poolers' own load asked for more pods, in vain."""


Policy = Callable[[EndpointView], Opinion | None]


def opinion(view: EndpointView) -> Opinion:
    """The opinion of the first policy that has one."""
    found = (policy(view) for policy in POLICIES)
    return next((one for one in found if one is not None), Opinion(view.current, Reason.STEADY))


def frozen(view: EndpointView) -> Opinion | None:
    """Without its database no pooler is busy, which says nothing about how many are needed."""
    return None if view.reachable else Opinion(view.current, Reason.FROZEN)


def paused(view: EndpointView) -> Opinion | None:
    """Nor does a pause."""
    return Opinion(view.current, Reason.STEADY) if view.paused else None


def blind(view: EndpointView) -> Opinion | None:
    """Nothing is known."""
    return None if view.known else Opinion(view.current, Reason.NO_SIGNAL)


def saturated(view: EndpointView) -> Opinion | None:
    """Clients wait for the database, or did until a moment ago: more pods would only bring it more clients."""
    lately = view.said if len(view.servers) == 1 else None
    reason = saturation(view) if everywhere_saturated(view) else lately
    if reason is None:
        return None
    return Opinion(view.current, reason, vetoed=max(_for_cpu(view), _for_clients(view)) > view.current)


def pooler_busy(view: EndpointView) -> Opinion | None:
    """The poolers need more CPU than their processes have."""
    return _more(view, _for_cpu(view), Reason.POOLER_BUSY)


def one_server_saturated(view: EndpointView) -> Opinion | None:
    """Of several servers one is, and the pods of the others have what they need."""
    reason = saturation(view)
    return None if reason is None else Opinion(view.current, reason)


def budget_moves(view: EndpointView) -> Opinion | None:
    """Clients wait here and backends are idle there."""
    moves = any(server.waits and not server.full for server in view.servers)
    return Opinion(view.current, Reason.BUDGET_MOVES) if moves else None


def client_limit(view: EndpointView) -> Opinion | None:
    """New clients would soon be refused."""
    return _more(view, _for_clients(view), Reason.CLIENT_LIMIT)


def pooler_idle(view: EndpointView) -> Opinion | None:
    """The fewest pods that are known to bear the load, if that is fewer than there are."""
    all_known = len(view.known) == len(view.loads) == view.current
    if not all_known or any(load.waits for load in view.known):
        return None
    cpu, clients = (sum(shares) for shares in zip(*((p.cpu, p.clients) for p in view.known), strict=True))
    enough = 1 + int(max(cpu / (ROOM * CPU_TARGET), clients / (ROOM * CLIENTS_TARGET)))
    fewest = max(enough, view.minimum)
    return Opinion(fewest, Reason.POOLER_IDLE) if fewest < view.current else None


def still_busy(view: EndpointView) -> Opinion | None:
    """Near enough to the target, or with pods on their way."""
    return Opinion(view.current, Reason.POOLER_BUSY) if view.busy else None


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
    paused,
    blind,
    saturated,
    pooler_busy,
    one_server_saturated,
    budget_moves,
    client_limit,
    pooler_idle,
    still_busy,
    clients_uneven,
)
