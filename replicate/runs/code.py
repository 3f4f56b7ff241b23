"""Which code, packages and machine make a run: digests that tell when a number may be another.

A definition is a function, class or constant at the top level of a module, or a statement there
that has no name, such as a call. Its digest is that of its syntax tree. Comments, layout and
docstrings play no part, nor do imports and the place of what is imported from this package:
`module.name`, an imported `name` and an alias of either are the same. What comes from other
packages counts by its full name. Annotations count, since dataclasses and Triton read them; quotes
around them do not. So moving a definition to another file changes no digest, and changing it
changes its own and no other.
"""

import ast
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from replicate.settings import Sound

PACKAGES = ("torch", "numpy", "numba", "pandas", "gensim")


def package_versions(names: Iterable[str] = PACKAGES, device: str = "cpu") -> dict[str, str]:
    """Versions of Python, of `names` (those that determine numbers), and on `cuda` of Triton."""
    names = (*names, "triton") if device == "cuda" else names
    versions = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **versions}


def processor() -> str:
    """The processor's name, as the system gives it, its generation, and the number of cores.

    Two generations may have one name and other instructions, and then other bits.
    """
    name, generation = platform.processor() or platform.machine(), ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        pairs = (line.partition(":")[::2] for line in reversed(info.read_text().splitlines()))
        known = {key.strip(): value.strip() for key, value in pairs}
        name = known.get("model name", name)
        if {"cpu family", "model"} <= set(known):
            generation = f" (family {known['cpu family']}, model {known['model']})"
    return f"{name}{generation}, {os.cpu_count()} cores"


PACKAGE = Path(__file__).parents[1]
TABLE = Path(__file__).with_name("code_by_module.json")

#: The code that determines numbers: what needs it -> part -> the part's files -> which of a file's
#: definitions, None for all. When definitions move, a part keeps its name, which old records have,
#: and its place, by which definitions that share a name are told apart.
CODE: dict[str, dict[str, dict[str, tuple[str, ...] | None]]] = {
    "text": {
        "protocol": {
            "corpora/protocol.py": None,
            "settings.py": ("Fold", "GROUPS"),
            "paper/__init__.py": ("EMOTIONS",),
        },
        "transcriptions": {
            "corpora/transcriptions.py": None,
            "settings.py": ("PADDING, UNKNOWN", "Tokens"),
        },
        "model": {"model.py": None, "settings.py": ("ModelConfig", "AudioInput")},
        "training": {
            "training/examples.py": None,
            "training/loop.py": None,
            "training/train.py": None,
        },
        "treatments": {
            "training/treatments.py": None,
            "corpora/altered.py": None,
            "settings.py": ("RECORDINGS", "TREATMENTS", "Sound"),
        },
        "text_kernels": {"kernels/text.py": None},
        "compiled": {"kernels/compiled.py": None},
    },
    "audio": {
        "waveforms": {
            "corpora/waveforms.py": None,
            "corpora/recordings.py": None,
            "settings.py": ("SAMPLE_RATE",),
        },
        "audio_kernels": {
            "kernels/audio.py": None,
            "kernels/audio_batches.py": None,
            "kernels/audio_loops.py": None,
        },
        "gru_kernels": {"kernels/gru.py": None},
        "log_mel": {"training/log_mel.py": None},
    },
    "features": {"acoustic_features": {"corpora/features.py": None}},
    "cuda": {
        "cuda": {"kernels/cuda.py": None},
        "cuda_kernels": {"kernels/cuda_loops.py": None},
    },
    "baselines": {
        "baselines": {
            "training/baselines.py": (
                "LOUDNESS", "N_MFCC", "FRAMES", "COEFFICIENTS", "Predict", "majority",
                "dialogue", "dialogue_speaker", "nearest_turn", "same_text", "tfidf", "loudness",
                "mfcc", "late_fusion", "duration", "features_level", "features_level_speaker",
                "features_linear", "features_svm", "features_product", "features_stacked",
                "_linear", "_tfidf", "ACOUSTIC", "_looked_up", "_fitted", "PREDICT", "features",
                "mfccs", "tested",
            ),
            "settings.py": ("QUIETEST",),
        },
    },
}  # fmt: skip
FILES = {part: files for parts in CODE.values() for part, files in parts.items()}

