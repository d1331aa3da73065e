"""One set of golden tests, run on every implementation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.golden.cases import Case
from tests.golden.driver import CachedDriver, Driver, OracleDriver, PackageDriver

DRIVERS = {"oracle": OracleDriver, "packed": PackageDriver, "cached": CachedDriver}


@pytest.fixture(scope="session", params=list(DRIVERS))
def driver(request: pytest.FixtureRequest) -> Driver:
    """An implementation over the tiny checkpoint: the oracle, the package in whole packs, the package over a cache."""
    return DRIVERS[request.param]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A kind that a folder has no case of leaves no test behind; walks of the oracle through a world take minutes."""
    empty = [item for item in items if "case" in _params(item) and not isinstance(_params(item)["case"], Case)]
    config.hook.pytest_deselected(items=empty)
    items[:] = [item for item in items if item not in empty]
    for item in items:
        params = _params(item)
        if params.get("driver") == "oracle" and params["case"].kind == "interleaved":
            item.add_marker(pytest.mark.slow)


def _params(item: pytest.Item) -> dict[str, Any]:
    return getattr(getattr(item, "callspec", None), "params", {})
