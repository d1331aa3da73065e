"""Goldens of a training step: layout, masks, losses and gradients of a packed batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tests.golden import branches
from tests.golden.cases import Case, Checker, covers, cut, head, relatively_close, sibling
from tests.golden.driver import Driver, Flow, Trained
from tests.oracle import Gap, Latent, Segment, Text, Vit


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """The stored images of a batch, in the order of the plans."""

    padded: Tensor
    """Scaled latents of all VAE images, zero-padded to one size before they were encoded."""
    latents: list[Tensor]
    """Scaled latents (z, h, w), cut out of their padded batch."""
    draws: list[float]
    """Pre-sigmoid time of each VAE image; minus infinity marks a clean one."""
    noises: list[Tensor]
    pixels: list[Tensor]


def _patches_to_pixels(patches: Tensor, places: Tensor, patch: int, side: int) -> Tensor:
    """The pixels (3, h, w) that were cut into these patches."""
    columns = int((places % side).max()) + 1
    grid = patches.reshape(-1, columns, patch, patch, 3)
    return grid.permute(4, 0, 2, 1, 3).reshape(3, -1, columns * patch).contiguous()


_ENCODED: dict[tuple[Driver, str], Images] = {}
"""The oracle takes its time for a batch of images; several tests ask for the same one."""


def _images(case: Case, driver: Driver) -> Images:
    if (driver, case.id) not in _ENCODED:
        _ENCODED[driver, case.id] = _encode(case, driver)
    return _ENCODED[driver, case.id]


def _encode(case: Case, driver: Driver) -> Images:
    shapes = case.settings["patchified_vae_latent_shapes"]
    lengths = [rows * columns for rows, columns in shapes]
    padded = driver.encode(case["padded_images"], case["vae_noise"])
    latent_patch = math.isqrt(case["flow_noise"].shape[1] // padded.shape[1])
    patch = math.isqrt(case["packed_vit_tokens"].shape[1] // 3)
    vit_lengths = case.settings["vit_token_seqlens"]
    pieces = zip(cut(case["packed_vit_tokens"], vit_lengths), cut(case["packed_vit_position_ids"], vit_lengths), strict=True)
    side = branches.sizes().vit_side
    return Images(
        padded=padded,
        latents=[
            each[:, : rows * latent_patch, : columns * latent_patch] for each, (rows, columns) in zip(padded, shapes, strict=True)
        ],
        draws=[float(each[0]) for each in cut(case["packed_timesteps"], lengths)],
        noises=cut(case["flow_noise"], lengths),
        pixels=[_patches_to_pixels(patches, places, patch, side) for patches, places in pieces],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Samples as segments, and what the noised images among them aim at."""

    samples: list[list[Segment]]
    flows: list[Flow]
    times: list[Tensor]
    """Per VAE image, kept or not, the time of each of its tokens."""


def _batch(
    case: Case, driver: Driver, images: Images, *, shift: float, dropped: Callable[[dict[str, Any]], bool] = lambda item: False
) -> Batch:
    """The plans of the case as segments; a dropped image leaves a gap of one position, a dropped text nothing."""
    vae = iter(zip(images.latents, images.draws, images.noises, strict=True))
    vit = iter(images.pixels)
    batch = Batch(samples=[], flows=[], times=[])
    for sample in case.settings["samples"]:
        segments: list[Segment] = []
        for item in sample["plan"]:
            gone = dropped(item)
            match item["type"]:
                case "text":
                    segments += [] if gone else [Text(ids=driver.text_ids(item["text"]), loss=bool(item["loss"]))]
                case "vit_image":
                    pixels = next(vit)
                    segments.append(Gap() if gone else Vit(pixels=pixels))
                case "vae_image":
                    segments.append(_latent(driver, batch, *next(vae), shift=shift, noised=bool(item["loss"])))
                    if gone:
                        segments[-1] = Gap()
                case other:
                    raise AssertionError(f"{case.id}: a plan with an item of unknown type {other!r}")
        batch.samples.append(segments)
    return batch


def _latent(driver: Driver, batch: Batch, latents: Tensor, draw: float, noise: Tensor, *, shift: float, noised: bool) -> Latent:
    data, grid = driver.to_tokens(latents)
    assert noised == (draw != -math.inf)
    time = driver.shifted_time(draw, shift)
    batch.times.append(torch.full((len(data),), time))
    if noised:
        batch.flows.append(Flow(data=data, noise=noise))
    return Latent(tokens=(1 - time) * data + time * noise, grid=grid, time=time, noised=noised)


