from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bagel_world.errors import ConfigError, UnknownNameError
from bagel_world.sims.gym_policies import policy_factory, random_policy, start_policy
from tests.sims import drawn_env

HERE = "tests.sims.drawn_env"


def choices(seed: int) -> list[int]:
    act = random_policy(drawn_env.Walk(), np.random.default_rng(seed))
    return [int(act(None, {})) for _ in range(40)]


def test_random_choices_come_from_the_generator_alone() -> None:
    assert choices(1) == choices(1) != choices(2)
    assert set(choices(1)) == {0, 1}


def test_a_policy_is_found_by_its_name() -> None:
    assert policy_factory("random") is random_policy
    assert policy_factory(f"{HERE}:always_right") is drawn_env.always_right


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("greedy", ConfigError, '"random" or "module:callable"'),
        (":x", ConfigError, '"random" or "module:callable"'),
        ("no_such_module:x", UnknownNameError, "no module 'no_such_module'"),
        (f"{HERE}.deeper:x", UnknownNameError, "no module"),
        (f"{HERE}:always_rihgt", UnknownNameError, "'always_right'"),
        (f"{HERE}:ZERO", ConfigError, "called as policy"),
    ],
)
def test_what_is_no_policy_is_refused(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        policy_factory(name)


def test_a_module_that_lacks_another_one_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "policy_that_needs_more.py").write_text("import something_else_entirely\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_else_entirely"):
        policy_factory("policy_that_needs_more:x")


def test_a_factory_must_return_a_function() -> None:
    with pytest.raises(ConfigError, match=r"act\(observation, info\), got NoneType"):
        start_policy("nothing", drawn_env.nothing, drawn_env.Walk(), np.random.default_rng(0))
