"""What both reconciles write to pods: annotations, on exactly the version that was observed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pgpool_pooler.contract import POKE_ANNOTATION

from .. import metrics
from ..cluster.api import Api
from ..cluster.kinds import POD
from ..cluster.store import Store
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
        """Set annotations; refused (409) if the pod changed since it was observed."""
        self.store.put(POD, slim(POD, await self.api.annotate(pod.raw, annotations)))

    async def poke(self, pod: PoolerPod, subject: str, change: str) -> float:
        """Wake the pod if it is due because it has not noticed `change`; seconds until it is due again."""
        if self.pokes.wait(pod.uid, subject, change) == 0.0:
            await self.annotate(pod, {POKE_ANNOTATION: datetime.now(UTC).isoformat()})
            self.pokes.poked(pod.uid, subject, change)
            metrics.POKES.inc()
        return self.pokes.wait(pod.uid, subject, change)
