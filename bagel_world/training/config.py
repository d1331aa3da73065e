"""A training run as a recipe: what is learned, from which footage, how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.errors import ConfigError, nearest
from bagel_world.model.config import BagelConfig, WorldDefaults, preset
from bagel_world.training.autoencoder import AutoencoderConfig
from bagel_world.training.data.sources import SourceConfig
from bagel_world.training.data.walks import WalkSource
from bagel_world.training.decoder import DecoderConfig
from bagel_world.training.trainer import MotConfig
from bagel_world.training.warm_start import check_width


class TrainingConfig(BaseModel):
    """A recipe: walks (`train`, `validation`), samples (`samples`) or both to learn from, a shape or a checkpoint to start from.

    Paths that are not absolute count from the working directory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str = Field(default="nano", description="The model's shape, by name.")
    start_from: Path | None = Field(
        default=None, description="Instead, a checkpoint folder whose shape, autoencoder, tokenizer and weights are taken."
    )
    warm_start: Path | None = Field(
        default=None, description="A checkpoint folder whose weights the shape of `preset` begins with, wherever they fit."
    )
    autoencoder_from: Path | None = Field(
        default=None, description="A checkpoint folder whose finished autoencoder is taken; none is trained."
    )
    copy_understanding: bool = Field(
        default=False, description="Begin the generation expert with the weights of the understanding one."
    )
    train: tuple[WalkSource, ...] = Field(default=(), description="Folder or folders of episodes to learn from.")
    validation: tuple[WalkSource, ...] = Field(
        default=(), description="Folder or folders of episodes to measure on; none of them may appear elsewhere."
    )
    samples: tuple[SourceConfig, ...] = Field(
        default=(), description="Folders of samples, each with its weight: instead of walks, or beside them."
    )
    validation_samples: tuple[SourceConfig, ...] = Field(
        default=(), description='Samples to measure on; left out, those of the split "validation" in the folders of samples.'
    )
    skip_damaged: int = Field(default=0, ge=0, description="Damaged samples or episodes skipped with a warning; one more stops.")
    run: Path = Field(description="Folder for states, logs, caches and finished parts; a stopped run goes on from there.")
    seed: int = Field(default=0, ge=0, description="Decides everything random.")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="Where to train; auto takes a GPU that is there.")
    workers: int = Field(default=2, ge=1, description="Threads that share every step; on a GPU one does it all.")
    loaders: int = Field(default=0, ge=0, description="Processes (walks) or threads (samples) that draw ahead.")
    action_words: tuple[str, ...] = Field(
        default=NAVIGATE_WORDS, description='What can be done in the world, in words: its task "navigate".'
    )
    texts: tuple[str, ...] = Field(default=(), description="More texts that the tokenizer should know.")
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    mot: MotConfig = MotConfig()
    decoder: DecoderConfig | None = Field(
        default=None,
        description="How the decoder learns to paint what the world model imagines, last of all; left out, it does not.",
    )
    world: dict[str, Any] = Field(
        default_factory=dict,
        description="What the checkpoint says of its use, over what the preset or start_from says and what is taught.",
    )

    @field_validator("train", "validation", mode="before")
    @classmethod
    def _folders(cls, given: Any) -> Any:
        """One folder, or several with or without weights."""
        several = given if isinstance(given, list | tuple) else () if given is None else (given,)
        return tuple({"folder": each} if isinstance(each, str | Path) else each for each in several)

    @field_validator("validation_samples")
    @classmethod
    def _held_out(cls, sources: tuple[SourceConfig, ...]) -> tuple[SourceConfig, ...]:
        return tuple(
            each if "split" in each.model_fields_set else each.model_copy(update={"split": "validation"}) for each in sources
        )

    @model_validator(mode="after")
    def _data_fits(self) -> Self:
        walks = {"train": self.train, "validation": self.validation}
        missing = [name for name, folders in walks.items() if not folders]
        if missing and (len(missing) == 1 or not self.samples):
            raise ValueError(
                f"{' and '.join(missing)}: expected a folder of episodes, got none. Or name folders of samples as samples"
            )
        for what, sources in (("samples", self.samples), ("validation_samples", self.validation_samples)):
            names = [each.called for each in sources]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"{what}: several folders are called {twice!r}. Give each a name of its own (name: ...)")
        if self.validation_samples and not self.samples:
            raise ValueError("validation_samples is for recipes with samples. Leave it out")
        if self.mot.lora is not None and self.start_from is None:
            raise ValueError("mot.lora updates weights that were trained before. Name their checkpoint as start_from")
        if self.start_from is not None and "preset" in self.model_fields_set:
            raise ValueError("start_from brings a shape of its own. Leave out preset, or name the checkpoint as warm_start")
        if self.start_from is not None and self.warm_start is not None:
            raise ValueError("start_from and warm_start exclude each other. Keep start_from to go on with the very same shape")
        if self.start_from is not None and self.autoencoder_from is not None:
            raise ValueError("start_from brings an autoencoder of its own. Leave out autoencoder_from")
        return self

    def _taught(self) -> dict[str, Any]:
        """What a model that begins fresh can do after this recipe, where the recipe says nothing else."""
        sees = bool(self.samples) and self.mot.segments.vit
        writes = bool(self.samples) and self.mot.text_weight > 0
        capabilities = {"imagine": self.mot.velocity_weight > 0, "write": writes, "vit": sees}
        return {"capabilities": capabilities, "context": {} if sees else {"see": "latents"}}

    def torch_device(self) -> torch.device:
        """The device to train on.

        Raises:
            ConfigError: a GPU is asked for and there is none.
        """
        found = torch.cuda.is_available()
        if self.device == "cuda" and not found:
            raise ConfigError("Expected a CUDA device to train on, found none. Use device: auto or device: cpu.")
        return torch.device("cuda" if found and self.device != "cpu" else "cpu")

    def model_shape(self) -> BagelConfig:
        """The model's configuration with this recipe's world defaults.

        A fresh autoencoder learns to give normalized latents, a finished one keeps its scale and shift.
        """
        shape = preset(self.preset) if self.start_from is None else BagelConfig.from_folder(self.start_from)
        own = self._taught() if self.start_from is None else {}
        if self.start_from is None or "action_words" in self.model_fields_set:
            own["tasks"] = {"navigate": self.action_words}
        try:
            world = shape.world.changed(own, self.world)
        except ValidationError as error:
            problems = (_sentence(each, WorldDefaults, "world.") for each in error.errors())
            raise ConfigError(_ended(f"The recipe cannot be used: {'; '.join(problems)}")) from error
        if self.start_from is not None:
            return shape.model_copy(update={"world": world})
        if self.warm_start is not None:
            check_width(shape, BagelConfig.from_folder(self.warm_start))
        if self.autoencoder_from is not None:
            autoencoder = BagelConfig.from_folder(self.autoencoder_from).vae_config
            if (autoencoder.z_channels, autoencoder.downsample) != (shape.vae_config.z_channels, shape.vae_config.downsample):
                raise ConfigError(
                    f"The autoencoder of {self.autoencoder_from} makes latents of another shape than the preset {self.preset!r} "
                    "reads. Name a checkpoint of a preset with the same autoencoder."
                )
        else:
            autoencoder = shape.vae_config.model_copy(update={"scale_factor": 1.0, "shift_factor": 0.0})
        return shape.model_copy(update={"vae_config": autoencoder, "world": world})


