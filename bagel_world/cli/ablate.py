"""`bagel-world ablate`: one recipe, trained several times with single settings changed, as a table and a figure."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bagel_world.cli.claim import claim
from bagel_world.cli.measuring import check_places
from bagel_world.cli.train import follow_on, progress_bar
from bagel_world.errors import RecordingError
from bagel_world.evaluation.figures import Curve, Panel, check_figures, save_figure
from bagel_world.files import replace_text
from bagel_world.training.ablation import LOSSES, AblationPlan, AblationRun, read_ablations, recipes_of, run_ablations, table_of
from bagel_world.world.config import check_defaults


def ablate(
    context: typer.Context,
    plan: Annotated[Path, typer.Argument(help="Runs in YAML, for example recipes/ablations.yaml.")],
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Where the curves go; ablations.png in the runs' folder.")
    ] = None,
) -> None:
    """Train a recipe several times, each time with a few settings changed, and compare. Stop at any time; it goes on.

    Leaves ablations.json, ablations.md and ablations.png (the extra "eval") in the folder of the runs; no figure where no run was
    long enough to be measured on the way.
    """
    ablations = read_ablations(plan)
    check_figures()
    check_places(ablations.run if figure is None else figure.parent)
    for recipe in recipes_of(ablations).values():
        check_defaults(recipe.model_shape().world)
    claim(context, ablations.run)
    console = Console(stderr=True)
    with progress_bar(console) as bar:
        runs = run_ablations(ablations, lambda name: follow_on(bar, name))
    table = table_of(runs)
    print(table, end="")
    try:
        replace_text(ablations.run / "ablations.json", json.dumps([asdict(run) for run in runs], indent=2) + "\n")
        replace_text(ablations.run / "ablations.md", table)
    except OSError as error:
        raise RecordingError(
            f"Could not write the table to {ablations.run}: {error}. Free some space, then run it again."
        ) from error
    panels = panels_of(ablations, runs)
    if not panels:
        console.print("No figure: no run was measured on the way. Set mot.validate_every to mot.steps or less.", highlight=False)
        return
    path = save_figure(panels, figure or ablations.run / "ablations.png", title="Loss on held-out data")
    console.print(f"Figure: {path}", highlight=False)


def panels_of(plan: AblationPlan, runs: list[AblationRun]) -> list[Panel]:
    """One panel per comparison and loss that any of its runs has."""
    found = {run.name: run for run in runs}
    panels = []
    for title, names in (plan.compare or {"All runs": tuple(plan.runs)}).items():
        for loss, label in LOSSES.items():
            curves = {name: _curve(found[name], loss) for name in names if any(loss in row for row in found[name].curve)}
            if curves:
                panels.append(Panel(title=f"{title}: {label}", x_label="steps", curves=curves))
    return panels


def _curve(run: AblationRun, loss: str) -> Curve:
    rows = [row for row in run.curve if loss in row]
    return Curve(x=[row["step"] for row in rows], y=[row[loss] for row in rows], points=len(rows) == 1)
