"""`bagel-world play`: keys, undo and other futures, the screen, and a whole walk through a pseudo-terminal."""

from __future__ import annotations

import importlib
import io
import os
import re
import select
import struct
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import bagel_world
from bagel_world.actions import NAVIGATE_WORDS, ROLLOUT_WORDS, ROTATE_WORDS
from bagel_world.cli import main
from bagel_world.cli.keyboard import Keyboard, split_keys
from bagel_world.cli.play import Movies, make_playable, open_screen, walk
from bagel_world.cli.play_keys import CLOSED, Controls, bind_arrows, bind_numbers
from bagel_world.cli.play_screen import HalfBlocks, TerminalScreen, draw
from bagel_world.cli.play_window import WindowScreen, draw_picture
from bagel_world.envs import WorldEnv
from bagel_world.envs.player import Player
from bagel_world.errors import ConfigError, UnknownNameError
from bagel_world.world.fake import FakeWorld

ROOT = Path(bagel_world.__file__).resolve().parents[1]


@pytest.fixture
def player() -> Player:
    return Player(WorldEnv(FakeWorld(), action_mode="text", horizon=1000), clock=iter(np.arange(0, 1000, 0.25)).__next__)


@pytest.fixture
def controls(player: Player, tmp_path: Path) -> Controls:
    return Controls(player, Movies(tmp_path).next)


def press(controls: Controls, *keys: str) -> None:
    for key in keys:
        assert controls.press(key)


# --- keys


@pytest.mark.parametrize(
    ("sent", "keys", "rest"),
    [
        ("\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"], ""),
        ("\x1bOA\x1bOD", ["up", "left"], ""),
        ("1t\r\n\x7f\x08", ["1", "t", "enter", "enter", "backspace", "backspace"], ""),
        ("\x1b", ["escape"], ""),
        ("\x03\x04", ["ctrl+c", "ctrl+d"], ""),
        ("\x1b[5~\x1b[15;2~x", ["x"], ""),
        ("a\x1b[", ["a"], "\x1b["),
        ("a\x1b[1;", ["a"], "\x1b[1;"),
        ("\u00fc\U0001f6aa", ["\u00fc", "\U0001f6aa"], ""),
    ],
)
def test_what_a_terminal_sends_becomes_keys(sent: str, keys: list[str], rest: str) -> None:
    assert split_keys(sent) == (keys, rest)


def test_arrows_and_numbers_of_every_world() -> None:
    forward, left, right, stay = NAVIGATE_WORDS
    assert bind_arrows(NAVIGATE_WORDS) == {"up": forward, "left": left, "right": right, "down": stay}
    assert bind_arrows(ROTATE_WORDS) == {
        "left": "Rotate the camera to the left by 15 degrees",
        "right": "Rotate the camera to the right by 15 degrees",
        "down": "Stay",
    }
    assert bind_arrows(ROLLOUT_WORDS) == {"up": "Wait one moment"}
    assert bind_numbers(NAVIGATE_WORDS) == {"1": forward, "2": left, "3": right, "4": stay}
    assert bind_numbers([str(place) for place in range(12)])["0"] == "9"


def test_arrows_walk_and_numbers_do_the_same(controls: Controls) -> None:
    press(controls, "left", "up")
    by_arrows = controls.player.frames
    other = Controls(Player(WorldEnv(FakeWorld(), horizon=1000)), lambda: Path("unused.gif"))
    press(other, "2", "1")
    np.testing.assert_array_equal(np.stack(other.player.frames), np.stack(by_arrows))
    assert controls.player.now.action == "Move forward"
    assert controls.player.now.seconds == 0.25


def test_typed_words_are_done(controls: Controls) -> None:
    press(controls, "t", *"Go on!", "backspace", "left")
    assert controls.typing == "Go on"
    press(controls, "enter")
    assert controls.typing is None
    assert controls.player.now.action == "Go on"
    press(controls, " ")
    assert (controls.player.steps, controls.player.now.action) == (2, "Go on")
    press(controls, "t", "x", "escape", "t", " ", "enter")
    assert controls.player.steps == 2
    assert controls.press("q") is False


def test_typing_takes_the_letters_of_commands_and_ends_at_the_limit(controls: Controls) -> None:
    press(controls, "t", *"quit ", *["u"] * 600)
    assert controls.typing == "quit " + "u" * 507
    press(controls, "enter")
    assert controls.player.now.action == "quit " + "u" * 507


