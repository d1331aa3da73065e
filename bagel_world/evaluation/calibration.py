"""Calibration: how often scorers are right about success, measured against what the simulator knows.

A case is a frame at the end of a recorded stretch and a goal. `goal_image`: the goal is a picture of the same scene, and the
truth is whether it shows the same view (within 0.25 m and 15 degrees; without poses, whether hardly a pixel differs). It is never
the frame itself: where the episode has no other of that view, the simulator draws one in houses, and elsewhere there is no case.
`judge`: the goal is to stand in front of an object of the house, and the truth is whether one does. Half of the cases are true.
The frame is the recorded one, or what the world imagines in its place after some steps of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from bagel_world.errors import ConfigError, MissingExtraError, SimulatorError
from bagel_world.evaluation.metrics import RESAMPLES, Interval, mean_interval
from bagel_world.evaluation.open_loop import Findings
from bagel_world.evaluation.ranking import auc_interval, resampled
from bagel_world.evaluation.report import Row, by_metric, make_row
from bagel_world.evaluation.scenes import HouseScenes
from bagel_world.evaluation.subject import Subject, Track, batches, seed_for, untracked
from bagel_world.evaluation.windows import Window, cut_window, is_new_view, scenes_note
from bagel_world.sims.captions import STANDING
from bagel_world.sims.house import House
from bagel_world.sims.naming import public_name
from bagel_world.sims.plans import draw_plan
from bagel_world.sims.sightings import Sighting, sightings
from bagel_world.types import Episode
from bagel_world.world.protocol import Context
from bagel_world.world.scoring import Candidate, Goal, GoalImageScorer, JudgeScorer, RandomScorer, Scorer, ask_scorer, can_write

Shown = Literal["real", "imagined"]
Truths = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]

SAME_LEVELS, SAME_SHARE = 8, 0.005
"""Without poses two frames show the same where fewer than this share of pixels differ by more than so many levels of 255."""

_THRESHOLD_RESAMPLES = RESAMPLES // 10


class CalibrationConfig(BaseModel):
    """What to measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(default=256, ge=4)
    """Cases per kind of goal, half of them true; fewer where the footage holds no more."""
    context: int = Field(default=4, ge=1)
    """Frames that are given."""
    steps: int = Field(default=3, ge=1)
    """Steps that are imagined behind them."""
    seed: int = Field(default=0, ge=0)
    """Decides cases and noise."""
    batch: int = Field(default=16, ge=1)
    """Cases at a time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """A stretch that ends at the frame in question, a goal, and whether it is reached there."""

    window: Window
    goal: Goal
    truth: bool


def measure_calibration(
    subject: Subject, episodes: Sequence[Episode], config: CalibrationConfig, *, track: Track = untracked
) -> Findings:
    """How often every scorer is right about success.

    Args:
        subject: the world whose scorers are measured.
        episodes: footage it never saw; an `EpisodeFolder` or any sequence.
        config: what to measure.
        track: shows progress.

    Raises:
        ConfigError: the footage has another frame size, or no goals of which some are reached and some are not.
    """
    subject.check_footage(episodes[0].frames)
    notes: list[str] = []
    pictures = _picture_cases(episodes, config, notes)
    asked: list[tuple[list[Case], dict[str, Scorer]]] = [(pictures, {"goal_image": GoalImageScorer(), "random": RandomScorer()})]
    if not can_write(subject.world):
        notes.append("This checkpoint was never taught to write: it has no judge.")
    elif not _is_of_houses(episodes):
        notes.append("The judge is measured on footage of houses, where it is known what stands in front of whom.")
    else:
        objects = _cases(episodes, config, object_goals, "goals in words", notes)
        judges = {"judge, whole context": JudgeScorer(), "judge, newest frame": JudgeScorer(sees="frame")}
        asked.append((objects, dict(judges)))
    if not any(cases for cases, _ in asked):
        raise ConfigError(" ".join(notes))
    rows = [row for cases, scorers in asked if cases for row in _rows(subject, cases, scorers, config, track)]
    notes += scenes_note(case.window.group for cases, _ in asked for case in cases)
    return Findings(rows=by_metric(rows), sheets={}, notes=tuple(notes))


def _is_of_houses(episodes: Sequence[Episode]) -> bool:
    return episodes[0].metadata.get("source") == public_name(House)


def _picture_cases(episodes: Sequence[Episode], config: CalibrationConfig, notes: list[str]) -> list[Case]:
    if not _is_of_houses(episodes) or episodes[0].poses is None:
        return _cases(episodes, config, picture_goals, "goal pictures", notes)
    height, width = episodes[0].frames.shape[1:3]
    try:
        with closing(HouseScenes((height, width))) as scenes:
            return _cases(episodes, config, partial(picture_goals, scenes=scenes), "goal pictures", notes)
    except (MissingExtraError, SimulatorError) as error:
        notes.append(f"There are no figures of goal pictures: {error}")
        return []


def _cases(episodes: Sequence[Episode], config: CalibrationConfig, goals: Goals, what: str, notes: list[str]) -> list[Case]:
    """The cases; a note and none where the footage has too few."""
    try:
        return draw_cases(episodes, config, goals)
    except ConfigError as error:
        notes.append(f"There are no figures of {what}: {error}")
        return []


Goals = Callable[[Episode, int, np.random.Generator], Iterator[tuple[Goal, bool]]]
"""The goals that one may have at a frame of an episode, and whether each is reached there."""


def draw_cases(episodes: Sequence[Episode], config: CalibrationConfig, goals: Goals) -> list[Case]:
    """As many true cases as false ones, spread over episodes and frames by the seed.

    Raises:
        ConfigError: the footage has no true cases, or no false ones.
    """
    rng = np.random.default_rng(seed_for(config.seed, 0))
    length, wanted = config.context + config.steps, config.n // 2
    found: dict[bool, list[Case]] = {True: [], False: []}
    for index in rng.permutation(len(episodes)).tolist():
        episode = episodes[index]
        share = max(2, -(-2 * wanted // len(episodes)))
        taken = {True: 0, False: 0}
        for end in rng.permutation(np.arange(length - 1, len(episode.frames))).tolist():
            if min(taken.values()) >= share or min(map(len, found.values())) >= wanted:
                break
            window = cut_window(episode, end + 1 - length, context=config.context, horizon=config.steps)
            for goal, truth in goals(episode, end, rng):
                if taken[truth] < share and len(found[truth]) < wanted:
                    found[truth].append(Case(window=window, goal=goal, truth=truth))
                    taken[truth] += 1
    pairs = min(map(len, found.values()))
    if pairs < 2:
        raise ConfigError(
            f"Expected footage with goals that are reached and others that are not, found {len(found[True])} and "
            f"{len(found[False])} in {len(episodes)} episodes. Record more, or give fewer frames and steps."
        )
    return found[True][:pairs] + found[False][:pairs]


def picture_goals(
    episode: Episode, end: int, rng: np.random.Generator, *, scenes: HouseScenes | None = None
) -> Iterator[tuple[Goal, bool]]:
    """Another picture of the same view, and one of another view.

    Args:
        episode: recorded.
        end: which frame of it is asked about.
        rng: chooses.
        scenes: draws the same view from nearby where no other frame shows it; without, there is no such picture then.
    """
    same = np.array([shows_same(episode, end, place) for place in range(len(episode.frames))])
    others = np.flatnonzero(same & ~_equal(episode, end))
    near = episode.frames[rng.choice(others)] if len(others) else None
    if near is None and scenes is not None:
        near = scenes.view_near(episode, end, rng)
    if near is not None:
        yield Goal(image=near), True
    if not same.all():
        yield Goal(image=episode.frames[rng.choice(np.flatnonzero(~same))]), False


def shows_same(episode: Episode, one: int, other: int) -> bool:
    """Whether two frames of an episode show the same view."""
    if episode.poses is not None:
        return not is_new_view(episode.poses[[one]], episode.poses[other])
    apart = np.abs(episode.frames[one].astype(np.int16) - episode.frames[other]).max(axis=-1)
    return bool((apart > SAME_LEVELS).mean() < SAME_SHARE)


def object_goals(episode: Episode, end: int, rng: np.random.Generator) -> Iterator[tuple[Goal, bool]]:
    """To stand in front of an object of the house: of those where one does, of those in view, and of one out of view."""
    if episode.poses is None or episode.visible is None:
        return
    plan = draw_plan(str(episode.metadata["split"]), int(episode.metadata["seed"]))
    around = sightings(plan, episode.poses[end], episode.visible[end])
    seen = [each for each in around if each.visible and not each.doubtful]
    hidden = [each for each in around if not each.visible]
    chosen: list[Sighting] = [*seen, *(hidden[int(place)] for place in rng.permutation(len(hidden))[:1])]
    for each in chosen:
        yield Goal(text=STANDING.format(object=each.name)), each.reached


def _equal(episode: Episode, end: int) -> Truths:
    return (episode.frames == episode.frames[end]).all(axis=(1, 2, 3))


def _rows(
    subject: Subject, cases: Sequence[Case], scorers: dict[str, Scorer], config: CalibrationConfig, track: Track
) -> Iterator[Row]:
    truths = np.array([case.truth for case in cases])
    groups = np.array([case.window.group for case in cases])
    shown: tuple[Shown, ...] = ("real", "imagined")
    scores: dict[tuple[str, Shown], list[float]] = {(name, each): [] for name in scorers for each in shown}
    for places in track(batches(len(cases), config.batch), " and ".join(scorers)):
        for each in shown:
            candidates = _candidates(subject, [cases[place] for place in places], [*places], each, config)
            for name, scorer in scorers.items():
                scores[name, each] += ask_scorer(scorer, subject.world, candidates)
    for (name, each), values in scores.items():
        yield from calibration_rows(f"{name}, {each} frames", np.array(values), truths, groups, scorers[name], config.seed)


def _candidates(
    subject: Subject, cases: Sequence[Case], places: Sequence[int], shown: Shown, config: CalibrationConfig
) -> list[Candidate]:
    """The frames in question behind the frames that lead to them."""
    if shown == "real":
        contexts = [subject.context_of(_shifted(case.window)) for case in cases]
    else:
        contexts = [subject.context_of(case.window) for case in cases]
        for step in range(config.steps):
            said = [context.say(case.window.asked[step].text) for context, case in zip(contexts, cases, strict=True)]
            contexts = subject.advance(said, [seed_for(config.seed, 1, place, step) for place in places])
    return [_candidate(context, case, place) for context, case, place in zip(contexts, cases, places, strict=True)]


def _candidate(context: Context, case: Case, place: int) -> Candidate:
    return Candidate(frame=context.frames[-1], goal=case.goal, seed=place, context=context)


def _shifted(window: Window) -> Window:
    """The last frames of a window as given ones: as many, ending where it ends."""
    first = len(window.frames) - window.context
    return replace(window, frames=window.frames[first:], actions=window.actions[first:], poses=None)


def calibration_rows(
    name: str, scores: Scores, truths: Truths, groups: npt.NDArray[np.str_], scorer: Scorer, seed: int
) -> Iterator[Row]:
    """What scores say about truths: ranking, the scorer's own threshold, and the best one.

    The best threshold is found on one half of the groups, its accuracy measured on the other half.
    """
    n = len(scores)
    yield make_row("auc", name, n, auc_interval(scores, truths, groups=groups, seed=seed))
    if scorer.judges_success:
        said = scores >= 1 - scorer.success_distance
        right, own = said == truths, f"{name}, at its own {1 - scorer.success_distance:g}"
        yield make_row("success_accuracy", own, n, mean_interval(right, groups=groups, seed=seed))
        for label, mask in (("reached", truths), ("not reached", ~truths)):
            interval = mean_interval(said[mask], groups=groups[mask], seed=seed)
            yield make_row("said_reached", f"{own}, {label}", int(mask.sum()), interval)
    yield make_row("best_threshold", name, n, threshold_interval(scores, truths, groups, seed=seed))
    known = np.isin(groups, np.unique(groups)[::2])
    if truths[known].any() and not truths[known].all() and not known.all():
        right = (scores >= best_threshold(scores[known], truths[known])) == truths
        interval = mean_interval(right[~known], groups=groups[~known], seed=seed)
        yield make_row("success_accuracy", f"{name}, at the best of other scenes", int((~known).sum()), interval)


def best_threshold(scores: Scores, truths: Truths) -> float:
    """From which score on to say "reached" so that most cases are right, true and false ones weighing the same.

    The middle between two neighboring scores; of equally good ones the highest.

    Raises:
        ConfigError: no true case, or no false one.
    """
    if truths.all() or not truths.any():
        raise ConfigError("Expected true and false cases, got only one of them.")
    values = np.unique(scores)
    cuts = np.concatenate([[values[0]], (values[:-1] + values[1:]) / 2])
    true, false = np.sort(scores[truths]), np.sort(scores[~truths])
    hits = 1 - np.searchsorted(true, cuts, side="left") / len(true)
    passes = np.searchsorted(false, cuts, side="left") / len(false)
    balanced = hits + passes
    return float(cuts[np.flatnonzero(balanced >= balanced.max() - 1e-12)[-1]])


def threshold_interval(scores: Scores, truths: Truths, groups: npt.NDArray[np.str_], *, seed: int = 0) -> Interval:
    """The best threshold and its 95 % percentile interval from a bootstrap over groups."""
    draws = resampled(best_threshold, scores, truths, groups=groups, resamples=_THRESHOLD_RESAMPLES, seed=seed)
    value = best_threshold(scores, truths)
    low, high = np.percentile(draws, (2.5, 97.5)) if draws else (value, value)
    return Interval(value, float(low), float(high))
