"""Many PgPools, and an operator that starts anew: everything is reconciled, and nothing is written."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from e2e.audit import Mark, Write
from e2e.kube import Kubectl, Object, condition, eventually
from e2e.storm.pods import SimulatedPods, proxied
from e2e.storm.program import Program, Usage, operators_kubeconfig
from e2e.world import operators_away, sample_pool

NAMESPACE = "e2e-storm"
FEW, MANY = 50, 200
BATCH = 25
SERVING_SECONDS = 300.0
QUIET_SECONDS = 10.0
REST_SECONDS = 30.0
NO_NODE = {"pgpool.dev/no-node-has-this": "true"}


@pytest.fixture
def alone(operator: Kubectl) -> Iterator[None]:
    """The cluster's own operator is away meanwhile."""
    with operators_away(operator):
        yield


@pytest.fixture
def storm(kube: Kubectl, alone: None) -> Iterator[Kubectl]:
    """A namespace for many PgPools."""
    del alone
    cluster = kube.within("")
    cluster("delete", "namespace", NAMESPACE, "--ignore-not-found")
    cluster("create", "namespace", NAMESPACE)
    try:
        yield kube.within(NAMESPACE)
    finally:
        cluster("delete", "namespace", NAMESPACE)


@dataclass(frozen=True)
class Restart:
    """What an operator took that was started with so many pools, all as they should be."""

    pools: int
    until_done: Usage
    at_rest: Usage
    """After it had nothing to do for a while."""
    writes: list[Write]

    @property
    def rest_share(self) -> float:
        """The part of one CPU that it takes at rest."""
        cpu = self.at_rest.cpu_seconds - self.until_done.cpu_seconds
        return cpu / (self.at_rest.seconds - self.until_done.seconds)


async def test_an_operator_that_starts_anew_writes_nothing(
    kube: Kubectl, storm: Kubectl, tmp_path: Path
) -> None:
    program = Program(NAMESPACE, operators_kubeconfig(kube, tmp_path), tmp_path / "operator.log")
    async with proxied(kube) as api, SimulatedPods(api, NAMESPACE):
        try:
            await program.start()
            nothing = await program.reconciled(0)
            await create_pools(storm, api, 0, FEW)
            few = await restart(program, FEW, rest=REST_SECONDS / 2)
            await create_pools(storm, api, FEW, MANY)
            many = await restart(program, MANY, rest=REST_SECONDS)
            serving = await count_serving(api)
        finally:
            await program.stop()
    report(nothing, few, many)
    assert few.writes == []
    assert many.writes == []
    assert serving == MANY


async def create_pools(storm: Kubectl, api: aiohttp.ClientSession, first: int, end: int) -> None:
    """Create them in batches, and wait until all serve and nothing is written any more."""
    started = time.monotonic()
    for start in range(first, end, BATCH):
        batch = [pool_number(number) for number in range(start, min(start + BATCH, end))]
        await asyncio.to_thread(storm.apply, *batch)
    deadline = time.monotonic() + SERVING_SECONDS
    while (serving := await count_serving(api)) < end:
        assert time.monotonic() < deadline, f"only {serving} of {end} pools serve"
        await asyncio.sleep(2)
    print(f"{end - first} more pools serve: {time.monotonic() - started:.1f} s")  # noqa: T201
    await asyncio.to_thread(eventually, "the operator rests", at_rest)


def pool_number(number: int) -> Object:
    """On a server of its own, with pods that stay without a node."""
    server = {"host": f"10.200.{number // 250}.{number % 250 + 1}", "cpu": 8}
    spec = {"database": {"servers": [server]}, "read": None, "pods": {"nodeSelector": NO_NODE}}
    return sample_pool(f"pool-{number:03}", **spec)


async def count_serving(api: aiohttp.ClientSession) -> int:
    """The pools that say Ready=True, Serving, of their current generation."""
    async with api.get(f"/apis/pgpool.dev/v1alpha1/namespaces/{NAMESPACE}/pgpools") as answer:
        answer.raise_for_status()
        pools = (await answer.json())["items"]
    return sum(is_serving(pool) for pool in pools)


def is_serving(pool: Object) -> bool:
    if "conditions" not in pool.get("status", {}):
        return False
    ready = condition(pool, "Ready")
    current = ready["observedGeneration"] == pool["metadata"]["generation"]
    return current and (ready["status"], ready["reason"]) == ("True", "Serving")


def at_rest() -> bool:
    since = Mark.now()
    time.sleep(QUIET_SECONDS)
    return not since.writes(NAMESPACE)


async def restart(program: Program, pools: int, *, rest: float) -> Restart:
    """Stop it and start it anew; each pool has a ledger of its own."""
    since = Mark.now()
    await program.stop()
    await program.start()
    until_done = await program.reconciled(2 * pools)
    await asyncio.sleep(rest)
    return Restart(pools, until_done, program.usage(), since.writes(NAMESPACE))


def report(nothing: Usage, *restarts: Restart) -> None:
    """Print what it took."""
    print(f"a start without pools: {nothing.cpu_seconds:.2f} s CPU, {nothing.rss_mib:.0f} MiB")  # noqa: T201
    per_pool = []
    for found in restarts:
        done = found.until_done
        per_pool.append((done.cpu_seconds - nothing.cpu_seconds) / found.pools)
        print(  # noqa: T201
            f"{found.pools} pools: all reconciled after {done.seconds:.1f} s, {done.cpu_seconds:.2f} s CPU, "
            f"{per_pool[-1] * 1000:.1f} ms CPU a pool more than a start without, {done.rss_mib:.0f} MiB; "
            f"at rest {found.rest_share / found.pools * 100:.3f} CPU for 100 pools, {found.at_rest.rss_mib:.0f} "
            f"MiB; {len(found.writes)} writes"
        )
    print(f"a pool among {MANY} costs {per_pool[-1] / per_pool[0]:.2f} times what one of {FEW} does")  # noqa: T201
