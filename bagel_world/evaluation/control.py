"""Control: do the imagined frames obey the actions?

Counterfactuals (other actions, other seeds), walks that must lead back to where they began, standing still, and what an
independent probe reads from the frames. Truth comes from recorded footage; no simulator runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.errors import CapabilityError
from bagel_world.evaluation.metrics import distance, mean_interval, psnr, ratio_interval
from bagel_world.evaluation.open_loop import Findings
from bagel_world.evaluation.probe import ActionProbe, is_readable
from bagel_world.evaluation.report import Row, by_metric, make_row
from bagel_world.evaluation.sheets import Strip
from bagel_world.evaluation.subject import Subject, Track, batches, seed_for, untracked
from bagel_world.evaluation.windows import Window, draw_windows
from bagel_world.sims.house import step_ahead
from bagel_world.sims.plans import HousePlan, draw_plan
from bagel_world.types import Episode, Frame

FORWARD, LEFT, RIGHT, STAY = NAVIGATE_WORDS

TURNS = 12
"""Turns of 30 degrees that make a full one."""

LOOPS: dict[str, tuple[str, ...]] = {
    "left, right": (LEFT, RIGHT),
    "right, left": (RIGHT, LEFT),
    "full turn": (LEFT,) * TURNS,
    "forward and back": (FORWARD, *(LEFT,) * (TURNS // 2), FORWARD, *(LEFT,) * (TURNS // 2)),
}
"""Walks that end where they began. Back is forward between two half turns, for there is no step backward."""

_FUTURES, _LOOPS, _FORCED = 2, 3, 4
_SHEET_STRIPS = 4


class ControlConfig(BaseModel):
    """What to measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(default=256, ge=1)
    """Places from which all actions are imagined."""
    loops: int = Field(default=64, ge=1)
    """Places from which walks that return are imagined."""
    context: int = Field(default=4, ge=1)
    """Real frames that are given."""
    seed: int = Field(default=0, ge=0)
    """Decides windows and noise."""
    batch: int = Field(default=16, ge=1)
    """Places imagined at a time."""


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


def measure_control(
    subject: Subject, episodes: Sequence[Episode], probe: ActionProbe, config: ControlConfig, *, track: Track = untracked
) -> Findings:
    """Impose actions and look whether the frames obey.

    Args:
        subject: the world under test, a navigation world.
        episodes: footage it never saw.
        probe: reads actions from frames; trained on other footage, with the subject's action words.
        config: what to measure.
        track: shows progress.

    Raises:
        CapabilityError: the world lacks the words of navigation.
        ConfigError: the footage has another frame size, or too little of it.
    """
    missing = [word for word in NAVIGATE_WORDS if word not in subject.words]
    if missing:
        raise CapabilityError(f"Control is measured on navigation worlds; checkpoint {subject.name!r} was not taught {missing}.")
    subject.check_footage(episodes[0].frames)
    windows = draw_windows(episodes, n=config.n, context=config.context, horizon=1, seed=seed_for(config.seed, _FUTURES))
    futures = imagine_futures(subject, windows, config, track)
    rows = [gap_row(futures, config.seed), *stay_rows(subject, futures, config.seed)]
    rows += probe_rows(probe, futures, subject.words, config.seed)
    sheets = {"futures": future_strips(futures, subject.words)}
    notes = []
    places = draw_windows(episodes, n=config.loops, context=config.context, horizon=1, seed=seed_for(config.seed, _LOOPS))
    for number, (name, words) in enumerate(LOOPS.items()):
        free = places if FORWARD not in words else [place for place in places if is_free_ahead(place)]
        if not free:
            notes.append(f"The walk {name!r} was left out: at none of {len(places)} places is the way ahead known to be free.")
            continue
        walked = walk_loop(subject, free, words, number, config, track)
        rows += loop_rows(subject, name, free, walked, config.seed)
        if name == "full turn":
            rows.append(read_turn_row(probe, free, walked, subject.words, config.seed))
            sheets["full_turn"] = turn_strips(free, walked)
    return Findings(rows=by_metric(rows), sheets=sheets, notes=tuple(notes))


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


