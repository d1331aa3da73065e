from __future__ import annotations

import io
import json
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from safetensors.numpy import load_file

from bagel_world import images
from bagel_world.errors import BagelWorldError, ImageError, OutputError
from bagel_world.images import ResizeRule, center_crop, read_image, to_frame, to_pixels

RED_AND_BLUE = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


# --- read_image: arrays


def test_a_frame_is_copied_not_shared() -> None:
    source = RED_AND_BLUE.copy()
    frame = read_image(source)
    np.testing.assert_array_equal(frame, RED_AND_BLUE)
    source[:] = 7
    np.testing.assert_array_equal(frame, RED_AND_BLUE)
    assert frame.flags.writeable
    assert frame.flags.c_contiguous


@pytest.mark.parametrize(
    "array",
    [
        np.array([[0, 128, 255]], np.uint8),
        np.array([[[0], [128], [255]]], np.uint8),
        np.array([[0.0, 128 / 255, 1.0]], np.float32),
        np.array([[0.0, 128 / 255, 1.0]], np.float64),
        np.array([[0, 128 * 257, 65535]], np.uint16),
        np.array([[-0.0005, 128 / 255, 1.0005]], np.float32),
    ],
)
def test_gray_arrays_of_every_scale_become_the_same_frame(array: np.ndarray) -> None:
    np.testing.assert_array_equal(read_image(array), [[[0, 0, 0], [128, 128, 128], [255, 255, 255]]])


def test_bool_is_black_and_white() -> None:
    np.testing.assert_array_equal(read_image(np.array([[False, True]])), [[[0, 0, 0], [255, 255, 255]]])


def test_strided_views_are_read_in_their_own_order() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.testing.assert_array_equal(read_image(array[:, ::-2]), array[:, ::-2].copy())


def test_an_alpha_channel_is_put_on_white() -> None:
    rgba = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    np.testing.assert_array_equal(read_image(rgba), [[[255, 0, 0], [255, 255, 255], [204, 204, 204]]])


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 4, 4, 3), np.uint8), "one image, got a batch"),
        (np.zeros((5,), np.uint8), "Expected shape"),
        (np.zeros((), np.uint8), "Expected shape"),
        (np.zeros((3, 8, 8), np.uint8), "Channels come last"),
        (np.zeros((8, 8, 2), np.uint8), "1, 3 or 4 channels"),
        (np.zeros((0, 8, 3), np.uint8), "8 x 0"),
        (np.zeros((8, 0), np.uint8), "0 x 8"),
        (np.full((2, 2), np.nan), "finite"),
        (np.array([[0.0, np.inf]]), "finite"),
        (np.array([[0.0, 255.0]]), "0..1, got 0..255"),
        (np.array([[-1.0, 1.0]]), "to_frame"),
        (np.zeros((2, 2, 3), np.int64), "got int64"),
        (np.zeros((2, 2, 3), np.complex64), "got complex64"),
        (np.full((2, 2), "x", dtype=object), "got object"),
        (np.broadcast_to(np.uint8(0), (16_385, 1)), "a side"),
        (np.broadcast_to(np.uint8(0), (8_001, 8_000, 3)), "64000000 pixels"),
    ],
)
def test_bad_arrays_are_refused_with_a_reason(array: np.ndarray, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_image(array)


# --- read_image: Pillow


MODES = ["1", "L", "P", "RGB", "RGBA", "RGBX", "LA", "PA", "CMYK", "YCbCr", "HSV", "La", "RGBa", "I;16", "I", "F"]


@pytest.mark.parametrize("mode", MODES)
def test_white_is_white_in_every_mode(mode: str) -> None:
    white = Image.new("RGB", (2, 3), "white")
    if mode in ("I;16", "I", "F"):
        value, dtype = {"I;16": (65535, "u2"), "I": (65535, "i4"), "F": (1.0, "f4")}[mode]
        picture = Image.fromarray(np.full((3, 2), value, dtype))
    elif mode in ("La", "RGBa"):
        picture = white.convert({"La": "LA", "RGBa": "RGBA"}[mode]).convert(mode)
    elif mode == "PA":
        picture = white.convert("P").convert("PA")
    else:
        picture = white.convert(mode)
    assert picture.mode == mode
    np.testing.assert_array_equal(read_image(picture), np.full((3, 2, 3), 255, np.uint8))


def test_a_palette_color_marked_transparent_becomes_white() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((1, 0), 1)
    np.testing.assert_array_equal(read_image(picture), [[[10, 20, 30], [200, 100, 50]]])
    np.testing.assert_array_equal(read_image(encoded(picture, transparency=0)), [[[255, 255, 255], [200, 100, 50]]])


def test_an_rgb_color_marked_transparent_becomes_white() -> None:
    data = encoded(Image.fromarray(RED_AND_BLUE), transparency=(0, 0, 255))
    np.testing.assert_array_equal(read_image(data), [[[255, 0, 0], [255, 255, 255]]])


def test_gray_with_alpha_is_put_on_white() -> None:
    picture = Image.new("LA", (3, 1))
    picture.putdata([(0, 0), (0, 51), (100, 255)])
    np.testing.assert_array_equal(read_image(picture), [[[255] * 3, [204] * 3, [100] * 3]])


def test_sixteen_bit_files_are_scaled_not_clipped() -> None:
    deep = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(deep)))[..., 0], [[0, 1, 128, 255]])


