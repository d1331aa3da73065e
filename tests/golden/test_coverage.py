"""No case goes untested: every kind in the folder is claimed by a test."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.golden import cases

cases.folder()


def test_every_kind_of_case_has_a_test() -> None:
    for path in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"tests.golden.{path.stem}")
    unknown = {case.id: case.kind for case in cases.every_case() if case.kind not in cases.COVERED}
    assert not unknown, f"cases of kinds that no test knows: {unknown}"


def test_no_case_is_listed_twice() -> None:
    ids = [case.id for case in cases.every_case()]
    assert len(ids) == len(set(ids))
