"""The API server takes what README.md shows."""

from typing import Any

import pytest

from tests import readme

from .resources import Resources


@pytest.mark.parametrize("pool", readme.pools(), ids=lambda pool: str(pool["metadata"]["name"]))
def test_each_pool_of_the_readme_is_accepted(pools: Resources, pool: dict[str, Any]) -> None:
    assert pools.try_to_create(pool)["spec"]
