"""The planner as a whole: what it finds, what it leaves alone, and how it learns from what really came."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from bagel_world.agents import Aggregate, Budget, Exhaustive, Planner, Proposal, Random, Together, TrustRule
from bagel_world.envs import WorldEnv, state_to_bytes
from bagel_world.errors import ActionError, CapabilityError, ConfigError, ImageError, OutputError
from bagel_world.types import Action
from bagel_world.world.fake import FakeWorld
from bagel_world.world.scoring import Goal
from tests.agents.tape import SIDE, WORDS, TapeWorld, by_tape, empty_tape, matches, read_tape
from tests.world.loose import NO_SCORES, Loose

NEVER = float("inf")


class TapeEnv(gym.Env[np.ndarray, Any]):
    """What really comes: the tape gets what was done, or what `really` says in its place."""

    action_words = WORDS
    observation_space = spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
    action_space = spaces.Discrete(4)

    def __init__(self, really: dict[int, int] | None = None, ends: dict[int, str] | None = None) -> None:
        self.really, self.ends = really or {}, ends or {}
        self.done: list[int] = []
        self.resets: list[Any] = []
        self.tape = empty_tape()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.resets.append((seed, options))
        self.tape, self.done = empty_tape(), []
        return self.tape.copy(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        place = len(self.done)
        self.done.append(int(action))
        self.tape[0, place] = self.really.get(place, int(action)) + 1
        end = self.ends.get(place)
        return self.tape.copy(), 0.5, end == "terminated", end == "truncated", {"place": place, "success": end == "terminated"}


def planner(score: Any = None, *, depth: int = 2, **settings: Any) -> Planner:
    return Planner(TapeWorld(), Exhaustive(depth=depth), score or matches((1, 2, 0)), **{"stop_at": 0.99, **settings})


# --- what it finds


@pytest.mark.parametrize("room", range(4))
@pytest.mark.parametrize(
    "walk", [("Look left",), ("Look right", "Look right"), ("Look left", "Move forward"), ("Move forward",) * 2]
)
def test_a_goal_picture_that_can_be_reached_is_reached(room: int, walk: tuple[str, ...]) -> None:
    world = FakeWorld(noise=0)
    start = world.starts[room].frames[0]
    context = world.observe(start)
    for word in walk:
        (context,) = world.advance([context.say(word)], seeds=[0])
    plan = Planner(world, Exhaustive(depth=len(walk))).plan(start, context.frames[-1])
    assert plan.chosen is not None
    assert plan.chosen.words == walk
    assert plan.chosen.scores[-1] == 1.0
    np.testing.assert_array_equal(plan.chosen.frames[-1], context.frames[-1])
    assert plan.cost.model_calls == len(walk) + 2  # imagined steps, the score of the present, the scores of all futures
    assert plan.scorer == "goal_image"
    report = Planner(world, Exhaustive(depth=len(walk))).run(WorldEnv(world, reset_options={"image": start}), context.frames[-1])
    assert (report.end, report.success, len(report.steps)) == ("goal", True, len(walk))


def test_words_are_judged_in_the_context_that_imagined() -> None:
    world = FakeWorld(noise=0)
    shown: list[Any] = []
    judge = world.judge

    def spy(contexts: Any, goals: Any) -> Any:
        shown.extend(contexts)
        return judge(contexts, goals)

    world.judge = spy  # pyright: ignore[reportAttributeAccessIssue]
    plan = Planner(world, Exhaustive(depth=1), stop_at=NEVER).plan(world.starts[0].frames[0], "the red wall")
    assert plan.scorer == "judge"
    assert len(shown) == 1 + 4
    assert [len(context.frames) for context in shown] == [1, 2, 2, 2, 2]
    values = {each.words[0]: each.scores[0] for each in plan.candidates}
    assert values == {context.items[1]: judge([context], ["the red wall"])[0] for context in shown[1:]}


def test_a_goal_in_words_needs_a_world_that_writes() -> None:
    class Mute(FakeWorld):
        can_write = False  # pyright: ignore[reportAssignmentType,reportIncompatibleMethodOverride]

    world = Mute()
    with pytest.raises(CapabilityError, match="'judge' needs a world that was taught to write"):
        Planner(world).plan(world.starts[0].frames[0], "the yellow duck")
    assert world.model_calls == 0


def test_nothing_is_imagined_at_the_goal() -> None:
    world = FakeWorld()
    frame = world.starts[0].frames[0]
    plan = Planner(world).plan(frame, frame)
    assert (plan.actions, plan.choice, plan.stops, plan.cost.imagined_frames) == ((), None, True, 0)
    assert "The goal is reached" in plan.reason
    assert Planner(world, stop_at=NEVER).plan(frame, frame).actions
    assert Planner(world, scorer="random").plan(frame, frame).actions  # a control never says that it is there


def test_the_reason_names_what_was_weighed() -> None:
    plan = planner(by_tape({(1, 2): 1.0, (0, 3): 0.5}), aggregate=Aggregate(kind="last", discount=1.0)).plan(empty_tape(), "x")
    assert plan.reason == (
        "'Look left, Look right' is worth 1.000 by callable:<lambda>, the best of 16 candidates; "
        "'Move forward, Stay' comes next with 0.500, the present frame is worth 0.000."
    )
    assert "drawn from the 4 best of 4 candidates" in planner(lambda frame, goal: 0.1, depth=1).plan(empty_tape(), "x").reason


@pytest.mark.parametrize("scores", NO_SCORES)
def test_what_is_no_score_names_the_scorer(scores: tuple[Any, ...]) -> None:
    with pytest.raises(OutputError, match="loose"):
        planner(Loose(*scores)).plan(empty_tape(), "x")


@pytest.mark.parametrize("seed", [None, -1, 2**63, True, 0.5, "1"])
def test_a_seed_that_is_none_is_refused(seed: Any) -> None:
    with pytest.raises(ConfigError, match="Expected a seed from 0"):
        planner().plan(empty_tape(), "x", seed=seed)


@pytest.mark.parametrize("trust", [0.0, -1.0, 5.0, float("nan")])
def test_trust_out_of_range_is_refused(trust: float) -> None:
    with pytest.raises(ConfigError, match="trust above 0 and up to 1"):
        planner().plan(empty_tape(), "x", trust=trust)
    with pytest.raises(ConfigError, match="stop_at"):
        planner(stop_at=float("nan"))


@pytest.mark.parametrize("given", [{"search": Exhaustive}, {"proposer": Exhaustive}, {"scorer": Loose}])
def test_a_class_is_no_part(given: dict[str, type]) -> None:
    (made,) = given.values()
    with pytest.raises(ConfigError, match=rf"got the class {made.__name__}. Make one: {made.__name__}\(\)"):
        Planner(TapeWorld(), **given)


def test_a_run_begins_at_a_frame_too() -> None:
    world = TapeWorld()
    with pytest.raises(ConfigError, match="begins at a frame"):
        Planner(world, scorer=matches((1,))).run(TapeEnv(), "x", context=world.begin())


@pytest.mark.parametrize("words", [WORDS, ()])
def test_free_words_that_cannot_be_read_harm_nothing(words: tuple[str, ...]) -> None:
    class Silent:
        def invoke(self, messages: Any) -> str:
            return ""

    world = FakeWorld(action_words=words)
    plan = Planner(world, Silent(), lambda frame, goal: 0.0, words=()).plan(world.starts[0].frames[0], "x")
    assert {each.words for each in plan.candidates} == ({(word,) for word in words} or {()})
    assert len(plan.malformed) > 0


# --- what it leaves alone


def test_planning_leaves_the_live_environment_as_it_is() -> None:
    env = WorldEnv(FakeWorld(), action_mode="discrete")
    env.reset(seed=3)
    env.step(1)
    before = state_to_bytes(env.get_state())
    Planner(env.world, Random(count=5, depth=3)).plan(env.session.context, env.world.starts[2].frames[0])
    assert state_to_bytes(env.get_state()) == before


def test_only_what_is_chosen_is_done() -> None:
    env = TapeEnv()
    done: list[int] = []

    def watch(step: Any) -> None:
        done.append(step.action.id)
        assert env.done == done

    report = planner().run(env, "x", watch=watch, seed=9, options={"a": 1})
    assert env.resets == [(9, {"a": 1})]
    assert env.done == [1, 2, 0]
    assert report.actions == tuple(Action(text=WORDS[place], id=place) for place in (1, 2, 0))
    assert (report.end, report.success, report.score) == ("goal", True, 1.0)
    assert len(report.plans) == 4


def test_an_environment_that_is_reset_already_is_not_reset() -> None:
    env = TapeEnv()
    frame, _ = env.reset(seed=1)
    planner().run(env, "x", frame=frame, steps=1)
    assert len(env.resets) == 1
    report = planner().run(env, "x", context=TapeWorld().observe(env.tape), steps=2)
    assert len(env.resets) == 1
    assert read_tape(report.steps[-1].frame) == (1, 2, 0)


# --- what really came


def test_the_next_plan_begins_at_what_really_came() -> None:
    env = TapeEnv(really={0: 3, 1: 2, 2: 0})
    report = planner(stop_at=NEVER).run(env, "x", steps=3)
    assert [read_tape(step.frame) for step in report.steps] == [(3,), (3, 2), (3, 2, 0)]
    assert report.steps[0].imagined is not None
    assert read_tape(report.steps[0].imagined) == (1,)
    for before, after in zip(report.steps, report.steps[1:], strict=False):
        assert after.plan is not None
        for each in after.plan.candidates:
            assert read_tape(each.frames[0])[:-1] == read_tape(before.frame)


def test_surprise_is_the_distance_of_both_and_lowers_trust_by_its_rule() -> None:
    rule = TrustRule(tolerance=0.1, memory=0.25)
    report = planner(stop_at=NEVER, trust=rule).run(TapeEnv(really={1: 3}), "x", steps=4)
    mean = 0.0
    for place, step in enumerate(report.steps):
        assert step.imagined is not None
        assert step.surprise == 1.0 - TapeWorld().similarity([step.imagined], [step.frame])[0]
        assert (step.surprise == 0.0) == (place != 1)
        mean = 0.25 * mean + 0.75 * step.surprise
        assert step.trust == pytest.approx(1 / (1 + mean / 0.1))
        if place:
            assert step.plan is not None
            assert step.plan.trust == report.steps[place - 1].trust
    assert report.steps[0].trust == 1.0 > report.steps[1].trust
    assert "Trust in what is imagined" in report.steps[2].plan.reason  # pyright: ignore[reportOptionalMemberAccess]


def test_a_plan_is_followed_as_far_as_agreed_and_given_up_when_it_surprises() -> None:
    calm = planner(depth=3, commit=3, stop_at=NEVER).run(TapeEnv(), "x", steps=6)
    assert [step.plan is not None for step in calm.steps] == [True, False, False, True, False, False]
    jumpy = planner(depth=3, commit=3, stop_at=NEVER, trust=TrustRule(tolerance=1e-6)).run(TapeEnv(really={1: 3}), "x", steps=6)
    assert [step.plan is not None for step in jumpy.steps] == [True, False, True, False, False, True]


def test_with_the_same_world_and_seeds_nothing_surprises() -> None:
    world = FakeWorld(noise=40)
    env = WorldEnv(world, reset_options={"image": world.starts[0].frames[0]})
    for _ in range(3):
        frame, _ = env.reset()
        goal = world.starts[1].frames[0]
        report = Planner(world, stop_at=NEVER).run(env, goal, frame=frame, seed=env.session.noise_seed, steps=6)
        assert report.surprises == (0.0,) * 6
        assert all(step.trust == 1.0 for step in report.steps)
    frame, _ = env.reset()
    other = Planner(world, stop_at=NEVER).run(env, goal, frame=frame, seed=env.session.noise_seed + 1, steps=6)
    assert min(other.surprises) > 0.0


def test_the_same_seed_gives_the_same_walk() -> None:
    def told(seed: int) -> Any:
        report = planner(lambda frame, goal: 0.2, depth=1).run(TapeEnv(), "x", seed=seed, steps=5)
        return report.actions, report.surprises, [plan.reason for plan in report.plans]

    assert told(2) == told(2)
    assert len({told(seed)[0] for seed in range(5)}) > 1


class Curious:
    """Scores by the tape, less so what was explored; remembers how much that was."""

    source, calibration, model_calls, judges_success, success_distance = "curious", "", 1, True, 0.01

    def __init__(self, curiosity: float) -> None:
        self.curiosity = curiosity
        self.explored: list[tuple[Any, ...]] = []

    def score(self, world: Any, candidates: Any) -> list[float]:
        self.explored.append(tuple(read_tape(frame) for frame in candidates[0].goal.explored))
        plain = matches((1, 2, 0))
        return [plain(each.frame, each.goal) - self.curiosity * bool(each.goal.explored) for each in candidates]


@pytest.mark.parametrize("curiosity", [0.0, 0.5])
def test_what_was_planned_at_counts_as_explored_but_does_not_keep_from_arriving(curiosity: float) -> None:
    scorer = Curious(curiosity)
    report = planner(scorer, stop_at=None).run(TapeEnv(), "x")
    assert (report.end, report.score, len(report.steps)) == ("goal", 1.0, 3)
    assert max(scorer.explored, key=len) == ((), (1,), (1, 2))
    assert report.goal.explored == ()
    alone = sum(not each for each in scorer.explored)
    assert alone == (2 if curiosity == 0.0 else 5)  # the first plan; where it matters also every place that it came to


# --- how it ends


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_the_environment_may_end_it(end: str) -> None:
    report = planner(stop_at=NEVER, commit=2).run(TapeEnv(ends={1: end}), "x")
    assert (report.end, len(report.steps), report.success) == (end, 2, end == "terminated")
    assert report.score == pytest.approx(2 / 3)
    assert report.steps[-1].info["place"] == 1
    assert report.steps[-1].reward == 0.5


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_no_more_steps_than_asked_for(steps: int) -> None:
    env = TapeEnv()
    report = planner(commit=2).run(env, "x", steps=steps)
    assert (report.end, len(report.steps), len(env.done), report.success) == ("steps", steps, steps, False)
    assert report.score == pytest.approx(steps / 3)


def test_the_last_step_may_reach_the_goal() -> None:
    assert planner().run(TapeEnv(), "x", steps=3).end == "goal"


def test_the_proposer_may_say_stop() -> None:
    say = iter(["Look left", "Look left, Stop"])
    report = Planner(TapeWorld(), lambda tree: [next(say)], matches((1,)), stop_at=NEVER).run(TapeEnv(), "x")
    assert (report.end, report.success, len(report.steps)) == ("stop", True, 2)


def test_a_budget_that_was_spent_on_proposing_is_no_success() -> None:
    def spends_all(tree: Any) -> list[str]:
        tree.follow([tree.actions[1:2] * tree.left])
        return ["Look right, Stay"]

    with pytest.raises(ConfigError, match="2 frames of the budget were spent on proposing"):
        Planner(TapeWorld(), spends_all, matches((1,)), budget=Budget(frames=2), stop_at=NEVER).run(TapeEnv(), "x")


def test_a_rule_of_ones_own_may_stop() -> None:
    def nothing_better(plan: Any) -> bool:
        return max(each.value for each in plan.candidates) <= plan.now

    report = planner(stop_at=NEVER, stop_when=nothing_better).run(TapeEnv(), "x")
    assert (report.end, read_tape(report.steps[-1].frame)) == ("stop", (1, 2, 0))
    assert report.last_plan is report.plans[-1]


def test_costs_add_up() -> None:
    report = planner(stop_at=NEVER, budget=Budget(frames=7)).run(TapeEnv(), "x", steps=4)
    assert report.cost.imagined_frames == sum(plan.cost.imagined_frames for plan in report.plans) <= 28
    assert report.cost.model_calls == sum(plan.cost.model_calls for plan in report.plans) + 4  # and one comparison per step


def test_a_walk_becomes_an_episode() -> None:
    report = planner().run(TapeEnv(), "x")
    episode = report.to_episode()
    assert [read_tape(frame) for frame in episode.frames] == [(), (1,), (1, 2), (1, 2, 0)]
    assert episode.actions == report.actions
    assert episode.metadata["end"] == "goal"


def test_who_only_stays_has_not_arrived() -> None:
    report = Planner(TapeWorld(), lambda tree: [[]], matches((1, 2)), stop_at=NEVER).run(TapeEnv(), "x", steps=3)
    assert (report.end, report.success, len(report.steps)) == ("stop", False, 0)
    assert report.last_plan is not None
    assert not report.last_plan.stops


def test_the_plan_that_stops_behind_its_actions_is_the_last_one() -> None:
    def proposer(tree: Any) -> list[Proposal]:
        return [Proposal(actions=(Action(text=WORDS[1]),), stops=True)]

    report = Planner(TapeWorld(), proposer, matches((1, 2)), stop_at=NEVER).run(TapeEnv(), "x", steps=3)
    assert (report.end, report.success, len(report.steps)) == ("stop", True, 1)
    assert report.last_plan is report.steps[0].plan
    assert report.plans == (report.last_plan,)


# --- environments of other people


class Foreign(gym.Env[Any, Any]):
    """Numbers as observations, five actions without names, pictures of 30 x 40 on request."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    observation_space = spaces.Box(-1, 1, (2,))
    action_space = spaces.Discrete(5, start=-2)

    def __init__(self, render_mode: str | None = "rgb_array") -> None:
        self.render_mode = render_mode
        self.done: list[Any] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.done.append(action)
        return np.full(2, 0.5, np.float32), 0.0, False, False, {}

    def render(self) -> Any:
        return np.full((30, 40, 3), 10 * len(self.done), np.uint8)


