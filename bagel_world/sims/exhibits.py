"""Exhibits: which objects the turntables of each split show, and how a name becomes textured parts."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from bagel_world.errors import MissingExtraError, UnknownNameError, nearest
from bagel_world.sims.meshes import Mesh, read_obj
from bagel_world.sims.palettes import palette_of
from bagel_world.sims.patterns import hue_turned
from bagel_world.sims.toys import TOYS, Paint, Part

SCANNED = {
    "duck": ("duckie", -90.0),
    "office chair": ("office_chair", 180.0),
    "medkit": ("medkit", 0.0),
    "office building": ("building", 0.0),
    "office desk": ("office_desk", 0.0),
}
"""Objects of MiniWorld: the mesh, and the turn in degrees that brings its front to the front.

MiniWorld has more meshes, but they look alike from all sides, or from two: nothing can be learned from turning them.
"""

FAMILIAR = (
    "duck", "office chair", "medkit", "office building", "car", "house", "robot", "airplane", "boat", "cat", "mug",
    "camera", "television", "armchair", "locomotive", "snowman", "windmill", "mailbox", "teapot", "piano",
)  # fmt: skip
"""The objects of train, validation and test."""

NOVEL = ("office desk", "truck", "penguin", "helicopter", "cow", "clock")
"""The objects of unseen: none of them is in `FAMILIAR`."""

REACH = 0.72
"""Every exhibit fits into a cylinder of this radius and twice as high as `REACH`, in meters, standing on the floor."""

_TEXTURE_SIDE = 256


def exhibits_of(split: str) -> tuple[str, ...]:
    """The names of the objects of a split.

    Raises:
        UnknownNameError: no such split.
    """
    palette_of(split)
    return NOVEL if split == "unseen" else FAMILIAR


def build_exhibit(name: str, paint: Paint, hue: int) -> list[Part]:
    """The parts of an object that stands on the floor at the origin, its front to -y, within `REACH`.

    Args:
        name: one of `FAMILIAR` or `NOVEL`.
        paint: the colors of a toy.
        hue: by how many degrees the hues of an object with a texture of its own are turned.

    Raises:
        UnknownNameError: no such object.
        MissingExtraError: MiniWorld, which carries some of the meshes, is not installed.
    """
    if name in SCANNED:
        mesh, texture = _scanned(name)
        return _fitted([Part(mesh=mesh, texture=hue_turned(texture, hue))])
    if name in TOYS:
        return _fitted(TOYS[name](paint))
    raise UnknownNameError(f"Expected an exhibit, got {name!r}. {nearest(name, FAMILIAR + NOVEL)}")


def _fitted(parts: list[Part]) -> list[Part]:
    corners = np.concatenate([each.mesh.corners for each in parts])
    low, high = corners.min(axis=0), corners.max(axis=0)
    center = (low + high) / 2
    radius = np.linalg.norm(corners[:, :2] - center[:2], axis=1).max()
    factor = REACH / max(radius, (high[2] - low[2]) / 2)
    return [Part(mesh=each.mesh.moved(-center[0], -center[1], -low[2]).scaled(factor), texture=each.texture) for each in parts]


@cache
def _scanned(name: str) -> tuple[Mesh, np.ndarray]:
    mesh, turn = SCANNED[name]
    folder = _miniworld_folder() / "meshes"
    with Image.open(folder / f"{mesh}.png") as picture:
        texture = np.array(picture.convert("RGB").resize((_TEXTURE_SIDE, _TEXTURE_SIDE), Image.Resampling.BOX))
    if name == "office desk":
        texture = np.clip(texture.astype(np.int32) * 2, 0, 255).astype(np.uint8)  # nearly black as it comes
    return read_obj(folder / f"{mesh}.obj").turned(z=turn), texture


def _miniworld_folder() -> Path:
    spec = importlib.util.find_spec("miniworld")  # looked up and not imported: only its files are wanted
    if spec is None or spec.origin is None:
        raise MissingExtraError("miniworld", "sims", "The turntable simulator")
    return Path(spec.origin).parent
