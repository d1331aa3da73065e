"""Futures: what every action leads to from one place, and what can be told from them: gaps, stillness, what a probe reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.evaluation.metrics import distance, mean_interval, psnr, ratio_interval
from bagel_world.evaluation.probe import ActionProbe, is_readable
from bagel_world.evaluation.report import Row, make_row
from bagel_world.evaluation.sheets import Strip
from bagel_world.evaluation.subject import Subject, Track, batches, seed_for, untracked
from bagel_world.evaluation.windows import Window
from bagel_world.sims.house import step_ahead
from bagel_world.sims.plans import HousePlan, draw_plan
from bagel_world.types import Frame

FORWARD, STAY = NAVIGATE_WORDS[0], NAVIGATE_WORDS[3]

FUTURES, FORCED = 2, 4
"""What sets the random draws of futures and of imposed actions apart from those of other measurements."""

_SHEET_STRIPS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Futures:
    """What every action leads to, from every window.

    Attributes:
        windows: n of them.
        by_action: uint8, shape (n, actions, height, width, 3), all actions of a window from one seed.
        again: uint8, shape (n, height, width, 3): the recorded action from another seed.
        recorded: (n,): ids of the recorded actions.
        free: (n,): whether the way ahead is known to be free.
    """

    windows: tuple[Window, ...]
    by_action: Frame
    again: Frame
    recorded: npt.NDArray[np.int64]
    free: npt.NDArray[np.bool_]

    @property
    def last(self) -> Frame:
        """The last real frame of every context."""
        return np.stack([window.seen[-1] for window in self.windows])

    @property
    def real(self) -> Frame:
        """What the recorded action really led to."""
        return np.stack([window.frames[window.context] for window in self.windows])

    @property
    def groups(self) -> npt.NDArray[np.str_]:
        """The bootstrap draws whole groups."""
        return np.array([window.group for window in self.windows])

    def under(self, actions: npt.NDArray[np.int64]) -> Frame:
        """The future of every window under one action each."""
        return self.by_action[np.arange(len(actions)), actions]


def imagine_futures(
    subject: Subject, windows: Sequence[Window], *, seed: int, batch: int = 16, track: Track = untracked
) -> Futures:
    """Every action from every window, and the recorded one from another seed."""
    words = subject.words
    recorded = np.array([words.index(window.asked[0].text) for window in windows])
    parts = []
    for places in track(batches(len(windows), batch), "futures"):
        contexts, seeds = [], []
        for place in places:
            here = subject.context_of(windows[place])
            contexts += [here.fork().say(word) for word in (*words, words[recorded[place]])]
            one, other = (seed_for(seed, FUTURES, place, draw) for draw in range(2))
            seeds += [*(one for _ in words), other]
        frames = subject.imagine(contexts, seeds)
        parts.append(frames.reshape(len(places), len(words) + 1, *frames.shape[1:]))
    imagined = np.concatenate(parts)
    return Futures(
        windows=tuple(windows),
        by_action=imagined[:, :-1],
        again=imagined[:, -1],
        recorded=recorded,
        free=np.array([is_free_ahead(window) for window in windows]),
    )


def gap_row(futures: Futures, seed: int) -> Row:
    """How far apart the futures of different actions are, over how far those of different seeds are; obeying means above 1."""
    own = futures.under(futures.recorded)
    actions = futures.by_action.shape[1]
    others = [distance(own, futures.under((futures.recorded + shift) % actions)) for shift in range(1, actions)]
    ratio = ratio_interval(np.mean(others, axis=0), distance(own, futures.again), groups=futures.groups, seed=seed)
    return make_row("counterfactual_gap", "other action / other seed", len(own), ratio)


def stay_rows(subject: Subject, futures: Futures, seed: int) -> Iterator[Row]:
    """Staying leaves the frame; the autoencoder's reconstruction of it is the ceiling."""
    stayed = futures.by_action[:, subject.words.index(STAY)]
    yield psnr_row("stay_psnr_db", "imagined", stayed, futures.last, futures.groups, seed)
    if (rebuilt := subject.reconstruct(futures.last)) is not None:
        yield psnr_row("stay_psnr_db", "autoencoder", rebuilt, futures.last, futures.groups, seed)


