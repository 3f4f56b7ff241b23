"""How corpora are called in commands."""

import re

from replicate.files import InputError
from replicate.settings import CORPORA, STANDIN_PRESETS, STANDIN_SIZES

#: A corpus of one's own, see `replicate.corpora.own`.
OWN = re.compile(r"own-[a-z0-9][a-z0-9_-]*")


def require_known(name: str) -> None:
    """Raise an `InputError` unless there is a corpus of that name."""
    if name.startswith("standin-"):
        size_and_preset(name)
    elif name not in CORPORA and not OWN.fullmatch(name):
        known = ", ".join([*CORPORA, "standin-quick", "standin-full", "own-NAME"])
        raise InputError(name, "no such corpus", f"choose one of {known}")


def at_hand(corpus: str) -> str:
    """A corpus in a command: its name, and the path that all but a generated one need."""
    return corpus if corpus.startswith("standin-") else f"{corpus} --data PATH"


def size_and_preset(name: str) -> tuple[str, str]:
    """`standin-quick-clean` -> quick, clean; `standin-quick` -> quick, default; or `InputError`."""
    size, _, preset = name.removeprefix("standin-").partition("-")
    preset = preset or "default"
    if size not in STANDIN_SIZES or preset not in STANDIN_PRESETS:
        known = f"sizes {', '.join(STANDIN_SIZES)}; presets {', '.join(STANDIN_PRESETS)}"
        remedy = f"choose standin-SIZE or standin-SIZE-PRESET; {known}"
        raise InputError(name, "no such stand-in", remedy)
    return size, preset
