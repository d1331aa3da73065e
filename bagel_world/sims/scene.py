"""A house plan as OpenGL draws it. Importing this module needs MiniWorld; `House` imports it when it is constructed."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator
from ctypes import byref
from typing import TYPE_CHECKING, Any

import numpy as np
import pyglet
from PIL import Image

pyglet.options["headless"] = True  # must come before anything that opens a window

from miniworld.entity import MeshEnt  # noqa: E402
from miniworld.miniworld import MiniWorldEnv  # noqa: E402
from pyglet import gl  # noqa: E402

from bagel_world.sims.plans import DOOR_HEIGHT, DOOR_WIDTH, ROOM_SIZE, WALL_HEIGHT, HousePlan, PlacedObject  # noqa: E402

if TYPE_CHECKING:
    from bagel_world.types import Frame


class HouseScene(MiniWorldEnv):
    """A `MiniWorldEnv` that builds a given plan and shows it from a given pose."""

    # MiniWorld sets these from tables or after None, which type checkers cannot follow.
    agent: Any
    shadow_window: Any
    light_pos: Any
    light_color: Any
    light_ambient: Any

    def __init__(self, plan: HousePlan, *, height: int, width: int) -> None:
        self._plan = plan
        self._meshes: list[tuple[PlacedObject, MeshEnt]] = []
        self._static_list: int | None = None
        # MiniWorld prints when the driver has fewer samples per pixel than it asks for.
        with contextlib.redirect_stdout(io.StringIO()), _pillow_decodes():
            super().__init__(obs_height=height, obs_width=width, window_height=height, window_width=width)

    def build(self, plan: HousePlan) -> None:
        """Replace the house."""
        self._plan = plan
        self.shadow_window.switch_to()  # MiniWorld builds in whichever context is current, and that may be another simulator's
        with _pillow_decodes():
            super().reset(seed=0)

    def look(self, x: float, z: float, yaw: float) -> Frame:
        """What someone sees from here: uint8, shape (height, width, 3)."""
        self.agent.pos = np.array([x, 0.0, z])
        self.agent.dir = math.radians(yaw)
        return np.array(self.render_obs())

    @property
    def renderer(self) -> str:
        """The name that OpenGL gives its renderer."""
        self.shadow_window.switch_to()
        return str(gl.gl_info.get_renderer())

    def shares_of_objects(self) -> list[tuple[PlacedObject, float]]:
        """The share of the picture that each object covers, for the pose that was looked from last.

        MiniWorld's own `get_visible_ents` asks about a small box on the floor, which leaves the picture when the
        object comes near; here the meshes themselves are drawn again over their own depth and counted.
        """
        self.shadow_window.switch_to()
        self.obs_fb.bind()
        self._aim_camera()
        total = self.obs_fb.width * self.obs_fb.height * self._samples_per_pixel()
        gl.glDepthFunc(gl.GL_LEQUAL)
        gl.glColorMask(*(gl.GL_FALSE,) * 4)
        try:
            return [(placed, self._count_samples(mesh) / total) for placed, mesh in self._meshes]
        finally:
            gl.glColorMask(*(gl.GL_TRUE,) * 4)
            gl.glDepthFunc(gl.GL_LESS)
            gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, 0)

    def close(self) -> None:
        """Give the OpenGL context back."""
        if self.shadow_window is None:
            return
        self.shadow_window.switch_to()
        if self._static_list is not None:
            gl.glDeleteLists(self._static_list, 1)
        self.shadow_window.close()
        self.shadow_window = None

    def _gen_world(self) -> None:
        half = ROOM_SIZE / 2
        rooms = [
            self.add_rect_room(
                min_x=room.x - half,
                max_x=room.x + half,
                min_z=room.z - half,
                max_z=room.z + half,
                wall_height=WALL_HEIGHT,
                wall_tex=room.wall,
                floor_tex=room.floor,
                ceil_tex=room.ceiling,
            )
            for room in self._plan.rooms
        ]
        for door in self._plan.doorways:
            axis = "x" if door.along_x else "z"
            extent = {f"min_{axis}": door.center - DOOR_WIDTH / 2, f"max_{axis}": door.center + DOOR_WIDTH / 2}
            self.connect_rooms(rooms[door.rooms[0]], rooms[door.rooms[1]], **extent, max_y=DOOR_HEIGHT)
        self._meshes = []
        for placed in self._plan.objects:
            mesh = MeshEnt(mesh_name=placed.kind.mesh, height=placed.kind.height)
            self.place_entity(mesh, pos=np.array([placed.x, 0.0, placed.z]), dir=math.radians(placed.yaw))
            self._meshes.append((placed, mesh))
        start = self._plan.rooms[0]
        self.place_agent(pos=np.array([start.x, 0.0, start.z]), dir=0.0)

    def _render_static(self) -> None:
        # MiniWorld compiles every world into display list 1, which all contexts of a process share: two houses would
        # show each other's walls. Each scene keeps a list of its own instead.
        if self._static_list is None:
            self._static_list = gl.glGenLists(1)
        gl.glNewList(self._static_list, gl.GL_COMPILE)
        light = gl.GL_LIGHT0
        gl.glLightfv(light, gl.GL_POSITION, (gl.GLfloat * 4)(*self.light_pos, 1.0))
        gl.glLightfv(light, gl.GL_AMBIENT, (gl.GLfloat * 4)(*self.light_ambient, 1.0))
        gl.glLightfv(light, gl.GL_DIFFUSE, (gl.GLfloat * 4)(*self.light_color, 1.0))
        gl.glEnable(gl.GL_LIGHTING)
        gl.glEnable(light)
        gl.glShadeModel(gl.GL_SMOOTH)
        gl.glEnable(gl.GL_COLOR_MATERIAL)
        gl.glColorMaterial(gl.GL_FRONT_AND_BACK, gl.GL_AMBIENT_AND_DIFFUSE)
        gl.glEnable(gl.GL_TEXTURE_2D)
        for room in self.rooms:
            room._render()
        for _, mesh in self._meshes:
            mesh.render()
        gl.glEndList()

    def _render_world(self, frame_buffer: Any, render_agent: bool) -> Frame:
        gl.glCallList(self._static_list)
        if render_agent:
            self.agent.render()
        return frame_buffer.resolve()

    def _aim_camera(self) -> None:
        gl.glMatrixMode(gl.GL_PROJECTION)
        gl.glLoadIdentity()
        gl.gluPerspective(self.agent.cam_fov_y, self.obs_fb.width / self.obs_fb.height, 0.04, 100.0)
        gl.glMatrixMode(gl.GL_MODELVIEW)
        gl.glLoadIdentity()
        eye = self.agent.cam_pos
        gl.gluLookAt(*eye, *(eye + self.agent.cam_dir), 0.0, 1.0, 0.0)

    def _samples_per_pixel(self) -> int:
        samples = gl.GLint()
        gl.glGetIntegerv(gl.GL_SAMPLES, byref(samples))
        return max(1, samples.value)

    def _count_samples(self, mesh: MeshEnt) -> int:
        query, count = gl.GLuint(), gl.GLuint()
        gl.glGenQueries(1, byref(query))
        gl.glBeginQuery(gl.GL_SAMPLES_PASSED, query)
        mesh.render()
        gl.glEndQuery(gl.GL_SAMPLES_PASSED)
        gl.glGetQueryObjectuiv(query, gl.GL_QUERY_RESULT, byref(count))
        gl.glDeleteQueries(1, byref(query))
        return count.value


@contextlib.contextmanager
def _pillow_decodes() -> Iterator[None]:
    """While this lasts, pyglet gets its pictures as RGBA.

    It brings others to RGBA with a regular expression per pixel, which is nine tenths of the time a first house takes.
    """
    load = pyglet.image.load
    pyglet.image.load = _load_rgba
    try:
        yield
    finally:
        pyglet.image.load = load


def _load_rgba(path: str) -> pyglet.image.ImageData:
    with Image.open(path) as picture:
        upright = picture.convert("RGBA")
    data = upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes()  # OpenGL's first row is the lowest
    return pyglet.image.ImageData(upright.width, upright.height, "RGBA", data, upright.width * 4)
