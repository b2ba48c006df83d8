"""What both reconciles write to pods: annotations, on exactly the version that was observed; and how they look
again at an object that was not what they thought.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pgpool_pooler.contract import POKE_ANNOTATION

from .. import metrics
from ..cluster.api import Api, ApiError
from ..cluster.kinds import POD, Kind
from ..cluster.store import Change, Store
from ..watching import slim
from .pods import PoolerPod
from .pokes import Pokes


@dataclass(frozen=True)
class PodWriter:
    """Annotates pods, and knows at once what it wrote."""

    api: Api
    store: Store
    pokes: Pokes

    async def annotate(self, pod: PoolerPod, annotations: Mapping[str, str]) -> None:
        """Set annotations; refused (409, 404) if the pod changed since it was observed, which is then read anew."""
        try:
            written = await self.api.annotate(pod.raw, annotations)
        except ApiError as error:
            if error.outdated:
                await look_again(self.api, self.store, POD, pod.namespace, pod.name)
            raise
        self.store.put(POD, slim(POD, written))

    async def poke(self, pod: PoolerPod, subject: str, change: str) -> float:
        """Wake the pod if it is due because it has not noticed `change`; seconds until it is due again."""
        if self.pokes.wait(pod.uid, subject, change) == 0.0:
            await self.annotate(pod, {POKE_ANNOTATION: datetime.now(UTC).isoformat()})
            self.pokes.poked(pod.uid, subject, change)
            metrics.POKES.inc()
        return self.pokes.wait(pod.uid, subject, change)


async def look_again(api: Api, store: Store, kind: Kind, namespace: str, name: str) -> None:
    """Read one object anew: a watch may have lost what happened to it, and does not tell of it again.

    One that is gone was missed, as for the sweeper: that it is gone does not prove a pod dead.
    """
    known = store.get(kind, namespace, name)
    found = await api.get(kind, namespace, name)
    if found is not None:
        store.put(kind, slim(kind, found))
    elif known is not None:
        store.remove(kind, known, Change.MISSED)
