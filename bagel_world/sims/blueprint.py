"""Blueprints: MuJoCo models drawn up from textured parts, solids and light. Importing this module needs MuJoCo."""

from __future__ import annotations

import importlib
import os
import platform
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bagel_world.sims.meshes import rotation

if TYPE_CHECKING:
    from bagel_world.sims.bodies import Solid
    from bagel_world.sims.meshes import Mesh
    from bagel_world.sims.patterns import Color
    from bagel_world.sims.toys import Part
    from bagel_world.types import Frame

if platform.system() == "Linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # read once, when MuJoCo is imported; its own default needs a display

mujoco: Any = importlib.import_module("mujoco")  # compiled: a type checker sees none of its names

_SHOWN, _SOLID = 0, 3  # groups of geoms: what is drawn, and what only collides

# Frames per second depend on these two more than on anything else.
_SHADOW_SIDE = 512
_SAMPLES = 4

_SHAPES = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "ball": mujoco.mjtGeom.mjGEOM_SPHERE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "egg": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
}


@dataclass(slots=True)
class Blueprint:
    """A MuJoCo model being drawn up: what it is made of, and the pixels of its textures.

    MuJoCo takes textures from files or builds its own; ours are written into the compiled model.
    """

    spec: Any = field(default_factory=mujoco.MjSpec)
    textures: list[Frame] = field(default_factory=list)

    def prepare(self, *, height: int, width: int, behind: tuple[Color, Color], field_of_view: float, shadow_reach: float) -> None:
        """Set what every scene needs.

        Args:
            height: of the frames in pixels.
            width: of the frames in pixels.
            behind: the color above, which fades into the color below.
            field_of_view: height of the picture in degrees.
            shadow_reach: shadows fall on what is this near to the center, in meters.
        """
        visual = self.spec.visual
        visual.quality.shadowsize, visual.quality.offsamples = _SHADOW_SIDE, _SAMPLES
        visual.global_.offheight, visual.global_.offwidth = height, width
        visual.global_.fovy = field_of_view
        visual.map.znear, visual.map.zfar, visual.map.shadowclip = 0.05, 60.0, shadow_reach
        visual.headlight.ambient = [0.32] * 3
        visual.headlight.diffuse = [0.28] * 3
        visual.headlight.specular = [0.05] * 3
        self.spec.stat.extent, self.spec.stat.center = 1.0, [0.0, 0.0, 0.5]
        above, below = behind
        self.spec.add_texture(
            name="sky",
            type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
            rgb1=above,
            rgb2=below,
            width=32,
            height=32,
        )

    def set_clock(self, interval: float) -> None:
        """Let the physics go on in steps of this many seconds."""
        self.spec.option.timestep = interval
        self.spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST

    def add_sun(self, *, azimuth: float, height: float, brightness: float) -> None:
        """A light from far away that throws shadows.

        Args:
            azimuth: where it comes from: degrees counter-clockwise from +x, seen from above.
            height: how high it stands, in degrees.
            brightness: its strength, 0..1.
        """
        turn, rise = np.deg2rad((azimuth, height))
        toward = np.array([np.cos(rise) * np.cos(turn), np.cos(rise) * np.sin(turn), np.sin(rise)])
        self.spec.worldbody.add_light(
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
            pos=5.0 * toward,
            dir=-toward,
            castshadow=True,
            diffuse=[brightness] * 3,
            specular=[0.1] * 3,
        )

    def add_solid(self, body: Any, solid: Solid, *, density: float, friction: float, bounce: float) -> None:
        """A shape that collides and is not drawn.

        Args:
            body: what it belongs to.
            solid: the shape.
            density: kilograms per cubic meter.
            friction: sliding friction.
            bounce: damping of its contacts: 1 comes to rest at once, near 0 bounces on and on.
        """
        contact = self._contact(density, friction, bounce)
        turn = _quaternion(rotation(*solid.turn))
        body.add_geom(type=_SHAPES[solid.shape], size=solid.size, pos=solid.at, quat=turn, **contact)

    def add_hull(self, body: Any, mesh: Mesh, *, density: float, friction: float, bounce: float) -> None:
        """A convex mesh that collides and is not drawn; arguments as in `add_solid`."""
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=self._mesh(mesh), **self._contact(density, friction, bounce))

    def add_part(self, body: Any, part: Part) -> None:
        """A part that is drawn and has no mass."""
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=self._mesh(part.mesh),
            material=self._material(part.texture),
            contype=0,
            conaffinity=0,
            mass=0.0,
            group=_SHOWN,
        )

    def compile(self) -> Any:
        """The model, its textures painted."""
        model = self.spec.compile()
        for place, texture in enumerate(self.textures):
            start = model.tex_adr[model.texture(f"texture{place}").id]
            model.tex_data[start : start + texture.size] = texture.ravel()
        return model

    def _contact(self, density: float, friction: float, bounce: float) -> dict[str, Any]:
        return {
            "density": density,
            "friction": [friction, 0.01, 0.002],
            "solref": [0.02, bounce],
            "condim": 6,
            "group": _SOLID,
        }

    def _mesh(self, mesh: Mesh) -> str:
        name = f"mesh{len(self.spec.meshes)}"
        asset = self.spec.add_mesh(name=name, inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
        asset.uservert = mesh.corners.astype(np.float32).ravel()
        asset.usernormal = mesh.normals.astype(np.float32).ravel()
        asset.usertexcoord = mesh.texcoords.astype(np.float32).ravel()
        places = np.arange(len(mesh.corners), dtype=np.int32)
        asset.userface = asset.userfacenormal = asset.userfacetexcoord = places
        return name

    def _material(self, texture: Frame) -> str:
        place = len(self.textures)
        self.textures.append(texture)
        height, width = texture.shape[:2]
        self.spec.add_texture(
            name=f"texture{place}",
            type=mujoco.mjtTexture.mjTEXTURE_2D,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
            width=width,
            height=height,
            nchannel=3,
        )
        material = self.spec.add_material(name=f"material{place}", specular=0.2, shininess=0.2)
        roles = [""] * int(mujoco.mjtTextureRole.mjNTEXROLE)
        roles[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = f"texture{place}"
        material.textures = roles
        return material.name


def _quaternion(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, matrix.ravel())
    return quaternion
