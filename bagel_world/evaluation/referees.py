"""Referees: small networks of an evaluation's own, which learn from real frames only, and the folders that keep them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bagel_world.errors import RecordingError
from bagel_world.evaluation.subject import Track
from bagel_world.files import replace_text

logger = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)
Settings = TypeVar("Settings", bound=BaseModel)


def fit_referee(
    network: nn.Module, draw: Callable[[], tuple[Tensor, Tensor]], *, steps: int, learning_rate: float, track: Track, what: str
) -> None:
    """Teach a network to tell labels apart.

    Args:
        network: gives logits, shape (batch, labels).
        draw: the next batch: the network's logits on it, and the labels.
        steps: optimizer steps.
        learning_rate: peak of a one-cycle schedule.
        track: shows progress.
        what: the name of the work, for the progress.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    network.train()
    for _ in track(range(steps), what):
        logits, labels = draw()
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()


def save_referee(folder: str | Path, name: str, network: nn.Module, settings: BaseModel) -> None:
    """Write `name.safetensors` and `name.json`.

    Raises:
        RecordingError: they could not be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        settings_path = folder / f"{name}.json"
        settings_path.unlink(missing_ok=True)  # it speaks of other weights until the new ones are there
        save_file(network.state_dict(), str(folder / f"{name}.safetensors"))
        replace_text(settings_path, settings.model_dump_json(indent=2) + "\n")
    except (OSError, SafetensorError) as error:
        raise RecordingError(f"Could not write the {name} to {folder}: {error}. Choose another folder.") from error


def load_referee(
    folder: str | Path, name: str, kind: type[Settings], build: Callable[[Settings], Network]
) -> tuple[Network, Settings] | None:
    """The network in a folder and its settings; None where there is none.

    Args:
        folder: where it was saved.
        name: of the files.
        kind: what its settings are read as.
        build: the network of these settings, before it has its weights.

    Raises:
        RecordingError: its files are damaged.
    """
    folder = Path(folder)
    path = folder / f"{name}.json"
    if not path.is_file():
        return None
    try:
        settings = kind.model_validate_json(path.read_text(encoding="utf-8"))
        network = build(settings)
        network.load_state_dict(load_file(str(folder / f"{name}.safetensors")))
    except (OSError, ValidationError, SafetensorError, json.JSONDecodeError, RuntimeError) as error:
        raise RecordingError(f"The {name} in {folder} is damaged ({error}). Delete the folder to train a new one.") from error
    return network.eval(), settings


def kept_referee(
    folder: str | Path,
    name: str,
    found: tuple[Network, Settings] | None,
    *,
    fits: bool,
    train: Callable[[], tuple[Network, Settings]],
) -> tuple[Network, Settings]:
    """What was found in a folder where it fits; otherwise a new one, which takes its place.

    Raises:
        RecordingError: it could not be written.
    """
    if found is not None and fits:
        return found
    if found is not None:
        logger.info("the %s in %s was trained for something else; a new one takes its place", name, folder)
    network, settings = train()
    save_referee(folder, name, network, settings)
    return network, settings
