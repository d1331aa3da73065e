"""Samples cut into segments: order, noise, what may be dropped and what that leaves behind, and what is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bagel_world.episodes.samples import ImagePart, Sample, TextPart, check_sample
from bagel_world.errors import ConfigError, TrainingError
from bagel_world.images import to_pixels
from bagel_world.model.attention import sample_length
from bagel_world.model.packing import Gap, LatentSegment, PackingRules, TextSegment, VitSegment, pack, to_tokens
from bagel_world.training.data.encoder import Grid, ImageEncoder
from bagel_world.training.data.segments import SegmentConfig, SegmentedSample, Segmenter, learned_parts, segment_length
from bagel_world.types import Frame
from tests.episodes.drawn import picture, walk_sample
from tests.training.walks import make_config, make_tokenizer, make_vae

TOKENIZER = make_tokenizer()
RULES = PackingRules(
    start_of_image=TOKENIZER.start_of_image, end_of_image=TOKENIZER.end_of_image, vit_patch=2, vit_side=9, latent_side=3
)
NEVER: dict[str, Any] = {"text_dropout": 0, "vit_dropout": 0, "vae_dropout": 0}
ALWAYS: dict[str, Any] = {"text_dropout": 1, "vit_dropout": 1, "vae_dropout": 1}


class Plain:
    """Latents that tell which picture they are of: one token per 8 x 8 pixels, all its numbers the same."""

    latent_size = 4

    def resized(self, frame: Frame, images: int) -> Frame:
        return frame

    def latents(self, frame: Frame, rng: np.random.Generator) -> tuple[Tensor, Grid]:
        grid = (frame.shape[0] // 8, frame.shape[1] // 8)
        return torch.full((grid[0] * grid[1], 4), float(frame[0, 0, 0])), grid

    def pixels(self, frame: Frame) -> Tensor:
        return torch.from_numpy(to_pixels(frame))


def text(words: str, role: str = "action", loss: bool = False) -> dict[str, Any]:
    return {"kind": "text", "text": words, "role": role, "loss": loss}


def image(number: int, **uses: bool) -> dict[str, Any]:
    return {"kind": "image", "image": picture(number, (16, 8)), **uses}


def make(*parts: dict[str, Any]) -> Sample:
    return check_sample({"sample_id": "one", "source": "s", "license": "l", "parts": parts})


def cut(sample: Sample, seed: int = 0, **config: Any) -> SegmentedSample:
    segmenter = Segmenter(TOKENIZER, Plain(), RULES, SegmentConfig(**{**NEVER, **config}))
    return segmenter(sample, np.random.default_rng(seed))


def told(cut_sample: SegmentedSample) -> list[str]:
    """The segments in short."""
    words = []
    for segment in cut_sample.segments:
        match segment:
            case TextSegment(ids=ids, loss=loss):
                words.append(TOKENIZER.decode(ids) + ("!" if loss else ""))
            case VitSegment():
                words.append("vit")
            case LatentSegment(noised=noised):
                words.append("noised" if noised else "clean")
            case Gap(advance=advance):
                words.append(f"gap {advance}")
    return words


WALK = make(
    image(0, vae=True, vit=True),
    text("go"),
    image(1, target=True, vae=True, vit=True),
    text("left"),
    image(2, target=True, vae=True, vit=True),
)


def test_a_walk_is_laid_out_as_a_world_builds_it() -> None:
    assert told(cut(WALK)) == ["clean", "vit", "go", "noised", "clean", "vit", "left", "noised"]


def test_without_vit_there_is_nothing_in_its_place() -> None:
    assert told(cut(WALK, vit=False)) == ["clean", "go", "noised", "clean", "left", "noised"]


def test_copies_have_their_own_noise() -> None:
    made = cut(WALK, copies=2)
    assert told(made) == ["clean", "vit", "go", "noised", "noised", "clean", "vit", "left", "noised", "noised"]
    assert len(set(made.timesteps.tolist())) == 4


def test_everything_that_may_be_dropped_is_and_images_leave_their_step() -> None:
    """As `train_dropout_layout` of the reference: texts free their positions, images do not."""
    made = cut(WALK, **ALWAYS)
    assert told(made) == ["gap 1", "gap 1", "noised", "gap 1", "gap 1", "noised"]
    packed = pack([made.segments], RULES)
    assert packed.positions[packed.order].tolist() == [2] * 4 + [4] * 4
    assert packed.layouts == (((4, "noise"), (4, "noise")),)


@pytest.mark.parametrize(
    ("parts", "left"),
    [
        ([text("a duck", "caption"), image(0, target=True)], ["noised"]),
        ([image(0, vae=True), text("what?", "question"), text("why", "thought"), image(1, target=True)], None),
        ([image(0, vit=True), text("where", "question"), text("left", "answer", True)], ["vit", "where", "left!"]),
        (
            [
                image(0, vae=True, vit=True),
                text("go"),
                text("hm", "thought", True),
                image(1, vae=True),
                text("on"),
                image(2, target=True),
            ],
            ["clean", "vit", "go", "hm!", "gap 1", "noised"],
        ),
    ],
)
def test_what_is_learned_from_is_never_dropped(parts: list[dict[str, Any]], left: list[str] | None) -> None:
    assert told(cut(make(*parts), **ALWAYS)) == (left or ["gap 1", "what?", "why", "noised"])


def test_dropout_has_the_asked_rates_and_draws_each_part_on_its_own() -> None:
    counts: Counter[tuple[str, ...]] = Counter()
    sample = make(image(0, vae=True, vit=True), text("go"), image(1, target=True))
    rounds = 3000
    for seed in range(rounds):
        made = told(cut(sample, seed, text_dropout=0.1, vit_dropout=0.3, vae_dropout=0.5))
        counts[made[0], made[1], "go" if "go" in made else ""] += 1
    for vae, p_vae in (("clean", 0.5), ("gap 1", 0.5)):
        for vit, p_vit in (("vit", 0.7), ("gap 1", 0.3)):
            for words, p_text in (("go", 0.9), ("", 0.1)):
                wanted = p_vae * p_vit * p_text
                found = counts[vae, vit, words] / rounds
                assert abs(found - wanted) < 4.5 * (wanted * (1 - wanted) / rounds) ** 0.5


FILM = make(
    image(0, vae=True, vit=True),
    *(image(number, target=True, vae=True, vit=True) for number in (1, 2)),
    image(3, target=True, vae=True),
    text("go"),
    image(4, target=True),
)


def test_a_group_is_painted_before_any_of_it_is_shown() -> None:
    made = cut(FILM, group_share=1, copies=2)
    group = ["noised", "gap 2", "noised", "gap 2", "noised", "gap -4"]
    shown = ["clean", "vit", "clean", "vit", "clean"]
    assert told(made) == ["clean", "vit", *group, *group, *shown, "go", "noised", "noised"]


def test_a_group_has_one_level_and_sees_itself_and_what_came_before_only() -> None:
    made = cut(FILM, group_share=1)
    levels = made.timesteps.tolist()
    assert levels[0] == levels[1] == levels[2] != levels[3]
    packed = pack([made.segments], RULES)
    (layout,) = packed.layouts
    noise = [length for length, mode in layout if mode == "noise"]
    assert noise == [12, 4]  # three images of two tokens and two marks, then one
    assert len(made.targets) == 8


def test_grouped_images_stand_where_they_are_shown() -> None:
    """Start 0 and 1; painted 2, 4, 6; shown 2 and 3, 4 and 5, 6; text from 7, the last image behind it."""
    made = cut(FILM, group_share=1)
    packed = pack([made.segments], RULES)
    positions = packed.positions[packed.order].tolist()
    starts = [0, *np.cumsum([segment_length(each, RULES) for each in made.segments])]
    places = [positions[start] for start, each in zip(starts, made.segments, strict=False) if not isinstance(each, Gap)]
    words = len(TOKENIZER.encode("go"))
    assert places == [0, 1, 2, 4, 6, 2, 3, 4, 5, 6, 7, 7 + words]


def test_groups_are_random_and_never_reach_over_a_text() -> None:
    rounds = 400
    sizes: Counter[tuple[int, ...]] = Counter()
    for seed in range(rounds):
        (layout,) = pack([cut(FILM, seed, group_share=0.5).segments], RULES).layouts
        sizes[tuple(length // 4 for length, mode in layout if mode == "noise")] += 1
    assert set(sizes) == {(1, 1, 1, 1), (2, 1, 1), (1, 2, 1), (3, 1)}
    assert all(abs(count / rounds - 0.25) < 4.5 * (0.25 * 0.75 / rounds) ** 0.5 for count in sizes.values())


def test_only_noised_images_can_be_joined() -> None:
    lonely = LatentSegment(tokens=torch.zeros(2, 4), grid=(1, 2), noised=True, joined=True)
    for segments in ([lonely], [TextSegment(ids=(1, 2)), lonely], [replace(lonely, joined=False), replace(lonely, noised=False)]):
        with pytest.raises(ConfigError, match="needs a noised image before it"):
            pack([segments], RULES)


def test_noise_targets_and_levels_fit_together() -> None:
    made = cut(WALK, shift=3.0)
    noised = [each for each in made.segments if isinstance(each, LatentSegment) and each.noised]
    clean = [Plain().latents(part.frame(), np.random.default_rng(0))[0] for part in WALK.images[1:]]
    assert made.timesteps.tolist() == [each.timestep for each in noised]
    for segment, data, target in zip(noised, clean, made.targets.split(2), strict=True):
        time = segment.timestep
        assert 0 < time < 1
        torch.testing.assert_close(segment.tokens, data + time * target)  # (1 - t) x + t n with n = v + x


def test_levels_are_logit_normal_and_shifted() -> None:
    sample = make(text("a", "caption"), image(0, target=True))
    levels = np.array([float(cut(sample, seed, shift=4.0).timesteps) for seed in range(1500)])
    plain = levels / (4 - 3 * levels)  # the shift undone
    normal = np.log(plain / (1 - plain))
    assert abs(normal.mean()) < 4 / np.sqrt(1500)
    assert abs(normal.std() - 1) < 4 / np.sqrt(2 * 1500)


def test_the_same_numbers_give_the_same_segments_and_others_do_not() -> None:
    one, two, other = cut(WALK, 5), cut(WALK, 5), cut(WALK, 6)
    assert torch.equal(one.targets, two.targets)
    assert not torch.equal(one.targets, other.targets)


def test_a_dropout_switch_does_not_move_what_stays() -> None:
    """Noise comes from the same draws, whether or not texts are dropped."""
    assert torch.equal(cut(WALK, 3).targets, cut(WALK, 3, text_dropout=1).targets)


@pytest.mark.parametrize("config", [{}, {"vit": False}, {"copies": 3}, ALWAYS])
def test_the_length_is_that_of_the_packed_sample(config: dict[str, Any]) -> None:
    made = cut(WALK, **config)
    (layout,) = pack([made.segments], RULES).layouts
    assert made.tokens == sample_length(layout) == sum(segment_length(each, RULES) for each in made.segments)


def test_a_sample_without_targets_has_none_and_joins_others() -> None:
    made = cut(make(text("where", "question"), text("left", "answer", True)))
    assert made.targets.shape == (0, 4)
    assert len(made.timesteps) == 0
    assert torch.cat((made.targets, cut(WALK).targets)).shape == (4, 4)


def test_what_comes_after_the_last_thing_learned_is_left_out() -> None:
    sample = make(image(0, vae=True), image(1, target=True, vae=True, vit=True), text("go"), image(2, vae=True))
    first, last = learned_parts(sample)
    assert isinstance(first, ImagePart)
    assert isinstance(last, ImagePart)
    assert (last.target, last.vae, last.vit) == (True, False, False)
    talk = make(text("a", "answer", True), image(0, vit=True), text("b", "question"))
    assert learned_parts(talk) == (TextPart(text="a", role="answer", loss=True),)


def test_samples_that_are_too_long_or_large_are_refused_by_part() -> None:
    words = " ".join(["left"] * 6_000)
    with pytest.raises(TrainingError, match=r"'one' .* part 1 \(text\): expected a text of at most 4096 tokens, got \d{4,5}"):
        cut(make(image(0, vae=True), text(words), image(1, target=True)))
    with pytest.raises(TrainingError, match=r"at most 20 tokens, got \d+ by part 0 of 5"):
        cut(WALK, max_tokens=20)
    with pytest.raises(TrainingError, match=r"part 1 \(image\): .*at most 3 x 3 tokens, got 4 x 5"):
        cut(make(text("go"), {**image(0, target=True), "image": picture(0, (40, 32))}))
    with pytest.raises(TrainingError, match=r"part 0 \(image\): .*at most 9 x 9 tokens, got 10 x 10"):
        cut(make({**image(0, vit=True), "image": picture(0, (20, 20))}, text("go"), image(1, target=True)))


def test_damaged_pictures_and_marks_in_texts_are_refused_by_part() -> None:
    broken = {**image(0, vae=True), "image": picture(0, (60, 60))[:-3000]}
    with pytest.raises(TrainingError, match=r"part 0 \(image\): Could not decode"):
        cut(make(broken, text("go"), image(1, target=True)))
    for mark in ("<|im_end|>", "<|vision_start|>"):
        with pytest.raises(TrainingError, match=r"part 0 \(text\): expected a text without the model's own marks"):
            cut(make(text(f"go {mark} on"), image(1, target=True)))


def test_the_vit_sees_the_resized_frame_or_the_file() -> None:
    class Halves(Plain):
        def resized(self, frame: Frame, images: int) -> Frame:
            return frame[: frame.shape[0] // 2, : frame.shape[1] // 2]

    sample = make({**image(0, vit=True), "image": picture(0, (16, 8))}, text("a", "answer", True))
    for sees, size in (("resized", (4, 8)), ("original", (8, 16))):
        config = SegmentConfig(**NEVER, vit_sees=sees)
        (seen, _) = Segmenter(TOKENIZER, Halves(), RULES, config)(sample, np.random.default_rng(0)).segments
        assert isinstance(seen, VitSegment)
        assert tuple(seen.pixels.shape[1:]) == size


# --- the encoder


def test_the_encoder_gives_posterior_means_and_the_models_grids() -> None:
    config, vae = make_config(), make_vae()
    encoder = ImageEncoder(vae, config)
    frame = np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    resized = encoder.resized(frame, 1)
    assert resized.shape == config.world.transforms.vae.apply(frame).shape
    tokens, grid = encoder.latents(resized, np.random.default_rng(0))
    pixels = torch.from_numpy(to_pixels(resized))[None]
    with torch.no_grad():
        torch.testing.assert_close(tokens, to_tokens(vae.encode(pixels), config.latent_patch_size)[0])
    assert grid == (resized.shape[0] // config.latent_stride, resized.shape[1] // config.latent_stride)
    assert tokens.shape == (grid[0] * grid[1], encoder.latent_size)
    seen = encoder.pixels(resized)
    assert torch.equal(seen, torch.from_numpy(to_pixels(config.world.transforms.vit.apply(resized))))


def test_the_encoder_samples_where_it_is_asked_to() -> None:
    config, vae = make_config(), make_vae()
    frame = ImageEncoder(vae, config).resized(walk_sample().images[0].frame(), 1)
    mean, _ = ImageEncoder(vae, config).latents(frame, np.random.default_rng(1))
    drawn, grid = ImageEncoder(vae, config, sample=True).latents(frame, np.random.default_rng(1))
    again, _ = ImageEncoder(vae, config, sample=True).latents(frame, np.random.default_rng(1))
    assert torch.equal(drawn, again)
    assert not torch.equal(drawn, mean)
    assert drawn.shape == mean.shape == (grid[0] * grid[1], config.latent_size)
