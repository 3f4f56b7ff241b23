"""What an IEMOCAP id says: session, talker, scripted or improvised, scenario."""

import re
from dataclasses import dataclass
from functools import cache

_DIALOGUE = r"Ses(?P<session>\d\d)[FM]_(?P<kind>impro|script)(?P<number>\d\d)[a-z]?(?:_\d+[a-z]?)?"
_UTTERANCE = re.compile(rf"(?P<dialogue>{_DIALOGUE})_(?P<letter>[FM])(?:XX)?\d+")

#: Label -> class; excitement joins happiness (paper, Section 4.1). Others are outside the cohort.
EMOTIONS = {
    "ang": "anger",
    "hap": "happiness",
    "exc": "happiness",
    "neu": "neutrality",
    "sad": "sadness",
}


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
    """Whether an utterance's id stands anywhere in a line."""
    return _UTTERANCE.search(line) is not None


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
