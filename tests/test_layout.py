"""The order of the package: what may import what, where imports may hide, how long modules are."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import replicate
from replicate.corpora import opening
from replicate.corpora.standin.casting import SIZES
from replicate.corpora.standin.channels import PRESETS
from replicate.model import FUSIONS
from replicate.settings import CORPORA, FUSION_NAMES, STANDIN_PRESETS, STANDIN_SIZES

PACKAGE = Path(replicate.__file__).parent

#: The wings from the ground up: each may import those of lower floors only.
FLOORS = (
    ("files",),
    ("paper", "settings"),
    ("stats", "corpora"),
    ("model", "runs"),
    ("kernels", "studies"),
    ("training", "verdicts"),
    ("report", "options"),
    ("__main__",),
)
FLOOR = {wing: floor for floor, wings in enumerate(FLOORS) for wing in wings}

#: What shows stored results: it never needs what trains, though that may stand below it.
SHOWING = ("stats", "runs", "studies", "verdicts", "report")

#: Modules whose functions import something when they are called, and why.
LATE_IMPORTS = {
    "__main__": "help and errors of usage come at once; a command imports what it needs",
    "corpora.transcriptions": "tokens are had without PyTorch, gensim and optional vectors",
    "corpora.waveforms": "stored levels are read without PyTorch and soundfile",
    "options": "as `__main__`",
    "report.execution": "only a page that is executed needs papermill",
    "training.cluster": "Ray is optional",
    "training.loop": "the GPU's kernels need Triton, which is for Linux",
}

#: A study is one question by itself, in a module or in several that begin with its name. Else:
STUDIES = {("wordlists", "words"): "the words that `words` finds, stored"}

LONGEST = 400
#: Modules that are longer, and why.
LONG = {"kernels.audio_loops": "compiled loops, one after the other"}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = [path for path in sorted(PACKAGE.rglob("*.py")) if name_of(path)]  # but the package itself
TREES = {name_of(path): ast.parse(path.read_text()) for path in PATHS}


def wing(module: str) -> str:
    return module.partition(".")[0]


def imported(tree: ast.AST) -> set[str]:
    """Modules of this package that a tree imports, wherever it does."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and wing(node.module or "") == "replicate":
            base = (node.module or "").partition(".")[2]
            for alias in node.names:
                inner = f"{base}.{alias.name}".strip(".")
                found.add(inner if inner in TREES else base)
    return found - {""}


ARROWS = {module: imported(tree) - {module} for module, tree in TREES.items()}


def test_every_wing_has_a_floor():
    assert {wing(module) for module in TREES} == set(FLOOR)


def test_imports_go_down():
    up = [
        (module, other)
        for module, others in ARROWS.items()
        for other in others
        if wing(other) != wing(module) and FLOOR[wing(other)] >= FLOOR[wing(module)]
    ]
    assert up == []


def test_what_shows_results_needs_nothing_that_trains():
    found = [
        (module, other)
        for module, others in ARROWS.items()
        for other in others
        if wing(module) in SHOWING and wing(other) == "training"
    ]
    assert found == []


HEAVY = {"torch", "numba", "triton", "gensim", "sklearn", "torchaudio", "soundfile"}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("replicate.runs.selected", HEAVY),
        ("replicate.__main__", HEAVY | {"numpy", "pandas", "pydantic", "yaml"}),
    ],
)
def test_what_starts_fast_imports_little(module, unwanted):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert unwanted.isdisjoint(done.stdout.split())


def test_no_module_needs_itself():
    """The modules can be put in a line in which each imports only those before it."""
    left = {module: set(others) for module, others in ARROWS.items()}
    # a package that only passes names of its modules on is imported with each of them
    for package in [m for m in left if any(other.startswith(f"{m}.") for other in left[m])]:
        left[package] -= {other for other in left[package] if not other.startswith(f"{package}.")}
    while ready := [module for module, others in left.items() if not others & set(left)]:
        for module in ready:
            del left[module]
    assert left == {}


def test_imports_stand_at_the_top():
    """But for those named above."""
    late = {
        module
        for module, tree in TREES.items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert late == set(LATE_IMPORTS)


def test_a_study_asks_one_question():
    studies = [module for module in TREES if module.startswith("studies.")]
    across = {
        (one.partition(".")[2], other.partition(".")[2])
        for one in studies
        for other in ARROWS[one]
        if wing(other) == "studies" and not one.startswith(other)
    }
    assert across == set(STUDIES)


def test_modules_are_short():
    lines = {name_of(path): len(path.read_text().splitlines()) for path in PATHS}
    assert {module for module, count in lines.items() if count > LONGEST} == set(LONG)


def test_names_are_those_of_what_they_name():
    """Names stand in the settings, so that a list of them needs nothing that is heavy."""
    assert tuple(FUSIONS) == FUSION_NAMES
    assert tuple(opening.READERS) == CORPORA
    assert tuple(SIZES) == STANDIN_SIZES and tuple(PRESETS) == STANDIN_PRESETS
