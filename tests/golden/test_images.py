"""Goldens of image preparation; they need no weights."""

from __future__ import annotations

import re

import numpy as np
import torch

from bagel_world.images import ResizeRule, read_image, to_pixels
from tests.golden import cases
from tests.golden.cases import Case, Checker, covers

cases.folder()


@covers("inputs")
def test_the_stored_pictures_are_the_stored_arrays(case: Case) -> None:
    for name in case.tensors:
        read = read_image(cases.folder() / "images" / f"{name}.png")
        np.testing.assert_array_equal(read, case[name].numpy())


@covers("image_transform")
def test_resize_and_normalize_are_the_published_ones(case: Case) -> None:
    check = Checker(case)
    for use in ("vae", "vit"):
        max_side, min_side, stride = case.settings[f"{use}_transform"]
        rule = ResizeRule(max_side=max_side, min_side=min_side, stride=stride)
        for number in (
            int(name.removeprefix(use).removesuffix("_pixels"))
            for name in case.tensors
            if re.fullmatch(use + r"\d+_pixels", name)
        ):
            resized = rule.apply(cases.tensor(f"inputs/image{number}").numpy())
            check(f"{use}{number}_resized_uint8", resized)
            check(f"{use}{number}_pixels", torch.from_numpy(to_pixels(resized)))
    check.finish()


def _rules(names: list[str]) -> dict[str, tuple[ResizeRule, int]]:
    """The rule and the number of images that each row's name spells; a name without numbers means those of its family."""
    found: dict[str, tuple[ResizeRule, int]] = {}
    for name in names:
        images = re.search(r"(\d+)imgs?", name)
        count = int(images.group(1)) if images else 1
        numbers = re.search(r"_(\d+)_(\d+)_(\d+)(?:_maxpix(\d+))?", name)
        if numbers:
            max_side, min_side, stride = (int(each) for each in numbers.groups()[:3])
            budget = {"max_pixels": int(numbers.group(4))} if numbers.group(4) else {}
            found[name] = (ResizeRule(max_side=max_side, min_side=min_side, stride=stride, **budget), count)
        else:
            family = name[: images.start()] if images else name
            (rule, _) = next(each for other, each in found.items() if other.startswith(family))
            found[name] = (rule, count)
    return found


@covers("resize_sizes")
def test_production_sizes_are_the_published_ones(case: Case) -> None:
    table = case.settings["table"]
    for name, (rule, images) in _rules(list(table)).items():
        for row in table[name]:
            width, height = row["input_wh"]
            assert list(rule.size(width, height, images)) == row["output_wh"], (name, row)
