"""Weights: from a name to a loaded checkpoint, shared by everybody in the process who asks for the same one."""

from __future__ import annotations

from pathlib import Path
from weakref import WeakValueDictionary

import torch

from bagel_world.errors import CheckpointError, DeviceError, UnknownNameError, nearest
from bagel_world.model.checkpoint import WEIGHTS_FILE, Checkpoint, load, origin_of, stamps_of

ASSETS = Path(__file__).parent.parent / "assets"

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_LOADED: WeakValueDictionary[tuple[object, ...], Checkpoint] = WeakValueDictionary()
"""Checkpoints that somebody still holds, by folder, file times, device and dtype: ten environments load one model."""


def shipped() -> tuple[str, ...]:
    """Names of the checkpoints inside the package."""
    return tuple(sorted(path.parent.name for path in ASSETS.glob(f"*/{WEIGHTS_FILE}")))


def find_folder(name: str | Path) -> Path:
    """The folder of a checkpoint: a shipped name, a path, or a hub id such as "ByteDance-Seed/BAGEL-7B-MoT".

    Raises:
        UnknownNameError: nothing has this name; the message offers the nearest ones.
        CheckpointError: the hub could not be reached or does not have it.
    """
    if not isinstance(name, (str, Path)):
        raise UnknownNameError(f"Expected a checkpoint's name or folder, got {name!r:.80}. {nearest(str(name), shipped())}")
    path = Path(name).expanduser()
    if str(name) in shipped() and (isinstance(name, str) or not path.exists()):
        return ASSETS / name
    if path.exists():
        return path
    parts = str(name).split("/")
    if len(parts) == 2 and all(parts) and not str(name).startswith((".", "~")):
        return _download(str(name))
    raise UnknownNameError(
        f"There is no checkpoint {str(name)!r}: not the name of a shipped one, not a folder, not a hub id (owner/name). "
        f"{nearest(str(name), shipped())}"
    )


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id))
    # The hub client raises its own errors, those of its HTTP library and those of the operating system.
    except Exception as error:
        raise CheckpointError(
            f"{hub_id!r} is not a local folder, and the hub did not give it: {type(error).__name__}: {error!s:.200}. "
            "Check the id and the network, or pass the path of a downloaded folder."
        ) from error


def pick_device(device: str | torch.device) -> torch.device:
    """The device of this name; "auto" takes CUDA where there is one.

    Raises:
        DeviceError: unknown, or not on this machine.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        picked = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise DeviceError(f"Expected a device such as 'auto', 'cpu' or 'cuda', got {device!r}.") from error
    if picked.type == "cuda" and (not torch.cuda.is_available() or (picked.index or 0) >= torch.cuda.device_count()):
        found = f"{torch.cuda.device_count()} CUDA devices" if torch.cuda.is_available() else "no CUDA"
        raise DeviceError(f"device={device!r} was asked for, but this machine has {found}. Use device='auto' or 'cpu'.")
    if picked.type not in ("cpu", "cuda"):
        raise DeviceError(f"Expected device 'auto', 'cpu' or 'cuda', got {device!r}.")
    # One name per device, so that those who ask for it share its weights.
    if picked.type == "cpu":
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device() if picked.index is None else picked.index)


def pick_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype of this name; "auto" is bfloat16 on CUDA and float32 elsewhere.

    Raises:
        UnknownNameError: a dtype that the model does not run in.
    """
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise UnknownNameError(f"The model does not run in dtype {name!r}. {nearest(name, ['auto', *DTYPES])}")
    return DTYPES[name]


def load_shared(folder: Path, device: torch.device, dtype: torch.dtype) -> Checkpoint:
    """The checkpoint of a folder, loaded once per process, device and dtype while somebody holds it."""
    key = origin_of(folder, stamps_of(folder), device, dtype)
    checkpoint = _LOADED.get(key)
    if checkpoint is None:
        checkpoint = load(folder, device=device, dtype=dtype)
        checkpoint.vae.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - torch's stub lacks it
        checkpoint.bagel.requires_grad_(False)
        checkpoint.vae.requires_grad_(False)
        _LOADED[key] = checkpoint
    return checkpoint