def imagine_futures(subject: Subject, windows: Sequence[Window], config: ControlConfig, track: Track) -> Futures:
    """Every action from every window, and the recorded one from another seed."""
    words = subject.words
    recorded = np.array([words.index(window.asked[0].text) for window in windows])
    parts = []
    for places in track(batches(len(windows), config.batch), "futures"):
        contexts, seeds = [], []
        for place in places:
            here = subject.context_of(windows[place])
            contexts += [here.fork().say(word) for word in (*words, words[recorded[place]])]
            one, other = (seed_for(config.seed, _FUTURES, place, draw) for draw in range(2))
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
    yield _psnr_row("stay_psnr_db", "imagined", stayed, futures.last, futures.groups, seed)
    if (rebuilt := subject.reconstruct(futures.last)) is not None:
        yield _psnr_row("stay_psnr_db", "autoencoder", rebuilt, futures.last, futures.groups, seed)


def _psnr_row(metric: str, name: str, one: Frame, other: Frame, groups: npt.NDArray[np.str_], seed: int) -> Row:
    return make_row(metric, name, len(one), mean_interval(psnr(one, other), groups=groups, seed=seed))


def probe_rows(probe: ActionProbe, futures: Futures, words: tuple[str, ...], seed: int) -> Iterator[Row]:
    """What the probe reads: from real pairs (the ceiling), from imagined ones, and where another action was imposed."""
    last, recorded = futures.last, futures.recorded
    readable = np.array(
        [is_readable(before, after, words[label]) for before, after, label in zip(last, futures.real, recorded, strict=True)]
    )
    on_real = probe.read(last, futures.real) == recorded
    on_imagined = probe.read(last, futures.under(recorded)) == recorded
    forced = force_actions(futures, words, np.random.default_rng(seed_for(seed, _FORCED)))
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
    allowed[~futures.free, words.index(FORWARD)] = False
    return np.where(allowed, rng.random(allowed.shape), -1.0).argmax(axis=1)


def walk_loop(
    subject: Subject, windows: Sequence[Window], words: tuple[str, ...], number: int, config: ControlConfig, track: Track
) -> Frame:
    """The frames of a walk from every window, uint8 (n, steps, height, width, 3)."""
    parts = []
    for places in track(batches(len(windows), config.batch), "walks that return"):
        contexts = [subject.context_of(windows[place]) for place in places]
        seeds = [[seed_for(config.seed, _LOOPS, number, place, step) for step in range(len(words))] for place in places]
        parts.append(subject.roll(contexts, [words] * len(places), seeds))
    return np.concatenate(parts)


def loop_rows(subject: Subject, name: str, windows: Sequence[Window], walked: Frame, seed: int) -> Iterator[Row]:
    """PSNR between the start and the end of a walk; the frame halfway is the floor, the autoencoder the ceiling."""
    start = np.stack([window.seen[-1] for window in windows])
    groups = np.array([window.group for window in windows])
    halfway = walked[:, (walked.shape[1] - 1) // 2]
    shown = {"end": walked[:, -1], "halfway": halfway, "autoencoder": subject.reconstruct(start)}
    for label, frames in shown.items():
        if frames is not None:
            yield _psnr_row("return_psnr_db", f"{name}, {label}", frames, start, groups, seed)


def read_turn_row(probe: ActionProbe, windows: Sequence[Window], walked: Frame, words: tuple[str, ...], seed: int) -> Row:
    """What the probe reads between the imagined frames of a full turn: whether the world still obeys on its own frames."""
    count, steps = walked.shape[:2]
    before, after = (each.reshape(-1, *walked.shape[2:]) for each in (walked[:, :-1], walked[:, 1:]))
    right = probe.read(before, after) == words.index(LEFT)
    groups = np.repeat([window.group for window in windows], steps - 1)
    interval = mean_interval(right, groups=groups, seed=seed)
    return make_row("probe_accuracy", "pairs of imagined frames, full turn", count * (steps - 1), interval)


def future_strips(futures: Futures, words: tuple[str, ...]) -> list[Strip]:
    """Some windows: the last real frame, what every action leads to, what the recorded one really led to."""
    strips = []
    for place in range(min(2 * _SHEET_STRIPS, len(futures.windows))):
        frames = np.stack([futures.last[place], *futures.by_action[place], futures.real[place]])
        captions = ("last frame", *words, f"real: {words[futures.recorded[place]]}")
        strips.append(Strip(captions=captions, rows={"imagined": frames}))
    return strips


def turn_strips(windows: Sequence[Window], walked: Frame) -> list[Strip]:
    """Some full turns, the real frame first."""
    strips = []
    for window, frames in list(zip(windows, walked, strict=True))[:_SHEET_STRIPS]:
        captions = ("start", *(f"{30 * (step + 1)} degrees" for step in range(len(frames))))
        strips.append(Strip(captions=captions, rows={"imagined": np.concatenate([window.seen[-1:], frames])}))
    return strips
