"""Digests of definitions: blind to place, sharp to substance; old records are translated."""

import ast
import json
import random

import old_code
import pytest

from replicate.runs import code
from replicate.runs.code import _chain, _imported, _name, definitions, modules_of
from replicate.runs.published import stored_records
from replicate.runs.rerun import named, repeats
from replicate.settings import RESULTS

FILES = [path.relative_to(code.PACKAGE).as_posix() for path in code.PACKAGE.rglob("*.py")]
MODULES = modules_of(FILES)
SOURCES = {file: (code.PACKAGE / file).read_text() for file in code._SOURCES}
DIGESTS = {file: definitions(source, MODULES) for file, source in SOURCES.items()}
every_file = pytest.mark.parametrize("file", SOURCES)

#: What numerical code uses of this package without resting on it, modules and definitions: what of
#: it reaches a number is stored beside the numbers, or fingerprinted.
NOT_NUMERICAL = {
    "corpora.standin",
    "corpora.table",
    "corpora.vector_files",
    "files",
    "runs.code",
    "runs.experiments",
    "runs.store",
    "settings.Training",
    "training.weights",  # written after the last number
}


def module_of(file):
    (module,) = modules_of([file])
    return module


def counted(file):
    """The definitions of a file that count."""
    chosen = [files[file] for files in code.FILES.values() if file in files]
    return {name for names in chosen for name in (DIGESTS[file] if names is None else names)}


#: Every name that counts, with its module.
COUNTED = {
    f"{module_of(file)}.{name}"
    for file in SOURCES
    for names in counted(file)
    for name in names.split(", ")
}


def of(source, modules=MODULES):
    return definitions(source, frozenset(modules))


def changed(one, other):
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def test_the_digest_is_the_same_under_every_python():
    source = (
        "@one\ndef scaled(values: 'int', *, by=2) -> list:\n    return [by * x for x in values]\n"
    )
    assert of(source) == {"scaled": "746605f0d8f3baf3"}


@every_file
def test_moves_change_no_digest(file):
    """Definitions dealt to three files, in another order, which import from each other."""
    rng = random.Random(file)
    nodes = ast.parse(SOURCES[file]).body
    imports = [n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom | ast.If)]
    rest = [n for n in nodes if n not in imports]
    defined = ", ".join(name for name in DIGESTS[file] if name.isidentifier())
    rng.shuffle(rest)
    found = {}
    for room in range(3):
        text = "\n".join(map(ast.unparse, [*imports, *rest[room::3]]))
        text = f"from replicate.rooms.other import {defined}\n{text}"
        found |= of(text, MODULES | {"rooms.other"})
    assert found == DIGESTS[file]


@every_file
def test_layout_comments_and_docstrings_do_not_count(file):
    tree = ast.parse(SOURCES[file])
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.body = [ast.Expr(ast.Constant("Another docstring.")), *node.body]
    assert of("# a comment\n" + ast.unparse(ast.fix_missing_locations(tree))) == DIGESTS[file]


@pytest.mark.parametrize("seed", range(3))
@every_file
def test_a_changed_line_changes_its_definition_alone(file, seed):
    tree = ast.parse(SOURCES[file])
    places = [
        (node, inner)
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Constant) and type(inner.value) in (int, float)
    ]
    if not places:
        pytest.skip("no number in it")
    node, inner = random.Random(seed).choice(places)
    inner.value += 1
    name = getattr(node, "name", None) or ast.unparse(node.targets[0]).strip("()")
    assert changed(of(ast.unparse(tree)), DIGESTS[file]) == {name}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("from replicate import model as m\ndef f(): return m.A.x", "def f(): return A.x"),
        ("import replicate.model\ndef f(): return replicate.model.A", "def f(): return A"),
        ("from replicate.model import A as B\ndef f(): return B()", "def f(): return A()"),
        ("def f():\n    from replicate.model import A\n    return A()", "def f(): return A()"),
        ("import torch.nn as nn\ndef f(): nn.GRU()", "from torch.nn import GRU\ndef f(): GRU()"),
        ("import math\ndef f(x: 'math.pi'): 0", "from math import pi\ndef f(x: pi): 0"),
        (
            "if TYPE_CHECKING:\n    from replicate.model import A\ndef f(a: 'A'): 0",
            "def f(a: A): 0",
        ),
    ],
)
def test_how_something_is_imported_does_not_count(one, other):
    assert of(one) == of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A = 1\nB = 2", "A = 2\nB = 1"),
        ("A, B = 1, 2", "B, A = 1, 2"),
        ("from torch import relu\ndef f(): relu()", "from numpy import relu\ndef f(): relu()"),
        ("import math\ndef f(): math.pi", "def f(math): math.pi"),
        ("def f(x: tl.constexpr): x", "def f(x): x"),
        ("class A:\n    x: int\n    y: int", "class A:\n    y: int\n    x: int"),
        ("seed(1)", "seed(2)"),
        ("A = 1\nA = 2", "A = 2\nA = 1"),
        ("if debug:\n    A = 1", "if not debug:\n    A = 1"),
    ],
)
def test_what_a_definition_does_counts(one, other):
    assert of(one) != of(other)


