from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bagel_world.actions import MIRRORED, NAVIGATE_WORDS, ROLLOUT_WORDS, ROTATE_WORDS, SYMMETRIC
from bagel_world.model.attention import allowed
from bagel_world.model.checkpoint import packing_rules
from bagel_world.model.packing import LatentSegment, TextSegment, pack
from bagel_world.training.data.interleave import WalkConfig, WalkSampler, build_walk
from bagel_world.training.data.latents import LatentTable
from tests.training.walks import make_config, make_latents, make_tokenizer, make_vae, make_walks

IDS = {"go": (1, 5, 2), "turn": (1, 6, 2)}


def _walk(**settings: object) -> tuple[torch.Tensor, object]:
    tokens = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0))
    config = WalkConfig.model_validate({"context_noise_share": 0.0, "copies": 2, **settings})
    return tokens, build_walk(tokens, ["go", "turn"], IDS, (2, 2), config, np.random.default_rng(0))


def test_segments_stand_in_the_order_of_a_world() -> None:
    tokens, sample = _walk()
    kinds = ["text" if isinstance(each, TextSegment) else "noised" if each.noised else "clean" for each in sample.segments]
    assert kinds == ["clean", "text", "noised", "noised", "clean", "text", "noised", "noised"]
    assert [each.ids for each in sample.segments if isinstance(each, TextSegment)] == [IDS["go"], IDS["turn"]]
    clean = [each.tokens for each in sample.segments if isinstance(each, LatentSegment) and not each.noised]
    assert torch.equal(clean[0], tokens[0])
    assert torch.equal(clean[1], tokens[1])


