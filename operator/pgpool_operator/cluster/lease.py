"""Leadership by a coordination Lease: one replica writes, the others keep their caches warm."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import aiohttp
import structlog
from kubernetes.aio.client import ApiClient, ApiException, V1Lease, V1ObjectMeta
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

log = structlog.get_logger()

LEASE_NAME = "pgpool-operator"
LEASE_SECONDS = 15
RENEW_DEADLINE_SECONDS = 10
RETRY_SECONDS = 2
"""The values of client-go's leader election."""

ANSWER_SECONDS = 1.5
"""For each of a renewal's two requests: a last try that begins at the deadline ends before the Lease does."""

_UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)


class _Lock(LeaseLock):
    """A LeaseLock for which an API server that does not answer is a failed try, not an exception."""

    async def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await super().get(name, namespace)
        except _UNREACHABLE as error:
            return False, _NoAnswerError(repr(error))

    async def create(self, name: str, namespace: str, election_record: Any) -> bool:
        """The library's own passes `pretty=True`, which its generated client refuses (37.0)."""
        lease = V1Lease(metadata=V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self.api_instance.create_namespaced_lease(namespace, lease)
        except (ApiException, *_UNREACHABLE) as error:
            log.warning("Lease not created", error=repr(error))
            return False
        return True

    async def update(self, name: str, namespace: str, updated_record: Any) -> bool:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return bool(await super().update(name, namespace, updated_record))
        except _UNREACHABLE:
            return False

    async def release(self) -> None:
        """Let the next replica lead at once instead of after the Lease's duration; best effort."""
        with suppress(ApiException, *_UNREACHABLE):
            async with asyncio.timeout(RETRY_SECONDS):
                # Read anew: the library keeps the version from before its last update.
                lease = await self.api_instance.read_namespaced_lease(self.name, self.namespace)
                if lease.spec is None or lease.spec.holder_identity != self.identity:
                    return
                lease.spec.holder_identity = None
                await self.api_instance.replace_namespaced_lease(self.name, self.namespace, lease)


class _NoAnswerError(Exception):
    @property
    def reason(self) -> str:
        return str(self)


async def lead(
    client: ApiClient, namespace: str, identity: str, work: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Wait for the Lease, then run `work` until it is lost. Returns when it was lost: the caller exits.

    Cancelled, it ends `work` before it gives the Lease back: two never lead at once.
    """
    working: list[asyncio.Task[Any]] = []

    async def started() -> None:
        if (task := asyncio.current_task()) is not None:
            working.append(task)
        await work()

    async def lost() -> None:
        log.error("leadership lost", lease=f"{namespace}/{LEASE_NAME}", identity=identity)

    lock = _Lock(LEASE_NAME, namespace, identity, client)
    config = Config(lock, LEASE_SECONDS, RENEW_DEADLINE_SECONDS, RETRY_SECONDS, started, lost)
    try:
        await LeaderElection(config).run()
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await lock.release()
