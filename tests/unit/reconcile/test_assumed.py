"""Pods that died before they could say whether the server notices dead clients."""

from pgpool_operator.cluster.kinds import PGPOOL, POD
from tests.support.shop import report_end
from tests.support.town import Town

HOST = "10.0.0.7"


def die(town: Town, name: str) -> None:
    pod = town.server.there(POD, name)
    report_end(pod)
    town.server.save(POD, pod)
    town.watch()


async def held_by_pods_of_a_deleted_pool(mode: str) -> int:
    """Another pool has logged in to the server; of this one nobody could, as its Secret is wrong."""
    town = Town()
    town.pool("shop/good", HOST)
    await town.settle()
    town.pool("shop/wrong", HOST, poolMode=mode)
    for _ in range(4):
        await town.round()
        town.answer("good-1", "good-2")
    assert town.reserved("shop", HOST)["wrong-1"] > 0
    town.delete(PGPOOL, "shop", "wrong")
    for name in ("wrong-1", "wrong-2"):
        die(town, name)
    for _ in range(3):
        await town.round()
        town.clock.now += 60
    return sum(held for pod, held in town.reserved("shop", HOST).items() if pod.startswith("wrong"))


async def test_what_pods_hold_that_never_logged_in_is_freed_although_their_pool_is_deleted() -> None:
    assert await held_by_pods_of_a_deleted_pool("transaction") == 0


async def test_what_they_hold_is_kept_where_they_may_have_had_sessions() -> None:
    assert await held_by_pods_of_a_deleted_pool("session") > 0