def read_recipe(path: str | Path, changes: Sequence[str] = ()) -> TrainingConfig:
    """A recipe from a YAML file, with single settings changed.

    Args:
        path: the file.
        changes: "name=value" or "part.name=value" each; values are YAML.

    Raises:
        ConfigError: the file is not YAML, or a setting is unknown or out of range.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"Expected a recipe in YAML at {path}, but it cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"Expected settings by name in {path}, got {type(values).__name__}.")
    for change in changes:
        _change(values, change)
    try:
        return TrainingConfig.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_sentence(each, TrainingConfig) for each in error.errors())
        raise ConfigError(_ended(f"The recipe {path} cannot be used: {problems}")) from error


def _change(values: dict[str, Any], change: str) -> None:
    name, equals, text = change.partition("=")
    if not equals or not name:
        raise ConfigError(f"Expected a change as name=value, got {change!r}. For example: mot.steps=2000")
    *parts, last = name.split(".")
    place = values
    for part in parts:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise ConfigError(f"The setting {part!r} in {change!r} has no parts of its own.")
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"The value in {change!r} is not YAML: {error}") from error


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith("?") else f"{sentence}."


def _sentence(problem: Mapping[str, Any], kind: type[BaseModel], prefix: str = "") -> str:
    where = prefix + ".".join(map(str, problem["loc"]))
    if not problem["loc"]:
        return problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"there is no setting {where!r}. {nearest(where, _setting_names(kind, prefix))}".rstrip(".")
    return f"{where}: {problem['msg']}, got {problem['input']!r:.80}"


def _setting_names(kind: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, field in kind.model_fields.items():
        names.append(prefix + name)
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                names += _setting_names(inner, f"{prefix}{name}.")
    return names