def test_keys_without_a_meaning_say_so(controls: Controls) -> None:
    press(controls, "9")
    assert "'9'" in controls.player.message
    press(controls, "\x1b")
    assert controls.player.message == "This key does nothing here."
    press(controls, "u")
    assert controls.player.message == "This is where the walk began."
    for key in ("y", "n"):
        press(controls, key)
        assert "no step" in controls.player.message
    assert controls.player.steps == 0


@pytest.mark.parametrize("key", ["q", "escape", "ctrl+c", "ctrl+d", CLOSED])
def test_ways_to_leave(controls: Controls, key: str) -> None:
    assert controls.press(key) is False


def test_closing_the_window_leaves_while_typing_too(controls: Controls) -> None:
    press(controls, "t", "a")
    assert controls.press(CLOSED) is False


# --- the walk


def test_undo_and_redo_go_through_the_same_frames(player: Player) -> None:
    for words in ("Look left", "Move forward", "Look right"):
        player.act(words)
    frames = player.frames
    player.undo()
    player.undo()
    assert (player.steps, player.redoable) == (1, 2)
    np.testing.assert_array_equal(player.env.session.frame, frames[1])
    player.redo()
    np.testing.assert_array_equal(player.now.frame, frames[2])
    player.undo()
    player.act("Move forward")
    np.testing.assert_array_equal(np.stack(player.frames), np.stack(frames[:3]))
    assert player.redoable == 0
    player.act("Look right")
    np.testing.assert_array_equal(player.now.frame, frames[3])


def test_other_noise_shows_another_future_that_stays(player: Player) -> None:
    player.act("Stay")
    first = player.now.frame
    player.redraw()
    second = player.now.frame
    assert player.steps == 1
    assert not np.array_equal(first, second)
    player.redraw()
    assert not np.array_equal(second, player.now.frame)
    third = player.now.frame
    player.act("Stay")
    player.undo()
    np.testing.assert_array_equal(player.now.frame, third)


def test_a_restart_is_another_walk(player: Player) -> None:
    player.act("Stay")
    player.restart()
    assert (player.steps, player.redoable) == (0, 0)
    fresh = Player(WorldEnv(FakeWorld(), action_mode="text"), seed=1)
    np.testing.assert_array_equal(player.now.frame, fresh.now.frame)


def test_the_end_of_a_walk_can_be_taken_back() -> None:
    player = Player(WorldEnv(FakeWorld(), action_mode="text", horizon=1))
    player.act("Stay")
    assert player.message == "The walk ends here."
    player.act("Stay")
    assert "over" in player.message
    player.undo()
    player.act("Look left")
    assert (player.steps, player.now.action) == (1, "Look left")


def test_a_goal_is_said_to_be_reached(fake_goal: np.ndarray) -> None:
    player = Player(WorldEnv(FakeWorld(), action_mode="text", success_distance=2.0), options={"goal_image": fake_goal})
    player.act("Stay")
    assert "goal is reached" in player.message


@pytest.fixture
def fake_goal() -> np.ndarray:
    return FakeWorld().starts[1].frames[0]


def test_what_cannot_be_done_is_a_message(player: Player, tmp_path: Path) -> None:
    player.act("x" * 600)
    assert "512 characters" in player.message
    frame = player.now.frame
    discrete = Player(WorldEnv(FakeWorld()))
    discrete.act("Fly")
    assert "action id" in discrete.message
    assert discrete.steps == 0
    np.testing.assert_array_equal(frame, player.frames[0])
    (tmp_path / "file").write_text("")
    player.save(tmp_path / "file" / "walk.gif")
    assert "could not be written" in player.message


def test_the_walk_is_saved_as_a_moving_picture(controls: Controls, tmp_path: Path) -> None:
    press(controls, "left", "up", "u", "g", "right", "g")
    assert controls.player.message == f"Saved 3 frames to {tmp_path / 'walk-00001.gif'}."
    assert [len(iio.imread(tmp_path / f"walk-0000{place}.gif")) for place in (0, 1)] == [2, 3]


# --- the screen


