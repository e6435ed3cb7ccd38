"""Allowed imports: the layers of the design, and modules that do not need TensorFlow."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vatt_gh.config import SCHEMA
from vatt_gh.config.schema import keys_of

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vatt_gh"

# Parts of the lowest layer do not import each other.
LOWEST = {"models", "losses", "harmonize", "media", "report"}
GROUND = LOWEST | {"config"}
# Small parts that every layer may use: the error type, names of arrays and of losses.
EVERYWHERE = {"errors", "locks", "files", "batch", "loss_terms"}
ALLOWED = {
    **{part: set() for part in LOWEST},
    "config": {"media"},
    **{part: set() for part in EVERYWHERE},
    "paths": {"config"},
    "flops": set(),
    "data": {"media", "config"},
    "interop": {"models"},
    "training": GROUND | {"data", "interop"},
    "evaluation": GROUND | {"data", "training"},
    "finetuning": GROUND | {"data", "training", "evaluation", "interop"},
    "describe": GROUND | {"flops", "data", "training"},
    "bench": GROUND | {"data", "evaluation", "flops", "training"},
    "demo": GROUND | {"data", "evaluation"},
    "audit": GROUND | {"data", "training", "evaluation"},
    "study": GROUND | {"data", "training", "evaluation", "audit", "demo"},
    "modes": GROUND
    | {
        "audit",
        "data",
        "demo",
        "describe",
        "evaluation",
        "finetuning",
        "paths",
        "study",
        "training",
    },
    "main": {"config", "modes", "training"},
    "": {"evaluation"},  # vatt_gh/__init__.py, when vatt_gh.load is asked for
}
WITHOUT_TENSORFLOW = (
    "vatt_gh",
    "vatt_gh.losses",
    "vatt_gh.batch",
    "vatt_gh.config",
    "vatt_gh.loss_terms",
    "vatt_gh.training.construct",
    "vatt_gh.main",
    "vatt_gh.modes",
    "vatt_gh.config.checks",
    "vatt_gh.training.step",
    "vatt_gh.bench.harmonize",
    "vatt_gh.training.parallel",
    "vatt_gh.training.optimizer",
    "vatt_gh.training.metrics",
    "vatt_gh.training.checkpoints",
)
PACKAGES_WITHOUT_TENSORFLOW = ("models", "harmonize", "media", "report")


def part_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py").replace("__init__", "")


def imports_of(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def parts_imported(path: Path) -> set[str]:
    """Parts of vatt_gh that a file imports."""
    parts = {name.split(".")[1] for name in imports_of(path) if name.startswith("vatt_gh.")}
    return parts & {part_of(other) for other in PACKAGE.rglob("*.py")}


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_part_has_a_floor():
    assert {part_of(path) for path in FILES} <= ALLOWED.keys()


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_no_import_runs_back_up(part):
    allowed = ALLOWED[part]
    wrong = [
        f"{path.relative_to(ROOT)} imports vatt_gh.{other}"
        for path in FILES
        if part_of(path) == part
        for other in parts_imported(path) - {part} - EVERYWHERE
        if other not in allowed
    ]
    assert wrong == []


def test_harmonize_depends_on_nothing_of_ours():
    outside = {
        name
        for path in (PACKAGE / "harmonize").glob("*.py")
        for name in imports_of(path)
        if name.split(".")[0] in ("vatt_gh", "tfds_builders")
        and not name.startswith("vatt_gh.harmonize.")
    }
    assert outside == set()


def test_the_top_floor_alone_knows_the_builders():
    users = [
        path.relative_to(PACKAGE).as_posix()
        for path in FILES
        if any(name.split(".")[0] == "tfds_builders" for name in imports_of(path))
    ]
    assert users == ["bench/build.py", "bench/pipeline.py", "modes.py"]


def test_configuration_looks_up_these_tables_alone():
    """Their names are a key's choices. It finds them by name, so that it imports no part."""
    assert {key.choices for _, key in keys_of(SCHEMA) if isinstance(key.choices, str)} == {
        "tfds_builders.sets:DATA_SETS",
        "vatt_gh.audit.judged:JUDGED",
        "vatt_gh.harmonize.attribution:ATTRIBUTIONS",
        "vatt_gh.harmonize.method:SELECTIONS",
        "vatt_gh.harmonize:ENGINES",
        "vatt_gh.interop.transfer:STRETCHES",
        "vatt_gh.losses:NCE_KINDS",
        "vatt_gh.media.storages:STORAGES",
        "vatt_gh.models.text_towers:TEXT_TOWERS",
        "vatt_gh.study.plan:METHODS",
    }


def test_training_step_and_media_do_without_tensorflow():
    modules = [
        *WITHOUT_TENSORFLOW,
        *(
            ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            for part in PACKAGES_WITHOUT_TENSORFLOW
            for path in sorted((PACKAGE / part).rglob("*.py"))
        ),
    ]
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    loaded = {m.partition('.')[0] for m in sys.modules}\n"
        "    found = loaded & {'tensorflow', 'tensorflow_datasets'}\n"
        "    if found: sys.exit(f'{name} imports {found}')\n"
        "print(len(sys.argv) - 1, 'modules')\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, *modules],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert answer.stdout == f"{len(modules)} modules\n"
    assert len(modules) > 30