#: The parts that determine a baseline's numbers.
BASELINES_CODE = ("protocol", "transcriptions", "waveforms", *CODE["baselines"])

#: Definition -> digest.
Digests = dict[str, str]
_Items = tuple[tuple[str, str], ...]
#: Module -> its digest -> its definitions, of every version that stored results rest on.
BY_MODULE: dict[str, dict[str, Digests]] = json.loads(TABLE.read_text())

#: The text of this process's code, read at its start: files may change under a long grid.
_SOURCES = {file: (PACKAGE / file).read_text() for files in FILES.values() for file in files}


def parts_of(sound: Sound, device: str = "cpu") -> tuple[str, ...]:
    """The parts of the code that determine a run that hears this, on `cpu` or `cuda`."""
    roles = ("text", sound, device)
    return tuple(part for role in roles for part in CODE.get(role, {}))


@cache
def loaded(parts: tuple[str, ...]) -> Digests:
    """The definitions of some parts, as this process runs them."""
    modules = modules_of(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    return digests(parts, _SOURCES, modules)


class _Loaded(dict[tuple[Sound, str], Digests]):
    """`loaded` for each kind of run, when it is first asked for."""

    def __missing__(self, kind: tuple[Sound, str]) -> Digests:
        return loaded(parts_of(*kind))


#: The code that this process runs, by what it hears and by device.
LOADED_CODE = _Loaded()


def digests(parts: tuple[str, ...], sources: Mapping[str, str], modules: frozenset[str]) -> Digests:
    """Digest of each definition in some parts (of `FILES`), from the text of each file."""
    found = {}
    for part in parts:
        inner: dict[str, set[str]] = {}  # a constant that files of one part repeat counts once
        for file, chosen in FILES[part].items():
            for name, digest in definitions(sources[file], modules).items():
                if chosen is None or name in chosen:
                    inner.setdefault(name, set()).add(digest)
        found[part] = {name: "+".join(sorted(each)) for name, each in inner.items()}
    return _together(found)


def _together(parts: Mapping[str, Digests]) -> Digests:
    """The definitions of parts; where some define a name otherwise, all in the parts' order."""
    found: dict[str, list[str]] = {}
    for part in FILES:
        for name, digest in parts.get(part, {}).items():
            found.setdefault(name, []).append(digest)
    return {
        name: "+".join(each if len(set(each)) > 1 else each[:1])
        for name, each in sorted(found.items())
    }


def by_definition(code: Mapping[str, str]) -> Digests:
    """What a record says of its code, as digests of definitions; those of modules translated."""
    old = {part: BY_MODULE[part][digest] for part, digest in code.items()
           if digest in BY_MODULE.get(part, {})}  # fmt: skip
    return _together(old) | {name: digest for name, digest in code.items() if name not in old}


def difference(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """The definitions in which two records of code differ, or that only one of them has."""
    return _difference(tuple(one.items()), tuple(other.items()))


@cache
def _difference(one: _Items, other: _Items) -> tuple[str, ...]:
    a, b = by_definition(dict(one)), by_definition(dict(other))
    return tuple(sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name)))


def code_version(sound: Sound, device: str = "cpu") -> tuple[str, bool]:
    """`version_of` the code of a run, see `parts_of`."""
    return version_of(parts_of(sound, device))


def version_of(parts: tuple[str, ...]) -> tuple[str, bool]:
    """Git commit (`unknown` outside a checkout), and whether definitions of parts differ there."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD").decode().strip()
        return commit, _committed(commit, parts) != loaded(parts)
    except (OSError, KeyError, subprocess.CalledProcessError):
        return "unknown", True


@cache
def _committed(commit: str, parts: tuple[str, ...]) -> Digests:
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, "."))) as package:
        modules = modules_of(package.getnames())
        files = (file for part in parts for file in FILES[part])
        sources = {file: package.extractfile(file).read().decode() for file in files}  # type: ignore[union-attr]
    return digests(parts, sources, modules)


def _git(*arguments: str) -> bytes:
    command = ["git", "-C", str(PACKAGE), *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout


@cache
def definitions(source: str, modules: frozenset[str]) -> dict[str, str]:
    """Digest of each definition of a module's text, the same under every Python (`modules_of`)."""
    tree = ast.parse(source)
    above = (inner for node in tree.body if _only_imports(node) for inner in ast.walk(node))
    imported = _imported(above)
    found: dict[str, str] = {}
    for node in tree.body:
        if not (_is_text(node) or _only_imports(node)):
            name = _name(node)
            written = _written(_Placeless(node, imported, modules).visit(node))
            # of two that share a name, both count
            found[name] = hashlib.sha256((found.get(name, "") + written).encode()).hexdigest()[:16]
    return found


