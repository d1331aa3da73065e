"""What every test shares: where the goldens are, and which marks this machine can serve."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: several workers with several threads each wait for each other

# No deadline: a busy machine is no bug. The same examples every time on a CI, new ones elsewhere.
settings.register_profile("bagel_world", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("bagel_world")


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """The folder of reference numbers of the published program; a test that asks for it is skipped where there is none."""
    folder = Path(os.environ.get("BAGEL_GOLDEN_DIR", ROOT.parent / "shared" / "golden"))
    if not (folder / "tiny_cases.json").is_file():
        pytest.skip("the goldens are not here: set BAGEL_GOLDEN_DIR to the folder that holds tiny_cases.json")
    return folder


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, with the reason."""
    for mark, missing in (("gpu", _missing_gpu), ("weights", _missing_weights), ("sims", _missing_sims), ("doom", _missing_doom)):
        if item.get_closest_marker(mark) is not None and (reason := missing()):
            pytest.skip(reason)


@cache
def _missing_gpu() -> str:
    import torch

    return "" if torch.cuda.is_available() else "needs a CUDA device"


@cache
def _missing_weights() -> str:
    folder = os.environ.get("BAGEL_WEIGHTS_DIR", "")
    return "" if folder and Path(folder).is_dir() else "needs the published weights: set BAGEL_WEIGHTS_DIR to their folder"


@cache
def _missing_doom() -> str:
    return "" if find_spec("vizdoom") else 'needs ViZDoom: pip install "bagel-world[doom]"'


@cache
def _missing_sims() -> str:
    """Opens one of each kind in a process of its own: a broken driver may end the process instead of raising."""
    code = "from bagel_world.sims import *; [sim(size=(32, 32)).reset(seed=0) for sim in (House, Turntable)]"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode == 0:
        return ""
    last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
    return f"needs a simulator: {last[0]}"
