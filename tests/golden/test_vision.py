"""Goldens of the vision transformer and of the autoencoder."""

from __future__ import annotations

import torch

from bagel_world.images import to_frame
from tests.golden.cases import Case, Checker, covers
from tests.golden.driver import Driver


@covers("vit")
def test_vit(case: Case, driver: Driver) -> None:
    check = Checker(case)
    numbers = case.indices("pixels")
    for number, parts in zip(numbers, driver.vit([case[f"pixels{number}"] for number in numbers]), strict=True):
        for name in ("patches", "position_ids", "embeddings", "features", "connected", "tokens"):
            check(f"{name}{number}", getattr(parts, name))
    check.finish()


@covers("vae")
def test_vae(case: Case, driver: Driver) -> None:
    check = Checker(case)
    for number in case.indices("pixels"):
        pixels, noise = case[f"pixels{number}"], case[f"noise{number}"]
        mean, log_variance = driver.moments(pixels)
        check(f"mean{number}", mean)
        check(f"logvar{number}", log_variance)
        latent_mean, sampled = driver.encode(pixels, None), driver.encode(pixels, noise)
        check(f"latent_mean{number}", latent_mean)
        check(f"latent_sampled{number}", sampled)
        tokens, grid = driver.to_tokens(sampled[0])
        check(f"latent_tokens{number}", tokens)
        check(f"latent_position_ids{number}", driver.latent_positions(grid))
        torch.testing.assert_close(driver.to_latents(tokens, grid), sampled[0])
        decoded = driver.decode(sampled)
        check(f"decoded{number}", decoded)
        check(f"decoded_mean{number}", driver.decode(latent_mean))
        check(f"decoded_uint8_{number}", to_frame(decoded[0].detach().float().numpy()))
    if "padded_pixels" in case:
        check("padded_mean", driver.moments(case["padded_pixels"])[0])
    check.finish()
