"""States as bytes: one safetensors file whose header carries the JSON. No pickle, readable in any process.

Arrays become tensors; frames (uint8, height x width x 3) are stored as PNG, which is lossless and several times smaller.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load, save

from bagel_world.errors import StateError

_ARRAY, _FRAME = "$array", "$frame"
_UNREADABLE = (SafetensorError, KeyError, ValueError, TypeError, struct.error, OSError, SyntaxError, RecursionError)
_KEY = "bagel_world.state"


def state_to_bytes(state: Mapping[str, Any]) -> bytes:
    """A state as bytes; `state_from_bytes` gives an equal one.

    Raises:
        StateError: the state holds something that is neither a JSON value nor a numeric array.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    document = json.dumps(_pack(state, arrays))
    try:
        return save(arrays, metadata={_KEY: document})
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise StateError(f"Expected JSON values and numeric arrays in a state, got others ({error}).") from error


def state_from_bytes(data: bytes) -> dict[str, Any]:
    """The state that `state_to_bytes` stored.

    Raises:
        StateError: not such bytes, or damaged ones.
    """
    try:
        arrays = load(data)
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length])
        state = _unpack(json.loads(header["__metadata__"][_KEY]), arrays)
    except _UNREADABLE as error:
        raise StateError(f"Expected bytes from state_to_bytes, got {len(data)} others ({error}). Save it again.") from error
    if not isinstance(state, dict):
        raise StateError(f"Expected the bytes of a state (a mapping), got those of a {type(state).__name__}.")
    return state


def _pack(value: Any, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray):
        return _pack_array(value, arrays)
    if isinstance(value, Mapping):
        return {_checked_key(key): _pack(item, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_pack(item, arrays) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise StateError(f"Expected JSON values and arrays in a state, got {type(value).__name__}: {value!r:.80}.")


def _pack_array(array: npt.NDArray[Any], arrays: dict[str, npt.NDArray[Any]]) -> dict[str, str]:
    name = str(len(arrays))
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[-1] == 3 and array.size:
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, format="PNG")
        arrays[name] = np.frombuffer(buffer.getvalue(), np.uint8)
        return {_FRAME: name}
    # safetensors writes the memory as it lies, so views have to be straightened first.
    arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
    return {_ARRAY: name}


def _checked_key(key: Any) -> str:
    if not isinstance(key, str) or key in (_ARRAY, _FRAME):
        raise StateError(f"Expected the keys of a state to be plain texts, got {key!r:.80}.")
    return key


def _unpack(value: Any, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return arrays[value[_ARRAY]].copy()
    if _FRAME in value:
        with Image.open(io.BytesIO(arrays[value[_FRAME]].tobytes()), formats=["PNG"]) as picture:
            return np.array(picture)
    return {key: _unpack(item, arrays) for key, item in value.items()}
