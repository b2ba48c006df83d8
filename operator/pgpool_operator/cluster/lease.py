"""Leadership by a coordination Lease: one replica writes, the others keep their caches warm."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NoReturn

import aiohttp
import structlog
from kubernetes.aio.client import ApiClient, ApiException, V1Lease, V1ObjectMeta
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

from .forever import EndedError, why

log = structlog.get_logger()
logging.getLogger(LeaderElection.__module__).setLevel(logging.ERROR)
"""A try that failed is said here, with the reason."""

LEASE_NAME = "pgpool-operator"
LEASE_SECONDS = 15
RENEW_DEADLINE_SECONDS = 10
RETRY_SECONDS = 2
"""The values of client-go's leader election."""

ANSWER_SECONDS = 1.5
"""For each of a renewal's two requests: a last try that begins at the deadline ends before the Lease does."""

_UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)


class _Lock(LeaseLock):
    """A LeaseLock for which an API server that does not answer is a failed try, not an exception.

    What the library tries, and why that failed, is one line of the log: it writes a traceback of its own.
    """

    async def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await super().get(name, namespace)
        except _UNREACHABLE as error:
            return False, _NoAnswerError(repr(error))

    async def create(self, name: str, namespace: str, election_record: Any) -> bool:
        """The library's own passes `pretty=True`, which its generated client refuses (37.0)."""
        lease = V1Lease(metadata=V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        return await _written(self.api_instance.create_namespaced_lease(namespace, lease))

    async def update(self, name: str, namespace: str, updated_record: Any) -> bool:
        lease = self.lease_reference
        assert lease is not None, "it was read"
        lease.spec = self.update_lease(updated_record, lease.spec)
        return await _written(self.api_instance.replace_namespaced_lease(name, namespace, lease))

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


async def _written(request: Coroutine[Any, Any, Any]) -> bool:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await request
    except ApiException as error:
        log.warning("Lease not written", error=f"{error.status}: {error.reason}")
        return False
    except _UNREACHABLE as error:
        log.warning("Lease not written", error=repr(error))
        return False
    return True


async def lead(
    client: ApiClient, namespace: str, identity: str, work: Callable[[], Coroutine[Any, Any, None]]
) -> NoReturn:
    """Wait for the Lease, then run `work`, which never ends. Raises EndedError when the Lease is lost, and what
    `work` raises, or EndedError, if it ends all the same.

    However it ends, it ends `work` before it gives the Lease back: two never lead at once.
    """
    leading, lost = asyncio.Event(), asyncio.Event()

    async def started() -> None:
        leading.set()

    async def stopped() -> None:
        lost.set()

    async def when_leading() -> None:
        await leading.wait()
        await work()

    lock = _Lock(LEASE_NAME, namespace, identity, client)
    config = Config(lock, LEASE_SECONDS, RENEW_DEADLINE_SECONDS, RETRY_SECONDS, started, stopped)
    election = asyncio.create_task(LeaderElection(config).run(), name="election")
    working = asyncio.create_task(when_leading(), name="leader's work")
    try:
        done, _ = await asyncio.wait((election, working), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, election):
            task.cancel()
            await asyncio.wait((task,))
        await lock.release()
    if lost.is_set():
        raise EndedError(f"the Lease {namespace}/{LEASE_NAME} is lost")
    why(done)
