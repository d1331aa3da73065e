"""`bagel-world eval closed-loop`: does imagining help an agent reach goals in a real simulator?"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from bagel_world.cli.claim import claim
from bagel_world.cli.command_line import command_line
from bagel_world.cli.measuring import (
    CheckpointOption,
    DeviceOption,
    JsonOption,
    SamplingOption,
    SeedOption,
    check_places,
    finish,
    progress_bar,
)
from bagel_world.errors import ConfigError
from bagel_world.evaluation.closed.contestants import Contestant, line_up
from bagel_world.evaluation.closed.doom_missions import draw_doom_missions
from bagel_world.evaluation.closed.feature_scorer import FeatureScorer
from bagel_world.evaluation.closed.maneuvers import Maneuvers
from bagel_world.evaluation.closed.missions import GoalKind, Mission, draw_missions
from bagel_world.evaluation.closed.oracle_world import OracleWorld
from bagel_world.evaluation.closed.standings import standing_rows
from bagel_world.evaluation.closed.trials import MOST_ACTIONS, StopRule, run_missions, send
from bagel_world.evaluation.closed.walk_movies import WalkMovies
from bagel_world.evaluation.report import Report
from bagel_world.evaluation.subject import Subject
from bagel_world.sims.doom import Doom
from bagel_world.sims.house import House
from bagel_world.world.scoring import Scorer, check_writes, make_scorer

DEFAULT_STOPS = {
    ("reach", "object"): 0.8,
    ("reach", "image"): 0.9,
    ("effnet", "image"): 0.79,
    ("goal_image", "image"): 0.6,
    ("judge", "object"): 0.5,
}
"""Scores that stop, by scorer and goal; those of "reach" and "effnet" were chosen on validation houses, the others are starting
points."""


def closed_loop(
    context: typer.Context,
    checkpoint: CheckpointOption = "nano",
    goal: Annotated[
        Literal["image", "object"], typer.Option(help="A picture taken at the goal, or the name of an object.")
    ] = "image",
    sim: Annotated[
        Literal["house", "doom"],
        typer.Option(
            help="Held-out houses, or the rooms of a game that no checkpoint was trained in (extra doom; goal pictures)."
        ),
    ] = "house",
    split: Annotated[str, typer.Option(help="The houses' split: train, validation, test or unseen.")] = "test",
    n: Annotated[int, typer.Option(min=1, help="Missions per contestant; bins of distance in turn.")] = 60,
    rollouts: Annotated[
        list[int] | None,
        typer.Option(min=1, max=9, help="Imagined maneuvers per plan; give it several times. By default 1, 3, 9."),
    ] = None,
    scorer: Annotated[
        str | None, typer.Option(help="reach for both kinds of goals; effnet or goal_image for pictures, judge for objects.")
    ] = None,
    stop_at: Annotated[float | None, typer.Option(help="The score that stops; a default of the scorer where left out.")] = None,
    turns: Annotated[int, typer.Option(min=0, max=6, help="Most turns to a side that a maneuver begins with.")] = 4,
    steps: Annotated[int, typer.Option(min=0, help="Steps forward that it ends with.")] = 2,
    commit: Annotated[int, typer.Option(min=1, help="Most actions of a plan that are done before the next plan.")] = 6,
    only: Annotated[list[str] | None, typer.Option(help="Contestants whose names hold this word; all where left out.")] = None,
    movies: Annotated[int, typer.Option(min=0, help="Wins and failures per contestant that are kept as GIFs.")] = 1,
    seed: SeedOption = 0,
    out: Annotated[
        Path, typer.Option(help="Folder for outcomes, movies and the report; a run that was stopped goes on there.")
    ] = Path("runs/closed_loop"),
    json_path: JsonOption = None,
    sampling: SamplingOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Send agents on missions in a real simulator, in places that no checkpoint was trained in.

    An agent sees real frames only, imagines, acts at most 60 times, and has to stop by itself within a meter of walking from the
    goal. Contestants: random actions; the model's own thoughts without imagining (object goals, where the checkpoint writes);
    the planner with a random scorer; the planner with the learned world and 1, 3 and 9 imagined maneuvers; the planner with the
    simulator as its world, which is the bound for these maneuvers and this scorer; the same with the true walking distance as
    the scorer of its maneuvers, which is the bound for the maneuvers. All stop by the same rule, the scorer's word on what is
    really seen; thoughts have a second row, in the first they may stop by their own word too.

    Every finished try is one line of outcomes.jsonl: the same command goes on where it was stopped, or adds missions with a
    larger --n. `bagel-world report OUT` makes a page of it.

    Example: bagel-world eval closed-loop --checkpoint nano --goal image --n 300
    """
    claim(context, out)
    check_places(out, json_path)
    if sim == "doom" and goal != "image":
        raise ConfigError("Missions in Doom have pictures as goals: its rooms hold no objects. Leave out --goal object.")
    subject = Subject.load(checkpoint, task="navigate", device=device, sampling=sampling)
    name = scorer or "reach"
    rule = StopRule(at_least=DEFAULT_STOPS.get((name, goal), 0.9) if stop_at is None else stop_at)
    judge = _scorer(name)
    _check_scorer(name, goal, subject)
    maneuvers, counts = Maneuvers(turns=turns, steps=steps), sorted(set(rollouts or (1, 3, 9)))
    height, width = subject.world.frame_size
    settings = {
        "goal": goal, "sim": sim, "split": split, "scorer": name, "stop_at": rule.at_least, "maneuvers": maneuvers.model_dump(),
        "most_rollouts": max(counts), "commit": commit, "most_actions": MOST_ACTIONS, "seed": seed, "checkpoint": subject.weights,
        "world": subject.setting,
    }  # fmt: skip
    with closing(_open(sim, split, (height, width))) as house, progress_bar() as track:
        missions = _missions(house, split, goal, n=n, seed=seed)
        oracle = OracleWorld(house, subject.world)
        everybody = line_up(subject.world, oracle, judge, rollouts=counts, maneuvers=maneuvers, commit=commit)
        chosen = _chosen([each for each in everybody if goal == "object" or not each.name.startswith("thought only")], only)
        try_one = partial(send, house=house, scorer=judge, rule=rule, seed=seed)
        keep = WalkMovies(out, each=movies).keep
        outcomes = run_missions(chosen, missions, try_one, out, settings=settings, keep=keep, track=track)
    report = Report(
        command=command_line(context),
        checkpoint=checkpoint,
        checkpoint_hash=subject.weights,
        data=f"{n} missions in {f'houses of the {split} split' if sim == 'house' else 'the rooms of Doom'}",
        seed=seed,
        setting=settings,
        compute={"seconds": round(sum(each.seconds for each in outcomes), 1)},
        rows=standing_rows(outcomes, seed=seed),
        notes=_notes(everybody, goal),
    )
    finish(report, out, json_path, "closed_loop")


