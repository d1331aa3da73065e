from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bagel_world.errors import SimulatorError
from bagel_world.sims.meshes import Mesh, ball, box, cylinder, prism, read_obj, ring, rotation

TRIANGLE = [(0.0, 0.0), (2.0, 0.0), (0.0, 1.0)]

CLOSED = {
    "box": (box(1.0, 2.0, 3.0), 6.0, 1e-12),
    "prism": (prism(TRIANGLE, 3.0), 3.0, 1e-12),
    "cylinder": (cylinder(0.5, 2.0), np.pi * 0.25 * 2.0, 0.02),
    "cone": (cylinder(0.6, 1.0, top=0.0), np.pi * 0.36 / 3, 0.02),
    "ball": (ball(1.0, 2.0, 3.0), np.pi, 0.05),
    "ring": (ring(1.0, 0.4), 2 * np.pi**2 * 0.04, 0.08),
}


def volume(mesh: Mesh) -> float:
    """Positive only where the corners of every triangle go counter-clockwise seen from outside."""
    a, b, c = np.swapaxes(mesh.corners.reshape(-1, 3, 3), 0, 1)
    return float((a * np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize("name", CLOSED)
def test_volumes_are_those_of_the_solids(name: str) -> None:
    mesh, expected, share = CLOSED[name]
    assert volume(mesh) == pytest.approx(expected, rel=share)


@pytest.mark.parametrize("name", CLOSED)
def test_normals_are_unit_vectors_on_the_outside(name: str) -> None:
    mesh, _, _ = CLOSED[name]
    a, b, c = np.swapaxes(mesh.corners.reshape(-1, 3, 3), 0, 1)
    outside = np.repeat(np.cross(b - a, c - a), 3, axis=0)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-12)
    assert ((mesh.normals * outside).sum(axis=1) > 0).all()
    assert mesh.texcoords.min() >= 0.0
    assert mesh.texcoords.max() <= 1.0


def test_turns_are_counter_clockwise_about_x_then_y_then_z() -> None:
    right, away, up = np.eye(3)
    np.testing.assert_allclose(rotation(90, 0, 0) @ away, up, atol=1e-12)
    np.testing.assert_allclose(rotation(0, 90, 0) @ up, right, atol=1e-12)
    np.testing.assert_allclose(rotation(0, 0, 90) @ right, away, atol=1e-12)
    np.testing.assert_allclose(rotation(90, 0, 90) @ away, rotation(0, 0, 90) @ up, atol=1e-12)


def test_a_moved_mesh_keeps_its_shape() -> None:
    mesh = cylinder(0.3, 1.0).turned(y=35).moved(x=2.0, z=-1.0)
    assert volume(mesh) == pytest.approx(volume(cylinder(0.3, 1.0)))
    np.testing.assert_allclose((mesh.corners.min(axis=0) + mesh.corners.max(axis=0)) / 2, (2.0, 0.0, -1.0), atol=1e-9)
    assert volume(mesh.scaled(2.0)) == pytest.approx(8 * volume(mesh))


def test_the_middle_of_a_wrapped_texture_is_in_front() -> None:
    for mesh in (cylinder(1.0, 1.0), ball(2.0, 2.0, 2.0)):
        wall = np.abs(mesh.normals[:, 2]) < 0.5
        front = wall & (mesh.corners[:, 1] < -0.99)
        np.testing.assert_allclose(mesh.texcoords[front, 0], 0.5, atol=1e-9)
        right = wall & (mesh.corners[:, 0] > 0.99)
        np.testing.assert_allclose(mesh.texcoords[right, 0], 0.75, atol=1e-9)


def test_an_obj_file_stands_upright_with_its_picture_the_right_way_up(tmp_path: Path) -> None:
    file = tmp_path / "square.obj"
    file.write_text(
        "# a square that faces the viewer, y up\n"
        "v 0 0 0\nv 2 0 0\nv 2 3 0\nv 0 3 0\n"
        "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nvn 0 0 1\n"
        "f 1/1/1 2/2/1 3/3/1 4/4/1\n"
    )
    mesh = read_obj(file)
    assert mesh.corners.tolist() == [[0, 0, 0], [2, 0, 0], [2, 0, 3], [0, 0, 0], [2, 0, 3], [0, 0, 3]]
    assert mesh.normals.tolist() == [[0, -1, 0]] * 6
    assert mesh.texcoords.tolist() == [[0, 1], [1, 1], [1, 0], [0, 1], [1, 0], [0, 0]]


@pytest.mark.parametrize(
    "text", ["v 0 0 zero\n", "v 0 0 0\nf 1//1 1//1 1//1\n", "v 0 0 0\nvt 0 0\nvn 0 0 1\nf 1/1/1 2/1/1 3/1/1\n"]
)
def test_a_file_that_is_no_textured_mesh_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.obj"
    file.write_text(text)
    with pytest.raises(SimulatorError, match=r"broken\.obj"):
        read_obj(file)
    with pytest.raises(SimulatorError, match=r"missing\.obj"):
        read_obj(tmp_path / "missing.obj")
