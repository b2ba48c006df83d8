import json
import subprocess
from pathlib import Path

import pytest

from e2e.cluster.runtime_wrapper import install, lacks_capability, process_file, without_withheld

ALL = ["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_NET_ADMIN"]
KEPT = ["CAP_CHOWN", "CAP_NET_ADMIN"]


@pytest.mark.parametrize(
    ("bounding", "lacks"),
    [("000001fffeffffff", True), ("000001ffffffffff", False), ("0000000001000000", False)],
)
def test_the_bounding_set_tells_whether_the_capability_is_withheld(bounding: str, lacks: bool) -> None:
    assert lacks_capability(f"Name:\tpython\nCapEff:\t0000000000000000\nCapBnd:\t{bounding}\n") is lacks


def test_every_set_of_a_new_container_loses_the_withheld_capability_and_nothing_else() -> None:
    config = {
        "ociVersion": "1.0.2",
        "process": {"args": ["init"], "capabilities": {"bounding": ALL, "effective": ALL}},
        "root": {"path": "rootfs"},
    }

    assert without_withheld(config) == config | {
        "process": {"args": ["init"], "capabilities": {"bounding": KEPT, "effective": KEPT}}
    }


def test_an_exec_names_its_process_without_a_bundle_around_it() -> None:
    process = {"args": ["sh"], "capabilities": {"permitted": ALL}}

    assert without_withheld(process) == {"args": ["sh"], "capabilities": {"permitted": KEPT}}


def test_a_process_that_asks_for_no_capability_stays_as_it_is() -> None:
    assert without_withheld({"args": ["sh"]}) == {"args": ["sh"]}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--root /run/x --log l create --bundle /b --pid-file p id", "/b/config.json"),
        ("create --bundle=/b id", "/b/config.json"),
        ("run -b /b id", "/b/config.json"),
        ("create id", "/here/config.json"),
        ("--root /run/x exec --process /tmp/p --pid-file q id", "/tmp/p"),
        ("exec -p /tmp/p id", "/tmp/p"),
    ],
)
def test_the_file_with_the_capabilities_is_found_as_runc_finds_it(arguments: str, expected: str) -> None:
    assert process_file(arguments.split(), Path("/here")) == Path(expected)


@pytest.mark.parametrize("arguments", ["state id", "kill id 9", "delete --force id", "exec id sh"])
def test_other_calls_are_passed_on_untouched(arguments: str) -> None:
    assert process_file(arguments.split(), Path("/here")) is None


def test_the_installed_program_rewrites_the_bundle_and_becomes_runc(tmp_path: Path) -> None:
    (tmp_path / "runc").write_text('#!/bin/sh\necho "runc $*"\n')
    (tmp_path / "runc").chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"process": {"capabilities": {"bounding": ALL}}}))
    program = install(tmp_path / "libexec")

    done = subprocess.run(
        [program, "create", "--bundle", tmp_path, "id"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"runc create --bundle {tmp_path} id\n"
    written = json.loads((tmp_path / "config.json").read_text())
    assert written == {"process": {"capabilities": {"bounding": KEPT}}}
