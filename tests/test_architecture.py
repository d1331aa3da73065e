"""The arrows of the architecture, checked on the source: which room may import which, what nobody may do."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import bagel_world

PACKAGE = Path(bagel_world.__file__).parent

LEAVES = {"errors", "types", "images", "actions", "files", "episodes", "perception", "reach"}
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "types": {"errors"},
    "actions": {"errors", "types"},
    "images": {"errors", "types"},
    "files": set(),
    "perception": {"errors", "types", "images"},
    "reach": {"errors", "types", "images", "files", "perception"},
    "episodes": {"errors", "types", "images", "actions", "files"},
    "video": {"errors", "types", "images", "actions", "files", "episodes"},
    "model": LEAVES,
    "world": LEAVES | {"model"},
    "envs": LEAVES | {"model", "world"},
    "agents": LEAVES | {"model", "world"},
    "training": LEAVES | {"model"},
    "sims": LEAVES,
    "evaluation": LEAVES | {"model", "world", "envs", "agents", "sims"},
    "serve": LEAVES | {"model", "world", "envs", "agents"},
    "cli": LEAVES | {"model", "world", "envs", "agents", "training", "sims", "evaluation", "serve", "video"},
    "__main__": {"cli"},
    "__init__": {"types", "world", "envs"},
}
"""What each room may import. `__init__` is the package's own file: lazy names and the registration of environments."""

OPEN_TO_ALL = {"__version__"}
"""What a room may take from the package itself; its other names would be a back door to other rooms."""

PICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}


@dataclass(frozen=True)
class Finding:
    """Something the architecture forbids, and where."""

    place: str
    what: str


def module_name(file: Path, package: Path) -> str:
    """The dotted name of a file; a folder's `__init__.py` is the folder."""
    parts = file.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(tree: ast.AST, module: str, is_folder: bool) -> Iterator[tuple[int, str]]:
    """Every (line, dotted name) a file imports, anywhere in it; `from a import b` gives `a.b`."""
    folder = module.split(".") if is_folder else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__") and node.args:
            target = node.args[0]
            if isinstance(target, ast.Constant) and isinstance(target.value, str):
                yield node.lineno, ".".join(folder) + target.value if target.value.startswith(".") else target.value


def called(node: ast.Call) -> str:
    """The last name of what is called: `load` of `torch.load(...)`."""
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def rooms_of(package: Path) -> set[str]:
    """The rooms of a package: its files and its folders."""
    files = {file.stem for file in package.glob("*.py")}
    return files | {folder.name for folder in package.iterdir() if folder.is_dir() and any(folder.rglob("*.py"))}


def wrong_arrows(package: Path) -> list[Finding]:
    """Imports from one room into another that the table does not allow."""
    findings = []
    rooms = rooms_of(package) - {"__init__"}
    for file, tree in parsed(package):
        room = file.relative_to(package).parts[0].removesuffix(".py")
        for line, name in imported_names(tree, module_name(file, package), file.name == "__init__.py"):
            parts = name.split(".")
            if parts[0] != package.name:
                continue
            target = parts[1] if len(parts) > 1 else ""
            if target == room or target in OPEN_TO_ALL or target in ROOMS.get(room, set()):
                continue
            what = f"{room} -> {target}" if target in rooms else f"{room} -> the package itself ({name})"
            findings.append(Finding(place(file, line, package), what))
    return findings