def _open(sim: str, split: str, size: tuple[int, int]) -> House | Doom:
    return Doom(size=size) if sim == "doom" else House(split=split, size=size)


def _missions(house: House | Doom, split: str, goal: GoalKind, *, n: int, seed: int) -> list[Mission]:
    if isinstance(house, Doom):
        return draw_doom_missions(house.plan, n=n, seed=seed)
    return draw_missions(split, goal, n=n, seed=seed)


def _scorer(name: str) -> Scorer:
    if name == "effnet":
        return FeatureScorer()
    found = make_scorer(name)
    if found is None:
        raise ConfigError("The scorer 'none' tells nothing apart. Choose reach, effnet, goal_image, judge or random.")
    return found


def _check_scorer(name: str, goal: GoalKind, subject: Subject) -> None:
    """Check that a scorer can tell such goals apart.

    Raises:
        ConfigError: it needs goals of the other kind.
        CapabilityError: it is the judge of a checkpoint that cannot write.
    """
    if goal == "image" and name == "judge":
        raise ConfigError(
            "The scorer 'judge' reads goals in words. Choose --goal object, or --scorer reach, effnet or goal_image."
        )
    if goal == "object" and name in ("effnet", "goal_image"):
        raise ConfigError(f"The scorer {name!r} compares pictures. Choose --goal image, or --scorer reach or judge.")
    if name == "judge":
        check_writes(subject.world, "The scorer 'judge'")


def _chosen(everybody: list[Contestant], only: list[str] | None) -> list[Contestant]:
    chosen = [each for each in everybody if not only or any(word in each.name for word in only)]
    if not chosen:
        raise ConfigError(f"No contestant's name holds any of {only}; there are {[each.name for each in everybody]}.")
    return chosen


def _notes(everybody: list[Contestant], goal: str) -> tuple[str, ...]:
    if goal == "image":
        return ("Thoughts without imagination cannot see the goal picture: that row is for objects.",)
    thinks = any(each.name == "thought only" for each in everybody)
    return () if thinks else ("This checkpoint does not write: there is no row for its thoughts alone.",)
