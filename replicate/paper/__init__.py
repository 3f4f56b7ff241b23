"""The paper as data: its tables, its claims, and the choices that it leaves open.

Everything that a page says the paper reports comes from the YAML files beside this module.
"""

from decimal import Decimal
from pathlib import Path
from typing import Literal, TypeVar

import pandas as pd
import yaml
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from replicate.files import InputError, checked

Emotion = Literal["anger", "happiness", "neutrality", "sadness"]

#: The paper's classes, in the order of its tables.
EMOTIONS = ("anger", "happiness", "neutrality", "sadness")

#: Utterances of each class in the paper's cohort; their shares are the prior of C.
CLASS_SIZES = (1103, 1636, 1708, 1084)

#: IEMOCAP: its recordings; its words and acoustic features in place of raw audio.
PAPER_CORPUS, PAPER_FEATURES = "iemocap", "iemocap-features"

#: Half a unit of the last printed place of Tables 4 to 8.
ROUNDING = 0.0005

FOLDER = Path(__file__).parent

Loaded = TypeVar("Loaded")


def load(path: Path, kind: type[Loaded]) -> Loaded:
    """A YAML file as typed data; scalars reach the types as text, so 0.500 keeps its digits.

    `InputError` if the file is no YAML or does not fit, naming the places.
    """
    text = path.read_text(encoding="utf-8")
    try:
        values = yaml.load(text, Loader=yaml.CBaseLoader)
    except yaml.YAMLError as error:
        raise InputError(path, f"not YAML: {error}", "mend the syntax") from error
    return checked(values, kind, path, "mend these entries")


_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class Claim:
    """A claim of the paper."""

    id: int  # its number, 1-29
    statement: str  # what is claimed, in our words
    section: str  # where the paper says it
    element: str  # the table, row or text there
    reported: dict[str, Decimal]  # the printed values by name, with the digits of print
    needs: tuple[str, ...]  # the evidence that it takes

    @property
    def numbers(self) -> dict[str, float]:
        """The printed values by name, to reckon with."""
        return {name: float(value) for name, value in self.reported.items()}


CLAIMS = load(FOLDER / "claims.yml", tuple[Claim, ...])
_REPORTED = {claim.id: claim.reported for claim in CLAIMS}

#: Section 4.1's utterances: `train` and `test`.
COUNTS = _REPORTED[1]

#: Section 4.2's standard deviations of attention scores over utterances: `model-embedding` -> sd.
SCORE_SPREADS = {name: float(value) for name, value in _REPORTED[16].items()}

#: The words that are said to go with a class, in Table 6 and in the text: (class, word) -> ratio.
WORDS = {
    (emotion, word): ratio
    for emotion, claim in zip(EMOTIONS, (21, 22, 23, 24), strict=True)
    for word, ratio in _REPORTED[claim].items()
}

#: Utterances of the test set.
TESTED = int(COUNTS["test"])


@dataclass(frozen=True, config=_STRICT)
class Row:
    """A row of a table as printed; each table has some of these columns.

    Table 7's `accuracy` is the rate of a row (recall, in standard terms), its `recall` that of a
    column (precision).
    """

    name: str | None = None  # of a setting of Tables 1-3
    printed: str | None = None
    value: int | float | tuple[int, int] | None = None  # as printed
    field: str | None = None  # of `Experiment`, dotted
    model: str | None = None  # of Tables 4 and 5
    embedding: Literal["trainable", "word2vec"] | None = None
    label: str | None = None  # the paper's name of the model
    emotion: Emotion | None = None
    word: str | None = None  # of Table 6
    ratio: float | None = None  # of its occurrences, those that are predicted as `emotion`
    anger: int | None = None  # of Table 7: how often each class is predicted
    happiness: int | None = None
    neutrality: int | None = None
    sadness: int | None = None
    accuracy: float | None = None
    recall: float | None = None
    audio_score: float | None = None  # mean over the test set; none without attention
    text_score: float | None = None
    same_as: str | None = None  # our model of the kind of one that is quoted
    wave_avg: float | None = None  # of Table 8, in units of full scale
    wave_avg_std: float | None = None
    wave_std_avg: float | None = None


_TABLES = {
    name: pd.DataFrame(rows).dropna(axis="columns", how="all")
    for name, rows in load(FOLDER / "tables.yml", dict[str, list[Row]]).items()
}

#: As printed; Table 4 is split into the paper's own rows and those quoted from Hazarika et al.
TABLE_1, TABLE_2, TABLE_3 = (_TABLES[f"table_{number}"] for number in (1, 2, 3))
TABLE_4, TABLE_4_QUOTED, TABLE_5 = (_TABLES[f"table_{name}"] for name in ("4", "4_quoted", "5"))
TABLE_6, TABLE_7, TABLE_8 = (_TABLES[f"table_{number}"] for number in (6, 7, 8))

#: The accuracies that the paper reports as its own.
OWN = pd.concat([TABLE_4, TABLE_5], ignore_index=True)


def printed_confusion() -> pd.DataFrame:
    """Table 7 as a confusion matrix."""
    return TABLE_7.set_index("emotion")[list(EMOTIONS)].rename_axis(None)


Impact = Literal["low", "medium", "high", "very high"]


@dataclass(frozen=True, config=_STRICT)
class Choice:
    """Something that the paper leaves open."""

    choice: str  # what is open
    place: str  # where in the paper
    alternatives: tuple[str, ...]  # readings that fit the paper, the default first
    default: str  # ours
    reason: str  # why
    impact: Impact  # how much it can move the results, as expected before the runs
    field: str | None = None  # of `Experiment`, dotted; None where code alone holds it
    #: Key of `replicate.runs.experiments.CHOICES` -> alternative, where that changes another field.
    readings: dict[str, str] = Field(default_factory=dict)


#: What other works print on the four classes: key of the bibliography -> name -> accuracy.
ELSEWHERE = load(FOLDER / "elsewhere.yml", dict[str, dict[str, Decimal]])

OPEN_CHOICES = load(FOLDER / "choices.yml", tuple[Choice, ...])
