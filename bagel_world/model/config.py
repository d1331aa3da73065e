"""BagelConfig and its parts: read from and written to the published folder layout.

A checkpoint folder holds `llm_config.json`, `vit_config.json` and, where somebody wrote it, `config.json`. The published
program keeps a part of the numbers in its own start-up code; they are the defaults here. Keys of published files that we do not
use are kept and written back; keys that would change the maths are refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bagel_world.actions import TASK_WORDS
from bagel_world.errors import CheckpointError, ConfigError, UnknownNameError, nearest
from bagel_world.images import ResizeRule

OWN_FILE = "bagel_world.json"
"""What the published layout has no place for: transforms, action words, prompts, default sampling, capabilities."""


class Published(BaseModel):
    """A part of a published file: frozen, unknown keys kept in `model_extra`."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Own(BaseModel):
    """A setting of ours: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TextConfig(Published):
    """The decoder: Qwen2 with two experts per layer (`llm_config.json`)."""

    model_type: Literal["qwen2"] = "qwen2"
    hidden_size: int = Field(gt=0, multiple_of=4)
    intermediate_size: int = Field(gt=0)
    num_hidden_layers: int = Field(gt=0)
    num_attention_heads: int = Field(gt=0)
    num_key_value_heads: int = Field(gt=0)
    vocab_size: int = Field(gt=0)
    rms_norm_eps: float = Field(1e-6, gt=0)
    rope_theta: float = Field(1e6, gt=0)
    hidden_act: Literal["silu"] = "silu"
    tie_word_embeddings: Literal[False] = False
    qk_norm: Literal[True] = True
    use_sliding_window: Literal[False] = False
    rope_scaling: None = None

    @model_validator(mode="after")
    def _heads_divide(self) -> TextConfig:
        if self.hidden_size % self.num_attention_heads or self.head_size % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be an even multiple of num_attention_heads {self.num_attention_heads}"
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads {self.num_attention_heads} must be a multiple of "
                f"num_key_value_heads {self.num_key_value_heads}"
            )
        return self

    @property
    def head_size(self) -> int:
        """Numbers per head."""
        return self.hidden_size // self.num_attention_heads


class VitConfig(Published):
    """The SigLIP-style vision transformer (`vit_config.json`)."""

    model_type: Literal["siglip_vision_model"] = "siglip_vision_model"
    hidden_size: int = Field(gt=0)
    image_size: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    num_attention_heads: int = Field(gt=0)
    num_hidden_layers: int = Field(gt=1)
    patch_size: int = Field(14, gt=0)
    num_channels: Literal[3] = 3
    layer_norm_eps: float = Field(1e-6, gt=0)
    hidden_act: Literal["gelu_pytorch_tanh"] = "gelu_pytorch_tanh"

    @model_validator(mode="after")
    def _heads_divide(self) -> VitConfig:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be a multiple of num_attention_heads {self.num_attention_heads}"
            )
        return self

    @property
    def stored_layers(self) -> int:
        """The published file counts one layer more than is built and stored."""
        return self.num_hidden_layers - 1

    @property
    def side(self) -> int:
        """Patches per side of the learned position table."""
        return self.image_size // self.patch_size


class VaeConfig(Published):
    """The FLUX autoencoder. The published folder says nothing about it; these defaults are its constants."""

    in_channels: Literal[3] = 3
    out_ch: Literal[3] = 3
    ch: int = Field(128, gt=0)
    ch_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = Field(2, gt=0)
    z_channels: int = Field(16, gt=0)
    downsample: int = Field(8, gt=0)
    scale_factor: float = 0.3611
    shift_factor: float = 0.1159

    @model_validator(mode="after")
    def _levels_fit(self) -> VaeConfig:
        if self.downsample != 2 ** (len(self.ch_mult) - 1):
            raise ValueError(
                f"ch_mult {self.ch_mult} halves the image {len(self.ch_mult) - 1} times, but downsample says {self.downsample}"
            )
        if any(self.ch * multiple % 32 for multiple in self.ch_mult):
            raise ValueError(
                f"every width ch * ch_mult must be a multiple of the 32 norm groups, got ch {self.ch} and ch_mult {self.ch_mult}"
            )
        return self


class Transforms(Own):
    """How images are resized before the VAE and before the ViT; the published constants by default."""

    vae: ResizeRule = ResizeRule(max_side=1024, min_side=512, stride=16)
    vit: ResizeRule = ResizeRule(max_side=980, min_side=224, stride=14)


class Capabilities(Own):
    """What a checkpoint was taught. An untaught ability is refused in words instead of answered with noise."""

    imagine: bool = Field(default=True, description="It can paint the next frame.")
    write: bool = Field(default=True, description="It can answer questions and write thoughts.")
    vit: bool = Field(
        default=True, description="Its ViT was trained: frames can be compared by ViT features, and contexts can show it frames."
    )


class WorldDefaults(Own):
    """`bagel_world.json`: what this checkpoint wants to be used with.

    A checkpoint may know several tasks, in this format, the first being the one it is used for unless another is asked for:

        "tasks": {
            "navigate": ["Move forward", "Look left", "Look right", "Stay"],
            "rotate": ["Rotate the camera to the left by 15 degrees", ..., "Stay"],
            "rollout": ["Wait one moment", "Wait two moments", "Wait four moments"]
        }

    The id of an action is its place in the list. "navigate", "rotate" and "rollout" are the tasks of the registered environments;
    any other name may be used too. Folders from before tasks have `"action_words": [...]` instead, which reads as the one task
    "navigate". A folder that says neither (the published weights) is taken to know all three with the words of this package.
    """

    transforms: Transforms = Transforms()
    capabilities: Capabilities = Capabilities()
    tasks: dict[str, tuple[str, ...]] = Field(
        default_factory=lambda: dict(TASK_WORDS),
        description="Discrete actions by task; the id of an action is its place, the first task is the default one.",
    )
    frame_size: tuple[int, int] = Field(default=(512, 512), description="(height, width) of the frames it was taught.")
    prompts: dict[str, str] = Field(
        default_factory=dict, description="Texts that override the thinking prompts of the package, by name."
    )
    sampling: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description=(
            'Sampling presets by name; "default" is what counts where none is asked for, over the settings of the package.'
        ),
    )
    context: dict[str, Any] = Field(default_factory=dict, description="Default context settings, over those of the package.")

    @model_validator(mode="before")
    @classmethod
    def _one_task(cls, values: Any) -> Any:
        """Folders from before tasks name the words of the only one."""
        if not isinstance(values, Mapping) or "action_words" not in values:
            return values
        if "tasks" in values:
            raise ValueError("action_words and tasks exclude each other. Keep tasks")
        rest = {key: value for key, value in values.items() if key != "action_words"}
        return {**rest, "tasks": {"navigate": values["action_words"]}}

    @field_validator("tasks")
    @classmethod
    def _words_differ(cls, tasks: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if not tasks:
            raise ValueError("expected at least one task with its action words")
        for name, words in tasks.items():
            if not words or not all(word.strip() for word in words) or len({word.lower() for word in words}) < len(words):
                raise ValueError(f"expected different words, at least one, for the task {name!r}")
        return tasks

    @property
    def action_words(self) -> tuple[str, ...]:
        """The discrete actions of the default task."""
        return next(iter(self.tasks.values()))

    def changed(self, *layers: Mapping[str, Any]) -> WorldDefaults:
        """These with plain values over them, later layers over earlier ones.

        Tasks are replaced, as their order counts; other settings within settings are merged.

        Raises:
            ValidationError: an unknown setting, or a value out of range.
        """
        values = self.model_dump()
        for layer in layers:
            if "tasks" in layer:
                del values["tasks"]
            values = merged(values, layer)
        return WorldDefaults.model_validate(values)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name with others over them; settings within settings are merged likewise."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


class BagelConfig(Published):
    """Everything that decides the shape of the model, and how a world is to use it.

    Fields beside the four parts are those of the published `config.json`, with the constants of the published program as
    defaults.
    """

    llm_config: TextConfig
    vit_config: VitConfig
    vae_config: VaeConfig = Field(default_factory=lambda: VaeConfig.model_validate({}))
    latent_patch_size: int = Field(2, gt=0)
    max_latent_size: int = Field(64, gt=0)
    vit_max_num_patch_per_side: int = Field(70, gt=0)
    connector_act: Literal["gelu_pytorch_tanh"] = "gelu_pytorch_tanh"
    interpolate_pos: Literal[False] = False
    visual_gen: Literal[True] = True
    visual_und: Literal[True] = True
    world: WorldDefaults = Field(default_factory=WorldDefaults, exclude=True)

    @model_validator(mode="after")
    def _numbers_fit(self) -> BagelConfig:
        transforms, side = self.world.transforms, self.vit_config.side
        for name, value, unit in (
            ("transforms.vae.stride", transforms.vae.stride, self.latent_stride),
            ("transforms.vit.stride", transforms.vit.stride, self.vit_config.patch_size),
            *(("frame_size", each, self.latent_stride) for each in self.world.frame_size),
        ):
            if value < 1 or value % unit:
                raise ValueError(f"expected {name} in multiples of {unit} pixels, got {value}")
        if side != self.vit_max_num_patch_per_side:
            raise ValueError(
                f"expected vit_max_num_patch_per_side {side}, as vit_config says, got {self.vit_max_num_patch_per_side}"
            )
        return self

    @property
    def latent_size(self) -> int:
        """Numbers in one latent token: a patch of latent pixels times its channels."""
        return self.latent_patch_size**2 * self.vae_config.z_channels

    @property
    def latent_stride(self) -> int:
        """Image pixels on a side of one latent token."""
        return self.vae_config.downsample * self.latent_patch_size

    @classmethod
    def from_folder(cls, folder: Path) -> BagelConfig:
        """Read a checkpoint folder. `llm_config.json` and `vit_config.json` win over their copies in `config.json`.

        Raises:
            CheckpointError: a file is missing, is not JSON, or says something this package cannot run.
        """
        whole: dict[str, Any] = _read_json(folder / "config.json") if (folder / "config.json").exists() else {}
        for part in ("llm_config", "vit_config"):
            path = folder / f"{part}.json"
            if not isinstance(whole.get(part, {}), dict):
                raise CheckpointError(f"Expected a JSON object as {part} in {folder / 'config.json'}, got {whole[part]!r:.80}.")
            if path.exists():
                whole[part] = {**whole.get(part, {}), **_read_json(path)}
            elif part not in whole:
                raise CheckpointError(
                    f"Expected {path.name} in the checkpoint folder {folder}, found none. Is this a BAGEL folder?"
                )
        if (folder / OWN_FILE).exists():
            whole["world"] = _read_json(folder / OWN_FILE)
        try:
            return cls.model_validate(whole)
        except ValidationError as error:
            raise CheckpointError(f"The configuration in {folder} cannot be used: {_sentences(error)}") from error

    def to_folder(self, folder: Path) -> None:
        """Write the JSON files of a checkpoint folder."""
        whole = {"architectures": ["BagelForConditionalGeneration"], "model_type": "bagel"} | self.model_dump(mode="json")
        _write_json(folder / "config.json", whole)
        _write_json(folder / "llm_config.json", {key: value for key, value in whole["llm_config"].items() if key != "qk_norm"})
        _write_json(folder / "vit_config.json", whole["vit_config"])
        _write_json(folder / OWN_FILE, self.world.model_dump(mode="json"))


def _sentences(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}, got {each['input']!r:.80}" for each in error.errors())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"Expected JSON in {path}, but it cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"Expected a JSON object in {path}, got {type(value).__name__}.")
    return value


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _published() -> dict[str, Any]:
    return {
        "llm_config": {
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "vocab_size": 152064,
        },
        "vit_config": {
            "hidden_size": 1152,
            "image_size": 980,
            "intermediate_size": 4304,
            "num_attention_heads": 16,
            "num_hidden_layers": 27,
        },
    }


def _small(width: int, layers: int, heads: int, vocabulary: int, pixels: int, autoencoder: dict[str, Any]) -> dict[str, Any]:
    """A small BAGEL for frames of `pixels` x `pixels`."""
    side = -(-pixels // 14)
    return {
        "llm_config": {
            "hidden_size": width,
            "intermediate_size": 3 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": heads,
            "vocab_size": vocabulary,
            "rope_theta": 10000.0,
        },
        "vit_config": {
            "hidden_size": width // 2,
            "image_size": side * 14,
            "intermediate_size": 2 * width,
            "num_attention_heads": heads,
            "num_hidden_layers": 3,
        },
        "vae_config": autoencoder,
        "max_latent_size": pixels // 16,
        "vit_max_num_patch_per_side": side,
        "world": {
            "transforms": {
                "vae": {"max_side": pixels, "min_side": pixels, "stride": 16},
                "vit": {"max_side": side * 14, "min_side": side * 14, "stride": 14},
            },
            "frame_size": [pixels, pixels],
        },
    }


_NANO_AUTOENCODER = {"ch": 32, "ch_mult": [1, 1, 2, 4], "num_res_blocks": 1, "scale_factor": 1.0, "shift_factor": 0.0}

PRESETS: dict[str, dict[str, Any]] = {
    "bagel-7b-mot": _published(),
    "nano": _small(192, 6, 4, 512, 64, _NANO_AUTOENCODER),
    "nano-thin": _small(96, 4, 4, 512, 64, _NANO_AUTOENCODER),
    "nano-96": _small(192, 6, 4, 512, 96, _NANO_AUTOENCODER),
    "tiny": _small(48, 2, 2, 512, 32, {"ch": 32, "ch_mult": [1, 1, 1, 1], "num_res_blocks": 1, "z_channels": 4}),
}
"""Shapes by name: the published model, small ones for frames of 64 and 96 pixels, a thin one to compare with, one for tests."""


def preset(name: str) -> BagelConfig:
    """The configuration of this name.

    Raises:
        UnknownNameError: no such preset; the message offers the nearest names.
    """
    if name not in PRESETS:
        raise UnknownNameError(f"There is no model preset {name!r}. {nearest(name, PRESETS)}")
    try:
        return BagelConfig.model_validate(PRESETS[name])
    except ValidationError as error:
        raise ConfigError(f"The preset {name!r} cannot be used: {_sentences(error)}") from error
