"""`bagel-world data from-footage`: recorded footage becomes questions, thoughts and judgments about what is seen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bagel_world.cli.claim import claim
from bagel_world.cli.command_line import command_line
from bagel_world.episodes.manifest import license_of, package_versions
from bagel_world.episodes.sample_writer import SampleWriter
from bagel_world.sims.captions import THINK_PROMPT
from bagel_world.sims.lesson_samples import read_pictures, to_sample
from bagel_world.sims.lessons import Account, LessonPlan, choose, survey

_PACKAGES = ("bagel-world", "numpy", "pyarrow")
_SHOWN_GROUPS = 8
_ORDER = 2
_ENOUGH = 0.9  # of what was wanted; below that somebody should know


def from_footage(
    context: typer.Context,
    footage: Annotated[list[Path], typer.Argument(help="Folders that `bagel-world record` made.")],
    out: Annotated[Path, typer.Argument(help="Folder for the samples; new or empty.")],
    questions: Annotated[int, typer.Option(min=0, help="Short questions and answers: what is ahead, how many, ...")] = 1000,
    thoughts: Annotated[int, typer.Option(min=0, help="Thoughts on the way to a goal, and the next action.")] = 500,
    foresights: Annotated[int, typer.Option(min=0, help="Thoughts about what an action leads to, as think mode has them.")] = 250,
    judge: Annotated[int, typer.Option(min=0, help="Is the goal reached, yes or no.")] = 250,
    per_picture: Annotated[int, typer.Option(min=1, help="Questions about one picture, at most.")] = 3,
    history: Annotated[
        int, typer.Option(min=0, help="Frames and actions shown before the picture, at most; half show none.")
    ] = 0,
    even: Annotated[bool, typer.Option(help="As many questions of every kind, as a test wants them.")] = False,
    think_prompt: Annotated[str, typer.Option(help="What opens a context with thoughts; the checkpoint has to bring it too.")] = (
        THINK_PROMPT
    ),
    seed: Annotated[int, typer.Option(min=0, help="Decides which pictures are asked about, and how.")] = 0,
) -> None:
    """Ask about recorded footage what the simulator knows: samples that teach to answer, to think ahead and to judge."""
    plan = LessonPlan(
        questions=questions,
        thoughts=thoughts,
        foresights=foresights,
        judge=judge,
        per_picture=per_picture,
        history=history,
        even=even,
        think_prompt=think_prompt,
        seed=seed,
    )
    console = Console(stderr=True)
    claim(context, out)
    settings = {**plan.model_dump(mode="json"), "footage": [str(each) for each in footage]}
    with SampleWriter(out, command=command_line(context), settings=settings, packages=package_versions(_PACKAGES)) as writer:
        offers = list(track(survey(footage, plan), description="looking", console=console))
        lessons, account = choose(offers, plan)
        pictures = read_pictures(footage, lessons)
        licenses = [license_of(each) for each in footage]
        # Neighbors in footage look alike; a shard is to hold a bit of everything.
        order = np.random.default_rng((seed, _ORDER)).permutation(len(lessons))
        for place in track(order, description="writing", console=console):
            lesson = lessons[int(place)]
            writer.add(to_sample(lesson, pictures, license=licenses[lesson.place.folder], think_prompt=think_prompt))
    console.print(_table(account))
    console.print(f"{account.taken.total()} exercises in {len(lessons)} samples with {len(pictures)} pictures in {out}")
    for kind, wanted in account.wanted.items():
        taken = sum(n for (each, _), n in account.taken.items() if each == kind)
        if taken < _ENOUGH * wanted:
            console.print(f"Only {taken} of {wanted} {kind!r}: the footage offers no more. Record more of it.", style="yellow")


def _table(account: Account) -> Table:
    """One line per kind: what was wanted, taken and offered, and how the answers fall."""
    table = Table("kind", "wanted", "taken", "offered", "answers")
    for kind, wanted in account.wanted.items():
        groups = Counter({group: n for (each, group), n in account.taken.items() if each == kind})
        offered = sum(n for (each, _), n in account.offered.items() if each == kind)
        answers = Counter[str]()
        for group, n in groups.items():
            answers[group.partition(":")[0]] += n
        shown = ", ".join(f"{answer} {n}" for answer, n in answers.most_common(_SHOWN_GROUPS))
        more = len(answers) - _SHOWN_GROUPS
        table.add_row(kind, str(wanted), str(groups.total()), str(offered), shown + (f", {more} more" if more > 0 else ""))
    return table
