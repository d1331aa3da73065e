"""Closed loop: does imagining help an agent reach goals in the real simulator?

The protocol is that of World-in-World (Zhang et al. 2025): the agent sees real frames only, imagines, scores, acts, and must
stop by itself; a stop within `missions.GOAL_RADIUS` meters of walking from the goal is a success. Everybody is judged by the
same rule for stopping (the scorer's word on the frame that is really seen), so that the rows differ in how they move and in
nothing else; who thinks may also stop by its own word.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.errors import RecordingError
from bagel_world.evaluation.closed.contestants import Contestant
from bagel_world.evaluation.closed.missions import GOAL_RADIUS, Mission, ways_to
from bagel_world.evaluation.closed.oracle_world import OracleWorld
from bagel_world.evaluation.subject import Track, seed_for, untracked
from bagel_world.sims.doom import Doom
from bagel_world.sims.house import House
from bagel_world.types import Frame
from bagel_world.world.scoring import Candidate, Goal, Scorer, ask_scorer

MOST_ACTIONS = 60

OUTCOMES = "outcomes.jsonl"


class Outcome(BaseModel):
    """How one contestant fared on one mission: a line of `outcomes.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    contestant: str
    mission: int
    bin: int
    success: bool
    stopped: bool
    """Whether it stopped by itself."""
    left: float
    """Meters of walking to the goal at the end."""
    closest: float
    """The least of these on the way."""
    shortest: float
    """Meters of walking from the start to the goal."""
    walked: float
    """Meters walked."""
    actions: int
    model_calls: int
    imagined_frames: int
    score: float
    """The scorer's word on the last frame."""
    seconds: float

    @property
    def spl(self) -> float:
        """Success weighted by path length: s l / max(p, l)."""
        return self.success * self.shortest / max(self.walked, self.shortest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """An outcome and what was seen on the way.

    Attributes:
        outcome: the figures.
        goal: the goal's picture, or None.
        frames: real ones, one more than words.
        words: what was done.
        expected: what had been imagined of each real frame but the first; None where nothing was.
    """

    outcome: Outcome
    goal: Frame
    frames: tuple[Frame, ...]
    words: tuple[str, ...]
    expected: tuple[Frame | None, ...]


class StopRule(BaseModel):
    """When to stop: as soon as the scorer's word on the present frame is high enough."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_least: float = Field(default=0.9)
    """The lowest score that stops."""


def send(
    contestant: Contestant,
    mission: Mission,
    house: House | Doom,
    scorer: Scorer,
    rule: StopRule,
    *,
    seed: int,
    most: int = MOST_ACTIONS,
) -> Walked:
    """Let a contestant try a mission.

    Args:
        contestant: decides.
        mission: what is to be reached.
        house: of the mission's split, or the game with its map; is walked in.
        scorer: for the rule.
        rule: for stopping, the same for everybody.
        seed: decides all draws, with the mission's number.
        most: actions.
    """
    began = time.perf_counter()
    goal_frame, _ = house.reset(options=mission.at(mission.goal))
    goal = Goal(image=goal_frame) if mission.kind == "image" else Goal(text=mission.text)
    frame, _ = house.reset(options=mission.at(mission.start))
    ways, field = ways_to(mission, house.plan)
    if isinstance(contestant.world, OracleWorld):
        contestant.world.way = ways, field
    walk = _Walk(contestant, house, goal, frame, scorer, rule, seed_for(seed, mission.number))
    walk.go(most)
    places = np.stack(walk.poses)
    lefts = [ways.at(field, float(x), float(z)) for x, z in places[:, (0, 2)]]
    outcome = Outcome(
        contestant=contestant.name,
        mission=mission.number,
        bin=mission.bin,
        success=walk.stopped and lefts[-1] <= GOAL_RADIUS,
        stopped=walk.stopped,
        left=lefts[-1],
        closest=min(lefts),
        shortest=mission.meters,
        walked=float(np.linalg.norm(np.diff(places[:, (0, 2)], axis=0), axis=1).sum()),
        actions=len(walk.words),
        model_calls=walk.model_calls,
        imagined_frames=walk.imagined_frames,
        score=walk.score,
        seconds=time.perf_counter() - began,
    )
    return Walked(
        outcome=outcome, goal=goal_frame, frames=tuple(walk.frames), words=tuple(walk.words), expected=tuple(walk.expected)
    )


class _Walk:
    """A try while it goes on."""

    def __init__(
        self, contestant: Contestant, house: House | Doom, goal: Goal, frame: Frame, scorer: Scorer, rule: StopRule, seed: int
    ) -> None:
        self.contestant, self.house, self.goal, self.scorer, self.rule, self.seed = contestant, house, goal, scorer, rule, seed
        self.context = contestant.world.observe(frame)
        self.frames, self.words, self.poses = [frame], [], [house.pose]
        self.expected: list[Frame | None] = []
        self.decided: list[int] = []
        """Where it decided before: so much counts as explored, not every frame on the way."""
        self.model_calls = self.imagined_frames = 0
        self.stopped, self.score = False, 0.0

    def go(self, most: int) -> None:
        """Look, decide, act, until the goal counts as reached or the actions are spent."""
        self._look()
        while not self.stopped and len(self.words) < most:
            goal = replace(self.goal, explored=tuple(self.frames[place] for place in self.decided))
            self.decided.append(len(self.words))
            decision = self.contestant.decide(self.context, goal, step=len(self.words), seed=self.seed)
            self.model_calls += decision.model_calls
            self.imagined_frames += decision.imagined_frames
            self.stopped = decision.stops
            for place, word in enumerate(decision.words[: most - len(self.words)]):
                self._act(word, decision.expected[place] if place < len(decision.expected) else None)
                if self.stopped:
                    break

    def _act(self, word: str, expected: Frame | None) -> None:
        frame, *_ = self.house.step(NAVIGATE_WORDS.index(word))
        self.context = self.context.say(word).observe(frame)
        self.frames.append(frame)
        self.words.append(word)
        self.poses.append(self.house.pose)
        self.expected.append(expected)
        self._look()

    def _look(self) -> None:
        """Whether the rule says to stop here."""
        candidate = Candidate(frame=self.frames[-1], goal=self.goal, context=self.context)
        (self.score,) = ask_scorer(self.scorer, self.contestant.world, [candidate])
        self.model_calls += self.scorer.model_calls
        self.stopped = self.score >= self.rule.at_least


def run_missions(
    contestants: Sequence[Contestant],
    missions: Sequence[Mission],
    try_one: Callable[[Contestant, Mission], Walked],
    folder: Path,
    *,
    settings: dict[str, Any],
    keep: Callable[[Walked, Mission], None] = lambda walked, mission: None,
    track: Track = untracked,
) -> list[Outcome]:
    """Send everybody on every mission that has no outcome in the folder yet; returns all outcomes.

    Args:
        contestants: with different names.
        missions: with different numbers.
        try_one: sends one.
        folder: holds `outcomes.jsonl`, one line per finished try, and `settings.json`.
        settings: JSON values on which outcomes depend.
        keep: is handed everything of a finished try before its line is written.
        track: shows progress.

    Raises:
        RecordingError: the folder holds outcomes under other settings, or cannot be read or written.
    """
    path = open_outcomes(folder, settings)
    done = {(each.contestant, each.mission): each for each in read_outcomes(path)}
    todo = [(each, mission) for mission in missions for each in contestants if (each.name, mission.number) not in done]
    for contestant, mission in track(todo, "missions"):
        walked = try_one(contestant, mission)
        keep(walked, mission)
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(walked.outcome.model_dump_json() + "\n")
        except OSError as error:
            raise RecordingError(
                f"Could not write to {path}: {error}. Free some space, then run the same command to go on."
            ) from error
        done[contestant.name, mission.number] = walked.outcome
    return [done[each.name, mission.number] for each in contestants for mission in missions]


def open_outcomes(folder: Path, settings: dict[str, Any]) -> Path:
    """The path of a folder's outcomes, after checking that they were made under the same settings.

    Raises:
        RecordingError: they were not, or the folder cannot be written.
    """
    place, told = folder / "settings.json", json.dumps(settings, indent=2, sort_keys=True) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.write_text(told, encoding="utf-8")
        before, now = json.loads(place.read_text(encoding="utf-8")), json.loads(told)
        if not isinstance(before, dict):
            raise ValueError(f"{place.name} holds no settings")
    except (OSError, ValueError) as error:
        raise RecordingError(f"Expected a folder for outcomes, but {folder}: {error}. Choose another with --out.") from error
    changed = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if changed:
        raise RecordingError(
            f"{folder} holds outcomes under other settings ({', '.join(changed)}). Use the same ones to go on, or another --out."
        )
    return folder / OUTCOMES


def read_outcomes(path: Path) -> Iterator[Outcome]:
    """The finished tries of a file; a last line that was cut off is dropped, so that its try is made again.

    Raises:
        RecordingError: it cannot be read, or another line is damaged.
    """
    if not path.exists():
        return
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"Could not read the outcomes in {path}: {error}. Choose another folder with --out.") from error
    if lines[-1]:
        path.write_text("\n".join([*lines[:-1], ""]), encoding="utf-8")
    for number, line in enumerate(lines[:-1], 1):
        try:
            yield Outcome.model_validate_json(line)
        except ValidationError as error:
            raise RecordingError(
                f"Line {number} of {path} is no outcome ({error}). Delete it to try that mission again."
            ) from error