def test_any_environment_that_renders_can_be_planned_in() -> None:
    env, moves = Foreign(), {"Look left": -2, "Look right": 2, "jump": 0}
    report = Planner(FakeWorld(), scorer=lambda frame, goal: 0.0).run(env, "x", actions=moves, steps=8)
    assert env.done == [moves[action.text] for action in report.actions]
    assert {action.text for plan in report.plans for each in plan.candidates for action in each.actions} == set(moves)
    assert report.start.shape == (64, 64, 3)
    assert [int(step.frame.mean()) for step in report.steps] == [10 * (place + 1) for place in range(8)]
    seen = Planner(FakeWorld(), scorer=lambda frame, goal: 0.0, words=["jump"]).run(
        Foreign(render_mode=None),
        "x",
        actions=moves,
        look=lambda numbers: np.full((8, 8, 3), int(100 * numbers[0]), np.uint8),
        steps=1,
    )
    assert seen.actions == (Action(text="jump", id=2),)
    assert seen.steps[0].frame.mean() == 50


@pytest.mark.parametrize("mode", ["text", "either"])
def test_an_environment_that_takes_words_is_told_words(mode: str) -> None:
    world = FakeWorld()
    env = WorldEnv(world, action_mode=mode)
    report = Planner(world, Exhaustive(depth=1), stop_at=NEVER, words=["wave a hand", "Look left"]).run(
        env, world.starts[1].frames[0], steps=3
    )
    assert [step.info["action_text"] for step in report.steps] == [action.text for action in report.actions]
    assert {each.words[0] for plan in report.plans for each in plan.candidates} == {"wave a hand", "Look left"}


