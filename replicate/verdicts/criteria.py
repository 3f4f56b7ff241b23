"""The criterion of each claim, from `criteria.yml`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from replicate.files import InputError
from replicate.paper import CLAIMS, load
from replicate.verdicts import criteria_of_data as data
from replicate.verdicts import criteria_of_runs as runs
from replicate.verdicts.criterion import Criterion

_Kind = Annotated[
    data.Counts | runs.Accuracy | runs.Difference | runs.Order | runs.ScoreSpread
    | runs.ConfusionRates | runs.Ranks | runs.ErrorSpread | data.Words | data.Loudness
    | data.Extremes | data.PrintedTable7 | data.PrintedInterval | data.Quoted | data.NoCriterion,
    Field(discriminator="kind"),
]  # fmt: skip

FILE = Path(__file__).with_suffix(".yml")


def read(path: Path = FILE) -> Mapping[int, Criterion]:
    """Number of a claim -> its criterion; `InputError` if entries or claims do not fit."""
    found = load(path, dict[int, _Kind])
    if apart := found.keys() ^ {claim.id for claim in CLAIMS}:
        wrong = f"a claim without criterion, or a criterion without claim: {sorted(apart)}"
        raise InputError(path, wrong, "give each claim of paper/claims.yml one criterion")
    return found


CRITERIA = read()
