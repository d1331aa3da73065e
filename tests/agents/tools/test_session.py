"""The live walk moves when one acts and never otherwise; what may be spent is spent once."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bagel_world import BagelWorld
from bagel_world.agents import Limits, WorldSession, call_tool
from bagel_world.agents.tools.tool import FIXABLE
from bagel_world.agents.tools.world_tools import TOOLS
from bagel_world.envs import WorldEnv, state_to_bytes
from bagel_world.errors import (
    AccessError,
    ActionError,
    CapabilityError,
    ConfigError,
    ImageError,
    LimitError,
    StateError,
    UnknownNameError,
    UnknownSettingError,
)
from bagel_world.world.fake import FakeWorld
from bagel_world.world.scoring import Goal
from bagel_world.world.weights import shipped

LEFT, AHEAD = "Look left", "Move forward"

needs_nano = pytest.mark.skipif("nano" not in shipped(), reason="the checkpoint nano is not in the package")


class Corridor(gym.Env[np.ndarray, Any]):
    """A real simulator in five lines: the view is as bright as the place; it cannot go back."""

    observation_space = spaces.Box(0, 255, (64, 64, 3), np.uint8)
    action_space = spaces.Discrete(2)
    action_words = ("Move forward", "Stay")
    length = 5

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps, self.place = 0, 0
        return self.look(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps, self.place = self.steps + 1, self.place + (int(action) == 0)
        there = self.place == self.length
        return self.look(), float(there), there, False, {"success": there}

    def look(self) -> np.ndarray:
        return np.full((64, 64, 3), 40 * self.place, dtype=np.uint8)


def goal_view(world: FakeWorld, *words: str, seed: int = 0) -> np.ndarray:
    """What is seen after these actions in a session of its own."""
    session = WorldSession(world, seed=seed)
    return [session.commit(word).frame for word in words][-1]


def whole(session: WorldSession) -> bytes:
    return state_to_bytes(session.get_state())


# --- looking ahead moves nothing

LOOKING = [
    ("observe", {}),
    ("imagine", {"actions": [LEFT, AHEAD, "Fly to the moon"]}),
    ("imagine", {"actions": ["Stay"], "draw": 7}),
    ("compare", {"futures": [[LEFT], [AHEAD, AHEAD]]}),
    ("compare", {"futures": [[LEFT]], "goal_text": "something red"}),
    ("rotate", {"direction": "right", "degrees": 45}),
    ("future", {"moments": 4}),
    ("ask", {"question": "Where are we?"}),
    ("plan", {"depth": 1}),
    ("plan", {"depth": 2, "search": "mcts"}),
]


@settings(max_examples=25)
@given(st.lists(st.sampled_from(LOOKING), min_size=1, max_size=5), st.sampled_from([LEFT, AHEAD]))
def test_looking_ahead_leaves_every_byte_of_the_walk_and_its_next_frame(calls: list[Any], word: str) -> None:
    world = FakeWorld(noise=9)
    looked, never = (WorldSession(world, goal=world.starts[1].frames[-1], seed=5) for _ in range(2))
    looked.commit(AHEAD), never.commit(AHEAD)
    before = whole(looked)
    for name, arguments in calls:
        call_tool(looked, name, arguments)
        assert whole(looked) == before
    np.testing.assert_array_equal(looked.commit(word).frame, never.commit(word).frame)


@pytest.mark.parametrize("name", ["fake", pytest.param("nano", marks=needs_nano)])
def test_looking_ahead_leaves_a_live_environment_as_it_was(name: str) -> None:
    world: Any = FakeWorld(noise=9) if name == "fake" else BagelWorld.from_pretrained("nano", device="cpu")
    looked_env, never_env = WorldEnv(world), WorldEnv(world)
    looked, never = (WorldSession(world, env, goal=world.starts[1].frames[-1], seed=2) for env in (looked_env, never_env))
    looked.commit(LEFT), never.commit(LEFT)
    before, noise = state_to_bytes(looked_env.get_state()), looked_env.np_random.bit_generator.state
    call_tool(looked, "imagine", {"actions": [LEFT, AHEAD]})
    call_tool(looked, "compare", {"futures": [[LEFT, LEFT], [AHEAD]]})
    call_tool(looked, "plan", {"depth": 1})
    assert state_to_bytes(looked_env.get_state()) == before
    assert looked_env.np_random.bit_generator.state == noise
    np.testing.assert_array_equal(looked.commit(AHEAD).frame, never.commit(AHEAD).frame)
    np.testing.assert_array_equal(looked_env.reset()[0], never_env.reset()[0])


def test_a_simulator_is_not_stepped_by_looking_ahead() -> None:
    env = Corridor()
    session = WorldSession(FakeWorld(), env)
    call_tool(session, "compare", {"futures": [[AHEAD], ["Stay"]], "goal_text": "white"})
    call_tool(session, "imagine", {"actions": [AHEAD] * 4})
    assert (env.steps, env.place) == (0, 0)


# --- acting


@pytest.mark.parametrize("name", ["fake", pytest.param("nano", marks=needs_nano)])
def test_what_is_imagined_first_is_what_acting_shows(name: str) -> None:
    world: Any = FakeWorld(noise=9) if name == "fake" else BagelWorld.from_pretrained("nano", device="cpu")
    session = WorldSession(world, seed=3)
    ((first, second),) = session.imagine([[LEFT, AHEAD]])
    np.testing.assert_array_equal(session.commit(LEFT).frame, first.frame)
    np.testing.assert_array_equal(session.commit(AHEAD).frame, second.frame)


def test_other_draws_are_other_futures_and_come_again() -> None:
    session = WorldSession(FakeWorld(noise=9))
    frames = [session.imagine([[LEFT]], draw=draw)[0][0].frame for draw in (0, 1, 1, 2)]
    np.testing.assert_array_equal(frames[1], frames[2])
    assert not np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[1], frames[3])


def test_acting_happens_in_the_environment() -> None:
    env = Corridor()
    session = WorldSession(FakeWorld(), env)
    place = session.commit("move forward")
    assert (env.place, place.step, place.reward, place.over) == (1, 1, 0.0, False)
    np.testing.assert_array_equal(place.frame, env.look())
    # What came is what is looked ahead from: the newest frame of the context, after the words that led there.
    assert [each.shape for each in place.context.frames] == [(64, 64, 3)] * 2


def test_the_end_of_an_episode_is_told_and_kept() -> None:
    session = WorldSession(FakeWorld(), Corridor())
    texts = [call_tool(session, "commit", {"action": AHEAD}).text for _ in range(5)]
    assert "the goal is reached" in texts[-1]
    assert "paid 1" in texts[-1]
    with pytest.raises(StateError, match="Reset to begin again"):
        session.commit(AHEAD)
    session.reset()
    assert session.commit(AHEAD).step == 1


def test_an_environment_takes_its_own_words_only() -> None:
    session = WorldSession(FakeWorld(), Corridor())
    before = session.place
    with pytest.raises(ActionError, match="Did you mean 'Move forward'"):
        session.commit("Move forwards")
    assert session.place is before
    assert session.meter.steps == 0


def test_undo_goes_back_to_the_bit() -> None:
    session = WorldSession(FakeWorld(noise=9), seed=1)
    states = [whole(session)]
    for word in (LEFT, AHEAD, LEFT):
        session.commit(word)
        states.append(whole(session))
    session.undo()
    assert whole(session) == states[2]
    session.undo(2)
    assert whole(session) == states[0]
    with pytest.raises(StateError, match="0 steps can be taken back"):
        session.undo()
    assert whole(session) == states[0]


def test_undo_takes_an_environment_back_that_can_go_back() -> None:
    env = WorldEnv(FakeWorld(noise=9))
    session = WorldSession(env.world, env)
    before = state_to_bytes(env.get_state())
    first = session.commit(LEFT).frame
    session.undo()
    assert state_to_bytes(env.get_state()) == before
    np.testing.assert_array_equal(session.commit(LEFT).frame, first)


def test_undo_takes_a_limit_of_steps_back_too() -> None:
    env = TimeLimit(WorldEnv(FakeWorld()), max_episode_steps=3)
    session = WorldSession(FakeWorld(), env)
    for _ in range(3):
        session.commit(LEFT)
    assert session.place.truncated
    session.undo(3)
    assert not session.place.over
    assert [session.commit(LEFT).truncated for _ in range(3)] == [False, False, True]


def test_a_closed_session_closes_its_environment() -> None:
    env = Corridor()
    closed: list[bool] = []
    env.close = lambda: closed.append(True)  # type: ignore[method-assign]
    WorldSession(FakeWorld(), env).close()
    assert closed == [True]
    WorldSession(FakeWorld()).close()


@pytest.mark.parametrize("said", [np.bool_(True), np.float32(1.0), True])
def test_success_is_told_by_any_truth(said: Any) -> None:
    class Robot(Corridor):
        def step(self, action: Any) -> Any:
            return *super().step(action)[:4], {"is_success": said}

    assert WorldSession(FakeWorld(), Robot()).commit(AHEAD).success is True


def test_undo_says_so_where_an_environment_cannot_go_back() -> None:
    env = Corridor()
    session = WorldSession(FakeWorld(), env)
    session.commit(AHEAD)
    with pytest.raises(StateError, match="cannot go back"):
        session.undo()
    assert (env.place, session.place.step) == (1, 1)


def test_equal_seeds_walk_alike_and_others_elsewhere() -> None:
    world = FakeWorld(noise=9)
    one, same, other = (WorldSession(world, seed=seed) for seed in (4, 4, 5))
    assert whole(one) == whole(same)
    assert whole(one) != whole(other)
    other.reset(4)
    assert whole(other) == whole(one)
    one.commit(LEFT)
    one.reset()
    assert whole(one) == whole(same)


def test_a_picture_of_ones_own_begins_a_walk() -> None:
    picture = np.zeros((90, 200, 3), dtype=np.uint8)
    picture[:, 55:145] = 255
    session = WorldSession(FakeWorld())
    session.commit(LEFT)
    place = session.begin(picture)
    assert (place.step, session.walk.steps_back) == (0, 0)
    np.testing.assert_array_equal(place.frame, np.full((64, 64, 3), 255))
    with pytest.raises(StateError, match="shows its own pictures"):
        WorldSession(FakeWorld(), Corridor()).begin(picture)


def test_a_world_without_starts_waits_for_a_picture() -> None:
    class Blank(FakeWorld):
        @property
        def starts(self) -> tuple[Any, ...]:
            return ()

    session = WorldSession(Blank())
    assert session.reset() is None
    for name, arguments in [("observe", {}), ("imagine", {"actions": [LEFT]}), ("commit", {"action": LEFT}), ("plan", {})]:
        with pytest.raises((StateError, ConfigError), match=r"observe with a picture file|has no goal"):
            call_tool(session, name, arguments)
    session.begin(np.zeros((64, 64, 3), np.uint8))
    assert session.commit(LEFT).step == 1


# --- goals


def test_the_goal_is_the_callers_the_sessions_or_missing(tmp_path: Path) -> None:
    world = FakeWorld(noise=0)
    seen = goal_view(world, LEFT)
    (now, _, scores) = WorldSession(world).compare([[LEFT], [AHEAD]], Goal(image=seen))
    assert scores[0] == pytest.approx(1.0)
    assert scores[1] < 0.99
    assert now < 0.99
    with pytest.raises(ConfigError, match="goal_image"):
        WorldSession(world).goal()
    assert WorldSession(world, goal="the red door").goal().text == "the red door"
    assert WorldSession(world, goal="the red door").goal(text="das blaue Boot").text == "das blaue Boot"


def test_a_goal_in_words_needs_a_world_that_judges() -> None:
    class Silent(FakeWorld):
        can_write = False  # pyright: ignore[reportAssignmentType]

    session = WorldSession(Silent())
    with pytest.raises(CapabilityError):
        session.compare([[LEFT]], Goal(text="the red door"))
    assert session.meter.frames == 0


# --- limits


def test_steps_frames_and_calls_run_out_and_a_reset_refills_nothing() -> None:
    session = WorldSession(FakeWorld(), limits={"steps": 2, "frames": 6, "calls": 9, "horizon": 4, "futures": 2})
    session.commit(LEFT)
    session.commit(LEFT)
    session.reset()
    with pytest.raises(LimitError, match="2 steps of this session are spent"):
        session.commit(LEFT)
    session.imagine([[LEFT, LEFT, LEFT]])
    with pytest.raises(LimitError, match="needs 2 imagined frames, 1 of 6 are left"):
        session.imagine([[LEFT, AHEAD]])
    session.imagine([[LEFT]])
    with pytest.raises(LimitError, match="Ask for fewer"):
        session.imagine([[LEFT]])
    assert session.meter.frames == 6
    for _ in range(9):
        call_tool(session, "observe")
    with pytest.raises(LimitError, match="9 tool calls of this session are spent"):
        call_tool(session, "observe")


def test_shared_beginnings_are_paid_once() -> None:
    session = WorldSession(FakeWorld())
    session.imagine([[LEFT, LEFT], [LEFT, AHEAD], [LEFT]])
    assert session.meter.frames == 3


def test_too_many_and_too_long_futures_are_refused() -> None:
    session = WorldSession(FakeWorld(), limits=Limits(horizon=2, futures=2))
    with pytest.raises(LimitError, match="at most 2 futures"):
        session.imagine([[LEFT]] * 3)
    with pytest.raises(LimitError, match="at most 2 actions"):
        session.imagine([[LEFT] * 3])
    assert session.meter.frames == 0


def test_seconds_run_out() -> None:
    now = [0.0]
    session = WorldSession(FakeWorld(), limits={"seconds": 10}, clock=lambda: now[0])

    def slow() -> None:
        with session.turn():
            now[0] += 6

    slow(), slow()
    now[0] += 1000  # between calls the time is the caller's
    assert session.meter.seconds == 12
    with pytest.raises(LimitError, match="10 seconds of this session are spent"):
        call_tool(session, "observe")


def test_a_call_that_fails_counts_too() -> None:
    session = WorldSession(FakeWorld(), limits={"calls": 2})
    for _ in range(2):
        with pytest.raises(StateError):
            call_tool(session, "undo")
    with pytest.raises(LimitError):
        call_tool(session, "observe")


def test_a_call_that_cannot_be_read_counts_too() -> None:
    session = WorldSession(FakeWorld(), limits={"calls": 3})
    for name, arguments in (("fly", {}), ("commit", {"acton": "Stay"}), ("commit", "{")):
        with pytest.raises((ConfigError, UnknownNameError)):
            call_tool(session, name, arguments)
    with pytest.raises(LimitError, match="3 tool calls"):
        call_tool(session, "fly")


def test_work_that_breaks_is_paid_for() -> None:
    class Breaking(FakeWorld):
        advanced = False

        def advance(self, contexts: Any, *, seeds: Any) -> Any:
            if self.advanced:
                raise RuntimeError("broken")
            self.advanced = True
            return super().advance(contexts, seeds=seeds)

    session = WorldSession(Breaking(), goal="red")
    with pytest.raises(RuntimeError, match="broken"):
        call_tool(session, "plan", {"depth": 2})
    assert session.meter.frames == len(session.words)

    class Blind(Corridor):
        def look(self) -> Any:
            return super().look() if not self.steps else np.full((64, 64, 3), np.nan)

    session = WorldSession(FakeWorld(), Blind())
    with pytest.raises(ImageError):
        session.commit(AHEAD)
    assert session.meter.steps == 1


def test_no_batch_begins_behind_the_last_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("bagel_world.agents.imagination.time.perf_counter", lambda: now[0])

    class Slow(FakeWorld):
        def advance(self, contexts: Any, *, seeds: Any) -> Any:
            now[0] += 6
            return super().advance(contexts, seeds=seeds)

    session = WorldSession(Slow(), goal="red", limits={"seconds": 10}, clock=lambda: now[0])
    with pytest.raises(LimitError, match="10 seconds of this session ended"):
        call_tool(session, "imagine", {"actions": ["Stay"] * 8})
    assert (session.meter.frames, session.meter.seconds) == (2, 12)
    session = WorldSession(Slow(), goal="red", limits={"seconds": 10}, clock=lambda: now[0])
    reply = call_tool(session, "plan", {"depth": 4})
    assert len(reply.facts["actions"]) <= 2
    assert session.meter.seconds == 12


def test_a_plan_stays_within_the_frames_left() -> None:
    session = WorldSession(FakeWorld(), goal="red", limits={"frames": 7})
    call_tool(session, "plan", {"depth": 4})
    assert session.meter.frames <= 7


def test_unknown_limits_are_named() -> None:
    with pytest.raises(UnknownSettingError, match="Did you mean 'frames'"):
        WorldSession(FakeWorld(), limits={"frame": 3})
    with pytest.raises(ConfigError, match="steps"):
        Limits(steps=0)


# --- whatever a caller writes

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([LEFT, "left", "key.png"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = [tool.tool_name for tool in TOOLS]
FIELDS = sorted({name for tool in TOOLS for name in tool.model_fields})


@settings(max_examples=120)
@given(
    st.lists(st.tuples(st.sampled_from([*NAMES, "fly"]), st.dictionaries(st.sampled_from(FIELDS), JUNK, max_size=4)), max_size=6)
)
def test_any_arguments_get_an_answer_or_words(calls: list[tuple[str, dict[str, Any]]]) -> None:
    session = WorldSession(FakeWorld(), goal="red", limits={"frames": 40})
    for name, arguments in calls:
        with suppress(*FIXABLE):
            assert call_tool(session, name, arguments).text
    assert session.meter.frames <= 40
    assert 0 <= session.place.step <= len(calls)


# --- sessions apart


def test_calls_at_the_same_time_take_turns() -> None:
    session = WorldSession(FakeWorld())
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: call_tool(session, "commit", {"action": LEFT}), range(24)))
    assert sorted(reply.facts["step"] for reply in replies) == list(range(1, 25))
    assert (session.place.step, session.meter.steps, session.walk.steps_back) == (24, 24, 24)


def test_sessions_of_one_world_never_meet() -> None:
    world = FakeWorld(noise=9)
    one, other = WorldSession(world, limits={"steps": 1}), WorldSession(world)
    before = whole(other)
    one.commit(LEFT)
    with pytest.raises(LimitError):
        one.commit(LEFT)
    assert whole(other) == before
    assert (other.meter.calls, other.meter.steps, other.meter.frames, other.walk.steps_back) == (0, 0, 0, 0)


@pytest.mark.parametrize("seed", [None, -1, 2**63, True])
def test_a_seed_that_is_none_is_refused(seed: Any) -> None:
    with pytest.raises(ConfigError, match="Expected a seed from 0"):
        WorldSession(FakeWorld(), seed=seed)


def test_a_goal_keeps_all_that_it_says() -> None:
    world = FakeWorld()
    far, near = world.starts[3].frames[-1], world.starts[0].frames[0]
    assert len(WorldSession(world, goal=Goal(image=far, explored=(near,))).goal().explored) == 1
    for words in ("", "x" * 10_000):
        with pytest.raises(ConfigError, match="Expected a goal"):
            WorldSession(world, goal=Goal(text=words))


@pytest.mark.parametrize("search", ["beam", "mcts", "cem"])
def test_searches_that_enumerate_nothing_take_many_actions(search: str) -> None:
    world = FakeWorld(action_words=tuple(f"go {place}" for place in range(20)))
    session = WorldSession(world, goal=world.starts[3].frames[-1])
    assert call_tool(session, "plan", {"depth": 4, "search": search}).facts["actions"]


def test_a_turn_within_a_turn_is_one_call() -> None:
    session = WorldSession(FakeWorld())
    with session.turn():
        call_tool(session, "observe")
        assert session.meter.seconds_left > 0
    assert session.meter.calls == 1
    assert session.meter.seconds > 0


def test_a_folder_that_is_gone_is_a_wrong_name(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / ".env").write_text("SECRET=1")
    (folder / "notes.txt").write_text("none")
    Image.new("RGB", (4, 4)).save(folder / "duck.png")
    session = WorldSession(FakeWorld(), folders=[folder])
    with pytest.raises(AccessError, match=r"Did you mean 'duck\.png'") as told:
        call_tool(session, "observe", {"image": "dock.png"})
    assert "notes" not in str(told.value)
    assert ".env" not in str(told.value)
    shutil.rmtree(folder)
    with pytest.raises(AccessError, match="none at the top"):
        call_tool(session, "observe", {"image": "duck.png"})


def test_a_reset_begins_again_at_the_picture_that_was_given_last() -> None:
    world = FakeWorld()
    session = WorldSession(world)
    own = world.starts[0].frames[1]
    begun = session.begin(own).frame
    session.commit("Look left")
    again = session.reset()
    assert again is not None
    np.testing.assert_array_equal(again.frame, begun)
    assert len(again.context.frames) == 1
    seeded = session.reset(3)
    assert seeded is not None
    elsewhere = session.reset()
    assert elsewhere is not None
    np.testing.assert_array_equal(elsewhere.frame, seeded.frame)
    assert len(elsewhere.context.frames) == 2


def test_one_folder_needs_no_list(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for folders in (tmp_path, str(tmp_path), [tmp_path]):
        assert WorldSession(FakeWorld(), folders=folders).gallery.open("a.png").shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"folders": 5}, "a folder of pictures, or a list"),
        ({"folders": [None]}, "Expected a folder of pictures, got None"),
        ({"limits": 5}, "limits by name"),
        ({"world": "nano"}, "from_pretrained"),
        ({"env": "BagelNavigate-v0"}, "gym.make"),
        ({"env": gym.Env(), "actions": ["Look left"]}, "by action word"),
    ],
)
def test_what_a_session_cannot_be_made_of_is_told(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        WorldSession(**{"world": FakeWorld(), **arguments})


@pytest.mark.parametrize("goal", ["", "a" * 5000])
def test_goals_in_words_that_cannot_be_read_are_called_goals(goal: str) -> None:
    with pytest.raises(ConfigError, match="Expected a goal in words"):
        WorldSession(FakeWorld()).goal(text=goal)


@pytest.mark.parametrize("within", [False, True])
def test_nothing_moves_in_a_session_that_is_over(within: bool) -> None:
    session = WorldSession(FakeWorld(), gym.make("BagelNavigate-v0", checkpoint="fake") if within else None)
    session.commit("Look left")
    session.close()
    for move in (session.reset, session.undo, lambda: session.commit("Look left"), lambda: session.begin(session.place.frame)):
        with pytest.raises(StateError, match="closed"):
            move()
    assert (session.place.step, session.meter.steps) == (1, 1)
