"""Long runs: whether step 500 of a walk costs what step 30 did, in time and memory, and what the picture has come to.

One walk alone is timed and weighed; several in a batch are looked at. All are random walks on the world's own frames. Where the
simulator can be asked it walks along: a random walk ends before a bare wall now and then in the real world too.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from bagel_world.envs import WorldEnv, WorldVectorEnv
from bagel_world.errors import ConfigError
from bagel_world.evaluation.colors import CHANNELS, channel_means, channel_spreads, saturation
from bagel_world.evaluation.figures import Curve, Panel
from bagel_world.evaluation.metrics import Interval, Values, mean_interval, median_interval, ratio_interval, sharpness
from bagel_world.evaluation.real_walks import real_walks
from bagel_world.evaluation.report import Row, by_metric, make_row
from bagel_world.evaluation.sheets import Strip
from bagel_world.evaluation.subject import Subject, Track, seed_for, untracked
from bagel_world.types import Frame

BLOCK = 20
"""Steps behind the median of a time and the mean of a picture's figures."""
EARLY_TIME, EARLY_MEMORY = 30, 50
"""The steps that the last one is compared with."""
MOST_TIME, MOST_MEMORY = 1.3, 1.1
"""What the last step may cost, in units of the early ones."""

_MERITS = ("sharpness", "saturation", "contrast")
_SHOWN = (0, 1, 2, 5, 10, 20, 50, 100, 200, 300, 400, 500, 1000, 2000)
_STRIPS = 4
_ALONE, _TOGETHER = 0, 1
_MIB = 1 << 20

Picture = dict[str, Values]
"""Figure of merit -> its values per frame."""


