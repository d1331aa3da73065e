"""`bagel-world train --settings`: every setting, as the recipe takes it."""

from __future__ import annotations

import pytest
import yaml
from pydantic import BaseModel

from bagel_world.cli import main
from bagel_world.cli.recipe_settings import recipe_sections, sections_of
from bagel_world.training.data.segments import SegmentConfig

SECTIONS = list(recipe_sections())


def test_every_setting_and_every_section_says_what_it_is() -> None:
    silent = [setting.name for section in SECTIONS for setting in section.settings if not setting.description]
    assert not silent
    assert all(section.description for section in SECTIONS)


def test_settings_have_the_names_and_defaults_that_a_recipe_takes() -> None:
    found = {setting.name: setting.default for section in SECTIONS for setting in section.settings}
    assert len(found) == sum(len(section.settings) for section in SECTIONS)
    inside = {name.removeprefix("mot.segments."): default for name, default in found.items() if name.startswith("mot.segments.")}
    defaults = {name: yaml.safe_load(default or "") for name, default in inside.items()}
    assert SegmentConfig.model_validate(defaults) == SegmentConfig()
    assert set(inside) == set(SegmentConfig.model_fields)
    assert found["run"] is None
    assert found["samples[].weight"] == "1.0"
    assert found["mot.lora"] == "null"
    assert found["mot.lora.rank"] is None
    assert found["decoder.optimizer.rate"] == "0.00012"
    assert yaml.safe_load(found["mot.optimizer.eps"] or "") == 1e-10
    assert found["world.context.max_frames"] == "16"
    assert found["world.sampling.NAME.guidance.text_scale"] == "1.0"
    assert "mot" not in found


def test_settings_of_any_model_are_found() -> None:
    class Inner(BaseModel):
        """What is inside."""

        size: int = 3

    class Outer(BaseModel):
        """What is around it."""

        one: Inner = Inner()
        several: tuple[Inner, ...] = ()

    names = {section.name: [setting.name for setting in section.settings] for section in sections_of(Outer)}
    assert names == {"": ["several"], "one": ["one.size"], "several[]": ["several[].size"]}


def test_the_command_lists_them_without_a_recipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit) as stop:
        main(["train", "--settings"])
    assert not stop.value.code
    lines = capsys.readouterr().out.splitlines()
    assert "  mot.optimizer.rate = 0.003" in [line.rstrip() for line in lines]
    assert "Peak learning rate of AdamW." in [line.strip() for line in lines]
    assert "  run (required)" in lines
    assert max(map(len, lines)) <= 60
