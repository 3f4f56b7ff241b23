"""The order of the package: what may import what, where imports may hide, how long modules are."""

import ast
import re
import subprocess
import sys

import house
import pytest
from house import ARROWS, FLOOR, PATHS, TREES, name_of, wing

from replicate.corpora import opening
from replicate.corpora.standin.casting import SIZES
from replicate.corpora.standin.channels import PRESETS
from replicate.model import FUSIONS
from replicate.settings import CORPORA, FUSION_NAMES, STANDIN_PRESETS, STANDIN_SIZES

#: What shows stored results: it never needs what trains, though that may stand below it.
SHOWING = ("stats", "runs", "studies", "verdicts", "report")

#: Modules whose functions import something when they are called, and why.
LATE_IMPORTS = {
    "__main__": "help and errors of usage come at once; a command imports what it needs",
    "corpora.features": "verdicts and checks do without PyTorch",
    "corpora.opening": "a stand-in is read without what gives it voices",
    "corpora.transcriptions": "tokens are had without PyTorch, gensim and optional vectors",
    "corpora.vector_files": "gensim is needed only where there are vectors",
    "corpora.waveforms": "stored levels are read without PyTorch and soundfile",
    "options": "as `__main__`",
    "report.halves": "only where halves seem to differ is Jupytext asked",
    "report.sphinx_ext": "an unchanged book needs neither a corpus nor papermill",
    "studies.loudness": "verdicts do without signal processing",
    "studies.words": "stored words are read without scikit-learn",
    "training.loop": "the GPU's kernels need Triton, which is for Linux",
    "training.schedule": "Ray is optional",
}

#: A study is one question by itself, in a module or in several that begin with its name. Else:
STUDIES = {("wordlists", "words"): "the words that `words` finds, stored"}

LONGEST = 400


def test_every_wing_has_a_floor():
    assert {wing(module) for module in TREES} == set(FLOOR)


def test_the_picture_shows_the_imports_of_now():
    """If not: `python tests/house.py --write`."""
    page = house.PAGE.read_text()
    assert house.picture() in page and page == house.with_picture(page)


def test_the_picture_leaves_out_only_what_follows():
    wings = house.between_wings(ARROWS)
    shown = house.reduced(wings)
    assert all(shown[one] <= wings[one] for one in wings)
    assert all(house.below(one, shown) == house.below(one, wings) for one in wings)


def test_what_is_to_be_found_in_a_minute_is_there():
    """In each row of that table a name in code is in one of the files that it names."""
    rows = [row for row in house.section("Find it in a minute").splitlines() if "`" in row]
    assert rows
    for row in rows:
        named = re.findall(r"`([^`]+)`", row)
        texts = [(house.ROOT / name).read_text() for name in named if "/" in name]
        words = [part for name in named if "/" not in name for part in name.split(".")]
        assert words and all(any(word in text for text in texts) for word in words), row


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
        ("replicate.runs.selection", HEAVY),
        ("replicate.__main__", HEAVY | {"numpy", "pandas", "pydantic", "yaml"}),
        ("jupytext", {"rfc3987_syntax"}),  # it would parse grammars for two seconds
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
    assert [module for module, count in lines.items() if count > LONGEST] == []


def test_names_are_those_of_what_they_name():
    """Names stand in the settings, so that a list of them needs nothing that is heavy."""
    assert tuple(FUSIONS) == FUSION_NAMES
    assert tuple(opening.READERS) == CORPORA
    assert tuple(SIZES) == STANDIN_SIZES and tuple(PRESETS) == STANDIN_PRESETS
