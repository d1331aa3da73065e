"""Textured meshes in numpy: boxes, cylinders, balls and prisms, moved about and put together, and the OBJ files of packages.

Axes: x to the right, y away from whoever looks, z up, in meters; an object's front faces -y. Texture coordinates have their
origin at the picture's upper left.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from bagel_world.errors import SimulatorError

Vectors = npt.NDArray[np.float64]
"""float64, shape (n, 3) or (n, 2)."""

ROUND = 20
"""Sides of what is round."""

_SLIVER = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Triangles, three corners each, that share nothing.

    Attributes:
        corners: float64, shape (3 n, 3): where they are.
        normals: float64, shape (3 n, 3): unit vectors.
        texcoords: float64, shape (3 n, 2): u to the right, v down, 0..1 over the texture.
    """

    corners: Vectors
    normals: Vectors
    texcoords: Vectors

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
        """The same mesh elsewhere."""
        return Mesh(corners=np.add(self.corners, (x, y, z)), normals=self.normals, texcoords=self.texcoords)

    def turned(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
        """The same mesh turned around the origin: about x, then y, then z, in degrees, counter-clockwise."""
        matrix = rotation(x, y, z)
        return Mesh(corners=self.corners @ matrix.T, normals=self.normals @ matrix.T, texcoords=self.texcoords)

    def scaled(self, factor: float) -> Mesh:
        """The same mesh, larger or smaller, about the origin."""
        return Mesh(corners=self.corners * factor, normals=self.normals, texcoords=self.texcoords)

    def tiled(self, u: float, v: float) -> Mesh:
        """The same mesh with its texture repeated this many times."""
        return Mesh(corners=self.corners, normals=self.normals, texcoords=self.texcoords * (u, v))

    @classmethod
    def joined(cls, meshes: list[Mesh]) -> Self:
        """All of them as one."""
        parts = ([getattr(each, name) for each in meshes] for name in ("corners", "normals", "texcoords"))
        corners, normals, texcoords = (np.concatenate(part) for part in parts)
        return cls(corners=corners, normals=normals, texcoords=texcoords)


def rotation(x: float, y: float, z: float) -> Vectors:
    """The matrix, shape (3, 3), that turns about x, then y, then z, in degrees."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.deg2rad((x, y, z))), np.sin(np.deg2rad((x, y, z)))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def box(width: float, depth: float, height: float) -> Mesh:
    """A box around the origin; every side shows the whole texture, upright on the four walls."""
    half = np.array([width, depth, height]) / 2
    sides = []
    for right, up in (((1, 0, 0), (0, 0, 1)), ((0, 1, 0), (0, 0, 1)), ((-1, 0, 0), (0, 0, 1)), ((0, -1, 0), (0, 0, 1))):
        sides.append(_quad(np.array(right), np.array(up), half))
    sides.append(_quad(np.array((1, 0, 0)), np.array((0, 1, 0)), half))
    sides.append(_quad(np.array((1, 0, 0)), np.array((0, -1, 0)), half))
    return Mesh.joined(sides)


def cylinder(radius: float, height: float, *, top: float | None = None) -> Mesh:
    """An upright cylinder around the origin, or a cone where `top`, the upper radius, differs; the texture runs around it.

    The texture's middle is in front; the caps show all of it.
    """
    upper = radius if top is None else top
    turn = np.linspace(0.0, 1.0, ROUND + 1)
    angle = 2 * np.pi * turn + np.pi / 2  # the seam is at the back
    around = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    low = np.column_stack([around * radius, np.full(ROUND + 1, -height / 2)])
    high = np.column_stack([around * upper, np.full(ROUND + 1, height / 2)])
    slope = np.column_stack([around * height, np.full(ROUND + 1, radius - upper)])
    slope /= np.linalg.norm(slope, axis=1, keepdims=True)
    grid = np.stack([low, high])
    wall = _surface(grid, np.stack([slope, slope]), np.stack([_pair(turn, 1.0), _pair(turn, 0.0)]))
    caps = [
        _fan(high, (0.0, 0.0, 1.0), 0.5 + around * (0.5, -0.5)),
        _fan(low[::-1], (0.0, 0.0, -1.0), 0.5 + around[::-1] * 0.5),
    ]
    return Mesh.joined([wall, *caps])


def ball(width: float, depth: float, height: float) -> Mesh:
    """A ball or an egg around the origin with these diameters; the texture is wrapped around it, its middle in front."""
    turn, rise = np.linspace(0.0, 1.0, ROUND + 1), np.linspace(0.0, 1.0, ROUND // 2 + 1)
    angle, tilt = 2 * np.pi * turn + np.pi / 2, np.pi * (rise - 0.5)
    unit = np.stack(
        [
            np.cos(tilt)[:, None] * np.cos(angle)[None],
            np.cos(tilt)[:, None] * np.sin(angle)[None],
            np.repeat(np.sin(tilt)[:, None], len(angle), axis=1),
        ],
        axis=-1,
    )
    half = np.array([width, depth, height]) / 2
    normals = unit / half
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    texcoords = np.stack(np.broadcast_arrays(turn[None], 1.0 - rise[:, None]), axis=-1)
    return _surface(unit * half, normals, texcoords)


def prism(profile: list[tuple[float, float]], width: float) -> Mesh:
    """A convex outline of (y, z), counter-clockwise seen from +x, drawn out along x around the origin."""
    outline = np.array(profile, dtype=np.float64)
    low, high = outline.min(axis=0), outline.max(axis=0)
    flat = (outline - low) / (high - low)
    right = np.column_stack([np.full(len(outline), width / 2), outline])
    left = right * (-1, 1, 1)
    ends = [
        _fan(right, (1.0, 0.0, 0.0), np.column_stack([flat[:, 0], 1 - flat[:, 1]])),
        _fan(left[::-1], (-1.0, 0.0, 0.0), np.column_stack([1 - flat[::-1, 0], 1 - flat[::-1, 1]])),
    ]
    for i in range(len(outline)):
        j = (i + 1) % len(outline)
        across = outline[j] - outline[i]
        normal = np.array([0.0, across[1], -across[0]]) / np.linalg.norm(across)
        corners = np.array([right[i], left[i], left[j], right[j]])
        ends.append(_fan(corners, normal, np.array([(0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)])))
    return Mesh.joined(ends)


def ring(radius: float, thickness: float) -> Mesh:
    """A ring around the y axis, centered at the origin."""
    turn = np.linspace(0.0, 1.0, ROUND + 1)
    big, small = np.meshgrid(2 * np.pi * turn, 2 * np.pi * turn[:: ROUND // 10], indexing="ij")
    normals = np.stack([np.cos(small) * np.cos(big), np.sin(small), np.cos(small) * np.sin(big)], axis=-1)
    center = np.stack([np.cos(big), np.zeros_like(big), np.sin(big)], axis=-1) * radius
    texcoords = np.stack([big, small], axis=-1) / (2 * np.pi)
    return _surface(center + normals * thickness / 2, normals, texcoords)


def read_obj(path: Path) -> Mesh:
    """The mesh of a Wavefront file, y up as most are, turned so that z is up.

    Raises:
        SimulatorError: the file is missing or not such a mesh.
    """
    columns: dict[str, list[list[float]]] = {"v": [], "vt": [], "vn": []}
    faces: list[list[tuple[int, int, int]]] = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            word, *rest = line.split() or [""]
            if word in columns:
                columns[word].append([float(each) for each in rest])
            elif word == "f":
                spots = [tuple(int(each) - 1 for each in spot.split("/")) for spot in rest]
                faces.extend([spots[0], spots[i], spots[i + 1]] for i in range(1, len(spots) - 1))  # type: ignore[misc]
        places = np.array(faces, dtype=np.int64).reshape(-1, 3)
        corners = np.array(columns["v"])[places[:, 0], :3]
        texcoords = np.array(columns["vt"])[places[:, 1], :2]
        normals = np.array(columns["vn"])[places[:, 2], :3]
    except (OSError, ValueError, IndexError, TypeError) as error:
        raise SimulatorError(
            f"Expected a Wavefront mesh with textures and normals in {path}, but {error}. Install its package again."
        ) from error
    upright = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    return Mesh(corners=corners @ upright.T, normals=normals @ upright.T, texcoords=texcoords * (1, -1) + (0, 1))


def _pair(turn: Vectors, v: float) -> Vectors:
    return np.column_stack([turn, np.full(len(turn), v)])


def _quad(right: Vectors, up: Vectors, half: Vectors) -> Mesh:
    out = np.cross(right, up)
    corners = np.array([out - right - up, out + right - up, out + right + up, out - right + up]) * half
    return _fan(corners, out, np.array([(0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)]))


def _fan(outline: Vectors, normal: npt.ArrayLike, texcoords: Vectors) -> Mesh:
    """A flat convex outline, counter-clockwise seen from where its normal points."""
    places = np.array([(0, i, i + 1) for i in range(1, len(outline) - 1)]).reshape(-1)
    normals = np.repeat(np.asarray(normal, dtype=np.float64)[None], len(places), axis=0)
    return _without_slivers(Mesh(corners=outline[places], normals=normals, texcoords=texcoords[places]))


def _surface(grid: Vectors, normals: Vectors, texcoords: Vectors) -> Mesh:
    """A grid of points, shape (rows, columns, 3), counter-clockwise with rows up and columns to the right."""
    rows, columns = grid.shape[:2]
    at = np.arange(rows * columns).reshape(rows, columns)
    low_left, low_right, high_left, high_right = at[:-1, :-1], at[:-1, 1:], at[1:, :-1], at[1:, 1:]
    places = np.concatenate(
        [
            np.stack([low_left, low_right, high_right], axis=-1).reshape(-1, 3),
            np.stack([low_left, high_right, high_left], axis=-1).reshape(-1, 3),
        ]
    )
    corners, upright, spots = (each.reshape(rows * columns, -1)[places.reshape(-1)] for each in (grid, normals, texcoords))
    return _without_slivers(Mesh(corners=corners, normals=upright, texcoords=spots))


def _without_slivers(mesh: Mesh) -> Mesh:
    """The triangles that have an area: at a pole or a tip some have none."""
    a, b, c = np.swapaxes(mesh.corners.reshape(-1, 3, 3), 0, 1)
    kept = np.repeat(np.linalg.norm(np.cross(b - a, c - a), axis=1) > _SLIVER, 3)
    return Mesh(corners=mesh.corners[kept], normals=mesh.normals[kept], texcoords=mesh.texcoords[kept])
