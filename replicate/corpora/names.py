"""How corpora are called in commands."""

from replicate.files import InputError
from replicate.settings import CORPORA, STANDIN_PRESETS, STANDIN_SIZES


def require_known(name: str) -> None:
    """Refuse what is no corpus's name.

    Raises:
        InputError: there is no such corpus.
    """
    if name.startswith("standin-"):
        standin_of(name)
    elif name not in CORPORA:
        known = ", ".join([*CORPORA, "standin-quick", "standin-full"])
        raise InputError(name, "no such corpus", f"choose one of {known}")


def at_hand(corpus: str) -> str:
    """A corpus in a command: its name, and the path that all but a generated one need."""
    return corpus if corpus.startswith("standin-") else f"{corpus} --data PATH"


def standin_of(name: str) -> tuple[str, str]:
    """Size and preset of a stand-in.

    Raises:
        InputError: there is no such stand-in.
    """
    size, preset = size_and_preset(name)
    if size not in STANDIN_SIZES or preset not in STANDIN_PRESETS:
        raise InputError(
            name,
            "no such stand-in",
            f"choose standin-SIZE or standin-SIZE-PRESET; sizes {', '.join(STANDIN_SIZES)}; "
            f"presets {', '.join(STANDIN_PRESETS)}",
        )
    return size, preset


def size_and_preset(name: str) -> tuple[str, str]:
    """What a corpus's name asks for: `standin-quick-clean` -> quick, clean."""
    size, _, preset = name.removeprefix("standin-").partition("-")
    return size, preset or "default"
