"""Open loop: are the imagined frames right? One step from real frames, and rollouts on the model's own frames.

The protocol is that of Navigation World Models (Bar et al. 2024): the actions of a recorded episode are replayed and the
imagined frames compared with the recorded ones. Baselines stand in the same table: the last frame copied, and the world's own
autoencoder as the ceiling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from bagel_world.errors import ConfigError
from bagel_world.evaluation.features import FeatureDistance
from bagel_world.evaluation.metrics import Interval, mean_interval, psnr, ratio_interval, sharpness, ssim
from bagel_world.evaluation.report import Row, by_metric, make_row
from bagel_world.evaluation.sheets import Strip
from bagel_world.evaluation.subject import Subject, Track, batches, seed_for, untracked
from bagel_world.evaluation.windows import Window, draw_windows
from bagel_world.types import Episode, Frame

SHOWN_STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 16)
"""Steps of a rollout that get a row."""

_ONE_STEP, _ROLLOUT = 0, 1
_SHEET_STRIPS = 6
_SHEET_STEPS = 8


class OpenLoopConfig(BaseModel):
    """What to measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(default=512, ge=1)
    """Next frames to imagine."""
    rollouts: int = Field(default=128, ge=1)
    """Rollouts to imagine."""
    context: int = Field(default=4, ge=1)
    """Real frames before a next frame."""
    rollout_context: int = Field(default=2, ge=1)
    """Real frames before a rollout."""
    horizon: int = Field(default=16, ge=1)
    """Steps of a rollout; fewer where the episodes are shorter."""
    seed: int = Field(default=0, ge=0)
    """Decides windows and noise."""
    batch: int = Field(default=16, ge=1)
    """Frames imagined at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What an evaluation found: rows, pictures by name, and remarks on what was left out."""

    rows: tuple[Row, ...]
    sheets: dict[str, list[Strip]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Real frames, what is held against them, and which samples belong together.

    Attributes:
        real: uint8, shape (n, height, width, 3).
        against: label -> frames of the same shape; the label is the first part of a row's name.
        samples: name -> bool (n,); the second part of a row's name.
        groups: the bootstrap draws whole groups.
    """

    real: Frame
    against: dict[str, Frame]
    samples: dict[str, npt.NDArray[np.bool_]]
    groups: npt.NDArray[Any]
    seed: int

    def rows(self, perceive: FeatureDistance | None) -> Iterator[Row]:
        """Every metric for every pair of label and samples."""
        signal = {label: psnr(frames, self.real) for label, frames in self.against.items()}
        yield from self._means("psnr_db", signal)
        if {"imagined", "copy last"} <= signal.keys():
            yield from self._means("psnr_gain_db", {"imagined over copy last": signal["imagined"] - signal["copy last"]})
        yield from self._means("ssim", {label: ssim(frames, self.real) for label, frames in self.against.items()})
        if perceive is not None:
            distances = {label: perceive(frames, self.real) for label, frames in self.against.items()}
            yield from self._means("effnet_lite_feature_distance", distances)
        yield from self._sharpness()

    def _means(self, metric: str, values: dict[str, npt.NDArray[np.float64]]) -> Iterator[Row]:
        for name, mask in self._shown():
            for label, each in values.items():
                interval = mean_interval(each[mask], groups=self.groups[mask], seed=self.seed)
                yield make_row(metric, f"{label}, {name}", int(mask.sum()), interval)

    def _sharpness(self) -> Iterator[Row]:
        """Gradient of luma over that of the real frames."""
        real = sharpness(self.real)
        for name, mask in self._shown():
            for label, frames in self.against.items():
                ratio = ratio_interval(sharpness(frames[mask]), real[mask], groups=self.groups[mask], seed=self.seed)
                yield make_row("sharpness_ratio", f"{label}, {name}", int(mask.sum()), ratio)

    def _shown(self) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
        return ((name, mask) for name, mask in self.samples.items() if mask.any())


def measure_open_loop(
    subject: Subject,
    episodes: Sequence[Episode],
    config: OpenLoopConfig,
    *,
    perceive: FeatureDistance | None = None,
    track: Track = untracked,
) -> Findings:
    """Imagine recorded next frames and rollouts, and compare.

    Args:
        subject: the world under test.
        episodes: footage it never saw; an `EpisodeFolder` or any sequence.
        config: what to measure.
        perceive: feature distance; its rows are left out where None.
        track: shows progress.

    Raises:
        ConfigError: the footage has another frame size, or too little of it.
    """
    notes = [] if perceive is not None else ["Without the extra `eval` there are no rows of EffNet-Lite feature distance."]
    subject.check_footage(episodes[0].frames)
    windows = draw_windows(episodes, n=config.n, context=config.context, horizon=1, seed=seed_for(config.seed, _ONE_STEP))
    imagined = imagine_next(subject, windows, config, track)
    compared = compare_next(subject, windows, imagined, config.seed)
    rows = list(compared.rows(perceive))
    if any(window.poses is None for window in windows):
        notes.append("Footage without poses: views that are new are not known.")
    horizon = fit_horizon(episodes, config)
    if horizon < config.horizon:
        notes.append(f"Rollouts have {horizon} steps, as many as the episodes allow, not {config.horizon}.")
    walks = draw_windows(
        episodes, n=config.rollouts, context=config.rollout_context, horizon=horizon, seed=seed_for(config.seed, _ROLLOUT)
    )
    rolled = imagine_rollouts(subject, walks, config, track)
    rows += rollout_rows(walks, rolled, perceive, config.seed)
    sheets = {"next": next_strips(compared, windows), "rollouts": rollout_strips(walks, rolled)}
    return Findings(rows=by_metric(rows), sheets=sheets, notes=tuple(notes))


def fit_horizon(episodes: Sequence[Episode], config: OpenLoopConfig) -> int:
    """The steps that a rollout can have in these episodes, going by the first one.

    Raises:
        ConfigError: not a single step fits.
    """
    room = len(episodes[0].frames) - config.rollout_context
    if room < 1:
        raise ConfigError(f"Expected episodes of more than {config.rollout_context} frames, got {len(episodes[0].frames)}.")
    return min(config.horizon, room)


def imagine_next(subject: Subject, windows: Sequence[Window], config: OpenLoopConfig, track: Track) -> Frame:
    """The frame after the context of every window, uint8 (n, height, width, 3)."""
    parts = []
    for places in track(batches(len(windows), config.batch), "next frames"):
        contexts = [subject.context_of(windows[place]).say(windows[place].asked[0].text) for place in places]
        parts.append(subject.imagine(contexts, [seed_for(config.seed, _ONE_STEP, place) for place in places]))
    return np.concatenate(parts)


def imagine_rollouts(subject: Subject, windows: Sequence[Window], config: OpenLoopConfig, track: Track) -> Frame:
    """The steps after the context of every window, uint8 (n, horizon, height, width, 3)."""
    parts = []
    for places in track(batches(len(windows), config.batch), "rollouts"):
        words = [[action.text for action in windows[place].asked] for place in places]
        seeds = [[seed_for(config.seed, _ROLLOUT, place, step) for step in range(len(words[0]))] for place in places]
        parts.append(subject.roll([subject.context_of(windows[place]) for place in places], words, seeds))
    return np.concatenate(parts)


def compare_next(subject: Subject, windows: Sequence[Window], imagined: Frame, seed: int) -> Compared:
    """Imagined next frames and their baselines, split by action and by whether the view is new."""
    real = np.stack([window.frames[window.context] for window in windows])
    last = np.stack([window.frames[window.context - 1] for window in windows])
    against = {"imagined": imagined, "copy last": last}
    rebuilt = subject.reconstruct(real)
    if rebuilt is not None:
        against["autoencoder"] = rebuilt
    said = np.array([window.asked[0].text for window in windows])
    moved = np.array([window.moved for window in windows])
    turned = np.isin(said, ("Look left", "Look right"))
    samples = {"all actions": np.ones(len(windows), np.bool_), "picture changed": moved}
    samples |= {word: said == word for word in sorted(set(said.tolist()), key=_place_in(subject.words))}
    samples["new-view turns"] = turned & np.array([window.new_view for window in windows])
    groups = np.array([window.group for window in windows])
    return Compared(real=real, against=against, samples=samples, groups=groups, seed=seed)


def _place_in(words: tuple[str, ...]) -> Any:
    return lambda word: words.index(word) if word in words else len(words)


def rollout_rows(windows: Sequence[Window], rolled: Frame, perceive: FeatureDistance | None, seed: int) -> Iterator[Row]:
    """PSNR, feature distance and sharpness by step; copies of the first and of the last real frame beside."""
    groups = np.array([window.group for window in windows])
    context = windows[0].context
    frames = np.stack([window.frames for window in windows])
    steps = [step for step in SHOWN_STEPS if step <= rolled.shape[1]]

    def rows(metric: str, label: str, step: int, interval: Interval) -> Row:
        return make_row(metric, f"{label}, step {step}", len(windows), interval)

    copies = {"copy first context frame": frames[:, 0], "copy last context frame": frames[:, context - 1]}
    for label in ("imagined", *copies):
        for step in steps:
            shown = copies.get(label, rolled[:, step - 1])
            values = psnr(shown, frames[:, context + step - 1])
            yield rows("rollout_psnr_db", label, step, mean_interval(values, groups=groups, seed=seed))
    if perceive is not None:
        for step in steps:
            values = perceive(rolled[:, step - 1], frames[:, context + step - 1])
            yield rows("rollout_effnet_lite_feature_distance", "imagined", step, mean_interval(values, groups=groups, seed=seed))
    for step in steps:
        ours, real = sharpness(rolled[:, step - 1]), sharpness(frames[:, context + step - 1])
        yield rows("rollout_sharpness_ratio", "imagined", step, ratio_interval(ours, real, groups=groups, seed=seed))


def next_strips(compared: Compared, windows: Sequence[Window]) -> list[Strip]:
    """One strip: new-view turns first, real above, imagined below, the last real frame on top."""
    order = np.argsort(~compared.samples["new-view turns"], kind="stable")[: 2 * _SHEET_STRIPS]
    captions = tuple(windows[place].asked[0].text for place in order)
    rows = {"last": compared.against["copy last"][order], "real": compared.real[order]}
    rows |= {label: compared.against[label][order] for label in ("imagined", "autoencoder") if label in compared.against}
    return [Strip(captions=captions, rows=rows)]


def rollout_strips(windows: Sequence[Window], rolled: Frame) -> list[Strip]:
    """Some rollouts: real above, imagined below, both after the given frames."""
    strips = []
    for window, imagined in list(zip(windows, rolled, strict=True))[:_SHEET_STRIPS]:
        end = window.context + min(_SHEET_STEPS, len(imagined))
        captions = ("given", *(action.text for action in window.actions[: end - 1]))
        shown = np.concatenate([window.seen, imagined])[:end]
        strips.append(Strip(captions=captions, rows={"real": window.frames[:end], "imagined": shown}))
    return strips
