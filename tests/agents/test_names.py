from __future__ import annotations

import subprocess
import sys

import pytest

from bagel_world import agents


def test_every_public_name_loads_from_its_home() -> None:
    assert set(dir(agents)) == set(agents.__all__)
    for name in agents.__all__:
        value = getattr(agents, name)
        assert getattr(value, "__module__", "bagel_world.agents").startswith("bagel_world.agents")


def test_other_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Plannner'"):
        agents.Plannner  # noqa: B018


def test_a_planner_costs_neither_torch_nor_langchain() -> None:
    code = (
        "import sys\nfrom bagel_world.agents import Planner, ChainOfThought, MonteCarlo, FromChat\n"
        "print(*[name for name in ('torch', 'transformers', 'langchain', 'langchain_core', 'langgraph') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
