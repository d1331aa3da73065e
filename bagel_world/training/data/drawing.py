"""Pieces of pictures of samples: a framed image, a text in its box, the legend, and lines that fit."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from bagel_world.episodes.samples import ImagePart, TextPart

Color = tuple[int, int, int]

PAPER, INK, SOFT, RULE = (251, 251, 249), (32, 34, 38), (120, 122, 126), (216, 216, 212)
TEXT: Color = (108, 113, 122)
VAE: Color = (45, 110, 200)
VIT: Color = (38, 152, 90)
TARGET: Color = (222, 92, 30)
LOSS: Color = (200, 30, 70)

WIDTH = 1320
MARGIN = 24
SIDE = 120  # longest side of a picture
FRAME = 4  # thickness of one colored frame
_TEXT_WIDTH = 136

_RULES_IN_WORDS = (
    "Read from left to right. Everything sees what came before it; an image also sees itself whole, a text only what it has said."
    "\nAn image that is painted is seen by nobody else: if it is shown as well, that is a clean copy behind it, "
    "which is what the rest of the sample sees."
)


def image_block(part: ImagePart) -> Image.Image:
    """A picture in one frame per use, with the uses and the time below."""
    uses = [(name, color) for on, name, color in _uses(part) if on]
    picture = Image.fromarray(part.frame())
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    smooth = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    border = FRAME * len(uses)
    block = Image.new("RGB", (max(size[0] + 2 * border, 96), size[1] + 2 * border + 16 * (len(uses) + 1)), PAPER)
    pen = ImageDraw.Draw(block)
    for ring, (_, color) in enumerate(uses):
        edge = ring * FRAME
        pen.rectangle((edge, edge, size[0] + 2 * border - 1 - edge, size[1] + 2 * border - 1 - edge), fill=color)
    block.paste(picture.resize(size, smooth), (border, border))
    top = size[1] + 2 * border + 3
    for name, color in uses:
        pen.text((0, top), name, fill=color, font=font_of(11))
        top += 14
    if part.time is not None:
        pen.text((0, top), f"at {part.time:g} s", fill=SOFT, font=font_of(11))
    return block


def _uses(part: ImagePart) -> tuple[tuple[bool, str, Color], ...]:
    return (part.target, "painted", TARGET), (part.vae, "shown: VAE", VAE), (part.vit, "shown: ViT", VIT)


def text_block(part: TextPart) -> Image.Image:
    """A text under its role; underlined where it is learned."""
    lines = wrap_lines(part.text, _TEXT_WIDTH - 16, font_of(13), most=9)
    block = Image.new("RGB", (_TEXT_WIDTH, 30 + 19 * len(lines) + 8), PAPER)
    pen = ImageDraw.Draw(block)
    color = LOSS if part.loss else TEXT
    pen.rectangle((0, 0, _TEXT_WIDTH - 1, block.height - 1), outline=color)
    pen.text((8, 6), f"{part.role}, learned" if part.loss else f"{part.role}, read", fill=color, font=font_of(11))
    for number, line in enumerate(lines):
        y = 26 + 19 * number
        pen.text((8, y), line, fill=INK, font=font_of(13))
        if part.loss:
            pen.line((8, y + 16, 8 + font_of(13).getlength(line), y + 16), fill=LOSS, width=2)
    return block


def legend_block(title: str) -> Image.Image:
    """The head of a sheet: its title, what the colors mean, and how to read it."""
    entries = (
        (TARGET, "painted from noise, with loss"),
        (VAE, "shown clean through the VAE"),
        (VIT, "shown through the ViT"),
        (TEXT, "text that is read"),
        (LOSS, "text that is learned, underlined"),
    )
    picture = Image.new("RGB", (WIDTH, 112), PAPER)
    pen = ImageDraw.Draw(picture)
    pen.text((MARGIN, 14), fit_line(title, WIDTH - 2 * MARGIN, font_of(18)), fill=INK, font=font_of(18))
    left = MARGIN
    for color, words in entries:
        pen.rectangle((left, 49, left + 12, 61), fill=color)
        pen.text((left + 18, 47), words, fill=INK, font=font_of(12))
        left += 18 + int(font_of(12).getlength(words)) + 26
    pen.text((MARGIN, 70), _RULES_IN_WORDS, fill=SOFT, font=font_of(12))
    return picture


def font_of(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with Pillow, at this size in pixels."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def fit_line(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """The text on one line, cut with dots so that it fits into this many pixels."""
    line = " ".join(text.split())
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "...") > width:
        line = line[:-1]
    return line + "..."


def wrap_lines(text: str, width: int, font: ImageFont.FreeTypeFont, *, most: int) -> list[str]:
    """The text in lines of this many pixels; what does not fit into `most` lines ends in dots."""
    lines = [""]
    words = text.split() or [repr(text)]
    for place, word in enumerate(words):
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        elif len(lines) == most:
            lines[-1] = fit_line(" ".join((lines[-1], *words[place:])), width, font)
            break
        else:
            lines.append(word)
    return [fit_line(line, width, font) for line in lines]
