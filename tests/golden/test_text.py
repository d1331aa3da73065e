"""Goldens of the language model on text, and on an image and a question."""

from __future__ import annotations

from tests.golden import branches, cases
from tests.golden.branches import rule
from tests.golden.cases import Case, Checker, covers
from tests.golden.driver import Driver
from tests.oracle import Segment, Text, Vit


def _check_greedy(case: Case, check: Checker, driver: Driver, segments: list[Segment]) -> None:
    settings, special = case.settings, cases.head()["special_token_ids"]
    start, stop = settings["greedy_start_token"], special["eos_token_id"]
    chosen, scores, positions = driver.greedy(segments, start=start, stop=stop, steps=settings["max_new_tokens"])
    assert (chosen[-1] == stop) == settings["greedy_stopped_by_eos"]
    stored = len(case["greedy_tokens"])
    assert stored == len(chosen) or (chosen[-1] == stop and stored == len(chosen) - 1)
    check("greedy_tokens", chosen[:stored])
    check("greedy_logits", scores[:stored])
    check("greedy_positions", positions[:stored])
    texts = [value for name, value in settings.items() if name == "greedy_text" or name.startswith("answer_text")]
    for text in texts:
        assert driver.answer([start, *chosen]) == text


@covers("text")
def test_prompt_and_greedy_continuation(case: Case, driver: Driver) -> None:
    check = Checker(case)
    ids = driver.text_ids(case.settings["prompt"])
    check("input_ids", ids)
    run = driver.run([Text(ids=ids)])
    check("position_ids", run.positions)
    check("hidden", run.hidden)
    check("logits", driver.logits(run.hidden))
    for name, layer in (("first", 0), ("last", -1)):
        check(f"k_cache_{name}", run.keys[layer])
        check(f"v_cache_{name}", run.values[layer])
    _check_greedy(case, check, driver, [Text(ids=ids)])
    check.finish()


@covers("vlm")
def test_image_question_and_greedy_answer(case: Case, driver: Driver) -> None:
    settings, check = case.settings, Checker(case)
    frame = branches.frame(case)
    if settings["vae_resize_first"]:
        frame = rule("vae_transform").apply(frame)
    check("vit_input_wh", [frame.shape[1], frame.shape[0]])
    pixels = branches.pixels_of(rule("vit_transform").apply(frame))
    check("vit_pixels", pixels)
    question = driver.text_ids(settings["question"])
    check("text_ids", question)
    system = [Text(ids=driver.text_ids(settings["system_prompt"]))] if settings["system_prompt"] else []
    segments: list[Segment] = [*system, Vit(pixels=pixels), Text(ids=question)]
    run = driver.run(segments)
    image, text = run.rows(len(system)), run.rows(len(system) + 1)
    check("image_input_embeds", run.embeddings[image])
    check("image_positions", run.positions[image])
    check("image_hidden", run.hidden[image])
    check("text_positions", run.positions[text])
    check("text_logits", driver.logits(run.hidden[text]))
    for name, value in branches.state(driver, segments).items():
        check.setting(name, value)
    _check_greedy(case, check, driver, segments)
    check.finish()