def test_following_the_target_velocity_from_the_noised_tokens_leads_to_the_data() -> None:
    tokens, sample = _walk()
    noised = [each for each in sample.segments if isinstance(each, LatentSegment) and each.noised]
    assert len({each.timestep for each in noised}) == 4
    for place, (segment, target) in enumerate(zip(noised, sample.targets.unflatten(0, (4, 4)), strict=True)):
        data = segment.tokens - segment.timestep * target
        torch.testing.assert_close(data, tokens[1 + place // 2], atol=1e-5, rtol=1e-5)


def test_copies_share_a_position_and_do_not_see_each_other() -> None:
    _, sample = _walk()
    rules = packing_rules(make_config(), make_tokenizer())
    packed = pack([sample.segments], rules)
    positions = packed.in_sequence(packed.positions).tolist()
    assert positions == [0] * 6 + [1, 2, 3] + [4] * 18 + [5, 6, 7] + [8] * 12
    mask = allowed(packed.layouts[0])
    first, second, clean = slice(9, 15), slice(15, 21), slice(21, 27)
    assert not mask[second, first].any()
    assert not mask[first, second].any()
    assert not mask[clean, first].any()
    assert mask[first, :9].all()


def test_context_noise_touches_context_only() -> None:
    tokens, sample = _walk(context_noise_share=1.0, context_noise=0.5)
    segments = [each for each in sample.segments if isinstance(each, LatentSegment)]
    assert not torch.equal(segments[0].tokens, tokens[0])
    assert (segments[0].tokens - tokens[0]).std() < 0.6
    torch.testing.assert_close(segments[1].tokens - segments[1].timestep * sample.targets[:4], tokens[1], atol=1e-5, rtol=1e-5)


def test_dropped_texts_leave_no_tokens(tmp_path: Path) -> None:
    config = WalkConfig(frames=3, text_dropout=1.0, predict_actions=True)
    sampler = WalkSampler(make_latents(tmp_path), make_tokenizer(), config, seed=0)
    assert not any(isinstance(each, TextSegment) for each in sampler.window(0, 0).segments)
    assert sampler.predicted(0, 0, balanced=False) == 0


@pytest.mark.parametrize("balanced", [False, True])
def test_what_a_window_predicts_is_known_before_it_is_made(tmp_path: Path, balanced: bool) -> None:
    config = WalkConfig(frames=4, text_dropout=0.4, predict_actions=True)
    sampler, rules = (
        WalkSampler(make_latents(tmp_path), make_tokenizer(), config, seed=0),
        packing_rules(make_config(), make_tokenizer()),
    )
    told = [sampler.predicted(step, place, balanced=balanced) for step in range(4) for place in range(3)]
    packs = [pack([sampler.window(step, place).segments], rules) for step in range(4) for place in range(3)]
    assert told == pytest.approx([float(packed.label_weights.sum()) if balanced else len(packed.labels) for packed in packs])
    assert len(set(told)) > 1


def test_windows_depend_on_seed_step_and_place_alone(tmp_path: Path) -> None:
    sampler = WalkSampler(make_latents(tmp_path), make_tokenizer(), WalkConfig(frames=4), seed=3)
    again = WalkSampler(make_latents(tmp_path), make_tokenizer(), WalkConfig(frames=4), seed=3)
    again.window(0, 0)
    assert torch.equal(sampler.window(5, 1).targets, again.window(5, 1).targets)
    assert not torch.equal(sampler.window(5, 1).targets, sampler.window(5, 2).targets)
    assert not torch.equal(sampler.window(5, 1).targets, sampler.window(6, 1).targets)


@pytest.mark.parametrize("step", range(6))
def test_mirrored_walks_swap_left_and_right(tmp_path: Path, step: int) -> None:
    walks, tokenizer = make_walks(), make_tokenizer()
    latents = make_latents(tmp_path, walks)
    config = WalkConfig(frames=3, context_noise_share=0.0)
    sample = WalkSampler(latents, tokenizer, config, seed=0).window(step, 0)
    starts = {
        place: mirrored
        for mirrored in (False, True)
        for place in walks.windows(3)[0]
        if torch.equal(latents.window(int(place), 3, mirrored=mirrored), sample.tokens)
    }
    ((start, mirrored),) = starts.items()
    spoken = [tokenizer.decode(each.ids) for each in sample.segments if isinstance(each, TextSegment)]
    words = list(walks.actions[start + 1 : start + 3])
    swap = {"Look left": "Look right", "Look right": "Look left"}
    assert spoken == ([swap.get(word, word) for word in words] if mirrored else words)


def test_only_windows_whose_words_have_a_mirror_are_mirrored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    walks = make_walks()
    steered = replace(walks, actions=tuple(word and "Steer left" for word in walks.actions))
    table = LatentTable(steered, make_vae(), patch=2, cache=tmp_path)
    seen: list[bool] = []
    window = table.window

    def note(start: int, length: int, *, mirrored: bool) -> torch.Tensor:
        seen.append(mirrored)
        return window(start, length, mirrored=mirrored)

    table.window = note  # type: ignore[method-assign]
    for settings, mirrors in (
        ({}, False),
        ({"symmetric": ["Steer left"]}, True),
        ({"mirrors": {"Steer left": "Steer right", "Steer right": "Steer left"}}, True),
        ({"mirrors": {}, "symmetric": ["Steer left"]}, False),
    ):
        seen.clear()
        caplog.clear()
        config = WalkConfig.model_validate({"frames": 3, **settings})
        sampler = WalkSampler(table, make_tokenizer(), config, seed=0)
        drawn = [sampler.window(0, place) for place in range(20)]
        assert any(seen) == mirrors
        assert ("'Steer left' are not mirrored" in caplog.text) == (settings == {})
        words = {segment.ids for sample in drawn for segment in sample.segments if isinstance(segment, TextSegment)}
        assert len(words) == (2 if "Steer right" in str(settings) else 1)


def test_words_of_a_recipe_stand_beside_those_of_the_package() -> None:
    own = WalkConfig.model_validate({"mirrors": {"Steer left": "Steer right"}, "symmetric": ["Coast", "Stay"]})
    assert own.mirrors == {**MIRRORED, "Steer left": "Steer right"}
    assert own.symmetric == (*SYMMETRIC, "Coast")
    assert WalkConfig.model_validate(own.model_dump(mode="json")) == own
    assert WalkConfig(mirrors={"Look left": "Look left"}).mirrors["Look left"] == "Look left", "a recipe's word goes first"
    assert WalkConfig(mirrors={}).mirrors == {}
    assert WalkConfig() == WalkConfig(mirrors=MIRRORED, symmetric=SYMMETRIC)


def test_a_mixture_with_words_of_its_own_still_mirrors_those_of_the_package(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    walks = make_walks(episodes=2)
    words = (*walks.actions[:6], "", "Coast", "Steer left", "Steer left", "Coast", "Steer left")
    table = LatentTable(replace(walks, actions=words), make_vae(), patch=2, cache=tmp_path)
    mirrors = {"Steer left": "Steer right", "Steer right": "Steer left"}
    config = WalkConfig.model_validate({"frames": 3, "mirrors": mirrors, "symmetric": ["Coast"], "context_noise_share": 0.0})
    sampler = WalkSampler(table, make_tokenizer(), config, seed=0)
    seen = {
        start
        for place in range(60)
        for start in range(10)
        if torch.equal(table.window(start, 3, mirrored=True), sampler.window(0, place).tokens)
    }
    assert min(seen) < 6 <= max(seen)
    assert "not mirrored" not in caplog.text


def test_the_words_of_this_package_all_have_a_mirror() -> None:
    words = {*NAVIGATE_WORDS, *ROTATE_WORDS, *ROLLOUT_WORDS}
    assert words == set(MIRRORED) | set(SYMMETRIC)
    assert not set(MIRRORED) & set(SYMMETRIC)
    assert "Move forward" in SYMMETRIC
