"""Every bug of the table is caught: a promise without a test that fails when it is broken is only a wish."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest

from tests.bugs.copied import PASSED, REPOSITORY, SOURCES, Copy, copied, with_bug
from tests.bugs.table import BUGS, ON_THE_CLUSTER, Bug, Guard

ALL = (*BUGS, *ON_THE_CLUSTER)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    with copied(tmp_path_factory.mktemp("bugs") / "copy") as copy:
        yield copy


def test_the_copys_own_packages_are_the_ones_that_are_tested(copy: Copy) -> None:
    packages = ("pgpool_operator", "pgpool_pooler")
    done = copy.run(
        "-c", f"import {', '.join(packages)}; print({', '.join(f'{p}.__file__' for p in packages)})"
    )
    expected = [
        str(copy.folder / source / p / "__init__.py") for source, p in zip(SOURCES, packages, strict=True)
    ]
    assert done.stdout.split() == expected


def test_without_a_bug_the_tests_that_catch_them_pass(copy: Copy) -> None:
    verdict = copy.test(*dict.fromkeys(test for bug in BUGS for test in bug.caught_by))
    assert verdict.status == PASSED, verdict.output


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_it_is_caught(copy: Copy, bug: Bug) -> None:
    with copy.broken(bug):
        verdict = copy.test(*bug.caught_by)
    assert verdict.catches(bug), verdict.output
    click.echo(f"caught by {verdict.failure}")


A_BUG = BUGS[0]


@pytest.mark.parametrize(
    "bug",
    [
        pytest.param(replace(A_BUG, wrong=f"{A_BUG.right} + missing_name"), id="a name is missing"),
        pytest.param(replace(A_BUG, wrong=f"{A_BUG.right} +"), id="it is no Python"),
        pytest.param(replace(A_BUG, because="another reason"), id="a test fails for another reason"),
    ],
)
def test_it_is_not_caught_where(copy: Copy, bug: Bug) -> None:
    with copy.broken(bug):
        verdict = copy.test(*bug.caught_by)
    assert verdict.status != PASSED
    assert not verdict.catches(bug)


@pytest.mark.parametrize("bug", ON_THE_CLUSTER, ids=lambda bug: bug.name)
def test_it_can_be_put_in_and_is_another_source(bug: Bug) -> None:
    source = (REPOSITORY / bug.file).read_text()
    broken = with_bug(source, bug)
    assert broken != source
    compile(broken, bug.file, "exec")


@pytest.mark.parametrize("promised", Guard, ids=lambda promised: promised.name)
def test_a_bug_breaks(promised: Guard) -> None:
    assert any(bug.guards is promised for bug in BUGS), promised.value


def test_no_two_bugs_have_one_name() -> None:
    assert len({bug.name for bug in ALL}) == len(ALL)


@pytest.mark.parametrize("bug", ALL, ids=lambda bug: bug.name)
def test_it_is_in_the_product(bug: Bug) -> None:
    assert Path(bug.file).parts[0] in SOURCES
