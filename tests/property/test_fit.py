from hypothesis import given
from hypothesis import strategies as st

from pgpool_operator.budget import Fit, PoolWants, fit, fixed_share

WANTS = st.lists(
    st.builds(
        PoolWants,
        key=st.sampled_from("abcdef"),
        floor=st.integers(1, 12),
        replicas=st.integers(0, 6),
    ),
    max_size=6,
    unique_by=lambda want: want.key,
)
CONNECTIONS = st.integers(0, 60)


@given(CONNECTIONS, WANTS)
def test_the_floors_of_all_pods_and_of_one_that_surges_fit(connections: int, wants: list[PoolWants]) -> None:
    found = fit(connections, wants)
    pods = sum(found[want.key].replicas * want.floor for want in wants)
    surging = max((want.floor for want in wants if found[want.key].replicas), default=0)
    surges = any(item.max_surge for item in found.values())
    assert pods + (surging if surges else 0) <= connections


@given(CONNECTIONS, WANTS)
def test_nobody_gets_more_pods_than_wanted(connections: int, wants: list[PoolWants]) -> None:
    found = fit(connections, wants)
    assert set(found) == {want.key for want in wants}
    assert all(0 <= found[want.key].replicas <= want.replicas for want in wants)


@given(CONNECTIONS, WANTS)
def test_a_rollout_can_always_proceed(connections: int, wants: list[PoolWants]) -> None:
    assert all(item.max_surge + item.max_unavailable == 1 for item in fit(connections, wants).values())


@given(CONNECTIONS, WANTS)
def test_nobody_has_a_second_pod_while_an_older_pool_that_fits_has_none(
    connections: int, wants: list[PoolWants]
) -> None:
    found = fit(connections, wants)
    for older, younger in ((a, b) for i, a in enumerate(wants) for b in wants[i + 1 :]):
        if older.replicas and older.floor <= younger.floor and found[younger.key].replicas:
            assert found[older.key].replicas >= 1


@given(CONNECTIONS, WANTS)
def test_a_pool_whose_single_pod_fits_alone_gets_it(connections: int, wants: list[PoolWants]) -> None:
    for want in wants:
        if want.replicas and want.floor <= connections:
            assert fit(connections, [want])[want.key].replicas >= 1


@given(CONNECTIONS, WANTS, st.sets(st.sampled_from("abcdef")))
def test_all_shares_and_that_of_one_pod_that_surges_fit_where_some_pools_have_fixed_shares(
    connections: int, wants: list[PoolWants], fixed: set[str]
) -> None:
    found = fit(connections, wants)
    share = fixed_share(
        connections,
        _floors(found, [want for want in wants if want.key in fixed]),
        _floors(found, [want for want in wants if want.key not in fixed]),
    )
    needs = {want.key: max(want.floor, share) if want.key in fixed else want.floor for want in wants}
    pods = sum(found[key].replicas * need for key, need in needs.items())
    surging = max((need for key, need in needs.items() if found[key].replicas), default=0)
    surges = any(item.max_surge for item in found.values())
    assert pods + (surging if surges else 0) <= connections


@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 6))
def test_a_fixed_share_wastes_less_than_one_connection_of_each_pod(
    connections: int, floor: int, pods: int
) -> None:
    share = fixed_share(connections, [floor] * pods, [])
    assert share == 0 or connections - share * (pods + 1) <= pods


def _floors(found: dict[str, Fit], wants: list[PoolWants]) -> list[int]:
    return [want.floor for want in wants for _ in range(found[want.key].replicas)]
