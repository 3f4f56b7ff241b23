"""Digests of definitions: blind to place, sharp to substance; old records are translated."""

import ast
import json
import random

import old_code
import pytest

from replicate.runs import code
from replicate.runs.definitions import definitions, modules_of
from replicate.runs.rerun import named

FILES = [path.relative_to(code.PACKAGE).as_posix() for path in code.PACKAGE.rglob("*.py")]
MODULES = modules_of(FILES)
SOURCES = {file: (code.PACKAGE / file).read_text() for file in code._SOURCES}
DIGESTS = {file: definitions(source, MODULES) for file, source in SOURCES.items()}
every_file = pytest.mark.parametrize("file", SOURCES)

#: What numerical code uses of this package without resting on it: what of it reaches a number is
#: stored beside the numbers, or fingerprinted.
NOT_NUMERICAL = {
    "code",
    "corpora",
    "corpora.table",
    "errors",
    "experiments",
    "files",
    "runs",
}  # fmt: skip


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
    parts = code.parts_of(heard=True)
    now = code.digests(parts, SOURCES, MODULES)
    audio, gru = SOURCES["audio_kernels.py"], SOURCES["gru_kernels.py"]
    swapped = {
        "audio_kernels.py": audio.replace("\nLANES = 128", "\nLANES = 16"),
        "gru_kernels.py": gru.replace("\nLANES = 16", "\nLANES = 128"),
    }
    for changes in (swapped, *({file: text} for file, text in swapped.items())):
        assert changed(code.digests(parts, SOURCES | changes, MODULES), now) == {"LANES"}


def test_a_part_may_be_divided_into_files(monkeypatch):
    """Each of the files may repeat the type of an array."""
    head, _, rest = SOURCES["text_kernels.py"].partition("\n\n@kernel")
    files = {"one.py": head, "two.py": head + "\n\n@kernel" + rest}
    parts = code.parts_of(heard=False)
    now = code.digests(parts, SOURCES, MODULES)
    monkeypatch.setitem(code.FILES, "text_kernels", tuple(files))
    assert code.digests(parts, SOURCES | files, MODULES) == now


@every_file
def test_numerical_code_rests_on_no_code_that_does_not_count(file):
    used = set()
    for node in ast.walk(ast.parse(SOURCES[file])):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("replicate."):
            name = node.module.partition(".")[2]
            inner = {f"{name}.{a.name}".lstrip(".") for a in node.names} & MODULES
            used |= (inner or {name}) - {"corpora.standin"}  # the corpus's fingerprint covers it
    assert used <= modules_of(SOURCES) | NOT_NUMERICAL


def test_the_code_is_that_which_the_process_started_with(monkeypatch, tmp_path):
    commit, _ = code.code_version(heard=True)
    assert commit == "unknown" or len(commit) == 12
    sources = code._SOURCES | {"model.py": code._SOURCES["model.py"] + "\nanother = 1\n"}
    monkeypatch.setattr(code, "_SOURCES", sources)
    monkeypatch.setattr(code, "loaded", code.loaded.__wrapped__)
    assert "another" in code.LOADED_CODE[True, "cpu"]
    assert code.code_version(heard=True) == (commit, True)
    monkeypatch.setattr(code, "PACKAGE", tmp_path)
    assert code.code_version(heard=True) == ("unknown", True)


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
    results = code.PACKAGE.parent / "results"
    records = [json.loads(path.read_text()) for path in results.glob("*/*/*/*.json")]
    codes = {tuple(record["provenance"]["code"].items()) for record in records}
    for repeat in json.loads((results / "repeats.json").read_text()):
        codes |= {tuple(repeat[key].items()) for key in ("made_by", "repeated_by")}
    assert codes
    for stored in codes:
        translated = code.by_definition(dict(stored))
        assert {"cohort", "tokens"} <= translated.keys() and code.FILES.keys().isdisjoint(
            translated
        )


def test_what_no_table_translates_counts_as_changed():
    now = code.LOADED_CODE[False, "cpu"]
    assert code.difference(now, dict(now)) == ()
    assert {"model", "EmotionModel"} <= set(code.difference({"model": "0" * 16}, now))


def test_a_line_names_few_definitions_and_counts_many():
    assert named(["a", "b"]) == "a, b"
    assert named(list("abcdef")) == "6 definitions, a, b, c, d and others"
