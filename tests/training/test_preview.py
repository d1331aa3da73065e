"""Samples as pictures: the mask in colors, frames by use, underlines by loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from bagel_world.episodes.samples import ImagePart, Sample, TextPart
from bagel_world.errors import TrainingError
from bagel_world.model.attention import Layout, allowed, sample_length
from bagel_world.model.checkpoint import packing_rules
from bagel_world.model.packing import LatentSegment, TextSegment, VitSegment, pack
from bagel_world.training.data import drawing, preview
from bagel_world.training.data.budget import PackConfig
from bagel_world.training.data.drawing import LOSS, PAPER, TARGET, TEXT, VAE, VIT
from bagel_world.training.data.encoder import BlankEncoder
from bagel_world.training.data.preview import Previewer, Strip, mask_colors, shrunk
from bagel_world.training.data.segments import SegmentConfig, Segmenter
from tests.episodes.drawn import picture, walk_sample
from tests.training.walks import make_config, make_tokenizer

CONFIG, TOKENIZER = make_config(), make_tokenizer()
RULES = packing_rules(CONFIG, TOKENIZER)


def colors_in(image: Image.Image) -> set[tuple[int, ...]]:
    return {tuple(color) for color in np.unique(np.asarray(image).reshape(-1, 3), axis=0).tolist()}


def flat_picture() -> bytes:
    return picture(0, (24, 24))


def part(**uses: bool) -> ImagePart:
    return ImagePart(image=flat_picture(), **uses)


def test_the_mask_shows_exactly_what_is_allowed() -> None:
    layout: Layout = ((2, "causal"), (3, "noise"), (2, "full"))
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    drawn = mask_colors(layout, (red, green, blue))
    assert drawn.shape == (7, 7, 3)
    names = {red: "r", green: "g", blue: "b", PAPER: "."}
    assert ["".join(names[tuple(cell)] for cell in row.tolist()) for row in drawn] == [
        "r......",
        "rr.....",
        "rrggg..",
        "rrggg..",
        "rrggg..",
        "rr...bb",
        "rr...bb",
    ]


@pytest.mark.parametrize("most", [20, 100, 400])
def test_a_long_layout_is_drawn_to_scale_and_shows_the_same_pattern(most: int) -> None:
    layout: Layout = ((40, "causal"), (258, "noise"), (258, "full"), (3, "causal"), (258, "noise"))
    small = shrunk(layout, most)
    assert [mode for _, mode in small] == [mode for _, mode in layout]
    assert min(length for length, _ in small) >= 3
    assert sample_length(small) <= most + 3 * len(layout)
    middles = [sum(length for length, _ in small[:place]) + small[place][0] // 2 for place in range(5)]
    large = [sum(length for length, _ in layout[:place]) + layout[place][0] // 2 for place in range(5)]
    assert allowed(small)[middles][:, middles].equal(allowed(layout)[large][:, large])
    assert shrunk(layout, 1000) == layout


@pytest.mark.parametrize(
    ("uses", "frames"),
    [
        ({"vae": True}, [VAE]),
        ({"vit": True}, [VIT]),
        ({"target": True}, [TARGET]),
        ({"target": True, "vae": True, "vit": True}, [TARGET, VAE, VIT]),
    ],
)
def test_a_picture_has_one_frame_per_use(uses: dict[str, bool], frames: list[tuple[int, int, int]]) -> None:
    block = np.asarray(drawing.image_block(part(**uses)))
    across = [tuple(pixel) for pixel in block[20, : drawing.FRAME * len(frames)].tolist()]
    assert across == [color for color in frames for _ in range(drawing.FRAME)]
    scale = drawing.SIDE // 24
    edge = drawing.FRAME * len(frames)
    shown = block[edge : edge + drawing.SIDE, edge : edge + drawing.SIDE]
    original = part(**uses).frame()
    np.testing.assert_array_equal(shown, original.repeat(scale, 0).repeat(scale, 1))


def test_only_texts_with_loss_are_underlined() -> None:
    read = drawing.text_block(TextPart(text="Move forward", role="action"))
    learned = drawing.text_block(TextPart(text="Move forward", role="answer", loss=True))
    line = np.asarray(learned)[26 + 16, 8:60]
    assert (line == LOSS).all()
    assert LOSS not in colors_in(read)
    assert TEXT in colors_in(read)


def test_a_long_text_is_cut_with_dots_and_a_blank_one_is_seen() -> None:
    font = drawing.font_of(13)
    lines = drawing.wrap_lines("word " * 500, 120, font, most=4)
    assert len(lines) == 4
    assert lines[-1].endswith("...")
    assert all(font.getlength(line) <= 120 for line in lines)
    assert drawing.wrap_lines("a" * 300, 120, font, most=4)[0].endswith("...")
    assert drawing.wrap_lines(" ", 120, font, most=4) == ["' '"]


def test_a_sheet_holds_every_sample() -> None:
    previewer = Previewer(CONFIG, TOKENIZER, RULES)
    one, two = previewer.draw([walk_sample(0)]), previewer.draw([walk_sample(0), walk_sample(1)])
    legend = drawing.legend_block("").height
    assert two.height - legend == 2 * (one.height - legend)
    assert colors_in(one) >= {VAE, VIT, TARGET, TEXT, LOSS}
    words = Sample(sample_id="w", source="s", license="l", parts=(TextPart(text="Hm.", role="answer", loss=True),))
    assert not colors_in(previewer.draw([words]).crop((0, legend, one.width, 4000))) & {VAE, VIT, TARGET, TEXT}


def strips_of(monkeypatch: pytest.MonkeyPatch, previewer: Previewer, sample: Sample) -> list[str]:
    """The names on the edge of the mask that is drawn of a sample."""
    names: list[str] = []
    real = preview.mask_picture

    def watched(layout: Layout, strips: Sequence[Strip]) -> Image.Image:
        names.extend(strip.name for strip in strips)
        return real(layout, strips)

    with monkeypatch.context() as patch:
        patch.setattr(preview, "mask_picture", watched)
        previewer.draw([sample])
    return names


def test_samples_are_drawn_as_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = SegmentConfig(text_dropout=0, vit_dropout=0, vae_dropout=0)
    blind = Previewer(CONFIG, TOKENIZER, RULES, segments=nothing.model_copy(update={"vit": False, "copies": 2}))
    kinds = [name for name in strips_of(monkeypatch, blind, walk_sample()) if name in ("VAE", "ViT", "painted")]
    assert kinds == ["VAE", "painted", "painted", "VAE", "painted", "painted"]
    legend = drawing.legend_block("").height
    drawn = blind.draw([walk_sample()])
    assert not colors_in(drawn.crop((0, legend, drawn.width, drawn.height))) & {VIT}
    dropping = Previewer(CONFIG, TOKENIZER, RULES, segments=nothing.model_copy(update={"vae_dropout": 1.0, "vit_dropout": 1.0}))
    words = TextPart(text="Look left", role="action")
    step = Sample(sample_id="step", source="s", license="l", parts=(part(vae=True, vit=True), words, part(target=True)))
    assert strips_of(monkeypatch, dropping, step)[1:] == ["painted"]


def test_images_painted_together_share_a_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    words = TextPart(text="Look left", role="action")
    sample = Sample(
        sample_id="film", source="s", license="l", parts=(words, part(target=True, vae=True), part(target=True, vae=True))
    )
    together = Previewer(CONFIG, TOKENIZER, RULES, segments=SegmentConfig(text_dropout=0, vae_dropout=0, group_share=1.0))
    apart = Previewer(CONFIG, TOKENIZER, RULES, segments=SegmentConfig(text_dropout=0, vae_dropout=0))
    assert strips_of(monkeypatch, together, sample)[1:] == ["painted", "VAE"]
    assert strips_of(monkeypatch, apart, sample)[1:] == ["painted", "VAE", "painted"]


def test_what_would_be_damage_in_training_is_named() -> None:
    whole = Previewer(CONFIG, TOKENIZER, RULES, pack=PackConfig(tokens=4096))
    whole.draw([walk_sample()])
    with pytest.raises(TrainingError, match=r"'walk-0' cannot be packed: .*a pack holds 20"):
        Previewer(CONFIG, TOKENIZER, RULES, pack=PackConfig(tokens=20)).draw([walk_sample()])
    words = Sample(sample_id="w", source="s", license="l", parts=(TextPart(text="Hm.", role="answer", loss=True),))
    with pytest.raises(TrainingError, match="teaches only texts"):
        Previewer(CONFIG, TOKENIZER, RULES, writing=False).draw([words])


def test_texts_that_are_not_learned_are_not_shown_as_learned() -> None:
    legend = drawing.legend_block("").height
    for writing in (True, False):
        drawn = Previewer(CONFIG, TOKENIZER, RULES, writing=writing).draw([walk_sample()])
        below = colors_in(drawn.crop((0, legend, drawn.width, drawn.height)))
        assert (LOSS in below) == writing
        assert TEXT in below


def test_the_blank_encoder_has_the_lengths_of_the_model() -> None:
    rng = np.random.default_rng(0)
    made = Segmenter(TOKENIZER, BlankEncoder(CONFIG), RULES, SegmentConfig(text_dropout=0, vit_dropout=0, vae_dropout=0))
    segments = made(walk_sample(), rng).segments
    kinds = [TextSegment, VitSegment, LatentSegment]
    assert [kinds.index(type(each)) for each in segments] == [2, 1, 0, 2, 2, 1, 0, 0, 2]
    frame = walk_sample().images[0].frame()
    resized = CONFIG.world.transforms.vae.apply(frame)
    tokens = resized.shape[0] * resized.shape[1] // CONFIG.latent_stride**2
    vit = CONFIG.world.transforms.vit.apply(resized)
    patches = vit.shape[0] * vit.shape[1] // CONFIG.vit_config.patch_size**2
    (layout,) = pack([segments], RULES).layouts
    assert [length for length, _ in layout[:2]] == [tokens + 2, patches + 2]


def test_a_sample_the_model_cannot_take_is_named() -> None:
    previewer = Previewer(CONFIG, TOKENIZER, RULES, segments=SegmentConfig(max_text_tokens=3))
    with pytest.raises(TrainingError, match=r"part 1 \(text\)"):
        previewer.draw([walk_sample()])
