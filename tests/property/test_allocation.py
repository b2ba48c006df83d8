from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from pgpool_operator.budget import Claim, allocate

CLAIMS = st.lists(
    st.builds(
        Claim,
        key=st.sampled_from("abcdefgh"),
        floor=st.integers(1, 4),
        demand=st.one_of(st.just(0.0), st.floats(0, 60)),
        held=st.integers(0, 30),
        most=st.one_of(st.none(), st.integers(0, 20)),
        leaving=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda claim: claim.key,
)
OPEN_CLAIMS = CLAIMS.map(
    lambda claims: [replace(claim, most=None, leaving=False, held=0) for claim in claims]
)
CONNECTIONS = st.integers(0, 80)


@given(CONNECTIONS, CLAIMS)
def test_shares_never_sum_to_more_than_there_is(connections: int, claims: list[Claim]) -> None:
    shares = allocate(connections, claims)
    assert set(shares) == {claim.key for claim in claims}
    assert sum(shares.values()) <= connections


@given(CONNECTIONS, CLAIMS)
def test_nothing_is_left_while_somebody_may_have_it(connections: int, claims: list[Claim]) -> None:
    shares = allocate(connections, claims)
    if any(shares[claim.key] and claim.most is None and not claim.leaving for claim in claims):
        assert sum(shares.values()) == connections


@given(CONNECTIONS, CLAIMS)
def test_everybody_has_the_floor_or_nothing_and_no_more_than_allowed(
    connections: int, claims: list[Claim]
) -> None:
    shares = allocate(connections, claims)
    for claim in claims:
        share = shares[claim.key]
        assert share == 0 or share >= claim.floor
        assert claim.most is None or share <= max(claim.most, claim.floor)


@given(CONNECTIONS, CLAIMS)
def test_all_have_their_floors_where_these_fit(connections: int, claims: list[Claim]) -> None:
    if sum(claim.floor for claim in claims) <= connections:
        assert all(allocate(connections, claims).values())


@given(CONNECTIONS, CLAIMS)
def test_nobody_is_left_out_whose_floor_would_fit(connections: int, claims: list[Claim]) -> None:
    shares = allocate(connections, claims)
    floors = sum(claim.floor for claim in claims if shares[claim.key])
    assert all(claim.floor > connections - floors for claim in claims if not shares[claim.key])


@given(CONNECTIONS, CLAIMS)
def test_a_newcomer_never_takes_a_holders_floor(connections: int, claims: list[Claim]) -> None:
    held = [claim for claim in claims if claim.held]
    if sum(claim.floor for claim in held) <= connections:
        shares = allocate(connections, claims)
        assert all(shares[claim.key] >= claim.floor for claim in held)


@given(CONNECTIONS, OPEN_CLAIMS)
def test_who_wants_more_has_no_less_than_anybody_who_was_given_above_the_floor(
    connections: int, claims: list[Claim]
) -> None:
    """Max-min: what somebody has above floor and want is only what is left when everybody has enough."""
    shares = allocate(connections, claims)
    hungry = [claim for claim in claims if claim.floor <= shares[claim.key] < claim.demand]
    for claim in hungry:
        for other in claims:
            assert shares[other.key] <= max(other.floor, shares[claim.key] + 1)


@given(CONNECTIONS, CLAIMS)
def test_the_result_is_a_fixed_point(connections: int, claims: list[Claim]) -> None:
    shares = allocate(connections, claims)
    assert allocate(connections, [replace(claim, held=shares[claim.key]) for claim in claims]) == shares


@given(CONNECTIONS, CLAIMS, st.randoms(use_true_random=False))
def test_the_order_of_the_claims_does_not_matter(
    connections: int, claims: list[Claim], random: Random
) -> None:
    shuffled = list(claims)
    random.shuffle(shuffled)
    assert allocate(connections, shuffled) == allocate(connections, claims)