def psnr_row(metric: str, name: str, one: Frame, other: Frame, groups: npt.NDArray[np.str_], seed: int) -> Row:
    """The mean PSNR between two batches of frames."""
    return make_row(metric, name, len(one), mean_interval(psnr(one, other), groups=groups, seed=seed))


def probe_rows(probe: ActionProbe, futures: Futures, words: tuple[str, ...], seed: int) -> Iterator[Row]:
    """What the probe reads: from real pairs (the ceiling), from imagined ones, and where another action was imposed."""
    last, recorded = futures.last, futures.recorded
    readable = np.array(
        [is_readable(before, after, words[label]) for before, after, label in zip(last, futures.real, recorded, strict=True)]
    )
    on_real = probe.read(last, futures.real) == recorded
    on_imagined = probe.read(last, futures.under(recorded)) == recorded
    forced = force_actions(futures, words, np.random.default_rng(seed_for(seed, FORCED)))
    on_forced = probe.read(last, futures.under(forced)) == forced

    def accuracy(name: str, right: npt.NDArray[np.bool_], mask: npt.NDArray[np.bool_]) -> Iterator[Row]:
        if mask.any():
            interval = mean_interval(right[mask], groups=futures.groups[mask], seed=seed)
            yield make_row("probe_accuracy", name, int(mask.sum()), interval)

    yield from accuracy("real pairs", on_real, readable)
    yield from accuracy("imagined pairs", on_imagined, readable)
    yield from accuracy("other action imposed", on_forced, np.ones(len(forced), np.bool_))
    for label, word in enumerate(words):
        yield from accuracy(f"imagined pairs, {word}", on_imagined, readable & (recorded == label))
        yield from accuracy(f"other action imposed, {word}", on_forced, forced == label)
    if on_real[readable].any():
        ratio = ratio_interval(on_imagined[readable], on_real[readable], groups=futures.groups[readable], seed=seed)
        yield make_row("probe_accuracy_ratio", "imagined / real pairs", int(readable.sum()), ratio)


def force_actions(futures: Futures, words: tuple[str, ...], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """For every window another action than the recorded one; forward only where the way is known to be free."""
    allowed = np.ones((len(futures.recorded), len(words)), np.bool_)
    allowed[np.arange(len(futures.recorded)), futures.recorded] = False
    if FORWARD in words:
        allowed[~futures.free, words.index(FORWARD)] = False
    return np.where(allowed, rng.random(allowed.shape), -1.0).argmax(axis=1)


def is_free_ahead(window: Window) -> bool:
    """Whether a step forward from the end of the context is known to be free: recorded so, or according to the house's plan."""
    if window.asked[0].text == FORWARD:
        return window.moved
    if window.house is None or window.poses is None:
        return False
    x, _, z, yaw = window.poses[window.context - 1].tolist()
    return _plan(*window.house).is_free(*step_ahead((x, z), yaw))


@lru_cache(maxsize=64)
def _plan(split: str, seed: int) -> HousePlan:
    return draw_plan(split, seed)


def future_strips(futures: Futures, words: Sequence[str]) -> list[Strip]:
    """Some windows: the last real frame, what every action leads to, what the recorded one really led to.

    Args:
        futures: what to show.
        words: the actions as captions.
    """
    strips = []
    for place in range(min(_SHEET_STRIPS, len(futures.windows))):
        frames = np.stack([futures.last[place], *futures.by_action[place], futures.real[place]])
        captions = ("last frame", *words, f"real: {words[futures.recorded[place]]}")
        strips.append(Strip(captions=captions, rows={"imagined": frames}))
    return strips
