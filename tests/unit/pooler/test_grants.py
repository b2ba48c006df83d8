import pytest

from pgpool_pooler.agent.grants import Accepted, Refused, Unchanged, judge, takes_away
from pgpool_pooler.contract import CONTRACT_VERSION, Grant

from .builders import UID, grant

HELD = grant({"app": 4}, generation=4)


def text(offered: Grant) -> str:
    return offered.model_dump_json(by_alias=True)


def test_a_newer_generation_is_accepted() -> None:
    newer = grant({"app": 2}, generation=5)
    assert judge(text(newer), HELD, UID) == Accepted(newer)


def test_the_first_grant_is_accepted_whatever_its_generation() -> None:
    assert judge(text(HELD), None, UID) == Accepted(HELD)


def test_the_same_grant_again_changes_nothing() -> None:
    assert judge(text(HELD), HELD, UID) == Unchanged()


def test_no_annotation_yet_is_no_problem_for_a_new_pod() -> None:
    assert judge("", None, UID) == Unchanged()


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        ("", "the grant is gone"),
        ("{", "not a grant"),
        ('{"uid": "5f0c"}', "not a grant: generation"),
        (text(grant({"app": 9}, generation=3)), "generation 3 is older than 4"),
        (text(grant({"app": 9}, generation=4)), "generation 4 was altered"),
        (text(grant({"app": 9}, generation=5)).replace(UID, "other"), "made for pod other"),
        (text(grant({"app": 9}, generation=5)).replace('"version":1', '"version":99'), "contract version 99"),
    ],
)
def test_the_pod_keeps_its_grant_and_says_why(offered: str, words: str) -> None:
    verdict = judge(offered, HELD, UID)
    assert isinstance(verdict, Refused)
    assert words in verdict.why


def test_a_grant_takes_away_if_no_server_is_granted_more_than_before() -> None:
    assert takes_away(grant({"app": 1}), HELD)
    assert takes_away(HELD, HELD)
    assert not takes_away(grant({"app": 9}), HELD)
    assert not takes_away(grant({"app": 1}, host="10.0.0.2"), HELD)


def test_the_version_that_this_pod_speaks_is_accepted() -> None:
    assert grant({"app": 1}).version == CONTRACT_VERSION