class LongRunConfig(BaseModel):
    """What to measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=500, ge=EARLY_MEMORY + BLOCK)
    """Steps of every walk."""
    walks: int = Field(default=4, ge=1)
    """Walks whose pictures are looked at."""
    every: int = Field(default=50, ge=BLOCK)
    """Steps between the rows of the table."""
    seed: int = Field(default=0, ge=0)
    """Decides beginnings, actions and noise."""

    @property
    def marks(self) -> tuple[int, ...]:
        """The steps with a row: every 50th and the last."""
        return tuple(sorted({*range(self.every, self.steps + 1, self.every), self.steps}))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LongRun:
    """What long walks came to.

    Attributes:
        seconds: of every step of the walk alone, shape (steps,).
        resident: bytes of resident memory after each of its steps, shape (steps,); None where this machine does not tell.
        info: of its last step.
        frames: of the walks in a batch, uint8 (walks, steps + 1, height, width, 3); the first one is a start.
        real: frames of the starting episodes, uint8 (n, height, width, 3): what the pictures should look like.
        episodes: the number of the episode that each of them is from, shape (n,).
        beside: what the simulator shows on the same walks, shaped like `frames`; None where it cannot be asked.
    """

    config: LongRunConfig
    seconds: Values
    resident: Values | None
    info: Mapping[str, Any]
    frames: Frame
    real: Frame
    episodes: npt.NDArray[np.int64]
    beside: Frame | None = None

    @property
    def time_ratio(self) -> float:
        """The median of the last steps over that around step 30."""
        return float(np.median(self.seconds[-BLOCK:]) / np.median(_around(self.seconds, EARLY_TIME)))

    @property
    def memory_ratio(self) -> float | None:
        """Resident memory after the last step over that after step 50."""
        return None if self.resident is None else float(self.resident[-1] / self.resident[EARLY_MEMORY - 1])

    def rows(self) -> tuple[Row, ...]:
        """Costs and pictures by step."""
        return by_metric([*self._cost_rows(), *self._picture_rows()])

    def _cost_rows(self) -> Iterator[Row]:
        marks = self.config.marks
        for step in (EARLY_TIME, *marks):
            times = 1000.0 * _around(self.seconds, step)
            yield make_row("ms_per_step", f"around step {step}, median", len(times), median_interval(times))
        yield _plain("ms_per_step_ratio", f"step {self.config.steps} over step {EARLY_TIME}", self.time_ratio)
        if self.resident is not None and self.memory_ratio is not None:
            for step in marks:
                yield _plain("resident_mib", f"after step {step}", float(self.resident[step - 1] / _MIB))
            yield _plain("resident_ratio", f"step {self.config.steps} over step {EARLY_MEMORY}", self.memory_ratio)
        for name in ("context_frames", "context_tokens", "dropped_frames"):
            yield _plain("context", f"{name}, after step {self.config.steps}", float(self.info[name]))

    def _picture_rows(self) -> Iterator[Row]:
        begin, real = picture_figures(self.frames[:, 0]), picture_figures(self.real)
        walks = np.arange(self.config.walks)
        for name, values in real.items():
            yield make_row(name, "real frames", len(values), mean_interval(values, groups=self.episodes))
            yield make_row(name, "first frames", len(walks), mean_interval(begin[name]))
        for step in self.config.marks:
            yield from self._block_rows(self.frames, step, "")
            if self.beside is not None:
                yield from self._block_rows(self.beside, step, ", real walks")
        yield from self._ratio_rows(real)

    def _block_rows(self, frames: Frame, step: int, whose: str) -> Iterator[Row]:
        walks = np.arange(len(frames))
        for name, values in _block(frames, step).items():
            groups = np.repeat(walks, values.size // len(walks))
            yield make_row(name, f"around step {step}{whose}", values.size, mean_interval(values.ravel(), groups=groups))

    def _ratio_rows(self, real: Picture) -> Iterator[Row]:
        """How the last pictures compare: with the same real walks where there are some, else with real frames."""
        step = self.config.steps
        last, along = _block(self.frames, step), None if self.beside is None else _block(self.beside, step)
        for name in _MERITS:
            means = last[name].mean(axis=1)
            reference = np.full(len(means), real[name].mean()) if along is None else along[name].mean(axis=1)
            words = f"around step {step} over real {'frames' if along is None else 'walks'}"
            if not reference.any():
                continue  # of gray frames, say, which have no saturation to compare with
            yield make_row(f"{name}_ratio", words, len(means), ratio_interval(means, reference))

    def verdicts(self) -> tuple[str, ...]:
        """What the bars say, in sentences."""
        said = [
            f"Step {self.config.steps} takes {self.time_ratio:.2f} times as long as step {EARLY_TIME}: "
            + _verdict(self.time_ratio, MOST_TIME)
        ]
        if self.memory_ratio is None:
            said.append("This machine does not tell how much memory is resident: there are no rows of it.")
        else:
            said.append(
                f"Resident memory after step {self.config.steps} is {self.memory_ratio:.3f} times that after step "
                f"{EARLY_MEMORY}: " + _verdict(self.memory_ratio, MOST_MEMORY)
            )
        return tuple(said)

    def panels(self) -> list[Panel]:
        """Costs and pictures over the steps."""
        steps = np.arange(1, self.config.steps + 1)
        medians = np.array([np.median(_around(self.seconds, step)) for step in range(1, self.config.steps + 1)])
        panels = [
            Panel(
                title="milliseconds per step, one walk",
                x_label="step",
                curves={
                    "every step": Curve(x=steps, y=1000 * self.seconds, faint=True),
                    f"median of {BLOCK}": Curve(x=steps, y=1000 * medians),
                },
                levels={f"{MOST_TIME} x step {EARLY_TIME}": 1000 * MOST_TIME * medians[EARLY_TIME - 1]},
            )
        ]
        if self.resident is not None:
            mib = self.resident / _MIB
            level = {f"{MOST_MEMORY} x step {EARLY_MEMORY}": MOST_MEMORY * mib[EARLY_MEMORY - 1]}
            panels.append(Panel(title="resident memory, MiB", x_label="step", curves={"": Curve(x=steps, y=mib)}, levels=level))
        return [*panels, *self._picture_panels(steps)]

    def _picture_panels(self, steps: npt.NDArray[np.int64]) -> Iterator[Panel]:
        """Figures of merit and colors over those of the same real walks, or else over those of real frames."""
        figures = [picture_figures(self.frames[:, step]) for step in steps]
        if self.beside is None:
            references, whose = [picture_figures(self.real)] * len(steps), "frames"
        else:
            references, whose = [picture_figures(self.beside[:, step]) for step in steps], "walks"

        def curve(name: str) -> Curve:
            means = [(each[name].mean(), other[name].mean()) for each, other in zip(figures, references, strict=True)]
            return Curve(x=steps, y=[float(mine / real) if real else np.nan for mine, real in means])

        merits, colors = {name: name for name in _MERITS}, {channel: f"mean_{channel}" for channel in CHANNELS}
        for title, names in ((f"over real {whose}", merits), (f"mean of a channel over real {whose}", colors)):
            yield Panel(
                title=title, x_label="step", curves={word: curve(name) for word, name in names.items()}, levels={"real": 1.0}
            )

    def strips(self) -> list[Strip]:
        """Some walks at some steps."""
        shown = [step for step in _SHOWN if step < self.frames.shape[1]]
        captions = tuple(f"step {step}" for step in shown)
        rows = {f"walk {place}": walk[shown] for place, walk in enumerate(self.frames[:_STRIPS])}
        if self.beside is not None:
            rows |= {f"walk {place}, real": walk[shown] for place, walk in enumerate(self.beside[:_STRIPS])}
        return [Strip(captions=captions, rows=dict(sorted(rows.items())))]


def picture_figures(frames: Frame) -> Picture:
    """Sharpness, saturation, contrast, and mean and spread of every channel, per frame of uint8 (n, height, width, 3)."""
    means, spreads = channel_means(frames), channel_spreads(frames)
    figures = {"sharpness": sharpness(frames), "saturation": saturation(frames), "contrast": spreads.mean(axis=1)}
    figures |= {f"mean_{channel}": means[:, place] for place, channel in enumerate(CHANNELS)}
    return figures | {f"spread_{channel}": spreads[:, place] for place, channel in enumerate(CHANNELS)}


def resident_bytes() -> int | None:
    """Memory of this process that is in use now; None where only Linux could tell."""
    if not sys.platform.startswith("linux"):
        return None
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure_long_run(
    subject: Subject,
    config: LongRunConfig,
    *,
    track: Track = untracked,
    clock: Callable[[], float] = time.perf_counter,
    weigh: Callable[[], int | None] = resident_bytes,
) -> LongRun:
    """Walk on and on.

    Args:
        subject: the world under test.
        config: how far, how often.
        track: shows progress.
        clock: seconds.
        weigh: bytes of resident memory.

    Raises:
        ConfigError: a world without starting episodes.
    """
    starts = subject.world.starts
    if not starts:
        raise ConfigError("Expected a checkpoint with starting episodes, as the pictures are compared with theirs.")
    alone = WorldEnv(subject.world, horizon=config.steps + 1)
    alone.reset(seed=seed_for(config.seed, _ALONE))
    seconds, resident, info = [], [], {}
    for action in track(list(_actions(subject, config, _ALONE, 1)), "one walk"):
        began = clock()
        info = alone.step(int(action[0]))[-1]
        seconds.append(clock() - began)
        resident.append(weigh())
    together = WorldVectorEnv(subject.world, config.walks, horizon=config.steps + 1)
    frames, actions = [together.reset(seed=config.seed)[0]], _actions(subject, config, _TOGETHER, config.walks)
    beside = real_walks(starts, frames[0], np.array(subject.words)[actions])
    for chosen in track(list(actions), f"{config.walks} walks"):
        frames.append(together.step(chosen)[0])
    known = [each for each in resident if each is not None]
    return LongRun(
        config=config,
        seconds=np.array(seconds),
        resident=np.array(known, np.float64) if len(known) == len(resident) else None,
        info=info,
        frames=np.stack(frames, axis=1),
        real=np.concatenate([episode.frames for episode in starts]),
        episodes=np.repeat(np.arange(len(starts)), [len(episode.frames) for episode in starts]),
        beside=beside,
    )


def _actions(subject: Subject, config: LongRunConfig, part: int, count: int) -> npt.NDArray[np.int64]:
    """Random ids, shape (steps, count)."""
    generator = np.random.default_rng(seed_for(config.seed, part, 1))
    return generator.integers(0, len(subject.words), (config.steps, count))


def _block(frames: Frame, step: int) -> Picture:
    """The figures of walks' pictures around a step, each of shape (walks, block)."""
    block = _around(np.swapaxes(frames[:, 1:], 0, 1), step).swapaxes(0, 1)
    figures = picture_figures(block.reshape(-1, *block.shape[2:]))
    return {name: values.reshape(block.shape[:2]) for name, values in figures.items()}


def _around(values: Any, step: int) -> Any:
    """The `BLOCK` values around a step (counted from 1) along the first axis; the last ones at the end."""
    start = min(max(0, step - BLOCK // 2), len(values) - BLOCK)
    return values[start : start + BLOCK]


def _plain(metric: str, name: str, value: float) -> Row:
    """A figure that was read once."""
    return make_row(metric, name, 1, Interval(value, value, value))


def _verdict(value: float, most: float) -> str:
    return f"{'within' if value <= most else 'MORE than'} the allowed {most}."
