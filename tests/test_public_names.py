from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

import bagel_world


def test_every_public_name_loads_from_its_home() -> None:
    for name in bagel_world.__all__:
        value = getattr(bagel_world, name)
        if name != "__version__":
            assert value.__name__ == name
            assert value.__module__.startswith("bagel_world.")
    assert set(dir(bagel_world)) == set(bagel_world.__all__)


def test_other_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'BagleWorld'"):
        bagel_world.BagleWorld  # noqa: B018


def test_the_installed_version_is_the_one_in_the_source() -> None:
    try:
        installed = version("bagel-world")
    except PackageNotFoundError:
        pytest.skip("bagel-world is not installed here, only on the path")
    assert installed == bagel_world.__version__


def test_importing_registers_the_environments() -> None:
    code = (
        "import bagel_world, gymnasium as gym\n"
        "spec = gym.spec('BagelNavigate-v0')\n"
        "assert isinstance(spec.entry_point, str), spec\n"
        "assert isinstance(spec.vector_entry_point, str), spec\n"
        "spec.to_json()\n"
        "import sys; assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
