"""`bagel-world plan`: look at a picture, imagine what every plan would lead to, and choose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from bagel_world.agents import (
    Budget,
    ChainOfThought,
    Exhaustive,
    Planner,
    Random,
    Together,
)
from bagel_world.agents.choosing import look_ahead
from bagel_world.agents.plan import Plan
from bagel_world.cli.measuring import DeviceOption, SamplingOption
from bagel_world.errors import CapabilityError, ConfigError, UnknownNameError, nearest
from bagel_world.evaluation.sheets import Strip, save_sheet
from bagel_world.evaluation.subject import FAKE_CHECKPOINT
from bagel_world.images import fit_image
from bagel_world.types import Frame
from bagel_world.world.scoring import Goal, can_write

if TYPE_CHECKING:
    from bagel_world.agents import Proposer
    from bagel_world.world.protocol import World

SHOWN = 8
"""Candidates in the table and on the contact sheet."""

THOUGHTS = 3
"""How often the world thinks a goal in words through."""

IMAGINES, WRITES = "nano", "nano-worlds"
"""The shipped checkpoints to plan with: the one that knows houses best, and the one that judges words."""

PROPOSERS = ("exhaustive", "random", "thought", "both")

_WHITE = 255


def plan(
    image: Annotated[Path, typer.Argument(help="What the agent sees; cropped around its center to the checkpoint's aspect.")],
    goal: Annotated[
        str | None, typer.Option(help='The goal in words: "the yellow duck". Needs a checkpoint that writes, or --scorer reach.')
    ] = None,
    goal_image: Annotated[Path | None, typer.Option(help="The goal as a picture of how it looks there.")] = None,
    search: Annotated[
        str,
        typer.Option(
            help="best-of weighs every proposal; beam keeps the best few at each step; mcts spends most where it promises most "
            "and draws actions again; cem draws sequences like the best ones so far."
        ),
    ] = "best-of",
    proposer: Annotated[
        str | None,
        typer.Option(
            help="What may be done: exhaustive (all sequences), random, thought (the world thinks), both (thought and "
            "exhaustive); left out, both for words and a world that writes, otherwise exhaustive."
        ),
    ] = None,
    scorer: Annotated[
        str | None, typer.Option(help="goal_image, judge, reach or random; by default goal_image for a picture, judge for words.")
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="Steps to look ahead.")] = 2,
    frames: Annotated[int | None, typer.Option(min=1, help="Most frames to imagine.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.001, help="Begin no batch later than this.")] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="Of sampled thoughts; at 0 all are the same.")] = 0.7,
    seed: Annotated[int, typer.Option(min=0, help="Decides every draw.")] = 0,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help='A shipped name, a checkpoint folder, a hub id, or "fake"; by default nano-worlds where it has to judge words, '
            "otherwise nano, which imagines houses better."
        ),
    ] = None,
    device: DeviceOption = "auto",
    sampling: SamplingOption = None,
    out: Annotated[Path, typer.Option(help="Where the contact sheet of the candidates goes.")] = Path("out/plan.png"),
) -> None:
    """Plan by imagining: think, propose actions, imagine what they lead to, score that against the goal, and choose.

    Prints the thoughts (of a world that writes), the best candidates with their scores, the choice and its reason, and what it
    cost; writes the imagined candidates as a contact sheet. Nothing is done: only the picture is looked at.

    For example: bagel-world plan room.png --goal-image duck.png --search beam --depth 4
    """
    console = Console(soft_wrap=True)
    _check_goal(goal, goal_image, scorer)
    writes = scorer == "judge" or proposer in ("thought", "both") or (scorer is None and goal_image is None)
    checkpoint = checkpoint or (WRITES if writes else IMAGINES)
    world = _load(checkpoint, device, sampling, temperature)
    wanted = Goal(image=None if goal_image is None else fit_image(goal_image, world.frame_size), text=goal)
    _check_judge(world, wanted, checkpoint, scorer)
    found_search, exhaustive = look_ahead(search, depth)
    planner = Planner(
        world,
        _proposer(proposer, world, wanted, exhaustive, depth),
        scorer,
        found_search,
        budget=Budget(frames=frames, seconds=seconds),
    )
    seen = fit_image(image, world.frame_size)
    found = planner.plan(seen, wanted, seed=seed)
    _show(console, found)
    if found.candidates:
        path = save_sheet(_strips(found, seen), out, title=f"goal: {goal or goal_image}, scored by {found.scorer}")
        console.print(f"Look at {path}", markup=False, highlight=False)


def _load(checkpoint: str, device: str, sampling: str | None, temperature: float) -> World:
    if checkpoint == FAKE_CHECKPOINT:
        from bagel_world.world.fake import FakeWorld

        return FakeWorld()
    from bagel_world.world.simulator import BagelWorld

    writing = {"temperature": temperature}
    # World cannot say that a world takes the contexts it gave itself, so the checker is told so.
    return cast("World", BagelWorld.from_pretrained(checkpoint, device=device, sampling=sampling, writing=writing))


def _check_goal(goal: str | None, goal_image: Path | None, scorer: str | None) -> None:
    if goal is None and goal_image is None:
        raise ConfigError(
            'Expected a goal, got none. Show it with --goal-image PICTURE, or say it with --goal "the yellow duck".'
        )
    if goal_image is None and scorer == "goal_image":
        raise ConfigError("The scorer goal_image compares with a picture of the goal, got none. Pass --goal-image PICTURE.")
    if goal is None and scorer == "judge":
        raise ConfigError('The scorer judge is asked about a goal in words, got none. Say it with --goal "the yellow duck".')


def _check_judge(world: World, goal: Goal, checkpoint: str, scorer: str | None) -> None:
    if goal.image is None and scorer in (None, "judge") and not can_write(world):
        raise CapabilityError(
            f"The checkpoint {checkpoint!r} was never taught to write, so it cannot judge a goal in words. Show the goal with "
            "--goal-image PICTURE, name an object of a house with --scorer reach, or take a --checkpoint that writes."
        )


def _proposer(name: str | None, world: World, goal: Goal, exhaustive: Exhaustive, depth: int) -> Proposer:
    if name is None:
        name = "both" if goal.text is not None and can_write(world) else "exhaustive"
    thought = ChainOfThought(count=THOUGHTS, depth=depth)
    made: dict[str, Any] = {
        "exhaustive": exhaustive,
        "random": Random(depth=depth),
        "thought": thought,
        "both": Together((thought, exhaustive)),
    }
    if name not in made:
        raise UnknownNameError(f"There is no proposer named {name!r}. {nearest(name, PROPOSERS)}")
    return made[name]


def _show(console: Console, found: Plan) -> None:
    for thought in dict.fromkeys(thought.text for thought in found.thoughts):
        console.print(f"Thought: {thought}", markup=False, highlight=False)
    for malformed in dict.fromkeys(found.malformed):
        console.print(f"Could not read {malformed.text!r:.120}: {malformed.reason}", markup=False, highlight=False)
    if found.candidates:
        table = Table("", "actions", "value", "scores")
        for place in _ranked(found):
            future = found.candidates[place]
            scores = " ".join("-" if score is None else f"{score:.3f}" for score in future.scores)
            table.add_row("*" if place == found.choice else "", str(future), f"{future.value:.3f}", scores)
        console.print(table)
    chosen = "stop here" if not found.actions else str(found.chosen)
    console.print(f"Choice: {chosen}", markup=False, highlight=False)
    console.print(f"Reason: {found.reason}", markup=False, highlight=False)
    cost = found.cost
    rate = cost.imagined_frames / (cost.ms / 1000)
    console.print(
        f"Cost: {cost.imagined_frames} imagined frames, {cost.model_calls} calls, {cost.ms:.0f} ms ({rate:.0f} frames/s)"
    )


def _ranked(found: Plan) -> list[int]:
    """The places of the candidates to show: the chosen one, then the others by value."""
    order = sorted(range(len(found.candidates)), key=lambda place: (place != found.choice, -found.candidates[place].value))
    return order[:SHOWN]


def _strips(found: Plan, seen: Frame) -> list[Strip]:
    """What is seen and wanted, and below it the candidates, the chosen one first; short rows end in white."""
    shown = [(place, found.candidates[place]) for place in _ranked(found)]
    given = [seen, *([] if found.goal.image is None else [found.goal.image])]
    columns = max(len(given), *(len(future.frames) for _, future in shown))
    strips = [_strip("given", given, ("now", "goal")[: len(given)], columns, seen.shape)]
    for place, future in shown:
        label = f"{future.value:.3f}{' chosen' if place == found.choice else ''}"
        strips.append(_strip(label, future.frames, future.words, columns, seen.shape))
    return strips


def _strip(label: str, frames: Sequence[Frame], captions: Sequence[str], columns: int, shape: tuple[int, ...]) -> Strip:
    row = np.full((columns, *shape), _WHITE, dtype=np.uint8)
    for place, frame in enumerate(frames):
        row[place] = frame
    return Strip(captions=(*captions, *[""] * (columns - len(captions))), rows={label: row})