def pickling(package: Path) -> list[Finding]:
    """Whatever reads or writes pickles, or could."""
    findings = []
    for file, tree in parsed(package):
        for line, name in imported_names(tree, module_name(file, package), file.name == "__init__.py"):
            if name.split(".")[0] in PICKLERS or name in ("torch.load", "torch.save"):
                findings.append(Finding(place(file, line, package), f"imports {name}"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (reason := pickling_call(node)):
                findings.append(Finding(place(file, node.lineno, package), reason))
    return findings


def pickling_call(node: ast.Call) -> str:
    """Why this call pickles; empty where it does not."""
    settings = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
    full = ast.unparse(node.func)
    if full == "torch.save":
        return "torch.save"
    if full == "torch.load" and settings.get("weights_only") is not True:
        return "torch.load without weights_only=True"
    if "allow_pickle" in settings and settings["allow_pickle"] is not False:
        return "allow_pickle"
    return ""


def parsed(package: Path) -> Iterator[tuple[Path, ast.Module]]:
    """Every source file of a package with its syntax tree."""
    for file in sorted(package.rglob("*.py")):
        yield file, ast.parse(file.read_text(encoding="utf-8"), str(file))


def place(file: Path, line: int, package: Path) -> str:
    """`package/room/file.py:line`."""
    return f"{file.relative_to(package.parent).as_posix()}:{line}"


def listed(findings: list[Finding]) -> str:
    """The findings, one a line, for a failing test."""
    return "\n" + "\n".join(f"{finding.place}: {finding.what}" for finding in findings)


# --- the package


def test_no_import_runs_against_the_arrows() -> None:
    findings = wrong_arrows(PACKAGE)
    assert not findings, listed(findings)


def test_every_room_is_in_the_table() -> None:
    assert rooms_of(PACKAGE) - {"assets"} <= set(ROOMS)


def test_the_table_itself_has_no_circle() -> None:
    left = {room: targets - {room} for room, targets in ROOMS.items()}
    while left:
        free = {room for room, targets in left.items() if not targets & set(left)}
        assert free, f"a circle among {sorted(left)}"
        left = {room: targets for room, targets in left.items() if room not in free}


def test_nothing_pickles() -> None:
    findings = pickling(PACKAGE)
    assert not findings, listed(findings)


def test_every_module_has_a_name_that_says_something() -> None:
    named = {part for file in PACKAGE.rglob("*.py") for part in file.relative_to(PACKAGE).with_suffix("").parts}
    assert not named & NAMES_THAT_SAY_NOTHING


TORCH_FREE = [
    "",
    ".actions",
    ".agents.tools.langchain_tools",
    ".agents.planner",
    ".cli",
    ".envs",
    ".episodes",
    ".images",
    ".serve.transports",
    ".sims",
    ".types",
    ".video",
    ".world.fake",
]


@pytest.mark.parametrize("name", TORCH_FREE)
def test_importing_costs_no_torch(name: str) -> None:
    module = f"{PACKAGE.name}{name}"
    heavy = ("torch", "transformers")
    code = f"import sys, {module}; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


# --- the walker can fail


@pytest.fixture
def bad_package(tmp_path: Path) -> Path:
    """A package that breaks every rule once, and keeps some."""
    sources = {
        "__init__.py": "from bagel_world.types import Action\n",
        "types.py": "",
        "images.py": "def late():\n    from .training.data import video\n",
        "model/__init__.py": "from bagel_world import types, __version__\n",
        "model/mot.py": "import torch\nfrom ..world import config\nfrom . import vae\n",
        "model/vae.py": "import bagel_world.envs.registry as registry\n",
        "world/__init__.py": "from .config import x\n",
        "world/config.py": "from bagel_world.model.mot import Mot\nx = 1\n",
        "training/data/video.py": "from ...sims.house import House\nfrom ...images import late\n",
        "envs/registry.py": (
            "from bagel_world import BagelWorld\nimport importlib\nimportlib.import_module('bagel_world.agents.plan')\n"
        ),
        "agents/plan.py": "class Plan:\n    import bagel_world.cli\n",
        "cli/demo.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bagel_world.envs import registry\n",
        "sims/house.py": "try:\n    from bagel_world.evaluation import control\nexcept ImportError:\n    import pickle\n",
        "evaluation/control.py": (
            "import torch\nfrom torch import load\ntorch.load('a')\ntorch.load('a', weights_only=False)\n"
            "torch.load('a', weights_only=True)\ntorch.save({}, 'b')\nnp.load('c', allow_pickle=True)\njson.load('d')\n"
        ),
    }
    package = tmp_path / "bagel_world"
    for name, source in sources.items():
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    return package


def test_the_walker_finds_every_wrong_arrow_and_no_right_one(bad_package: Path) -> None:
    assert {(finding.place, finding.what) for finding in wrong_arrows(bad_package)} == {
        ("bagel_world/images.py:2", "images -> training"),
        ("bagel_world/model/mot.py:2", "model -> world"),
        ("bagel_world/model/vae.py:1", "model -> envs"),
        ("bagel_world/training/data/video.py:1", "training -> sims"),
        ("bagel_world/envs/registry.py:1", "envs -> the package itself (bagel_world.BagelWorld)"),
        ("bagel_world/envs/registry.py:3", "envs -> agents"),
        ("bagel_world/agents/plan.py:2", "agents -> cli"),
        ("bagel_world/sims/house.py:2", "sims -> evaluation"),
    }


def test_the_walker_finds_every_pickle(bad_package: Path) -> None:
    assert [(finding.place, finding.what) for finding in pickling(bad_package)] == [
        ("bagel_world/evaluation/control.py:2", "imports torch.load"),
        ("bagel_world/evaluation/control.py:3", "torch.load without weights_only=True"),
        ("bagel_world/evaluation/control.py:4", "torch.load without weights_only=True"),
        ("bagel_world/evaluation/control.py:6", "torch.save"),
        ("bagel_world/evaluation/control.py:7", "allow_pickle"),
        ("bagel_world/sims/house.py:4", "imports pickle"),
    ]