@dataclass(slots=True, kw_only=True)
class Layout:
    """A packed batch in the terms of the stored tensors."""

    positions: list[int]
    text_ids: list[int]
    text_places: list[int]
    vit_places: list[int]
    latent_places: list[int]
    noised_places: list[int]
    labels: list[int]
    label_places: list[int]
    label_weights: list[float]
    latent_positions: list[int]
    split_lengths: list[int]
    modes: list[str]
    sample_lengths: list[int]


def _layout(driver: Driver, samples: Sequence[Sequence[Segment]], boundary: tuple[int, int]) -> Layout:
    """Where everything sits, from the positions and segments that the implementation reports."""
    found = Layout(**{name: [] for name in Layout.__slots__})
    base = 0
    for segments in samples:
        run = driver.run(segments)
        found.positions += run.positions.tolist()
        found.sample_lengths.append(len(run.positions))
        for number, segment in enumerate(segments):
            rows = [base + row for row in run.rows(number)]
            if rows:
                assert rows == list(range(rows[0], rows[-1] + 1))
                _add(found, driver, segment, rows, boundary)
        base += len(run.positions)
    return found


def _add(found: Layout, driver: Driver, segment: Segment, rows: list[int], boundary: tuple[int, int]) -> None:
    found.split_lengths.append(len(rows))
    match segment:
        case Text(ids=ids, loss=loss):
            found.modes.append("causal")
            found.text_ids += ids
            found.text_places += rows
            if loss:
                found.labels += ids[1:]
                found.label_places += rows[:-1]
                found.label_weights += [1 / math.sqrt(len(ids) - 1)] * (len(ids) - 1)
        case Vit():
            found.modes.append("full")
            found.vit_places += rows[1:-1]
        case Latent(grid=grid, noised=noised):
            found.modes.append("noise" if noised else "full")
            found.latent_places += rows[1:-1]
            found.latent_positions += driver.latent_positions(grid)
            found.noised_places += rows[1:-1] if noised else []
    if not isinstance(segment, Text):
        found.text_ids += boundary
        found.text_places += [rows[0], rows[-1]]


def _boundary() -> tuple[int, int]:

    special = head()["special_token_ids"]
    return special["start_of_image"], special["end_of_image"]


@covers("train_forward")
def test_training_layout_and_masks(case: Case, driver: Driver) -> None:
    check = Checker(case)
    batch = _batch(case, driver, _images(case, driver), shift=case.settings["timestep_shift"])
    layout = _layout(driver, batch.samples, _boundary())
    check("packed_position_ids", layout.positions)
    check("packed_text_ids", layout.text_ids)
    check("packed_text_indexes", layout.text_places)
    check("packed_label_ids", layout.labels)
    check("ce_loss_indexes", layout.label_places)
    check("ce_loss_weights", layout.label_weights)
    check("packed_vit_token_indexes", layout.vit_places)
    check("packed_vae_token_indexes", layout.latent_places)
    check("packed_latent_position_ids", layout.latent_positions)
    check("mse_loss_indexes", layout.noised_places)
    check.setting("sample_lens", layout.sample_lengths)
    check.setting("split_lens", layout.split_lengths)
    check.setting("attn_modes", layout.modes)
    check.setting("sequence_length", len(layout.positions))
    for number, segments in enumerate(batch.samples):
        check(f"attention_allowed_{number}", driver.allowed(segments))
    check("t_shift1", torch.cat(_batch(case, driver, _images(case, driver), shift=1.0).times))
    shifted = case.settings["shifted"]["timestep_shift"]
    check("t_shifted", torch.cat(_batch(case, driver, _images(case, driver), shift=shifted).times))


def _train(case: Case, driver: Driver, *, shift: float, **choices: Any) -> Trained:
    batch = _batch(case, driver, _images(case, driver), shift=shift)
    weights = {"text_weight": case.settings["ce_weight"], "flow_weight": case.settings["mse_weight"]}
    return driver.train(batch.samples, batch.flows, **weights, **choices)


def _norms(gradients: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(gradient.double().norm()) for name, gradient in gradients.items()}


def _check_norms(case: Case, gradients: dict[str, Tensor], stored: dict[str, float], total: float) -> None:
    """Every stored norm is met, and no other parameter has a gradient; one without a gradient has norm zero."""
    rtol, norms = case.tolerance["grad_norm_rtol"], _norms(gradients)
    for name, value in stored.items():
        relatively_close(norms.get(name, 0.0), value, rtol, what=f"{case.id}: gradient of {name}")
    assert not {name for name, norm in norms.items() if norm > 0} - set(stored)
    relatively_close(math.sqrt(sum(norm**2 for norm in norms.values())), total, rtol, what=f"{case.id}: global gradient norm")


