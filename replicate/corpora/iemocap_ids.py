"""What an IEMOCAP id says: session, talker, scripted or improvised, scenario."""

import re
from dataclasses import dataclass
from functools import cache

_DIALOGUE = r"Ses(?P<session>\d\d)[FM]_(?P<kind>impro|script)(?P<number>\d\d)[a-z]?(?:_\d+[a-z]?)?"
_UTTERANCE = re.compile(rf"(?P<dialogue>{_DIALOGUE})_(?P<letter>[FM])(?:XX)?\d+")
_ANY_CASE = re.compile(rf"(?P<dialogue>{_DIALOGUE})(?P<turn>_[FM](?:XX)?\d+)?", re.IGNORECASE)

#: Label -> class; excitement joins happiness (paper, Section 4.1). Others are outside the cohort.
EMOTIONS = {
    "ang": "anger", "hap": "happiness", "exc": "happiness", "neu": "neutrality", "sad": "sadness"
}  # fmt: skip


@dataclass(frozen=True)
class UtteranceId:
    """An id taken apart, for example `Ses05M_script01_1b_F012`, into columns of the table.

    The first letter (`Ses05M`) says who wore the motion-capture markers in that dialogue; the
    talker is the letter after the last underscore.
    """

    utterance: str
    dialogue: str  # `Ses05M_script01_1b`
    session: str  # `5`
    speaker: str  # `Ses05_F`
    gender: str
    scripted: bool  # whether a play was read (otherwise improvised)
    scenario: str  # `script01`, `impro05`: in all sessions, part numbers and letters dropped


@cache
def dialogue(utterance: str) -> str:
    """The dialogue that an id names; an id that is not IEMOCAP's stands for itself."""
    known = parse(utterance)
    return utterance if known is None else known.dialogue


def named(line: str) -> bool:
    """Whether an utterance's id stands anywhere in a line, in whatever case."""
    return re.search(_UTTERANCE.pattern, line, re.IGNORECASE) is not None


def spelt(name: str) -> str:
    """An utterance's or a dialogue's id in IEMOCAP's spelling, whatever its case; else the name."""
    match = _ANY_CASE.fullmatch(name)
    if match is None:
        return name
    dialogue, turn = match["dialogue"].lower(), (match["turn"] or "").upper()
    return f"Ses{dialogue[3:5]}{dialogue[5].upper()}{dialogue[6:]}{turn}"


def parse(utterance: str) -> UtteranceId | None:
    """An utterance id taken apart, or None if it is not IEMOCAP's."""
    match = _UTTERANCE.fullmatch(utterance)
    if match is None:
        return None
    return UtteranceId(
        utterance=utterance,
        dialogue=match["dialogue"],
        session=match["session"].lstrip("0"),
        speaker=f"Ses{match['session']}_{match['letter']}",
        gender=match["letter"],
        scripted=match["kind"] == "script",
        scenario=match["kind"] + match["number"],
    )