def screen(controls: Controls, width: int, height: int, color: str | None = None) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=width, height=height, force_terminal=color is not None, color_system=color)  # type: ignore[arg-type]
    console.print(draw(controls, "BagelNavigate-v0", width, height))
    return stream.getvalue().rstrip("\n").split("\n")


def test_a_cell_is_two_pixels() -> None:
    frame = np.array([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]], np.uint8)
    stream = io.StringIO()
    Console(file=stream, force_terminal=True, color_system="truecolor").print(HalfBlocks(frame, 1))
    cells = re.findall(r"\x1b\[38;2;(\d+;\d+;\d+);48;2;(\d+;\d+;\d+)m\u2580", stream.getvalue())
    assert cells == [("1;2;3", "7;8;9"), ("4;5;6", "10;11;12")]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 40), (200, 60), (60, 16)])
def test_everything_fits_on_the_screen(controls: Controls, width: int, height: int) -> None:
    press(controls, *["left"] * 9)
    lines = screen(controls, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    shown = " ".join(lines)
    for words in ("Look left", "step time", "250 ms", "q quit", "u undo"):
        assert words in shown
    assert ("context, oldest first" in shown) == (height >= 30)


def test_the_screen_tells_the_goal_the_thought_and_what_was_dropped(fake_goal: np.ndarray) -> None:
    env = WorldEnv(FakeWorld(max_frames=3), action_mode="text", horizon=100, think=True)
    player = Player(env, options={"goal_image": fake_goal})
    controls = Controls(player, lambda: Path("unused.gif"))
    press(controls, "left", "left", "left", "u")
    shown = " ".join(screen(controls, 120, 40))
    assert "The view is mostly" in shown
    assert f"{1.0 - player.now.info['goal_distance']:.3f}" in shown
    assert "3 frames" in shown
    assert "1 dropped" in shown
    assert "2 (+1 undone)" in shown


def test_words_cannot_take_over_the_terminal(controls: Controls) -> None:
    controls.player.act("go\x1b[2J on")
    assert "\x1b[2J" not in "\n".join(screen(controls, 100, 30, "truecolor"))
    assert "go [2J on" in "\n".join(screen(controls, 100, 30))


def test_what_is_typed_is_shown(controls: Controls) -> None:
    press(controls, "t", *"Open the door")
    assert "do: Open the door" in "\n".join(screen(controls, 100, 30))


# --- the window


def test_the_picture_shows_the_frame_the_context_and_the_goal(fake_goal: np.ndarray) -> None:
    env = WorldEnv(FakeWorld(), action_mode="text", think=True)
    controls = Controls(Player(env, options={"goal_image": fake_goal}), lambda: Path("unused.gif"))
    press(controls, "left")
    picture = draw_picture(controls, "BagelNavigate-v0")
    for frame, factor in ((controls.player.now.frame, 8), (fake_goal, None)):
        large = frame.repeat(factor, 0).repeat(factor, 1) if factor else np.array(Image.fromarray(frame).resize((200, 200), 0))
        windows = np.lib.stride_tricks.sliding_window_view(picture[..., 0], large.shape[:2])
        corners = np.argwhere((windows[..., 0, 0] == large[0, 0, 0]) & (windows[..., -1, -1] == large[-1, -1, 0]))
        assert any(np.array_equal(picture[y : y + len(large), x : x + len(large[0])], large) for y, x in corners)


def test_long_words_stay_inside_the_picture(controls: Controls) -> None:
    size = draw_picture(controls, "t").shape
    controls.player.act("x" * 500)
    assert draw_picture(controls, "t").shape == size
    controls.player.act("very long words " * 30)
    assert draw_picture(controls, "t").shape == size


def test_keys_pressed_in_a_window(controls: Controls, monkeypatch: pytest.MonkeyPatch) -> None:
    pygame: Any = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = WindowScreen("play")
    window.show(controls)
    size = pygame.display.get_surface().get_size()
    assert size == draw_picture(controls, "play").shape[1::-1]
    pygame.event.clear()
    sent = [(pygame.K_LEFT, ""), (pygame.K_t, "t"), (pygame.K_a, "A"), (pygame.K_RETURN, "\r"), (pygame.K_F5, "")]
    for key, letter in sent:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key, unicode=letter))
    assert window.busy()
    assert [window.read() for _ in sent] == ["left", "t", "A", "enter", None]
    assert not window.busy()
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    assert window.read() == CLOSED
    window.close()
    window.close()


