"""One entrance for both kinds of keys."""

from ..agents import Agents
from ..cluster.api import Api, ApiError
from ..cluster.kinds import PGPOOL, POD, Kind
from ..cluster.queue import WorkQueue
from ..cluster.store import Change, Object, Store
from ..watching import Key
from .budget import BudgetReconciler
from .deaths import Deaths
from .pokes import Pokes
from .pool import PoolReconciler
from .writer import look_again


class Reconciler:
    """Reconciles one key at a time; safe to call for different keys at once."""

    def __init__(
        self,
        api: Api,
        store: Store,
        agents: Agents,
        queue: WorkQueue[Key],
        deaths: Deaths,
        image: str,
    ) -> None:
        self._api = api
        self._store = store
        self._queue = queue
        self._pokes = Pokes()
        self._pools = PoolReconciler(api, store, agents, self._pokes, image)
        self._budgets = BudgetReconciler(api, store, agents, self._pokes, deaths)
        store.listen(self._changed)

    async def reconcile(self, key: Key) -> None:
        """Bring what `key` names closer to what it should be; raises what went wrong.

        If it was not what it was thought to be, it is known as it is by then.
        """
        reconcile = self._pools.reconcile if key.kind is PGPOOL else self._budgets.reconcile
        try:
            seconds = await reconcile(key.namespace, key.name)
        except ApiError as error:
            if error.outdated:
                await look_again(self._api, self._store, key.kind, key.namespace, key.name)
            raise
        if seconds is not None:
            self._queue.add_after(key, seconds)

    def _changed(self, kind: Kind, obj: Object, change: Change) -> None:
        if kind is POD and change is not Change.PUT:
            self._pokes.forget(obj["metadata"]["uid"])
