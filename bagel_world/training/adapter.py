"""Adapters on disk: the low-rank updates of a model alone, as safetensors with a JSON file that names them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bagel_world.errors import CheckpointError
from bagel_world.files import replace_text
from bagel_world.model.bagel import Bagel
from bagel_world.model.checkpoint import save_tensors
from bagel_world.training.fingerprint import digest
from bagel_world.training.lora import Lora, LoraConfig

FACTS_FILE = "adapter.json"


class _Facts(BaseModel):
    """What stands beside the tensors of an adapter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    config: LoraConfig
    base: str
    tensors: str = Field(pattern=r"^adapter-[0-9a-f]{16}\.safetensors$")


def save_lora(lora: Lora, folder: str | Path) -> None:
    """Write the updates alone: `adapter.json`, and the safetensors file that it names.

    The tensors go into a new file, and the JSON that names it appears by a rename: a reader finds the old adapter or the
    new one, whenever the writer is stopped.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written; an adapter that was there still is.
    """
    folder = Path(folder)
    tensors = {name: value.detach().float().cpu() for name, value in lora.state_dict().items()}
    facts = _Facts(config=lora.config, base=lora.base, tensors=f"adapter-{digest(sorted(tensors.items()))}.safetensors")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(folder / facts.tensors, tensors)
        replace_text(folder / FACTS_FILE, facts.model_dump_json(indent=2) + "\n")
        for old in set(folder.glob("adapter-*.safetensors")) - {folder / facts.tensors}:
            old.unlink()
    except OSError as error:
        raise CheckpointError(
            f"The adapter could not be written to {folder}: {error}. Free some space and save again."
        ) from error


def load_lora(bagel: Bagel, folder: str | Path) -> Lora:
    """Put a saved adapter on the model it was trained on. The model is as it was when anything fails.

    Args:
        bagel: the model, in float32 or bfloat16.
        folder: what `Lora.save` wrote.

    Raises:
        CheckpointError: there is no adapter, it is damaged, or it belongs to another model.
        ConfigError: the model carries updates already.
    """
    folder = Path(folder)
    facts = _read_facts(folder / FACTS_FILE)
    tensors = _read_tensors(folder / facts.tensors)
    lora = Lora(bagel, facts.config)
    _compare(folder, lora.state_dict(), tensors)
    if facts.base != lora.base:
        raise CheckpointError(
            f"The adapter in {folder} was trained on other weights (fingerprint {facts.base}) than this model's ({lora.base}). "
            "Load the checkpoint that it was trained on."
        )
    lora.load_state_dict(tensors)
    lora.attach()
    return lora


def _read_facts(path: Path) -> _Facts:
    if not path.is_file():
        raise CheckpointError(
            f"Expected an adapter in {path.parent}, found no {path.name} there. Name a folder that save_lora wrote."
        )
    try:
        return _Facts.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise CheckpointError(f"{path} does not describe an adapter: {problems}. Save the adapter again.") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}. Copy or save the adapter again.") from error


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"Expected the tensors {path.name} in {path.parent}, found none. Copy the whole folder again.")
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        size = path.stat().st_size
        raise CheckpointError(f"{path} is damaged or truncated ({size} bytes): {error}. Copy the folder again.") from error
    if digest(sorted(tensors.items())) not in path.name:
        raise CheckpointError(f"{path} is damaged: its numbers are not those that its name stands for. Copy the folder again.")
    return tensors


def _compare(folder: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    complaints = []
    for name in sorted(expected.keys() | found.keys()):
        wanted, got = (tuple(each[name].shape) if name in each else "nothing" for each in (expected, found))
        if wanted != got:
            complaints.append(f"{name!r}: expected {wanted}, found {got}")
    if complaints:
        raise CheckpointError(
            f"{len(complaints)} tensors of the adapter in {folder} do not fit this model, first {complaints[0]}. "
            "Load the checkpoint that it was trained on."
        )
