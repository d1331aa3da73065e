"""Searches against truths: what each of them must find, what it may cost, and that no action is favored by its place."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from bagel_world.agents import (
    Aggregate,
    Beam,
    BestOf,
    Budget,
    CrossEntropy,
    Exhaustive,
    MonteCarlo,
    Planner,
    Proposal,
    Random,
    Search,
)
from bagel_world.agents.imagination import Draw, Imagination
from bagel_world.agents.search.cem import first_chances, shares
from bagel_world.agents.search.ties import best, ranked
from bagel_world.errors import ConfigError, UnknownNameError, UnknownSettingError
from bagel_world.types import Action
from bagel_world.world.scoring import CallableScorer, Goal
from tests.agents.tape import WORDS, TapeWorld, by_tape, empty_tape, matches, read_tape

ANY = Goal(text="anything")
SEARCHES = (BestOf(), Beam(width=3), MonteCarlo(simulations=24), CrossEntropy(population=6, elites=2, rounds=2))


def names(search: Search) -> str:
    return type(search).__name__


def plan(search: Search, score: Any, *, world: TapeWorld | None = None, depth: int = 2, seed: int = 0, **settings: Any) -> Any:
    planner = Planner(world or TapeWorld(), Exhaustive(depth=depth), score, search, stop_at=float("inf"), **settings)
    return planner.plan(empty_tape(), ANY, seed=seed)


def tree_of(world: TapeWorld, score: Any, **settings: Any) -> Imagination:
    actions = tuple(Action(text=word, id=place) for place, word in enumerate(WORDS))
    return Imagination(world, world.observe(empty_tape()), ANY, scorer=CallableScorer(score), actions=actions, **settings)


def ids(future: Any) -> tuple[int, ...]:
    return tuple(action.id for action in future.actions)


# --- what they find


@pytest.mark.parametrize("wanted", [(1,), (2, 0), (0, 1, 3)])
def test_best_of_all_sequences_finds_the_only_one_that_leads_there(wanted: tuple[int, ...]) -> None:
    found = plan(BestOf(), by_tape({wanted: 1.0}), depth=len(wanted))
    assert ids(found.chosen) == wanted
    assert read_tape(found.chosen.frames[-1]) == wanted
    assert found.chosen.scores[-1] == 1.0
    assert len(found.candidates) == 4 ** len(wanted)
    assert found.cost.imagined_frames == sum(4**step for step in range(1, len(wanted) + 1))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_beam_of_full_width_is_best_of_all(depth: int) -> None:
    generator = np.random.default_rng(depth)
    values = {tape: float(generator.random()) for k in range(1, depth + 1) for tape in itertools.product(range(4), repeat=k)}
    last = Aggregate(kind="last")  # the best of a path may lie in a part that several candidates share
    exhaustive = plan(BestOf(), by_tape(values), depth=depth, aggregate=last)
    beam = plan(Beam(width=4**depth), by_tape(values), depth=depth, aggregate=last)
    assert {ids(each): each.value for each in beam.candidates} == {ids(each): each.value for each in exhaustive.candidates}
    assert ids(beam.chosen) == ids(exhaustive.chosen)
    assert beam.cost.imagined_frames == exhaustive.cost.imagined_frames


def test_a_narrow_beam_keeps_what_looks_best_so_far() -> None:
    values = {(0,): 0.5, (1,): 0.4, (0, 0): 0.6, (1, 1): 0.9}
    assert ids(plan(Beam(width=1), by_tape(values)).chosen) == (0, 0)
    assert ids(plan(Beam(width=2), by_tape(values)).chosen) == (1, 1)
    assert plan(Beam(width=1), by_tape(values)).cost.imagined_frames == 8


def test_cross_entropy_converges_on_the_sequence_that_scores() -> None:
    wanted = (2, 0, 3, 1, 2)
    search = CrossEntropy(population=40, elites=6, rounds=8, depth=5)
    found = plan(search, matches(wanted), depth=1)
    assert ids(found.chosen) == wanted
    assert found.cost.imagined_frames < 4**5 / 4


def test_cross_entropy_begins_with_what_was_proposed_and_moves_to_the_elite() -> None:
    one, two = Action(text="one"), Action(text="two")
    proposals = [Proposal(actions=(one, two)), Proposal(actions=(one,)), Proposal(actions=(two, two))]
    np.testing.assert_allclose(first_chances(proposals, (one, two), 3), [[3 / 5, 2 / 5], [1 / 4, 3 / 4], [1 / 2, 1 / 2]])
    np.testing.assert_allclose(shares([(0, 1), (0, 0)], 2), [[1.0, 0.0], [0.5, 0.5]])


def test_tree_search_finds_the_deep_future_and_tries_it_most() -> None:
    found = plan(MonteCarlo(simulations=120, redraw=0.0), by_tape({(2,): 0.2, (2, 1): 0.5, (2, 1, 0): 1.0}), depth=3)
    assert ids(found.chosen) == (2, 1, 0)
    assert found.chosen.visits == max(each.visits for each in found.candidates)


@pytest.mark.parametrize("redraw", [0.0, 0.6])
def test_the_visits_of_a_tree_add_up(redraw: float) -> None:
    world = TapeWorld(jitter=9)
    tree = tree_of(world, lambda frame, goal: float(frame[-1, -1, 0]) / 9, seed=3)
    search = MonteCarlo(simulations=70, redraw=redraw)
    root = search.grow(tree, tree.actions, 3, np.random.default_rng(0))
    assert root.visits == 70
    seen, places = 0, [root]
    while places:
        place = places.pop()
        seen += 1
        assert place.visits == sum(edge.visits for edge in place.edges) + place.ended
        for edge in place.edges:
            assert edge.visits == edge.settled == sum(outcome.visits for outcome in edge.outcomes)
            assert edge.pending == 0
            assert len(edge.outcomes) <= max(1, int(edge.visits**redraw))
            assert len({outcome.node.draw for outcome in edge.outcomes}) == len(edge.outcomes)
            places += edge.outcomes
    assert seen == tree.imagined + 1 == sum(world.batches) + 1
    assert max(len(edge.outcomes) for edge in root.edges) == (
        1 if redraw == 0.0 else int(max(e.visits for e in root.edges) ** redraw)
    )


def lottery(frame: np.ndarray, goal: Goal) -> float:
    """One action is safe, the others mostly nothing and rarely the jackpot."""
    return 0.5 if read_tape(frame)[:1] == (1,) else float(frame[-1, -1, 0] == 9)


def test_drawing_again_sees_through_a_lucky_first_picture() -> None:
    lucky = 0
    for seed in range(40):
        once = plan(BestOf(), lottery, world=TapeWorld(jitter=9), depth=1, seed=seed)
        often = plan(MonteCarlo(simulations=64, redraw=0.9), lottery, world=TapeWorld(jitter=9), depth=1, seed=seed)
        mean = plan(BestOf(draws=30), lottery, world=TapeWorld(jitter=9), depth=1, seed=seed)
        lucky += once.chosen.words != (WORDS[1],)
        assert often.chosen.words == mean.chosen.words == (WORDS[1],)
        assert mean.chosen.draws == 30
    assert lucky > 0


def test_actions_are_compared_under_equal_noise() -> None:
    world = TapeWorld(jitter=200)
    plan(BestOf(), lambda frame, goal: 0.0, world=world, depth=2)
    assert [len(set(world.seeds[:4])), len(set(world.seeds[4:]))] == [1, 1]
    assert world.seeds[0] != world.seeds[4]


# --- what they cost


@pytest.mark.parametrize("search", SEARCHES, ids=names)
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 11, 19])
def test_a_budget_of_frames_is_never_exceeded(search: Search, frames: int) -> None:
    world = TapeWorld()
    found = plan(search, matches((1, 2)), world=world, budget=Budget(frames=frames))
    assert sum(world.batches) == found.cost.imagined_frames <= frames
    assert found.actions
    for each in found.candidates:
        assert ids(each) == read_tape(each.frames[-1])


@pytest.mark.parametrize("frames", range(1, 21))
def test_best_of_leaves_nothing_that_still_fits(frames: int) -> None:
    found = plan(BestOf(), matches((1, 2)), budget=Budget(frames=frames), seed=frames)
    if frames == 1:
        assert [len(each.actions) for each in found.candidates] == [1]
        return
    weighed = {ids(each) for each in found.candidates}
    begun = {tape[0] for tape in weighed}
    left = frames - found.cost.imagined_frames
    for tape in set(itertools.product(range(4), repeat=2)) - weighed:
        assert (1 if tape[0] in begun else 2) > left


@pytest.mark.parametrize("search", [Beam(width=16), MonteCarlo(simulations=10_000, redraw=0.9)], ids=names)
@pytest.mark.parametrize("frames", [1, 7, 18])
def test_what_can_spend_its_budget_spends_all_of_it(search: Search, frames: int) -> None:
    assert plan(search, matches((1, 2)), budget=Budget(frames=frames)).cost.imagined_frames == frames


def test_after_the_time_no_batch_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr("bagel_world.agents.imagination.time.perf_counter", lambda: float(next(clock)))
    for search in SEARCHES:
        world = TapeWorld()
        found = plan(search, matches((1, 2, 0)), world=world, depth=3, budget=Budget(seconds=0.5))
        assert found.actions
        assert len(world.batches) == 1
        for each in found.candidates:
            assert ids(each) == read_tape(each.frames[-1])


def test_a_stop_that_was_not_reached_in_time_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr("bagel_world.agents.imagination.time.perf_counter", lambda: float(next(clock)))
    planner = Planner(TapeWorld(), lambda tree: ["Look left, Stay, Stop"], matches((1,)), budget=Budget(seconds=0.5))
    chosen = planner.plan(empty_tape(), ANY).chosen
    assert chosen is not None
    assert ([each.text for each in chosen.actions], chosen.stops) == (["Look left"], False)


def test_futures_that_begin_alike_are_imagined_once_and_in_one_batch_per_step() -> None:
    world = TapeWorld()
    plan(BestOf(), matches((1, 2)), world=world, depth=3)
    assert world.batches == [4, 16, 64]


# --- what they owe to nobody


@pytest.mark.parametrize("search", SEARCHES, ids=names)
def test_the_same_seed_gives_the_same_plan(search: Search) -> None:
    def told(seed: int) -> Any:
        found = plan(search, matches((1, 2)), world=TapeWorld(jitter=3), seed=seed)
        return found.choice, found.reason, [(ids(each), each.value, each.scores) for each in found.candidates]

    assert told(5) == told(5)
    assert len({str(told(seed)) for seed in range(6)}) > 1


CONSTANT = (
    (Exhaustive(depth=2), BestOf()),
    (Exhaustive(depth=2), BestOf(limit=3)),
    (Random(count=6, depth=2), BestOf()),
    (Exhaustive(depth=2), Beam(width=2)),
    (Exhaustive(depth=2), MonteCarlo(simulations=11)),
    (Exhaustive(depth=2), CrossEntropy(population=5, elites=2, rounds=2)),
)


@pytest.mark.parametrize(("proposer", "search"), CONSTANT, ids=lambda part: type(part).__name__)
@pytest.mark.parametrize("budget", [None, 5], ids=["free", "5-frames"])
def test_without_any_difference_every_action_is_as_likely_as_every_other(
    proposer: Any, search: Search, budget: int | None
) -> None:
    planner = Planner(TapeWorld(), proposer, lambda frame, goal: 0.3, search, budget=Budget(frames=budget))
    first = [planner.plan(empty_tape(), ANY, seed=seed).actions[0].id for seed in range(400)]
    counts = np.bincount(np.array(first), minlength=4)
    chi_square = float(((counts - 100.0) ** 2 / 100.0).sum())
    assert chi_square < 16.27  # 3 degrees of freedom, one in a thousand


def test_a_random_scorer_knows_nothing_of_places() -> None:
    planner = Planner(TapeWorld(), Exhaustive(depth=1), "random")
    first = [planner.plan(empty_tape(), ANY, seed=seed).actions[0].id for seed in range(400)]
    counts = np.bincount(np.array(first), minlength=4)
    assert float(((counts - 100.0) ** 2 / 100.0).sum()) < 16.27


def test_equal_values_are_ranked_by_a_draw() -> None:
    firsts = {ranked([1.0, 2.0, 2.0], np.random.default_rng(seed))[0] for seed in range(20)}
    assert firsts == {1, 2}
    assert {best([3.0, 1.0, 3.0 - 1e-12], np.random.default_rng(seed)) for seed in range(20)} == {0, 2}
    assert ranked([0.1, 0.3, 0.2], np.random.default_rng(0)) == [1, 2, 0]


# --- what they refuse


def test_settings_that_do_not_fit_are_explained() -> None:
    with pytest.raises(ConfigError, match=r"Beam\(width=...\) does not fit.*greater than or equal to 1.*got 0"):
        Beam(width=0)
    with pytest.raises(UnknownSettingError, match=r"no setting 'widht'.*'width'"):
        Beam(widht=3)  # pyright: ignore[reportCallIssue]
    with pytest.raises(ConfigError, match="at most as many elites"):
        CrossEntropy(population=3, elites=4)
    with pytest.raises(UnknownNameError, match=r"no search named 'beem'.*'beam'"):
        Planner(TapeWorld(), search="beem")
    with pytest.raises(ConfigError, match="Expected a search"):
        Planner(TapeWorld(), search=7)  # pyright: ignore[reportArgumentType]


def test_a_search_of_ones_own_cannot_break_the_budget() -> None:
    tree = tree_of(TapeWorld(), matches((1,)), budget=Budget(frames=2))
    with pytest.raises(ConfigError, match="2 frames are left of the budget of 2, 4 were asked for"):
        tree.grow([(tree.root, action, 0) for action in tree.actions])
    assert tree.imagined == 0
    assert len(tree.fitting([(tree.root, action, 0) for action in tree.actions])) == 2


def test_draws_of_a_plan_have_seeds_of_their_own() -> None:
    tree = tree_of(TapeWorld(), matches((1,)), seed=4)
    seeds = {tree.seed_for(draw, place) for draw in Draw for place in range(50)}
    assert len(seeds) == 50 * len(Draw)
    assert all(0 <= seed < 2**63 for seed in seeds)
