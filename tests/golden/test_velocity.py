"""Goldens of single velocity predictions and of every way to guide them."""

from __future__ import annotations

from tests.golden import branches
from tests.golden.branches import Branches
from tests.golden.cases import Case, Checker, covers
from tests.golden.driver import Driver
from tests.oracle import Latent


def _context(case: Case, check: Checker, driver: Driver) -> Branches:
    """The branches of the case; what is stored about their segments is compared on the way."""
    seen = Branches()
    if "image" not in case.settings:
        seen.text(driver.text_ids(case.settings["prompt"]))
        return seen
    pixels, latent, vit = branches.seen(driver, branches.frame(case), case["vae_noise"])
    check("vae_pixels", pixels)
    check("vae_latent", branches.latents_of(driver, latent))
    seen.image(latent, vit)
    seen.text(driver.text_ids(case.settings["instruction"]))
    run = driver.run(seen.full)
    for name, segment in (("vae_segment", 0), ("vit_segment", 1)):
        check(f"{name}_input_embeds", run.embeddings[run.rows(segment)])
        check(f"{name}_positions", run.positions[run.rows(segment)])
        check(f"{name}_hidden", run.hidden[run.rows(segment)])
    check("text_positions", run.positions[run.rows(2)])
    check("text_positions_no_image", driver.run(seen.no_image).positions)
    check("k_cache_last", run.keys[-1])
    check("v_cache_last", run.values[-1])
    return seen


@covers("velocity")
def test_velocities_and_their_guidance(case: Case, driver: Driver) -> None:
    settings, check = case.settings, Checker(case)
    seen = _context(case, check, driver)
    for name, stored in settings.get("contexts", {}).items():
        assert branches.state(driver, getattr(seen, name)) == stored, name
    x, grid = case["x_t"], branches.grid_of(case)
    at: dict[float, list] = {}
    for number, time in enumerate(settings["timesteps"]):
        found = driver.velocities(seen.all(), x, grid, time)
        at[time] = found
        for branch, v in zip(("v_cond", "v_text_uncond", "v_img_uncond"), found, strict=True):
            if f"{branch}_{number}" in case:
                check(f"{branch}_{number}", v)
    for each in settings["combinations"]:
        check(each["tensor"], driver.guide(*at[each["t"]], branches.guidance(each, interval=(0.0, 1.0))))
    if "segment_hidden_t0" in case:
        run = driver.run([*seen.full, Latent(tokens=x, grid=grid, time=settings["timesteps"][0], noised=True)])
        rows = run.rows(len(seen.full))
        check("segment_positions", run.positions[rows])
        check("segment_input_embeds_t0", run.embeddings[rows])
        check("segment_hidden_t0", run.hidden[rows])
    if "timestep_embedding" in case:
        waves, embedded = driver.time_embedding(settings["timesteps"])
        check("timestep_sinusoid", waves)
        check("timestep_embedding", embedded)
    check.finish()
