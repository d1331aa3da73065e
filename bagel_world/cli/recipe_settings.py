"""`bagel-world train --settings`: everything that a recipe can say, by section, with its default and what it does."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import typer
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from bagel_world.model.config import WorldDefaults
from bagel_world.training.config import TrainingConfig
from bagel_world.world.config import ContextConfig, SamplingConfig

_HEAD = (
    "Every setting of a recipe with its default. In the file a section stands indented below its name; --set changes single "
    "settings, as in --set mot.optimizer.rate=0.001. Names with [] belong to each entry of a list, those with NAME to any name."
)
_MOST = 100  # characters of a default


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting.

    Attributes:
        name: as `--set` takes it.
        default: in YAML; None where it has to be said.
        description: what it does.
    """

    name: str
    default: str | None
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Settings that belong together.

    Attributes:
        name: what their names begin with; "" for those of the recipe itself.
        description: what they are about.
        settings: in the order of the model.
    """

    name: str
    description: str
    settings: tuple[Setting, ...]


def print_settings(wanted: bool) -> None:
    """Show every setting of a recipe and end the command, for an option that asks for nothing else."""
    if not wanted:
        return
    console = Console()
    console.print(Text(_HEAD))
    for section in recipe_sections():
        console.print()
        name = Text(f"{section.name}: " if section.name else "", "bold")
        console.print(name + Text(section.description, "italic"))
        for setting in section.settings:
            default = "(required)" if setting.default is None else f"= {setting.default}"
            console.print(_indented(2, Text(setting.name, "bold"), Text(f" {_cut(default)}", "cyan")))
            console.print(_indented(6, Text(setting.description)))
    raise typer.Exit


def _indented(columns: int, *texts: Text) -> Padding:
    return Padding(Text.assemble(*texts), (0, 0, 0, columns), expand=False)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[: _MOST - 4]} ..."


def recipe_sections() -> Iterator[Section]:
    """Every section of a recipe, with what stands in the plain dictionaries below `world`."""
    yield from sections_of(TrainingConfig)
    yield from sections_of(WorldDefaults, "world")
    yield from sections_of(ContextConfig, "world.context")
    yield from sections_of(SamplingConfig, "world.sampling.NAME")


def sections_of(kind: type[BaseModel], name: str = "") -> Iterator[Section]:
    """The settings of a model and of all models within it, depth first.

    Args:
        kind: the model.
        name: what the names of its settings begin with.
    """
    prefix = f"{name}." if name else ""
    settings, inner = [], []
    for own, field in kind.model_fields.items():
        within = _model_in(field)
        if within is not field.annotation:  # a section that is always there has its heading alone
            settings.append(Setting(name=prefix + own, default=_default(field), description=field.description or ""))
        if within is not None:
            inner.append((within, prefix + own + ("[]" if _is_list(field) else "")))
    about = inspect.cleandoc(kind.__doc__ or "").splitlines()[0]
    yield Section(name=name, description=about, settings=tuple(settings))
    for within, called in inner:
        yield from sections_of(within, called)


def _model_in(field: FieldInfo) -> type[BaseModel] | None:
    """The model that this field holds, or holds one or several of."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((each for each in kinds if isinstance(each, type) and issubclass(each, BaseModel)), None)


def _is_list(field: FieldInfo) -> bool:
    return Ellipsis in get_args(field.annotation)


def _default(field: FieldInfo) -> str | None:
    if field.is_required():
        return None
    value: Any = to_jsonable_python(field.get_default(call_default_factory=True))
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True).removesuffix("...\n").strip()
