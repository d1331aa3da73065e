"""`bagel-world play`: walk through an imagined world with the keys."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Protocol

import gymnasium as gym
import typer
from gymnasium.error import UnregisteredEnv
from rich.console import Console

from bagel_world.cli.keyboard import Keyboard
from bagel_world.cli.measuring import DeviceOption, SamplingOption
from bagel_world.cli.play_keys import Controls
from bagel_world.cli.play_screen import TerminalScreen
from bagel_world.cli.play_window import WindowScreen
from bagel_world.envs import WorldEnv, register_all
from bagel_world.envs.player import Player
from bagel_world.envs.registry import NAVIGATE_ID
from bagel_world.envs.viewer import has_display
from bagel_world.errors import ConfigError, UnknownNameError, nearest

_LONGEST = 1_000_000
"""Steps of a walk: as many as a person likes."""

_SCREENS = ("auto", "window", "terminal")


def play(
    environment: Annotated[str, typer.Argument(help="The id of an environment.")] = NAVIGATE_ID,
    checkpoint: Annotated[
        str | None,
        typer.Option(help='A shipped name, a folder, a hub id, or "fake"; by default the environment\'s own.'),
    ] = None,
    image: Annotated[Path | None, typer.Option(help="Picture to begin with; a held-out frame where it is left out.")] = None,
    goal_image: Annotated[Path | None, typer.Option(help="Picture to reach; its similarity is shown and pays.")] = None,
    think: Annotated[bool, typer.Option("--think", help="Let the model write a thought before every frame.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another beginning and another imagination.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for saved walks.")] = Path("out/play"),
    sampling: SamplingOption = None,
    device: DeviceOption = "auto",
    screen: Annotated[
        str, typer.Option(help="window, terminal, or auto: a window where there is a display and pygame.")
    ] = "auto",
) -> None:
    """Walk through an imagined world: arrow keys, number keys, or words of your own.

    The terminal shows what is imagined, what it is imagined from, what was done and thought, how near the goal is and how long a
    step took. Steps can be taken back (u) and again (y), imagined anew with other noise (n), and the walk saved as a GIF (g).

    Example: bagel-world play BagelNavigate-v0 --seed 3
    """
    with ExitStack() as stack:
        title = f"{environment}  checkpoint {checkpoint or 'its own'}  seed {seed}"
        shown = open_screen(screen, title, stack)
        stack.callback(shown.close)
        env = make_playable(environment, checkpoint=checkpoint, think=think, sampling=sampling, device=device)
        options: dict[str, Any] = {"image": image, "goal_image": goal_image}
        player = Player(env, seed=seed, options={name: path for name, path in options.items() if path is not None})
        saved = Movies(out)
        walk(Controls(player, saved.next), shown)
    for path in saved.written():
        print(path)


class Screen(Protocol):
    """Something to look at, with keys."""

    def show(self, controls: Controls) -> None:
        """Draw what there is to see."""
        ...

    def read(self) -> str | None:
        """The next key; None where nothing happened for a while."""
        ...

    def busy(self) -> bool:
        """Whether more keys wait to be read."""
        ...

    def stale(self) -> bool:
        """Whether it has to be drawn anew although nothing happened."""
        ...

    def close(self) -> None:
        """Leave things as they were."""
        ...


def open_screen(kind: str, title: str, stack: ExitStack) -> Screen:
    """A window or the terminal; what has to be undone later goes on the stack.

    Raises:
        ConfigError: no such kind of screen, a window that cannot be opened, or a terminal that is none.
    """
    if kind not in _SCREENS:
        raise ConfigError(f"Expected --screen as one of {', '.join(_SCREENS)}, got {kind!r}.")
    if kind == "window" or (kind == "auto" and has_display()):
        try:
            return WindowScreen(title)
        except (ImportError, RuntimeError) as error:  # pygame.error is a RuntimeError
            if kind == "window":
                raise ConfigError(
                    f"No window can be opened here ({error}). Install pygame, or play in the terminal: --screen terminal"
                ) from error
    return TerminalScreen(title, stack.enter_context(Keyboard()), Console())


def walk(controls: Controls, screen: Screen) -> None:
    """Draw, wait for a key, do what it stands for; until it means to leave."""
    drawn = False
    while True:
        if not drawn or screen.stale():
            screen.show(controls)
            drawn = True
        key = screen.read()
        if key is None:
            continue
        if not controls.press(key):
            return
        # Fast typing is not held up by drawing.
        drawn = controls.typing is not None and screen.busy()


def make_playable(environment: str, **settings: Any) -> WorldEnv:
    """An environment that takes words, whatever its action mode would be otherwise.

    Raises:
        UnknownNameError: no environment of this id, or one that is no world.
    """
    register_all()
    known = [name for name, spec in gym.registry.items() if "bagel_world" in str(spec.entry_point)]
    if environment.split(":")[-1] not in known:
        raise UnknownNameError(f"There is no environment {environment!r} to play. {nearest(environment, known)}")
    try:
        env = gym.make(environment, action_mode="text", horizon=_LONGEST, **settings).unwrapped
    except UnregisteredEnv as error:
        raise UnknownNameError(f"There is no environment {environment!r} to play. {nearest(environment, known)}") from error
    assert isinstance(env, WorldEnv)
    return env


class Movies:
    """Names for saved walks that are not taken yet: walk-00000.gif, walk-00001.gif, ..."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._named: list[Path] = []

    def next(self) -> Path:
        """A path where nothing is."""
        number = 0
        while (path := self.folder / f"walk-{number:05d}.gif").exists():
            number += 1
        self._named.append(path)
        return path

    def written(self) -> list[Path]:
        """The walks that were saved."""
        return [path for path in self._named if path.is_file()]
