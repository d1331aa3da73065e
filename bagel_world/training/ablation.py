"""Ablations: one recipe trained several times, each time with a few settings changed, and what became of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bagel_world.errors import ConfigError, TrainingError, nearest
from bagel_world.training.config import TrainingConfig, read_recipe
from bagel_world.training.stages import FIGURES, RECIPE, Progress, Stages

LOSSES = {"validation_velocity": "velocity", "validation_text": "text"}
"""What runs are compared by -> its name in tables. Both are unweighted, so that runs with other weights compare."""


class AblationPlan(BaseModel):
    """Which runs there are. Paths that are not absolute count from the working directory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: Path = Field(description="The recipe that every run follows but for its changes.")
    run: Path = Field(description="Folder with a run folder for each.")
    runs: dict[str, tuple[str, ...]] = Field(min_length=1, description='Changes by the name of the run, "mot.steps=200" each.')
    compare: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Runs that are drawn together, by title; left out, all in one."
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        for name in self.runs:
            if not name or Path(name).name != name:
                raise ValueError(f"the run {name!r} names a folder. Use letters, digits and dashes")
        for title, names in self.compare.items():
            for name in names:
                if name not in self.runs:
                    raise ValueError(f"{title!r} compares {name!r}, which is no run. {nearest(name, self.runs)}".rstrip("."))
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationRun:
    """A finished run.

    Attributes:
        name: as in the plan.
        changes: what it does otherwise than the recipe.
        figures: of the averaged weights after the last step, on held-out data.
        curve: held-out losses on the way, one row per measurement, each with its "step".
    """

    name: str
    changes: tuple[str, ...]
    figures: Mapping[str, float]
    curve: Sequence[Mapping[str, float]]


def read_ablations(path: str | Path) -> AblationPlan:
    """A plan from a YAML file.

    Raises:
        ConfigError: the file is no YAML, or a setting is unknown or makes no sense.
    """
    try:
        return AblationPlan.model_validate(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"Expected ablations in YAML at {path}, but they cannot be read: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"The ablations {path} cannot be used: {_problems(error)}.") from error


def recipes_of(plan: AblationPlan) -> dict[str, TrainingConfig]:
    """The recipe of every run, by its name; all are read before the first trains.

    World models are compared: a decoder that would learn after them is left out.

    Raises:
        ConfigError: a recipe or a change of it cannot be used.
    """
    return {
        name: read_recipe(plan.recipe, [*changes, f"run={plan.run / name}", "decoder=null"])
        for name, changes in plan.runs.items()
    }


def run_ablations(plan: AblationPlan, follow: Callable[[str], Progress | None] = lambda name: None) -> list[AblationRun]:
    """Train every run that is not finished, one behind the other; a stopped one goes on where it was.

    Args:
        plan: which runs there are.
        follow: gives what is called after every step of the run of that name.

    Raises:
        ConfigError: a recipe or a change of it cannot be used.
        TrainingError: a run folder holds a run of another recipe.
    """
    return [_run(name, plan.runs[name], config, follow(name)) for name, config in recipes_of(plan).items()]


def table_of(runs: Sequence[AblationRun]) -> str:
    """What became of the runs, as a table in Markdown."""
    rows = [("run", "changes", *LOSSES.values()), *[("---", "---", *["---:"] * len(LOSSES))]]
    for run in runs:
        changes = ", ".join(f"`{change}`" for change in run.changes) or "none"
        losses = [f"{run.figures[name]:.4f}" if name in run.figures else "" for name in LOSSES]
        rows.append((run.name, changes, *losses))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _run(name: str, changes: tuple[str, ...], config: TrainingConfig, progress: Progress | None) -> AblationRun:
    marker, finished = config.run / RECIPE, config.run / FIGURES
    if marker.is_file() and _stored_recipe(marker) != config:
        raise TrainingError(f"{config.run} holds a run of another recipe. Remove it, or name another folder as run.")
    stages = Stages(config, resume=True)
    if not finished.is_file():
        vae, tokenizer = stages.autoencoder(), stages.tokenizer()
        stages.export(stages.mot(vae, tokenizer, progress), vae, tokenizer)
    elif not stages.has_exported:  # it was stopped in between
        found = stages.averaged()
        stages.export(found.bagel, found.vae, found.tokenizer)
    curve = [row for row in _log_rows(config.run / "mot" / "log.jsonl") if any(loss in row for loss in LOSSES)]
    return AblationRun(name=name, changes=changes, figures=_json(finished), curve=curve)


def _stored_recipe(path: Path) -> TrainingConfig:
    """The recipe that a run folder keeps, all of its settings written out; one that is new since then has its default.

    Raises:
        TrainingError: it is damaged, or of a version that knew other settings.
    """
    try:
        values = _json(path)
        if isinstance(values, dict) and values.get("start_from") is not None:
            values.pop("preset", None)  # written out like all settings, though a recipe with start_from cannot name one
        return TrainingConfig.model_validate(values)
    except ValueError as error:
        problems = _problems(error) if isinstance(error, ValidationError) else str(error)
        raise TrainingError(
            f"Expected a recipe of this version in {path}, but it is another or damaged: {problems}. "
            f"Remove {path.parent}, or name another folder as run."
        ) from error


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}".removeprefix(": ")
        for each in error.errors()
    )


def _log_rows(path: Path) -> list[dict[str, float]]:
    """What was logged on the way; nothing where a run was too short for that."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
