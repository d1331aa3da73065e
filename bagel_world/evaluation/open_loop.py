"""Open loop: are the imagined frames right? One step from real frames, and rollouts on the model's own frames.

The protocol is that of Navigation World Models (Bar et al. 2024): the actions of a recorded episode are replayed and the
imagined frames compared with the recorded ones. Baselines stand in the same table: the last frame copied, linear motion for
falling bodies, and the world's own autoencoder as the ceiling. What differs between houses, turntables and drops is in `kinds`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from bagel_world.episodes import EpisodeFolder
from bagel_world.evaluation.compared import COPY_LAST, LEAST_REGION, Compared, Mask
from bagel_world.evaluation.features import FeatureDistance
from bagel_world.evaluation.frechet import FeatureVectors, frechet_interval
from bagel_world.evaluation.kinds import FootageKind, Studied, kind_of_episode
from bagel_world.evaluation.metrics import Values, mean_interval, psnr, ratio_interval, region_psnr, sharpness
from bagel_world.evaluation.recognition import recognition_rows
from bagel_world.evaluation.recognizer import Recognizer
from bagel_world.evaluation.report import Row, by_metric, make_row
from bagel_world.evaluation.sheets import Strip
from bagel_world.evaluation.subject import Subject, Track, batches, seed_for, untracked
from bagel_world.evaluation.windows import Window, draw_windows, scenes_note
from bagel_world.types import Episode, Frame

SHOWN_STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 16)
"""Steps of a rollout that get a row."""

COPY_LAST_CONTEXT = "copy last context frame"

_ONE_STEP, _ROLLOUT = 0, 1
_VECTORS_PER_FEATURE = 2  # fewer pictures than that have no covariance to speak of
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


def measure_open_loop(
    subject: Subject,
    episodes: Sequence[Episode],
    config: OpenLoopConfig,
    *,
    kind: FootageKind | None = None,
    perceive: FeatureDistance | None = None,
    describe: FeatureVectors | None = None,
    recognizer: Recognizer | None = None,
    track: Track = untracked,
) -> Findings:
    """Imagine recorded next frames and rollouts, and compare.

    Args:
        subject: the world under test.
        episodes: footage it never saw; an `EpisodeFolder` or any sequence.
        config: what to measure.
        kind: of the footage; None reads it from the first episode.
        perceive: feature distance; its rows are left out where None.
        describe: feature vectors, for the Fréchet distance; its rows are left out where None.
        recognizer: tells what the objects of rollouts are taken for; its rows are left out where None.
        track: shows progress.

    Raises:
        ConfigError: the footage has another frame size, or too little of it.
    """
    kind = kind_of_episode(episodes[0]) if kind is None else kind
    notes = (
        []
        if perceive is not None
        else ["Without the extra `eval` there are no rows of EffNet-Lite features: feature and Fréchet distances."]
    )
    subject.check_footage(episodes[0].frames)
    windows = draw_windows(episodes, n=config.n, context=config.context, horizon=1, seed=seed_for(config.seed, _ONE_STEP))
    walks = _draw_walks(episodes, config, notes)
    notes += scenes_note(window.group for window in windows)
    studied = kind.study(windows)
    imagined = imagine_next(subject, windows, config, track)
    compared = compare_next(subject, kind, windows, imagined, studied, config.seed)
    rows = [*compared.rows(perceive), *kind.more_rows(windows, compared, studied)]
    if describe is not None:
        rows += frechet_rows(compared, describe, notes)
    notes += studied.notes
    if kind.needs_poses and any(window.poses is None for window in windows):
        notes.append("Footage without poses: views that are new are not known.")
    rolled = imagine_rollouts(subject, walks, config, track)
    known = kind.study(walks)
    rows += rollout_rows(walks, rolled, known, perceive, config.seed)
    if recognizer is not None:
        rows += _recognized(walks, rolled, known, kind, recognizer, config.seed, notes)
    sheets = {"next": next_strips(compared, windows, kind), "rollouts": rollout_strips(walks, rolled, kind)}
    return Findings(rows=by_metric(rows), sheets=sheets, notes=tuple(notes))


def _draw_walks(episodes: Sequence[Episode], config: OpenLoopConfig, notes: list[str]) -> list[Window]:
    """The windows of the rollouts, with a note where they are shorter than was asked for or pass over episodes."""
    folder = isinstance(episodes, EpisodeFolder)
    lengths = episodes.lengths() if folder else [len(episode.frames) for episode in episodes]
    horizon = fit_horizon(lengths, config)
    if horizon < config.horizon:
        notes.append(
            f"Rollouts have {horizon} steps, not {config.horizon}: longer stretches than that are fewer than {config.rollouts}."
        )
    short = sum(length < config.rollout_context + horizon for length in lengths)
    if short:
        notes.append(f"{short} of {len(lengths)} episodes are too short for rollouts of {horizon} steps: none begins there.")
    return draw_windows(
        episodes,
        n=config.rollouts,
        context=config.rollout_context,
        horizon=horizon,
        seed=seed_for(config.seed, _ROLLOUT),
        asked_by="--rollouts",
    )


def fit_horizon(lengths: Sequence[int], config: OpenLoopConfig) -> int:
    """The most steps, up to `config.horizon`, of which episodes with so many frames hold enough stretches; at least 1."""
    for horizon in range(config.horizon, 1, -1):
        if sum(max(0, length - config.rollout_context - horizon + 1) for length in lengths) >= config.rollouts:
            return horizon
    return 1


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


def compare_next(
    subject: Subject, kind: FootageKind, windows: Sequence[Window], imagined: Frame, studied: Studied, seed: int
) -> Compared:
    """Imagined next frames and their baselines, in the samples and regions of the footage."""
    real = np.stack([window.frames[window.context] for window in windows])
    last = np.stack([window.frames[window.context - 1] for window in windows])
    against = {"imagined": imagined, COPY_LAST: last}
    against |= {label: expected[:, 0] for label, expected in studied.baselines.items()}
    rebuilt = subject.reconstruct(real)
    if rebuilt is not None:
        against["autoencoder"] = rebuilt
    return Compared(
        real=real,
        against=against,
        samples=kind.samples(windows, subject.words),
        groups=_groups(windows),
        seed=seed,
        rivals=kind.rivals,
        regions={region: masks[:, 0] for region, masks in studied.regions.items()},
    )


def frechet_rows(compared: Compared, describe: FeatureVectors, notes: list[str]) -> Iterator[Row]:
    """How far each set of next frames is from the real ones as a set; a note where they are too few, or of too few scenes."""
    real = describe(compared.real)
    enough = _VECTORS_PER_FEATURE * real.shape[1]
    largest = int(np.unique(compared.groups, return_counts=True)[1].max())
    if len(real) <= enough or len(real) - largest <= real.shape[1]:
        notes.append(f"There are no Fréchet distances: they need more than {enough} next frames (--n), of several scenes.")
        return
    for label, frames in compared.against.items():
        interval = frechet_interval(describe(frames), real, groups=compared.groups)
        yield make_row("effnet_lite_frechet_distance", f"{label}, all actions", len(real), interval)


def rollout_rows(
    windows: Sequence[Window], rolled: Frame, studied: Studied, perceive: FeatureDistance | None, seed: int
) -> Iterator[Row]:
    """PSNR, feature distance and sharpness by step; copies of the first and of the last real frame beside."""
    groups, count = _groups(windows), rolled.shape[1]
    frames = np.stack([window.frames for window in windows])
    context = windows[0].context
    real = frames[:, context:]
    steps = [step for step in SHOWN_STEPS if step <= count]

    def rows(metric: str, label: str, step: int, values: Values, counted: Mask | None = None) -> Iterator[Row]:
        chosen = np.ones(len(values), np.bool_) if counted is None else counted
        if chosen.any():
            interval = mean_interval(values[chosen], groups=groups[chosen], seed=seed)
            yield make_row(metric, f"{label}, step {step}", int(chosen.sum()), interval)

    copies = {"copy first context frame": frames[:, 0], COPY_LAST_CONTEXT: frames[:, context - 1]}
    shown = {"imagined": rolled, **{label: np.repeat(each[:, None], count, axis=1) for label, each in copies.items()}}
    shown |= studied.baselines
    for label, each in shown.items():
        for step in steps:
            yield from rows("rollout_psnr_db", label, step, psnr(each[:, step - 1], real[:, step - 1]))
    for region, masks in studied.regions.items():
        counted = masks.sum(axis=(2, 3)) >= LEAST_REGION
        for label, each in shown.items():
            for step in steps:
                values = region_psnr(each[:, step - 1], real[:, step - 1], masks[:, step - 1])
                yield from rows(f"rollout_{region}_psnr_db", label, step, values, counted[:, step - 1])
    if perceive is not None:
        for step in steps:
            values = perceive(rolled[:, step - 1], real[:, step - 1])
            yield from rows("rollout_effnet_lite_feature_distance", "imagined", step, values)
    for step in steps:
        ours, theirs = sharpness(rolled[:, step - 1]), sharpness(real[:, step - 1])
        ratio = ratio_interval(ours, theirs, groups=groups, seed=seed)
        yield make_row("rollout_sharpness_ratio", f"imagined, step {step}", len(windows), ratio)


def _recognized(
    walks: Sequence[Window],
    rolled: Frame,
    studied: Studied,
    kind: FootageKind,
    recognizer: Recognizer,
    seed: int,
    notes: list[str],
) -> Iterator[Row]:
    """What the objects of rollouts are taken for; a note stands already where nobody knows their pixels."""
    if studied.owners is None:
        return
    real = np.stack([walk.frames[walk.context :] for walk in walks])
    last = np.repeat(np.stack([walk.seen[-1] for walk in walks])[:, None], rolled.shape[1], axis=1)
    shown = {"real": real, "imagined": rolled, COPY_LAST_CONTEXT: last}
    steps = [step for step in SHOWN_STEPS if step <= rolled.shape[1]]
    yield from recognition_rows(walks, shown, studied.owners, kind, recognizer, steps=steps, seed=seed, notes=notes)


def _groups(windows: Sequence[Window]) -> npt.NDArray[np.str_]:
    return np.array([window.group for window in windows])


def next_strips(compared: Compared, windows: Sequence[Window], kind: FootageKind) -> list[Strip]:
    """One strip: the samples that say most first; the last real frame on top, then the real one, then what is held against it."""
    order = np.argsort(~compared.samples[kind.shown_first], kind="stable")[: 2 * _SHEET_STRIPS]
    captions = tuple(kind.caption(windows[place].asked[0].text) for place in order)
    rows = {"last": compared.against[COPY_LAST][order], "real": compared.real[order]}
    rows |= {label: frames[order] for label, frames in compared.against.items() if label != COPY_LAST}
    for region, masks in compared.regions.items():
        rows[f"real, {region}"] = compared.real[order] * masks[order, ..., None]
    return [Strip(captions=captions, rows=rows)]


def rollout_strips(windows: Sequence[Window], rolled: Frame, kind: FootageKind) -> list[Strip]:
    """Some rollouts: real above, imagined below, both after the given frames."""
    strips = []
    for window, imagined in list(zip(windows, rolled, strict=True))[:_SHEET_STRIPS]:
        end = window.context + min(_SHEET_STEPS, len(imagined))
        captions = ("given", *(kind.caption(action.text) for action in window.actions[: end - 1]))
        shown = np.concatenate([window.seen, imagined])[:end]
        strips.append(Strip(captions=captions, rows={"real": window.frames[:end], "imagined": shown}))
    return strips
