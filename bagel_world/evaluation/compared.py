"""Compared: real frames and what is held against them, as rows for every metric, sample and region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bagel_world.evaluation.features import FeatureDistance
from bagel_world.evaluation.metrics import Values, mean_interval, psnr, ratio_interval, region_psnr, sharpness, ssim
from bagel_world.evaluation.report import Row, make_row
from bagel_world.types import Frame

Mask = npt.NDArray[np.bool_]

LEAST_REGION = 32
"""Pixels that a region must have for its frame to count; fewer are flicker."""

COPY_LAST = "copy last"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Real frames, what is held against them, and which samples belong together.

    Attributes:
        real: uint8, shape (n, height, width, 3).
        against: label -> frames of the same shape; the label is the first part of a row's name.
        samples: name -> bool (n,); the second part of a row's name.
        groups: the bootstrap draws whole groups.
        seed: decides the draws of the bootstrap.
        rivals: the labels over which the gain of "imagined" is told.
        regions: name -> bool (n, height, width); inside each of them PSNR is taken once more, as the metric "name_psnr_db".
    """

    real: Frame
    against: dict[str, Frame]
    samples: dict[str, Mask]
    groups: npt.NDArray[Any]
    seed: int
    rivals: tuple[str, ...] = (COPY_LAST,)
    regions: dict[str, Mask] = field(default_factory=dict)

    def rows(self, perceive: FeatureDistance | None) -> Iterator[Row]:
        """Every metric for every pair of label and samples."""
        everywhere = np.ones(len(self.real), np.bool_)
        yield from self._signal("psnr", {label: psnr(frames, self.real) for label, frames in self.against.items()}, everywhere)
        for region, masks in self.regions.items():
            counted = masks.sum(axis=(1, 2)) >= LEAST_REGION
            inside = {label: region_psnr(frames, self.real, masks) for label, frames in self.against.items()}
            yield from self._signal(f"{region}_psnr", inside, counted)
        yield from self._means("ssim", {label: ssim(frames, self.real) for label, frames in self.against.items()}, everywhere)
        if perceive is not None:
            distances = {label: perceive(frames, self.real) for label, frames in self.against.items()}
            yield from self._means("effnet_lite_feature_distance", distances, everywhere)
        yield from self._sharpness()

    def _signal(self, metric: str, values: dict[str, Values], counted: Mask) -> Iterator[Row]:
        """PSNR, and how much better the imagined frames are than each rival."""
        yield from self._means(f"{metric}_db", values, counted)
        for rival in self.rivals:
            if {"imagined", rival} <= values.keys():
                gain = {f"imagined over {rival}": values["imagined"] - values[rival]}
                yield from self._means(f"{metric}_gain_db", gain, counted)

    def _means(self, metric: str, values: dict[str, Values], counted: Mask) -> Iterator[Row]:
        for name, mask in self._shown(counted):
            for label, each in values.items():
                interval = mean_interval(each[mask], groups=self.groups[mask], seed=self.seed)
                yield make_row(metric, f"{label}, {name}", int(mask.sum()), interval)

    def _sharpness(self) -> Iterator[Row]:
        """Gradient of luma over that of the real frames."""
        real = sharpness(self.real)
        for name, mask in self._shown(np.ones(len(real), np.bool_)):
            for label, frames in self.against.items():
                ratio = ratio_interval(sharpness(frames[mask]), real[mask], groups=self.groups[mask], seed=self.seed)
                yield make_row("sharpness_ratio", f"{label}, {name}", int(mask.sum()), ratio)

    def _shown(self, counted: Mask) -> Iterator[tuple[str, Mask]]:
        return ((name, mask & counted) for name, mask in self.samples.items() if (mask & counted).any())
