"""Goldens of whole image generations: from text, from an image, and step by step through a world."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bagel_world.images import to_frame
from tests.golden import branches, cases
from tests.golden.branches import Branches
from tests.golden.cases import Case, Checker, covers
from tests.golden.driver import Driver, Sampled


def _sample(case: Case, driver: Driver, seen: Branches, noise: Any) -> Sampled:
    return driver.sample(
        seen.all(),
        noise,
        branches.grid_of(case),
        timesteps=case.settings["num_timesteps"],
        shift=case.settings["timestep_shift"],
        guidance=branches.guidance(case.settings),
    )


def _painted(case: Case, check: Checker, driver: Driver, sampled: Sampled, suffix: str = "") -> np.ndarray[Any, Any]:
    """The frame that was sampled; its latent and its decoded pixels are the stored ones."""
    latent = driver.to_latents(sampled.final, branches.grid_of(case))[None]
    check("final_latent" + suffix, latent)
    decoded = driver.decode(latent)
    check("decoded" + suffix, decoded)
    return to_frame(decoded[0].detach().float().numpy())


def _check_steps(check: Checker, sampled: Sampled) -> None:
    check("step_t", sampled.times)
    check("step_x", sampled.xs)
    check("step_v", sampled.vs)


def _check_scales(case: Case, times: list[float]) -> None:
    """The interval switches guidance on and off at the stored steps."""
    low, high = case.settings["cfg_interval"]
    on = [case.settings["cfg_text_scale"], case.settings["cfg_img_scale"]]
    assert [on if low < time <= high else [1.0, 1.0] for time in times] == case.settings["step_scales"]


@covers("t2i")
def test_text_to_image(case: Case, driver: Driver) -> None:
    settings, check = case.settings, Checker(case)
    seen = Branches()
    if settings["think"]:
        seen.system(driver.text_ids(settings["system_prompt"]))
    seen.text(driver.text_ids(settings["prompt"]))
    if settings["think"]:
        special = cases.head()["special_token_ids"]
        start, stop = special["bos_token_id"], special["eos_token_id"]
        chosen, _, _ = driver.greedy(seen.full, start=start, stop=stop, steps=settings["max_think_token_n"])
        generated = [start, *chosen[:-1]]  # the last predicted token is never returned
        check("think_generated_ids", generated)
        assert driver.answer(generated) == settings["think_text"]
        thought = driver.text_ids(driver.answer(generated))
        check("think_context_ids", thought)
        seen.thought(thought)
    sampled = _sample(case, driver, seen, case["init_noise"])
    _check_scales(case, sampled.times)
    _check_steps(check, sampled)
    check("image", _painted(case, check, driver, sampled))
    check.finish()


@covers("edit")
def test_edit(case: Case, driver: Driver) -> None:
    check = Checker(case)
    seen = Branches()
    _, latent, vit = branches.seen(driver, branches.frame(case), case["vae_noise"])
    check("vae_latent", branches.latents_of(driver, latent))
    seen.image(latent, vit)
    seen.text(driver.text_ids(case.settings["instruction"]))
    sampled = _sample(case, driver, seen, case["init_noise"])
    _check_scales(case, sampled.times)
    _check_steps(check, sampled)
    check("image", _painted(case, check, driver, sampled))
    check.finish()


@pytest.mark.parametrize("teacher", [True, False], ids=["teacher_forced", "free_running"])
@covers("interleaved")
def test_steps_through_a_world(case: Case, driver: Driver, teacher: bool) -> None:
    """With a teacher the stored frames re-enter the context; in a free run our own do, and one level of difference grows."""
    settings = case.settings
    check = Checker(case, atol=case.tolerance["teacher_forced_atol" if teacher else "free_running_atol"])
    seen, frame = Branches(), branches.frame(case)
    for step, text in enumerate(settings["texts"]):
        _, latent, vit = branches.seen(driver, frame, case[f"vae_noise_{step}"])
        check(f"vae_latent_{step}", branches.latents_of(driver, latent))
        seen.image(latent, vit)
        seen.text(driver.text_ids(text))
        for name, stored in settings["contexts_at_generation"][step].items():
            assert branches.state(driver, getattr(seen, name)) == stored, (step, name)
        sampled = _sample(case, driver, seen, case[f"init_noise_{step}"])
        check(f"step_v_{step}", sampled.vs)
        frame = _painted(case, check, driver, sampled, f"_{step}")
        if teacher:
            check(f"image_{step}", frame)
            frame = case[f"image_{step}"].numpy()
    assert len(settings["texts"]) == settings["steps"]
    check.finish(beside=() if teacher else [f"image_{step}" for step in range(settings["steps"])])