# --- the loop


class Script:
    """A screen that presses the keys of a script, None for a pause."""

    def __init__(self, *keys: str | None) -> None:
        self.keys = list(keys)
        self.shown: list[tuple[int, str | None]] = []
        self.resized = False

    def show(self, controls: Controls) -> None:
        self.shown.append((controls.player.steps, controls.typing))
        self.resized = False

    def read(self) -> str | None:
        key = self.keys.pop(0)
        self.resized = key is None
        return key

    def busy(self) -> bool:
        return bool(self.keys) and self.keys[0] is not None

    def stale(self) -> bool:
        return self.resized

    def close(self) -> None:
        self.keys.clear()


def test_every_step_is_drawn_and_fast_typing_is_not(controls: Controls) -> None:
    script = Script("left", "left", "t", "a", "b", "enter", "q")
    walk(controls, script)
    assert script.shown == [(0, None), (1, None), (2, None), (3, None)]
    assert controls.player.now.action == "ab"


def test_pauses_draw_only_what_changed_its_size(controls: Controls) -> None:
    script = Script("t", "a", None, "q", "escape", "q")
    walk(controls, script)
    assert script.shown == [(0, None), (0, "a"), (0, "a"), (0, None)]


# --- the command


def test_screens_that_cannot_be_opened_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        with pytest.raises(ConfigError, match="window, terminal"):
            open_screen("tv", "title", stack)
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setattr("bagel_world.cli.play.Keyboard", lambda: Keyboard(0))
        monkeypatch.setattr(Keyboard, "__enter__", lambda keyboard: keyboard)
        monkeypatch.setattr(importlib, "import_module", _refuse)
        with pytest.raises(ConfigError, match="--screen terminal"):
            open_screen("window", "title", stack)
        assert isinstance(open_screen("auto", "title", stack), TerminalScreen)


def _refuse(name: str) -> Any:
    raise ImportError(f"No module named {name!r}")


def test_only_worlds_can_be_played() -> None:
    for name in ("CartPole-v1", "BagelNavigat-v0"):
        with pytest.raises(UnknownNameError, match="BagelNavigate-v0"):
            make_playable(name, checkpoint="fake")
    assert make_playable("bagel_world:BagelNavigate-v0", checkpoint="fake").dynamics.config.action_mode == "text"


def test_playing_needs_a_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with (tmp_path / "no terminal").open("wb") as file, pytest.raises(ConfigError, match="needs a terminal"):
        Keyboard(file.fileno()).__enter__()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_walk_through_a_terminal(tmp_path: Path) -> None:
    """The command itself in a terminal of its own: keys go in, screens come out, the terminal is left as it was."""
    import fcntl
    import pty
    import termios

    main_end, its_end = pty.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 110, 0, 0))
    before = termios.tcgetattr(its_end)
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        environment.pop(name, None)
    words = [sys.executable, "-m", "bagel_world.cli", "play", "--checkpoint", "fake", "--out", str(tmp_path)]
    with subprocess.Popen(words, stdin=its_end, stdout=its_end, stderr=its_end, env=environment) as process:
        shown = b""

        def until(text: str) -> None:
            nonlocal shown
            end = time.monotonic() + 120
            while text.encode() not in shown:
                assert time.monotonic() < end, shown[-2000:].decode(errors="replace")
                if select.select([main_end], [], [], 0.2)[0]:
                    shown += os.read(main_end, 65536)
            shown = b""

        until("q quit")
        for keys, text in (
            (b"\x1b[D", "Look left"),
            (b"1", "Move forward"),
            (b"u", "(+1 undone)"),
            (b"tOpen the door\r", "Open the door"),
            (b"g", "Saved 3 frames"),
        ):
            os.write(main_end, keys)
            until(text)
        os.write(main_end, b"q")
        until("walk-00000.gif")
        assert process.wait(60) == 0
    assert termios.tcgetattr(its_end) == before
    os.close(main_end)
    os.close(its_end)
    assert len(iio.imread(tmp_path / "walk-00000.gif")) == 3


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["play", "--help"])
    assert stop.value.code == 0
    assert "Example: bagel-world play" in " ".join(capsys.readouterr().out.split())