def test_what_cannot_be_seen_or_done_is_explained() -> None:
    plain = Planner(FakeWorld(), scorer=lambda frame, goal: 0.0)
    with pytest.raises(ConfigError, match=r"Pass actions=\{'Move forward'"):
        plain.run(Foreign(), "x")
    with pytest.raises(ConfigError, match="render_mode='rgb_array'"):
        plain.run(Foreign(render_mode=None), "x", actions={"Stay": 0})
    with pytest.raises(ConfigError, match="at least one action word"):
        plain.run(Foreign(), "x", actions={})
    with pytest.raises(ConfigError, match="Expected actions that the environment has"):
        Planner(FakeWorld(), scorer="random", words=["fly"]).run(TapeEnv(), "x")
    with pytest.raises(ActionError, match=r"Expected one of the actions .*'hop'"):
        Planner(FakeWorld(), lambda tree: [Proposal(actions=(Action(text="hop"),))], lambda frame, goal: 0.0).run(TapeEnv(), "x")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"goal": Goal()}, ConfigError, "Expected a goal"),
        ({"goal": "  "}, ConfigError, "Expected a goal in words"),
        ({"goal": Goal(text="x" * 600)}, ConfigError, "one short sentence"),
        ({"goal": np.zeros(3)}, ImageError, "shape"),
        ({"goal": "x", "seen": TapeWorld().begin()}, ConfigError, "begins at a frame"),
    ],
)
def test_what_cannot_be_planned_is_explained(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        planner().plan(**{"seen": empty_tape(), **arguments})


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="commit"):
        planner(commit=0)
    with pytest.raises(ConfigError, match="'none'"):
        Planner(TapeWorld(), scorer="none")
    with pytest.raises(ConfigError, match="steps"):
        planner().run(TapeEnv(), "x", steps=-1)


