"""Secrets and files, as the kubelet mounts them, in the loop with a fake engine."""

from typing import Any

import pytest

from pgpool_pooler.agent.hold import UNDETECTED_HOLD_SECONDS
from pgpool_pooler.contract import ClientTls, Problem
from pgpool_pooler.engines.base import FailureKind, User

from .builders import MONITOR, config, database, grant
from .pod import Pod, as_monitor


async def test_a_configuration_waits_for_its_hash_because_the_kubelet_may_be_half_done(serving: Pod) -> None:
    before = (await serving.settle()).config_hash
    serving.annotate(config_hash="of-files-to-come")
    assert (await serving.settle(2)).config_hash == before
    serving.configure(config(database("app"), parameters={"max_client_conn": 8}), told=False)
    assert (await serving.settle(2)).config_hash == before
    serving.configure(config(database("app"), parameters={"max_client_conn": 9}))
    assert (await serving.settle(2)).config_hash not in (before, "of-files-to-come")


async def test_a_first_rollout_with_a_wrong_secret_stays_unready_and_says_which(pod: Pod) -> None:
    pod.configure(config(user_secrets=("main-ap",)))
    pod.give(grant({"app": 3}))
    said = await pod.settle(2)
    assert pod.engine.told == []
    assert [(p.field, p.text, p.reason) for p in said.problems] == [
        ("auth.userSecrets[0]", "no Secret main-ap in shop", "SecretInvalid")
    ]
    assert pod.unready == "no Secret main-ap in shop"


@pytest.mark.parametrize(
    "more",
    [
        {"user_secrets": ("main-app", "second")},
        {"client_tls": ClientTls(mode="require")},
        {"monitor": MONITOR},
    ],
    ids=["another user Secret", "a certificate", "a monitor"],
)
async def test_a_pod_that_was_not_made_for_a_secret_serves_on_and_blames_nobody(
    serving: Pod, more: dict[str, Any]
) -> None:
    before = await serving.settle(1)
    serving.configure(config(**more))
    said = await serving.settle(2)
    assert said.config_hash == before.config_hash
    assert said.problems == ()
    assert said.ready


async def test_a_secret_that_goes_bad_keeps_what_ran_also_over_a_restart(serving: Pod) -> None:
    serving.secret(username="app")
    said = await serving.settle(1)
    assert serving.engine.told == []
    assert [problem.text for problem in said.problems] == ["Secret main-app has no key password"]
    serving.boot()
    assert (await serving.settle(UNDETECTED_HOLD_SECONDS + 1)).ready


async def test_a_new_password_is_applied_and_shows_in_the_secrets_version(serving: Pod) -> None:
    before = (await serving.settle()).secrets_version
    serving.secret(username="app", password="new")
    said = await serving.settle(1)
    assert serving.engine.told == [("apply", {"app": 3, "b": 1})]
    assert said.secrets_version != before


async def test_a_user_that_leaves_the_secrets_is_revoked(serving: Pod) -> None:
    serving.secret(username="renamed", password="secret")
    await serving.settle(1)
    assert serving.engine.setup is not None
    assert serving.engine.setup.material.revoked == {"app"}


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ({}, "no Secret main-monitor in shop"),
        ({"username": "seer"}, "Secret main-monitor has no key password"),
    ],
)
async def test_without_a_good_monitor_the_pod_serves_all_the_same_and_says_what_is_wrong(
    pod: Pod, secret: dict[str, str], words: str
) -> None:
    pod.mount(pod.layout.monitor, **secret)
    pod.configure(config(monitor=MONITOR))
    pod.secret(username="app", password="secret")
    pod.give(grant({"app": 3, "pgpool_monitor": 1}))
    said = await pod.settle(1)
    assert pod.engine.told == [("start", {"app": 3})]
    assert (said.ready, said.acknowledged) == (True, 1)
    assert said.problems == (Problem(field="auth.monitor.secretRef", text=words, reason="SecretInvalid"),)


async def test_a_monitor_whose_secret_goes_bad_looks_on_also_over_a_restart(watched: Pod) -> None:
    watched.mount(watched.layout.monitor, username="seer")
    said = await watched.settle(1)
    assert [problem.reason for problem in said.problems] == ["SecretInvalid"]
    watched.boot()
    await watched.settle(UNDETECTED_HOLD_SECONDS + 1)
    assert watched.engine.told == [("start", {"app": 3, "pgpool_monitor": 1})]


async def test_a_new_password_of_the_monitor_is_applied_and_shows_in_the_secrets_version(
    watched: Pod,
) -> None:
    before = (await watched.settle()).secrets_version
    watched.supervisor.server_failed(as_monitor(FailureKind.LOGIN))
    watched.mount(watched.layout.monitor, username="seer", password="new")
    said = await watched.settle(1)
    assert watched.engine.told[1:] == [("apply", {"app": 3, "pgpool_monitor": 1})]
    assert watched.engine.setup is not None
    assert watched.engine.setup.material.monitor == User("seer", "new")
    assert said.secrets_version != before
    assert said.problems == ()


async def test_a_monitor_that_has_another_name_now_is_revoked(watched: Pod) -> None:
    watched.mount(watched.layout.monitor, username="other", password="sees")
    await watched.settle(1)
    assert watched.engine.setup is not None
    assert watched.engine.setup.material.revoked == {"seer"}
