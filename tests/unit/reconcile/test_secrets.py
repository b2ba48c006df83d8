"""Which version of the Secrets is the newest, by what pods say."""

from pgpool_operator.reconcile.secrets import SecretVersions
from pgpool_pooler.contract import Phase, State


def says(version: str) -> State:
    return State(
        uid="a",
        pod="a",
        phase=Phase.SERVING,
        ready=True,
        generation=1,
        acknowledged=1,
        cap=1,
        secrets_version=version,
    )


def test_before_any_pod_was_heard_none_is_known() -> None:
    assert SecretVersions().newest("shop/app", []) == ""
    assert SecretVersions().newest("shop/app", [says("")]) == ""


def test_the_version_that_appeared_last_is_the_newest() -> None:
    versions = SecretVersions()
    assert versions.newest("shop/app", [says("old"), says("old")]) == "old"
    assert versions.newest("shop/app", [says("old"), says("new")]) == "new"
    assert versions.newest("shop/app", [says("new"), says("old")]) == "new"


def test_a_version_that_comes_back_is_the_newest_again() -> None:
    versions = SecretVersions()
    for shown in (["a"], ["a", "b"], ["b"], ["b", "a"]):
        newest = versions.newest("shop/app", map(says, shown))
    assert newest == "a"


def test_pools_are_apart() -> None:
    versions = SecretVersions()
    versions.newest("shop/app", [says("a")])
    assert versions.newest("shop/other", [says("b")]) == "b"
