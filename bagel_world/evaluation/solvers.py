"""Solver curves: what more model calls per frame buy, for every solver, on held-out next frames.

PSNR alone misleads: a single evaluation paints the mean of all futures, which has the best PSNR and the most blur. The preset
"fast" is therefore the fewest evaluations whose feature distance and sharpness are those of the preset "exact".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from bagel_world.errors import CapabilityError
from bagel_world.evaluation.features import FeatureDistance
from bagel_world.evaluation.figures import Curve, Panel
from bagel_world.evaluation.metrics import Values, mean_interval, psnr, ratio_interval, sharpness
from bagel_world.evaluation.report import Row, by_metric, make_row
from bagel_world.evaluation.subject import Subject, Track, batches, seed_for, untracked
from bagel_world.evaluation.windows import Window, draw_windows
from bagel_world.types import Episode, Frame
from bagel_world.world.config import SamplingConfig
from bagel_world.world.simulator import BagelWorld

MOST_DISTANCE, LEAST_SHARPNESS = 1.02, 0.98
"""What a fast setting may lose against the exact one, as factors."""

Solver = Literal["euler", "ab2", "ab3"]

_NOISE = 1


class SolversConfig(BaseModel):
    """What to measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(default=256, ge=1)
    """Next frames to imagine with every setting."""
    context: int = Field(default=4, ge=1)
    """Real frames before each."""
    evaluations: tuple[int, ...] = Field(default=(1, 2, 3, 4, 8, 16), min_length=1)
    """Model calls per frame."""
    solvers: tuple[Solver, ...] = Field(default=("euler", "ab2", "ab3"), min_length=1)
    """Ways to go from one to the next."""
    seed: int = Field(default=0, ge=0)
    """Decides windows and noise; every setting gets the same."""
    batch: int = Field(default=32, ge=1)
    """Frames imagined at a time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Painted:
    """The frames of one setting against the real ones.

    Attributes:
        evaluations, solver: the setting.
        psnr_db, features, sharpness: one value per frame.
    """

    evaluations: int
    solver: str
    psnr_db: Values
    features: Values
    sharpness: Values

    @property
    def name(self) -> str:
        """The setting in words."""
        return f"{self.solver}, {self.evaluations}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SolverCurves:
    """What every setting paints.

    Attributes:
        painted: one per setting; settings that are the same to the last bit are there once.
        exact: the preset "exact" of the checkpoint.
        real_sharpness: of the real frames.
        groups: frames of one group come from the same place.
    """

    painted: tuple[Painted, ...]
    exact: Painted
    real_sharpness: Values
    groups: npt.NDArray[Any]

    def rows(self) -> tuple[Row, ...]:
        """Every figure of every setting, the exact one last."""
        return by_metric(row for each in (*self.painted, self.exact) for row in self._rows_of(each))

    def _rows_of(self, each: Painted) -> Iterator[Row]:
        n = len(each.psnr_db)
        name = f"exact ({each.name})" if each is self.exact else each.name
        yield make_row("psnr_db", name, n, mean_interval(each.psnr_db, groups=self.groups))
        yield make_row("effnet_lite_feature_distance", name, n, mean_interval(each.features, groups=self.groups))
        yield make_row("sharpness_ratio", name, n, ratio_interval(each.sharpness, self.real_sharpness, groups=self.groups))
        if each is not self.exact:
            distance = ratio_interval(each.features, self.exact.features, groups=self.groups)
            sharp = ratio_interval(each.sharpness, self.exact.sharpness, groups=self.groups)
            yield make_row("feature_distance_over_exact", name, n, distance)
            yield make_row("sharpness_over_exact", name, n, sharp)

    def is_fast_enough(self, each: Painted) -> bool:
        """Whether a setting loses next to nothing against the exact one."""
        near = each.features.mean() <= MOST_DISTANCE * self.exact.features.mean()
        return bool(near and each.sharpness.mean() >= LEAST_SHARPNESS * self.exact.sharpness.mean())

    @property
    def fast(self) -> Painted | None:
        """The fewest evaluations that are as good as the exact setting; of equally many the smallest feature distance."""
        good = [each for each in self.painted if self.is_fast_enough(each)]
        return min(good, key=lambda each: (each.evaluations, each.features.mean()), default=None)

    def verdict(self) -> str:
        """Which setting the rule picks, in one sentence."""
        rule = f"feature distance at most {MOST_DISTANCE} and sharpness at least {LEAST_SHARPNESS} times that of 'exact'"
        if self.fast is None:
            return f"No setting has {rule}: 'fast' has to be 'exact'."
        return f"The preset 'fast' by the rule (fewest evaluations with {rule}): {self.fast.solver}, {self.fast.evaluations}."

    def panels(self) -> list[Panel]:
        """Evaluations against each figure, a curve per solver."""

        def curves(values: dict[str, Values]) -> dict[str, Curve]:
            lines = {}
            for solver in dict.fromkeys(each.solver for each in self.painted):
                # With one evaluation all solvers take the same step: every curve begins there.
                those = [each for each in self.painted if each.solver == solver or each.evaluations == 1]
                x, y = [each.evaluations for each in those], [values[each.name].mean() for each in those]
                lines[solver] = Curve(x=x, y=y, points=True)
            return lines

        real = self.real_sharpness.mean()
        shown = (
            ("PSNR, dB", {each.name: each.psnr_db for each in self.painted}, self.exact.psnr_db.mean()),
            ("EffNet-Lite feature distance", {each.name: each.features for each in self.painted}, self.exact.features.mean()),
            (
                "sharpness over real",
                {each.name: each.sharpness / real for each in self.painted},
                self.exact.sharpness.mean() / real,
            ),
        )
        return [
            Panel(
                title=title, x_label="evaluations per frame", curves=curves(values), levels={"exact": float(level)}, doubling=True
            )
            for title, values, level in shown
        ]


def measure_solvers(
    subject: Subject,
    episodes: Sequence[Episode],
    config: SolversConfig,
    *,
    perceive: FeatureDistance,
    track: Track = untracked,
) -> SolverCurves:
    """Paint the same next frames, from the same noise, with every setting.

    Args:
        subject: a world with a sampler; shift and guidance are those of its preset "exact".
        episodes: footage it never saw.
        config: what to measure.
        perceive: feature distance.
        track: shows progress.

    Raises:
        CapabilityError: a world without a sampler.
        ConfigError: footage of another size, or too little of it.
    """
    world = _painter(subject.world)
    subject.check_footage(episodes[0].frames)
    windows = draw_windows(episodes, n=config.n, context=config.context, horizon=1, seed=seed_for(config.seed))
    real = np.stack([window.frames[window.context] for window in windows])
    exact = BagelWorld(world.checkpoint, sampling="exact").sampling
    grid = [_setting(exact, solver, count) for solver in config.solvers for count in config.evaluations]
    settings = list({_name(each): each for each in (*grid, exact)}.values())
    frames = _paint(subject, windows, settings, config, track)
    painted = {
        _name(each): Painted(
            evaluations=each.evaluations,
            solver=each.solver,
            psnr_db=psnr(shown, real),
            features=perceive(shown, real),
            sharpness=sharpness(shown),
        )
        for each, shown in zip(settings, frames, strict=True)
    }
    return SolverCurves(
        painted=tuple(painted[name] for name in dict.fromkeys(map(_name, grid))),
        exact=painted[_name(exact)],
        real_sharpness=sharpness(real),
        groups=np.array([window.group for window in windows]),
    )


def _painter(world: object) -> BagelWorld:
    if not isinstance(world, BagelWorld):
        raise CapabilityError(f"Expected a world with a sampler, {type(world).__name__} has none. Name a checkpoint.")
    return world


def _name(sampling: SamplingConfig) -> str:
    return f"{sampling.solver}, {sampling.evaluations}"


def _setting(exact: SamplingConfig, solver: Solver, evaluations: int) -> SamplingConfig:
    """One setting; with a single evaluation all solvers take the same step."""
    return exact.model_copy(update={"evaluations": evaluations, "solver": "euler" if evaluations == 1 else solver})


def _paint(
    subject: Subject, windows: Sequence[Window], samplings: Sequence[SamplingConfig], config: SolversConfig, track: Track
) -> list[Frame]:
    """The next frames of all windows, per setting; what the settings share of a context is read once."""
    checkpoint = _painter(subject.world).checkpoint
    worlds = [BagelWorld(checkpoint, sampling=each.model_dump()) for each in samplings]
    frames: list[list[Frame]] = [[] for _ in samplings]
    for places in track(batches(len(windows), config.batch), "next frames"):
        contexts = [subject.context_of(windows[place]).say(windows[place].asked[0].text) for place in places]
        seeds = [seed_for(config.seed, _NOISE, place) for place in places]
        for shown, each in zip(frames, worlds, strict=True):
            shown += each.imagine(cast("Any", contexts), seeds=seeds)
    return [np.stack(each) for each in frames]
