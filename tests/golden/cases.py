"""The reference numbers as the tests see them: one `Case` per entry of the folder's JSON, and no size known beforehand."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]


def folder() -> Path:
    """The folder named by BAGEL_GOLDEN_DIR; without it the calling module is skipped."""
    named = Path(os.environ.get("BAGEL_GOLDEN_DIR", "../shared/golden"))
    found = named if named.is_absolute() else ROOT / named
    if not (found / "tiny_cases.json").is_file():
        pytest.skip(
            f"no goldens in {named}: set BAGEL_GOLDEN_DIR to the folder that holds tiny_cases.json", allow_module_level=True
        )
    return found


@functools.cache
def head() -> dict[str, Any]:
    """The whole JSON file."""
    return json.loads((folder() / "tiny_cases.json").read_text(encoding="utf-8"))


def checkpoint_folder() -> Path:
    return folder() / head()["checkpoint"]


def tensor(key: str) -> Tensor:
    """A stored tensor by its full key, `<case id>/<name>`."""
    with safe_open(str(folder() / "tiny_cases.safetensors"), framework="pt") as file:
        return file.get_tensor(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case: settings and tensors to run with, goldens to compare with."""

    id: str
    kind: str
    settings: Mapping[str, Any]
    tolerance: Mapping[str, Any]
    tensors: Mapping[str, Any]

    def __getitem__(self, name: str) -> Tensor:
        """The stored tensor, input or golden."""
        return tensor(self.tensors[name]["key"])

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def indices(self, prefix: str) -> list[int]:
        """The numbers n for which a tensor `<prefix><n>` is stored."""
        ends = [name.removeprefix(prefix) for name in self.tensors if name.startswith(prefix)]
        return sorted(int(end) for end in ends if end.isdigit())


def every_case() -> list[Case]:
    stored = head()["cases"]
    entries = [{"id": key, **value} for key, value in stored.items()] if isinstance(stored, dict) else stored
    return [
        Case(
            id=entry["id"],
            kind=entry["kind"],
            settings=entry.get("settings", {}),
            tolerance=entry.get("tolerance", {}),
            tensors=entry.get("tensors", {}),
        )
        for entry in entries
    ]


COVERED: set[str] = set()
"""Kinds of cases that some test claims."""


def covers(*kinds: str) -> Any:
    """Parametrize a test over all cases of these kinds, under the name `case`, and claim the kinds."""
    folder()
    COVERED.update(kinds)
    cases = [case for case in every_case() if case.kind in kinds]
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in cases])


def sibling(case: Case, kind: str) -> Case:
    """The last case of another kind that stands before this one."""
    cases = every_case()
    before = [each for each in cases[: [each.id for each in cases].index(case.id)] if each.kind == kind]
    if not before:
        raise AssertionError(f"case {case.id} needs a case of kind {kind!r} before it, the folder has none")
    return before[-1]


@dataclass(slots=True)
class Checker:
    """Compares values with the goldens of one case, and remembers which goldens were compared."""

    case: Case
    atol: float | None = None
    compared: set[str] = field(default_factory=set)

    def __call__(self, name: str, value: Any) -> None:
        """The value equals the stored tensor, within the tolerance stored beside it."""
        self.compared.add(name)
        same(value, self.case[name], self.case.tolerance, what=f"{self.case.id}/{name}", atol=self.atol)

    def setting(self, name: str, value: Any) -> None:
        """The value equals a number stored in the settings."""
        assert value == self.case.settings[name], f"{self.case.id}: {name} is {value}, stored {self.case.settings[name]}"

    def finish(self, *, beside: Iterable[str] = ()) -> None:
        """Every golden of the case was compared, but for those named here, which another test compares."""
        goldens = {name for name, entry in self.case.tensors.items() if entry["role"] == "golden"}
        missed = goldens - self.compared - set(beside)
        assert not missed, f"{self.case.id}: goldens that nothing was compared with: {sorted(missed)}"


def same(value: Any, golden: Tensor, tolerance: Mapping[str, Any], *, what: str, atol: float | None = None) -> None:
    found = value.detach().cpu() if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    assert tuple(found.shape) == tuple(golden.shape), f"{what}: shape {tuple(found.shape)}, stored {tuple(golden.shape)}"
    if golden.is_floating_point():
        _close(found.double(), golden.double(), tolerance["atol"] if atol is None else atol, what)
    elif golden.dtype == torch.uint8 and "uint8_max_level_diff" in tolerance:
        _few_levels_off(found.long(), golden.long(), tolerance, what)
    else:
        wrong = (found.long() != golden.long()).nonzero()
        assert not len(wrong), f"{what}: {len(wrong)} of {golden.numel()} numbers differ, the first at {wrong[0].tolist()}"


def _close(found: Tensor, golden: Tensor, atol: float, what: str) -> None:
    # Clean images are marked by minus infinity, whose difference is not a number.
    difference = torch.where(found == golden, 0.0, (found - golden).abs())
    worst = difference.max().item() if golden.numel() else 0.0
    assert worst <= atol, f"{what}: off by {worst:.3g}, allowed {atol:g}"


def _few_levels_off(found: Tensor, golden: Tensor, tolerance: Mapping[str, Any], what: str) -> None:
    difference = (found - golden).abs()
    assert difference.max() <= tolerance["uint8_max_level_diff"], f"{what}: off by {int(difference.max())} levels"
    fraction = (difference > 0).double().mean().item()
    assert fraction <= tolerance["uint8_max_fraction"], f"{what}: {fraction:.2%} of the values differ"


def relatively_close(value: float, golden: float, rtol: float, *, what: str, atol: float = 1e-6) -> None:
    """`atol` is for numbers that are zero but for rounding."""
    assert abs(value - golden) <= rtol * abs(golden) + atol, f"{what}: {value:.8g}, stored {golden:.8g}"


def cut(sequence: Sequence[Any] | Tensor, lengths: Sequence[int]) -> list[Any]:
    """Consecutive pieces of these lengths."""
    pieces, start = [], 0
    for length in lengths:
        pieces.append(sequence[start : start + length])
        start += length
    return pieces