@pytest.mark.sims
def test_it_walks_in_a_real_simulator() -> None:
    from bagel_world.sims import House

    env = House(split="test")
    goal, _ = env.reset(seed=4)
    frame, *_ = env.step(1)
    report = Planner(FakeWorld(), stop_at=NEVER).run(env, goal, frame=frame, steps=3)
    env.reset(seed=4)
    env.step(1)
    for step in report.steps:
        really, *_, info = env.step(step.action.id)
        np.testing.assert_array_equal(step.frame, really)
        np.testing.assert_array_equal(step.info["pose"], info["pose"])
        assert step.info["action_text"] == step.action.text
    env.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"world": "nano"}, "from_pretrained"),
        ({"budget": {"frames": 3}}, r"budget to be a Budget\(...\)"),
        ({"aggregate": "best"}, "aggregate to be"),
        ({"trust": 0.5}, "trust to be"),
        ({"stop_when": 3}, "stop_when"),
        ({"stop_at": "0.9"}, "stop_at"),
        ({"commit": 1.5}, "commit"),
        ({"commit": "2"}, "commit"),
        ({"words": 5}, "list of action words"),
    ],
)
def test_settings_of_another_type_are_told_at_once(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Planner(**{"world": FakeWorld(), **arguments})


def test_a_name_is_no_environment_and_half_a_step_none() -> None:
    planner = Planner(FakeWorld())
    with pytest.raises(ConfigError, match=r"gym\.make"):
        planner.run("BagelNavigate-v0", FakeWorld().starts[0].frames[1])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="steps"):
        planner.run(gym.Env(), FakeWorld().starts[0].frames[1], steps=2.5)  # type: ignore[arg-type]