def test_a_sixteen_bit_gray_marked_transparent_becomes_white() -> None:
    picture = Image.fromarray(np.array([[0, 257]], np.uint16))
    picture.info["transparency"] = 0
    np.testing.assert_array_equal(read_image(picture)[..., 0], [[255, 1]])


def test_thirty_two_bit_integers_beyond_sixteen_bits_are_refused() -> None:
    with pytest.raises(ImageError, match=r"0\.\.65535, got 0\.\.70000"):
        read_image(Image.fromarray(np.array([[0, 70_000]], np.int32)))


def test_the_first_picture_of_an_animation_counts() -> None:
    red, blue = (Image.new("RGB", (2, 2), color) for color in ("red", "blue"))
    data = encoded(red, "GIF", save_all=True, append_images=[blue])
    np.testing.assert_array_equal(read_image(data), np.broadcast_to(np.array([255, 0, 0], np.uint8), (2, 2, 3)))


def test_photos_are_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: turn clockwise to show
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(RED_AND_BLUE), exif=exif)), [[[255, 0, 0]], [[0, 0, 255]]])


def test_a_closed_pillow_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    Image.fromarray(RED_AND_BLUE).save(path)
    with Image.open(path) as picture:
        pass
    with pytest.raises(ImageError, match="decode the Pillow image"):
        read_image(picture)


# --- read_image: files and bytes


def test_paths_and_bytes_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "ein bild ü.png"
    Image.fromarray(RED_AND_BLUE).save(path)
    data = path.read_bytes()
    for source in (path, str(path), data, bytearray(data), memoryview(data)):
        np.testing.assert_array_equal(read_image(source), RED_AND_BLUE)


