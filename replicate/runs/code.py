"""Which code, packages and machine make a run: digests that tell when a number may be another."""

import importlib.metadata
import io
import json
import os
import platform
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from replicate.runs.definitions import definitions, modules_of
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
                "mfcc", "late_fusion", "duration", "features_level", "features_linear",
                "features_svm", "features_product", "features_stacked", "_linear", "_tfidf",
                "ACOUSTIC", "_looked_up", "_fitted", "PREDICT", "features", "mfccs", "tested",
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


@cache
def _by_module() -> dict[str, dict[str, Digests]]:
    """Module -> its digest -> its definitions, of every version that stored results rest on."""
    table: dict[str, dict[str, Digests]] = json.loads(TABLE.read_text())
    return table


def by_definition(code: Mapping[str, str]) -> Digests:
    """What a record says of its code, as digests of definitions; those of modules translated."""
    known = _by_module()
    old = {part: known[part][digest] for part, digest in code.items()
           if digest in known.get(part, {})}  # fmt: skip
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
