"""Samples as pictures: what is shown, what is painted, what is learned as text, and who sees whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from bagel_world.episodes.samples import ImagePart, Part, Sample, TextPart
from bagel_world.model.attention import Layout, allowed, sample_length
from bagel_world.model.config import BagelConfig
from bagel_world.model.packing import LatentSegment, PackingRules, Segment, TextSegment, VitSegment, pack
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.training.data.budget import PackConfig, fits
from bagel_world.training.data.drawing import (
    INK,
    LOSS,
    MARGIN,
    PAPER,
    RULE,
    SOFT,
    TARGET,
    TEXT,
    VAE,
    VIT,
    WIDTH,
    Color,
    fit_line,
    font_of,
    image_block,
    legend_block,
    text_block,
)
from bagel_world.training.data.encoder import BlankEncoder
from bagel_world.training.data.feeds import segmenting
from bagel_world.training.data.segments import SegmentConfig, SegmentedSample, Segmenter, learned_parts
from bagel_world.training.data.stream import Drawn
from bagel_world.types import Frame

_GAP = 14
_MASK = 330  # side of the mask
_MOST_TOKENS = 330  # a longer sample is drawn to a smaller scale, segment by segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A segment on the edge of the mask: its name, color and number of tokens."""

    name: str
    color: Color
    tokens: int


class Previewer:
    """Draws samples as a model of this shape would be trained on them.

    Args:
        config: of the model; its sizes decide how many tokens there are.
        tokenizer: of the model.
        rules: of the model.
        segments: how samples are cut and what is left out; by default nothing is, so that all of a sample is seen.
        pack: how many tokens a sample may have; None allows any number.
        writing: whether texts are learned.
        seed: of what is left out.
    """

    def __init__(
        self,
        config: BagelConfig,
        tokenizer: Tokenizer,
        rules: PackingRules,
        *,
        segments: SegmentConfig | None = None,
        pack: PackConfig | None = None,
        writing: bool = True,
        seed: int = 0,
    ) -> None:
        self._segments = segments or SegmentConfig(text_dropout=0, vit_dropout=0, vae_dropout=0)
        self._rules = rules
        self._tokenizer = tokenizer
        self._pack, self._writing, self._seed = pack, writing, seed
        cut = segmenting(Segmenter(tokenizer, BlankEncoder(config), rules, self._segments), writing=writing)
        self._cut = cut if pack is None else fits(cut, pack, lambda drawn: drawn.sample.sample_id)

    def draw(self, samples: Sequence[Sample], *, title: str = "") -> Image.Image:
        """One picture: a legend, then for each sample its parts and its mask.

        Raises:
            TrainingError: a sample this model could not be trained on.
        """
        cards = [self._card(sample, number) for number, sample in enumerate(samples)]
        legend = legend_block(title)
        sheet = Image.new("RGB", (WIDTH, legend.height + sum(card.height for card in cards)), PAPER)
        top = 0
        for picture in (legend, *cards):
            sheet.paste(picture, (0, top))
            top += picture.height
        return sheet

    def _card(self, sample: Sample, number: int) -> Image.Image:
        cut = self._cut(Drawn(number=number, seed=self._seed, source=sample.source, epoch=0, place=number, sample=sample))
        (layout,) = pack([cut.segments], self._rules).layouts
        strips = [self._strip(segment, length) for segment, (length, _) in zip(_laid_out(cut), layout, strict=True)]
        room = "" if self._pack is None else f" of {self._pack.tokens} in a pack"
        parts = [part for part in map(self._as_trained, learned_parts(sample)) if part is not None]
        return _draw_card(sample, parts, f"{cut.tokens} tokens{room}", mask_picture(layout, strips))

    def _as_trained(self, part: Part) -> Part | None:
        """A part without what is not shown or not learned; None where nothing is left of it."""
        if isinstance(part, TextPart):
            return part if self._writing else part.model_copy(update={"loss": False})
        if self._segments.vit:
            return part
        return part.model_copy(update={"vit": False}) if part.vae or part.target else None

    def _strip(self, segment: Segment, tokens: int) -> Strip:
        match segment:
            case TextSegment(ids=ids, loss=loss):
                return Strip(name=self._tokenizer.decode(ids), color=LOSS if loss and self._writing else TEXT, tokens=tokens)
            case VitSegment():
                return Strip(name="ViT", color=VIT, tokens=tokens)
            case LatentSegment(noised=True):
                return Strip(name="painted", color=TARGET, tokens=tokens)
            case _:
                return Strip(name="VAE", color=VAE, tokens=tokens)