def test_missing_unreadable_and_foreign_files(tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("not a picture")
    empty = tmp_path / "empty.png"
    empty.touch()
    for path, words in (
        (tmp_path / "none.png", "does not exist"),
        ("https://example.org/a.png", "URLs are not fetched"),
        (tmp_path, "Could not open"),
        ("a\0b", "Could not open"),
        ("x" * 5000, "Could not open"),
        (text, "no picture"),
        (empty, "no picture"),
    ):
        with pytest.raises(ImageError, match=words):
            read_image(path)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_bytes_without_a_picture_are_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match=f"the {len(data)} bytes"):
        read_image(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_files_cut_short_never_raise_anything_but_image_errors(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow also warns about some of these
        for length in range(0, len(data) - 1, max(1, len(data) // 60)):
            try:
                assert read_image(data[:length]).shape == (24, 24, 3)
            except ImageError:
                refused += 1
    assert refused > 20


def test_bombs_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object) -> None:
        raise AssertionError("decoded")

    data = encoded(Image.new("1", (8_100, 8_000)))
    long = encoded(Image.new("1", (16_385, 1)))
    monkeypatch.setattr(images, "_decode", explode)
    monkeypatch.setattr(Image.Image, "load", explode)
    for source in (data, long):
        with pytest.raises(ImageError, match="at most 64000000 pixels and 16384 a side"):
            read_image(source)


@pytest.mark.parametrize("size", [(10_000, 9_000), (16_000, 16_000)])
def test_bombs_that_pillow_itself_notices(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="at most 64000000 pixels"):
        read_image(encoded(Image.new("1", size)))


@pytest.mark.parametrize("thing", [None, 7, [[0, 1]], object()])
def test_other_things_are_refused(thing: object) -> None:
    with pytest.raises(ImageError, match=f"got {type(thing).__name__}"):
        read_image(thing)  # pyright: ignore[reportArgumentType]


def test_an_image_error_is_both_ours_and_a_value_error() -> None:
    assert issubclass(ImageError, BagelWorldError)
    assert issubclass(ImageError, ValueError)


# --- ResizeRule


@pytest.mark.parametrize(
    ("rule", "size", "expected"),
    [
        (ResizeRule(max_side=1024, min_side=512, stride=16), (640, 480), (688, 512)),  # 682.67 -> 683 -> 42.69 strides -> 43
        (ResizeRule(max_side=100, min_side=1, stride=4), (10, 6), (8, 8)),  # 2.5 and 1.5 strides: halves go to the even one
        (ResizeRule(max_side=10, min_side=1, stride=1), (20, 5), (10, 2)),  # 2.5 pixels: the same for the first rounding
        (ResizeRule(max_side=1024, min_side=512, stride=16), (1000, 24), (1024, 16)),  # the long side wins over the short one
        (ResizeRule(max_side=64, min_side=8, stride=8, max_pixels=1024), (64, 64), (16, 16)),  # 1/4 of the area: 1/4 of each side
    ],
)
def test_sizes_worked_out_by_hand(rule: ResizeRule, size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert rule.size(*size) == expected


def test_images_of_one_sample_share_the_pixels() -> None:
    rule = ResizeRule(max_side=64, min_side=8, stride=8, max_pixels=4096)
    assert rule.size(64, 64) == (64, 64)
    assert rule.size(64, 64, images=4) == (16, 16)


def test_the_published_pixel_budget() -> None:
    assert ResizeRule(max_side=980, min_side=224, stride=14).max_pixels == 1_806_336


@given(
    size=st.tuples(st.integers(1, 16_384), st.integers(1, 16_384)),
    together=st.integers(1, 64),
    stride=st.integers(1, 32),
    sides=st.tuples(st.integers(32, 2048), st.integers(1, 2048)).map(sorted),
)
def test_sizes_are_multiples_of_the_stride_and_bounded(
    size: tuple[int, int], together: int, stride: int, sides: list[int]
) -> None:
    rule = ResizeRule(max_side=sides[1], min_side=sides[0], stride=min(stride, sides[1]))
    resized = rule.size(*size, images=together)
    assert all(side % rule.stride == 0 and side >= rule.stride for side in resized)
    assert max(resized) <= rule.max_side + rule.stride / 2


@given(tokens=st.tuples(st.integers(4, 64), st.integers(4, 64)))
def test_a_size_that_is_right_stays(tokens: tuple[int, int]) -> None:
    rule = ResizeRule(max_side=1024, min_side=64, stride=16)
    size = (tokens[0] * 16, tokens[1] * 16)
    assert rule.size(*size) == size


def test_apply_skips_what_is_right_and_resizes_the_rest_with_pillow() -> None:
    rule = ResizeRule(max_side=32, min_side=16, stride=16)
    frame = np.random.default_rng(0).integers(0, 256, (32, 16, 3), dtype=np.uint8)
    assert rule.apply(frame) is frame
    tall = np.random.default_rng(1).integers(0, 256, (64, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(rule.apply(tall), np.asarray(Image.fromarray(tall).resize((16, 32), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize(
    "fields",
    [
        {"max_side": 0, "min_side": 1, "stride": 1},
        {"max_side": 8, "min_side": 16, "stride": 1},
        {"max_side": 8, "min_side": 8, "stride": 16},
        {"max_side": 8, "min_side": 8, "stride": 1, "maximum": 3},
        {"max_side": 8, "min_side": 8},
    ],
)
def test_contradictory_rules_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        ResizeRule.model_validate(fields)


def test_rules_are_frozen_and_survive_json() -> None:
    rule = ResizeRule(max_side=1024, min_side=512, stride=16)
    assert ResizeRule.model_validate_json(rule.model_dump_json()) == rule
    with pytest.raises(ValidationError, match="frozen"):
        rule.stride = 8


@pytest.mark.parametrize("arguments", [(0, 5), (5, 0), (5, 5, 0)])
def test_sizes_below_one_are_refused(arguments: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="at least 1"):
        ResizeRule(max_side=8, min_side=8, stride=8).size(*arguments)


# --- frames and pixels


def test_pixels_are_channels_first_between_minus_one_and_one() -> None:
    pixels = to_pixels(np.array([[[0, 255, 51]]], np.uint8))
    assert pixels.dtype == np.float32
    assert pixels.shape == (3, 1, 1)
    one_fifth = np.float32(51) / np.float32(255)
    np.testing.assert_array_equal(pixels.ravel(), [-1.0, 1.0, (one_fifth - np.float32(0.5)) / np.float32(0.5)])


def test_frames_are_clamped_and_truncated() -> None:
    values = np.array([-7.0, -1.0, 0.0, 1.0, 7.0, 2 * 99.99 / 255 - 1], np.float32)
    pixels = np.broadcast_to(values, (3, 1, 6))
    np.testing.assert_array_equal(to_frame(pixels)[0, :, 0], [0, 0, 127, 255, 255, 99])


def test_a_round_trip_is_off_by_one_level_at_most() -> None:
    every = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    back = to_frame(to_pixels(every)).astype(int)
    assert set((every.astype(int) - back).ravel()) <= {0, 1}  # truncation may lose a level, never add one


def test_batches_keep_their_leading_axes() -> None:
    batch = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 6, 3), dtype=np.uint8)
    pixels = to_pixels(batch)
    assert pixels.shape == (2, 5, 3, 4, 6)
    np.testing.assert_array_equal(pixels[1, 3], to_pixels(batch[1, 3]))
    np.testing.assert_array_equal(to_frame(pixels)[0, 2], to_frame(pixels[0, 2]))


@pytest.mark.parametrize(("shape", "dtype"), [((4, 4, 3), "f4"), ((4, 4), "u1"), ((3, 4, 4), "u1"), ((0, 4, 3), "u1")])
def test_only_frames_become_pixels(shape: tuple[int, ...], dtype: str) -> None:
    frame = np.zeros(shape, dtype)
    for use in (to_pixels, ResizeRule(max_side=8, min_side=8, stride=8).apply, lambda each: center_crop(each, (1, 1))):
        with pytest.raises(ImageError, match="read_image makes one"):
            use(frame)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((3, 4, 4), np.int32), "float pixels"),
        (np.zeros((4, 4, 3), np.float32), "float pixels"),
        (np.zeros((4, 4), np.float32), "float pixels"),
    ],
)
def test_only_pixels_become_frames(pixels: np.ndarray, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        to_frame(pixels)


def test_what_a_broken_model_paints_is_no_frame() -> None:
    with pytest.raises(OutputError, match="NaN"):
        to_frame(np.full((3, 2, 2), np.nan, np.float32))


# --- center_crop


@pytest.mark.parametrize(
    ("shape", "aspect", "rows", "columns"),
    [
        ((4, 8), (1, 1), (0, 4), (2, 6)),
        ((8, 4), (64, 64), (2, 6), (0, 4)),
        ((6, 6), (1, 2), (1, 4), (0, 6)),
        ((6, 6), (2, 1), (0, 6), (1, 4)),
        ((5, 7), (5, 7), (0, 5), (0, 7)),
        ((1, 900), (900, 1), (0, 1), (449, 450)),
    ],
)
def test_the_middle_is_kept(
    shape: tuple[int, int], aspect: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    np.testing.assert_array_equal(center_crop(frame, aspect), frame[slice(*rows), slice(*columns)])


@pytest.mark.parametrize("aspect", [(0, 1), (1, -1)])
def test_an_aspect_is_positive(aspect: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="positive"):
        center_crop(RED_AND_BLUE, aspect)


# --- goldens of the published program


def test_transforms_of_the_published_program(golden_dir: Path) -> None:
    cases = json.loads((golden_dir / "tiny_cases.json").read_text())
    tensors = load_file(golden_dir / "tiny_cases.safetensors")
    for name in ("vae", "vit"):
        settings = cases[f"{name}_transform"]
        rule = ResizeRule(max_side=settings["max_size"], min_side=settings["min_size"], stride=settings["stride"])
        for index in (0, 1):
            frame = read_image(golden_dir / "images" / f"image{index}.png")
            np.testing.assert_array_equal(frame, tensors[f"inputs/image{index}"])
            resized = rule.apply(frame)
            np.testing.assert_array_equal(resized, tensors[f"transform/{name}{index}_resized_uint8"])
            np.testing.assert_array_equal(to_pixels(resized), tensors[f"transform/{name}{index}_pixels"])


PUBLISHED_RULES = {
    "vae_1024_512_16": (ResizeRule(max_side=1024, min_side=512, stride=16), 1),
    "vit_980_224_14": (ResizeRule(max_side=980, min_side=224, stride=14), 1),
    "train_edit_vit_518_224_14": (ResizeRule(max_side=518, min_side=224, stride=14), 1),
    "train_vlm_980_378_14_maxpix2007040": (ResizeRule(max_side=980, min_side=378, stride=14, max_pixels=2_007_040), 1),
    "train_vlm_4imgs": (ResizeRule(max_side=980, min_side=378, stride=14, max_pixels=2_007_040), 4),
}


def test_sizes_of_the_published_program(golden_dir: Path) -> None:
    cases = {case["id"]: case for case in json.loads((golden_dir / "tiny_cases.json").read_text())["cases"]}
    table = cases["resize_table"]["settings"]["table"]
    assert set(table) == set(PUBLISHED_RULES)
    for name, (rule, together) in PUBLISHED_RULES.items():
        for row in table[name]:
            assert list(rule.size(*row["input_wh"], images=together)) == row["output_wh"], (name, row)


def test_a_damaged_file_of_a_rare_kind_is_told_too() -> None:
    """Pillow raises NotImplementedError for it."""
    header = struct.pack("<7I", 124, 0x1007, 8, 8, 0, 0, 0) + bytes(44) + struct.pack("<8I", 32, 0, 0, 0, 0, 0, 0, 0) + bytes(20)
    with pytest.raises(ImageError):
        read_image(b"DDS " + header + bytes(256))