def test_of_two_definitions_of_one_name_either_counts():
    parts = code.parts_of("audio")
    now = code.digests(parts, SOURCES, MODULES)
    audio, gru = "kernels/audio_loops.py", "kernels/gru.py"
    swapped = {
        audio: SOURCES[audio].replace("\nLANES = 128", "\nLANES = 16"),
        gru: SOURCES[gru].replace("\nLANES = 16", "\nLANES = 128"),
    }
    for changes in (swapped, *({file: text} for file, text in swapped.items())):
        assert changed(code.digests(parts, SOURCES | changes, MODULES), now) == {"LANES"}


def test_a_part_may_be_divided_into_files(monkeypatch):
    """Each of the files may repeat the type of an array."""
    head, _, rest = SOURCES["kernels/text.py"].partition("\n\n@kernel")
    files = {"one.py": head, "two.py": head + "\n\n@kernel" + rest}
    parts = code.parts_of("none")
    now = code.digests(parts, SOURCES, MODULES)
    monkeypatch.setitem(code.FILES, "text_kernels", dict.fromkeys(files))
    assert code.digests(parts, SOURCES | files, MODULES) == now


def test_only_what_there_is_is_chosen():
    assert [file for file in SOURCES if not counted(file) <= DIGESTS[file].keys()] == []


def used(file):
    """What the definitions of a file that count use of this package, by full names."""
    nodes = ast.parse(SOURCES[file]).body
    own = {name for names in DIGESTS[file] for name in names.split(", ")}
    known = {name: f"replicate.{module_of(file)}.{name}" for name in own}
    known |= _imported(inner for node in nodes for inner in ast.walk(node))
    counting = (node for node in nodes if _name(node) in counted(file))
    chains = filter(None, (_chain(inner) for node in counting for inner in ast.walk(node)))
    full = {".".join([known.get(first, first), *rest]) for first, *rest in chains}
    return {name.removeprefix("replicate.") for name in full if name.startswith("replicate.")}


@every_file
def test_numerical_code_rests_on_no_code_that_does_not_count(file):
    def counts(name):
        parts = name.split(".")
        beginnings = {".".join(parts[:k]) for k in range(1, len(parts) + 1)}
        return bool(beginnings & (COUNTED | NOT_NUMERICAL))

    assert {name for name in used(file) - MODULES if not counts(name)} == set()


def test_the_code_is_that_which_the_process_started_with(monkeypatch, tmp_path):
    commit, _ = code.code_version("audio")
    assert commit == "unknown" or len(commit) == 12
    sources = code._SOURCES | {"model.py": code._SOURCES["model.py"] + "\nanother = 1\n"}
    monkeypatch.setattr(code, "_SOURCES", sources)
    monkeypatch.setattr(code, "loaded", code.loaded.__wrapped__)
    assert "another" in code.LOADED_CODE["audio", "cpu"]
    assert code.code_version("audio") == (commit, True)
    monkeypatch.setattr(code, "PACKAGE", tmp_path)
    assert code.code_version("audio") == ("unknown", True)


def test_the_translation_of_old_records_is_that_of_gits_history():
    if not old_code.has_history():
        pytest.skip("needs git's whole history")
    stored = code.TABLE.read_text()
    assert old_code.table(json.loads(stored)) == stored


def test_old_digests_are_those_of_statements():
    source = "def scaled(values, by=2):\n    {}return [by * one for one in values]\n"
    plain, told, other = (old_code.digest_of_module(source.format(text)) for text in
                          ("", '"""What it does."""\n    ', "by += 1\n    "))  # fmt: skip
    assert plain == told != other
    assert plain == "2180997d901c0634", "the same under every Python"


def test_every_stored_record_is_translated():
    folders = [path for path in RESULTS.glob("*/*") if path.is_dir()]
    stored = [record for path in folders for record in stored_records(path).values()]
    codes = [record.provenance.code for record in stored]
    codes += [made for repeat in repeats() for made in (repeat.made_by, repeat.repeated_by)]
    assert codes
    for made in {tuple(made.items()) for made in codes}:
        translated = code.by_definition(dict(made))
        assert {"cohort", "tokens"} <= translated.keys()
        assert code.FILES.keys().isdisjoint(translated)


def test_what_no_table_translates_counts_as_changed():
    now = code.LOADED_CODE["none", "cpu"]
    assert code.difference(now, dict(now)) == ()
    assert {"model", "EmotionModel"} <= set(code.difference({"model": "0" * 16}, now))


def test_a_line_names_few_definitions_and_counts_many():
    assert named(["a", "b"]) == "a, b"
    assert named(list("abcdefg")) == "7 definitions, a, b, c, d, e and others"
