"""What is decoded once and kept in a run's folder: frames as one array on disk, and the facts beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from bagel_world.errors import BagelWorldError, TrainingError
from bagel_world.files import replace_text, replacing


def store_frames(path: Path, parts: Iterable[npt.NDArray[np.uint8]]) -> None:
    """Write frames end to end as one array, never more than a part of it in memory.

    Args:
        path: of the `.npy` file.
        parts: uint8, shape (frames, height, width, 3) each, of one size; at least one.

    Raises:
        TrainingError: the file could not be written. Errors of who gives the parts pass, and leave no file.
    """
    count, size = 0, ()
    try:
        with replacing(path) as file:
            for part in parts:
                if not count:
                    size = part.shape[1:]
                    _write_header(file, (0, *size))
                file.write(np.ascontiguousarray(part).data)
                count += len(part)
            file.seek(0)
            _write_header(file, (count, *size))
    except BagelWorldError:  # of whoever gives the frames
        raise
    except OSError as error:
        raise _unwritable(path, error) from error


def store_facts(path: Path, facts: dict[str, Any]) -> None:
    """Write what is known about the frames, after them: facts that are there stand for frames that are.

    Raises:
        TrainingError: the file could not be written.
    """
    try:
        replace_text(path, json.dumps(facts))
    except OSError as error:
        raise _unwritable(path, error) from error


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    # Its length does not depend on how many frames there are: numpy leaves room for the first axis to grow.
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _unwritable(path: Path, error: OSError) -> TrainingError:
    return TrainingError(f"Could not write {path}: {error}. Free some space or choose another run folder.")