def _mean_loss(case: Case, trained: Trained, settings: Any) -> None:
    rtol = case.tolerance["loss_rtol"]
    relatively_close(float(trained.text_losses.mean()), settings["ce_mean"], rtol, what="mean text loss")
    relatively_close(float(trained.flow_losses.mean()), settings["mse_mean"], rtol, what="mean flow loss")
    if "total_loss" in settings:
        weighted = (
            case.settings["ce_weight"] * trained.text_losses.mean() + case.settings["mse_weight"] * trained.flow_losses.mean()
        )
        relatively_close(float(weighted), settings["total_loss"], rtol, what="total loss")


@covers("train_forward")
def test_training_losses_and_gradients(case: Case, driver: Driver) -> None:
    settings, check = case.settings, Checker(case)
    check("padded_latent", _images(case, driver).padded)
    trained = _train(case, driver, shift=settings["timestep_shift"])
    check("final_hidden", trained.hidden)
    check("ce_per_token", trained.text_losses)
    check("mse_per_element", trained.flow_losses)
    check("mse_per_token", trained.flow_losses.mean(dim=1))
    _mean_loss(case, trained, settings)
    _check_norms(case, trained.gradients, settings["grad_norm_per_parameter"], settings["grad_global_norm"])
    assert not set(settings["parameters_without_grad"]) & set(trained.gradients)
    for name in case.tensors:
        if name.startswith("grad."):
            check(name, trained.gradients[name.removeprefix("grad.")])
    layout = {name for name in case.tensors if name.startswith("attention_allowed_")} | {
        "t_shift1",
        "t_shifted",
        "mse_per_token_shifted",
    }
    check.finish(beside=layout)


@covers("train_forward")
def test_reweighted_text_loss(case: Case, driver: Driver) -> None:
    weights = case["ce_loss_weights"]
    trained = _train(case, driver, shift=case.settings["timestep_shift"], importance=weights, gradients=False)
    mean = (trained.text_losses * weights).sum() / weights.sum()
    relatively_close(float(mean), case.settings["ce_mean_reweighted"], case.tolerance["loss_rtol"], what="reweighted text loss")


@covers("train_forward")
def test_shifted_times(case: Case, driver: Driver) -> None:
    settings, check = case.settings["shifted"], Checker(case)
    trained = _train(case, driver, shift=settings["timestep_shift"])
    check("mse_per_token_shifted", trained.flow_losses.mean(dim=1))
    _mean_loss(case, trained, settings)
    norm = math.sqrt(sum(value**2 for value in _norms(trained.gradients).values()))
    relatively_close(norm, settings["grad_global_norm"], case.tolerance["grad_norm_rtol"], what="global gradient norm")


@covers("train_forward")
def test_frozen_understanding(case: Case, driver: Driver) -> None:
    settings = case.settings["freeze_und"]
    trained = _train(case, driver, shift=case.settings["timestep_shift"], freeze_understanding=True)
    _mean_loss(case, trained, settings)
    _check_norms(case, trained.gradients, settings["grad_norm_per_parameter"], settings["grad_global_norm"])


@covers("train_layout")
def test_layout_when_every_droppable_item_is_dropped(case: Case, driver: Driver) -> None:
    check, full = Checker(case), sibling(case, "train_forward")
    batch = _batch(full, driver, _images(full, driver), shift=1.0, dropped=lambda item: bool(item["droppable"]))
    layout = _layout(driver, batch.samples, _boundary())
    check("packed_position_ids", layout.positions)
    check("packed_text_ids", layout.text_ids)
    check("packed_text_indexes", layout.text_places)
    check("packed_vae_token_indexes", layout.latent_places)
    check.setting("sample_lens", layout.sample_lengths)
    check.setting("split_lens", layout.split_lengths)
    check.setting("attn_modes", layout.modes)
    check.setting("sequence_length", len(layout.positions))
    kept = [segment for segments in batch.samples for segment in segments if isinstance(segment, Latent)]
    draws = torch.cat(
        [torch.full((len(each.tokens),), math.log(each.time / (1 - each.time)) if each.time else -math.inf) for each in kept]
    )
    torch.testing.assert_close(draws.float(), case["packed_timesteps"], rtol=1e-5, atol=1e-5)
    check.compared.add("packed_timesteps")
    check.finish()