def test_proposals_of_a_function_are_checked_as_its_words_are() -> None:
    world = FakeWorld()
    seen, goal = world.starts[0].frames[:2]
    plan = Planner(world, lambda tree: [Proposal(actions=("Look left",))]).plan(seen, goal)  # type: ignore[arg-type]
    assert [action.text for action in plan.actions] == ["Look left"]
    with pytest.raises(ActionError, match="Fly"):
        Planner(world, lambda tree: [Proposal(actions=(Action(text="Fly"),))]).plan(seen, goal)


@pytest.mark.parametrize(
    "arguments", [{"step": -1}, {"step": 1.5}, {"trust": "1"}, {"actions": "Look left"}, {"actions": {"Look left": 1}}]
)
def test_arguments_of_a_plan_that_do_not_fit_are_told(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        Planner(FakeWorld()).plan(*FakeWorld().starts[0].frames[:2], **arguments)


def test_what_can_be_done_may_be_said_in_words() -> None:
    plan = Planner(FakeWorld()).plan(*FakeWorld().starts[0].frames[:2], actions=["Look left"])
    assert {action for each in plan.candidates for action in each.actions} == {Action(text="Look left", id=0)}


@pytest.mark.parametrize("proposers", [["random"], "random", 5, (Random,)])
def test_several_proposers_are_objects(proposers: Any) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        Together(proposers)