def _laid_out(cut: SegmentedSample) -> list[Segment]:
    """The segments that begin a split of the mask: those with tokens, but for images painted together with the one before."""
    shown = [segment for segment in cut.segments if isinstance(segment, (TextSegment, VitSegment, LatentSegment))]
    return [segment for segment in shown if not (isinstance(segment, LatentSegment) and segment.joined)]


def mask_colors(layout: Layout, colors: Sequence[Color]) -> Frame:
    """The attention mask of a sample, one pixel per token: row q, column k, in the color of k's segment where q sees k.

    Args:
        layout: the splits of the sample.
        colors: one per split.
    """
    number = np.repeat(np.arange(len(layout)), [length for length, _ in layout])
    column = np.array(colors, np.uint8)[number]
    return np.where(allowed(layout).numpy()[:, :, None], column[None], np.array(PAPER, np.uint8))


def shrunk(layout: Layout, most: int) -> Layout:
    """The layout with at most about `most` tokens, every split in proportion and none shorter than three."""
    total = sample_length(layout)
    if total <= most:
        return layout
    return tuple((max(3, round(length * most / total)), mode) for length, mode in layout)


def mask_picture(layout: Layout, strips: Sequence[Strip]) -> Image.Image:
    """The mask with its segments named along the left edge."""
    drawn = shrunk(layout, _MOST_TOKENS)
    pixels = mask_colors(drawn, [strip.color for strip in strips])
    scale = max(1, _MASK // len(pixels))
    side = len(pixels) * scale
    left, top = 168, 40
    picture = Image.new("RGB", (left + max(side, _MASK) + 2, top + side + 22), PAPER)
    picture.paste(Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST), (left, top))
    pen = ImageDraw.Draw(picture)
    pen.text((left, 0), "Who sees whom", fill=INK, font=font_of(14))
    pen.text((left, 18), "row: the one who looks; column: what is seen, in its color", fill=SOFT, font=font_of(11))
    place, written = top, top - 14
    for strip, (length, _) in zip(strips, drawn, strict=True):
        end = place + length * scale
        pen.rectangle((left - 9, place, left - 4, end - 2), fill=strip.color)
        pen.line((left, end, left + side, end), fill=RULE)
        pen.line((left + end - top, top, left + end - top, top + side), fill=RULE)
        line = max((place + end) // 2 - 7, written + 14)
        if line + 14 <= top + side + 16:
            label = f"{fit_line(strip.name, 112, font_of(11))} · {strip.tokens}"
            pen.text((left - 14, line), label, fill=strip.color, font=font_of(11), anchor="ra")
            written = line
        place = end
    pen.rectangle((left, top, left + side, top + side), outline=SOFT)
    scaled = "" if drawn == layout else ", drawn to scale"
    pen.text((left, top + side + 6), f"{sample_length(layout)} tokens{scaled}", fill=SOFT, font=font_of(11))
    return picture


def _draw_card(sample: Sample, parts: Sequence[Part], length: str, mask: Image.Image) -> Image.Image:
    """A sample: its name and length, its parts from left to right, its mask beside them."""
    room = WIDTH - mask.width - 2 * MARGIN - 2 * _GAP
    blocks = [image_block(part) if isinstance(part, ImagePart) else text_block(part) for part in parts]
    rows = _flow(blocks, room)
    heights = [max(block.height for block in row) for row in rows]
    body = max(sum(heights) + _GAP * (len(heights) - 1), mask.height)
    card = Image.new("RGB", (WIDTH, 58 + body + MARGIN), PAPER)
    pen = ImageDraw.Draw(card)
    pen.line((MARGIN, 0, WIDTH - MARGIN, 0), fill=RULE, width=2)
    pen.text((MARGIN, 12), fit_line(sample.sample_id, WIDTH - 2 * MARGIN, font_of(16)), fill=INK, font=font_of(16))
    facts = f"from {sample.source}  ·  license {sample.license}  ·  split {sample.split}  ·  {length}"
    pen.text((MARGIN, 33), fit_line(facts, WIDTH - 2 * MARGIN, font_of(12)), fill=SOFT, font=font_of(12))
    top = 58
    for row, height in zip(rows, heights, strict=True):
        left = MARGIN
        for block in row:
            card.paste(block, (left, top))
            left += block.width + _GAP
        top += height + _GAP
    card.paste(mask, (WIDTH - MARGIN - mask.width, 58))
    return card


def _flow(blocks: Sequence[Image.Image], room: int) -> list[list[Image.Image]]:
    """Blocks in rows of at most `room` pixels."""
    rows: list[list[Image.Image]] = [[]]
    used = 0
    for block in blocks:
        if rows[-1] and used + block.width > room:
            rows.append([])
            used = 0
        rows[-1].append(block)
        used += block.width + _GAP
    return rows