def modules_of(files: Iterable[str]) -> frozenset[str]:
    """Names of this package's modules, without its own: `corpora.table` of `corpora/table.py`."""
    return frozenset(
        file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for file in files
        if file.endswith(".py")
    )


def _only_imports(node: ast.AST) -> bool:
    """Whether a statement imports, for type checkers or for all."""
    if isinstance(node, ast.If) and not node.orelse:
        return "TYPE_CHECKING" in ast.unparse(node.test) and all(map(_only_imports, node.body))
    return isinstance(node, ast.Import | ast.ImportFrom)


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a bare constant: a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _imported(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """What imported names stand for, in full."""
    found: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            for a in node.names:
                name = a.asname or a.name.partition(".")[0]
                found[name] = a.name if a.asname else name
    return found


def _name(node: ast.stmt) -> str:
    """What a definition is called: `train`, `C1, K1`; of a call, `register()`; else its kind."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return ", ".join(n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return f"{ast.unparse(node.value.func).rpartition('.')[2]}()"
    return type(node).__name__.lower()


def _written(node: ast.AST) -> str:
    # 3.12 added a field, 3.13 leaves empty ones out: as 3.11 writes it
    every: dict[str, bool] = {"show_empty": True} if sys.version_info >= (3, 13) else {}
    return ast.dump(node, **every).replace(", type_params=[]", "")


def _bound(nodes: Iterable[ast.AST]) -> set[str]:
    """Names that a definition gives to something itself, whatever its module imports so."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif not isinstance(node, ast.alias) and isinstance(getattr(node, "name", None), str):
            found.add(node.name)  # type: ignore[attr-defined]
    return found


class _Placeless(ast.NodeTransformer):
    """A definition without docstrings, imports, and the place of what it uses."""

    def __init__(self, node: ast.AST, imported: dict[str, str], modules: Collection[str]) -> None:
        nodes = list(ast.walk(node))
        local, names = _bound(nodes), imported | _imported(nodes)
        self.imported = {name: full for name, full in names.items() if name not in local}
        self.modules = modules

    def visit(self, node: ast.AST) -> Any:
        if _is_text(node) or isinstance(node, ast.Import | ast.ImportFrom):
            return None
        for field in ("annotation", "returns"):
            quoted = getattr(node, field, None)
            if isinstance(quoted, ast.Constant) and isinstance(quoted.value, str):
                setattr(node, field, ast.parse(quoted.value, mode="eval").body)
        if (names := _chain(node)) and names[0] in self.imported:
            return self._used([*self.imported[names[0]].split("."), *names[1:]], node)
        return super().visit(node)

    def _used(self, names: list[str], node: Any) -> ast.expr:
        """What is imported, by its full name; of this package, by its name in its module."""
        if names[0] != PACKAGE.name:
            return ast.Name(".".join(names), node.ctx)
        lengths = (k for k in range(2, len(names)) if ".".join(names[1:k]) in self.modules)
        first, *rest = names[max(lengths, default=1) :]
        kinds = [ast.Load()] * len(rest) + [node.ctx]
        used: ast.expr = ast.Name(first, kinds[0])
        for name, kind in zip(rest, kinds[1:], strict=True):
            used = ast.Attribute(used, name, kind)
        return used


def _chain(node: ast.AST) -> list[str]:
    """The names of `a.b.c`; none of any other expression."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (names := _chain(node.value)):
        return [*names, node.attr]
    return []
