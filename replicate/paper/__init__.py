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

FOLDER = Path(__file__).parent

Loaded = TypeVar("Loaded")


def load(path: Path, kind: type[Loaded]) -> Loaded:
    """A YAML file as typed data; scalars reach the types as text, so 0.500 keeps its digits.

    Raises:
        InputError: if the file is no YAML or does not fit, naming the places.
    """
    text = path.read_text(encoding="utf-8")
    try:
        values = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise InputError(path, f"not YAML: {error}", "mend the syntax") from error
    return checked(values, kind, path, "mend these entries")


_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class Place:
    """Where in the paper."""

    section: str
    element: str


@dataclass(frozen=True, config=_STRICT)
class Claim:
    """A claim of the paper.

    Attributes:
        id: its number, 1-29.
        statement: what is claimed, in our words.
        place: where the paper says it.
        reported: the printed values by name, with the digits of print.
        needs: the evidence that it takes.
    """

    id: int
    statement: str
    place: Place
    reported: dict[str, Decimal]
    needs: tuple[str, ...]


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


def printed_confusion() -> pd.DataFrame:
    """Table 7 as a confusion matrix."""
    rows = {row.emotion: row.predictions for row in TABLE_7}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(EMOTIONS))


PAPER_CORPUS, PAPER_TRANSCRIPTS = "iemocap", "iemocap-text"


#: Utterances of each class in the paper's cohort; their shares are the prior of C.
CLASS_SIZES = (1103, 1636, 1708, 1084)


Impact = Literal["low", "medium", "high", "very high"]


@dataclass(frozen=True, config=_STRICT)
class Hyperparameter:
    """A cell of Tables 1-3.

    Attributes:
        name: the paper's name.
        printed: as printed.
        value: as a number or pair of numbers.
        field: the field of `Experiment` that holds it, dotted.
    """

    name: str
    printed: str
    value: int | float | tuple[int, int]
    field: str


@dataclass(frozen=True, config=_STRICT)
class ModelRow:
    """A row of Table 4 or 5; the scores are means over the test set, None without attention."""

    model: str
    embedding: Literal["trainable", "word2vec"]
    label: str
    accuracy: float
    audio_score: float | None = None
    text_score: float | None = None


@dataclass(frozen=True, config=_STRICT)
class QuotedRow:
    """A row of Table 4 quoted from Hazarika et al.; `same_as` names our model of its kind."""

    label: str
    accuracy: float
    same_as: str


@dataclass(frozen=True, config=_STRICT)
class WordRow:
    """A row of Table 6: the share of the word's occurrences that is predicted as `emotion`."""

    emotion: Emotion
    word: str
    ratio: float


@dataclass(frozen=True, config=_STRICT)
class ConfusionRow:
    """A row of Table 7: counts by predicted class, and the two rates under the paper's names.

    `accuracy` is the rate of the row (recall, in standard terms), `recall` that of the column
    (precision).
    """

    emotion: Emotion
    predictions: tuple[int, int, int, int]
    accuracy: float
    recall: float


@dataclass(frozen=True, config=_STRICT)
class WaveRow:
    """A row of Table 8, in units of full scale."""

    emotion: Emotion
    wave_avg: float
    wave_avg_std: float
    wave_std_avg: float


@dataclass(frozen=True, config=_STRICT)
class Tables:
    """Tables 1-8 as printed; Table 4 is split into the paper's own rows and the quoted ones."""

    table_1: tuple[Hyperparameter, ...]
    table_2: tuple[Hyperparameter, ...]
    table_3: tuple[Hyperparameter, ...]
    table_4: tuple[ModelRow, ...]
    table_4_quoted: tuple[QuotedRow, ...]
    table_5: tuple[ModelRow, ...]
    table_6: tuple[WordRow, ...]
    table_7: tuple[ConfusionRow, ...]
    table_8: tuple[WaveRow, ...]


@dataclass(frozen=True, config=_STRICT)
class Choice:
    """Something that the paper leaves open.

    Attributes:
        choice: what is open.
        place: where in the paper.
        alternatives: readings that fit the paper, the default first.
        default: ours.
        reason: why.
        impact: how much it can move the results, as expected before the runs.
        field: the field of `Experiment` that holds it, dotted; None where code alone does.
        readings: key of `replicate.runs.experiments.CHOICES` -> the alternative that it is, where
            that changes another field.
    """

    choice: str
    place: str
    alternatives: tuple[str, ...]
    default: str
    reason: str
    impact: Impact
    field: str | None = None
    readings: dict[str, str] = Field(default_factory=dict)


_TABLES = load(FOLDER / "tables.yml", Tables)

TABLE_1 = _TABLES.table_1
TABLE_2 = _TABLES.table_2
TABLE_3 = _TABLES.table_3
TABLE_4 = _TABLES.table_4
TABLE_4_QUOTED = _TABLES.table_4_quoted
TABLE_5 = _TABLES.table_5
#: The accuracies that the paper reports as its own.
OWN = (*TABLE_4, *TABLE_5)
TABLE_6 = _TABLES.table_6
TABLE_7 = _TABLES.table_7
TABLE_8 = _TABLES.table_8

#: Half a unit of the last printed place of Tables 4 to 8.
ROUNDING = 0.0005

#: What other works print on the four classes: key of the bibliography -> name -> accuracy.
ELSEWHERE = load(FOLDER / "elsewhere.yml", dict[str, dict[str, Decimal]])

OPEN_CHOICES = load(FOLDER / "choices.yml", tuple[Choice, ...])
