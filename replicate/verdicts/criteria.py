"""The criterion of each claim, from `criteria.yml`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from replicate.paper import load
from replicate.verdicts import criteria_of_data as data
from replicate.verdicts import criteria_of_runs as runs
from replicate.verdicts.criterion import Criterion

_Kind = Annotated[
    data.Counts | runs.Accuracy | runs.Difference | runs.Order | runs.ScoreSpread
    | runs.ConfusionRates | runs.Ranks | runs.ErrorSpread | data.Words | data.Loudness
    | data.Extremes | data.PrintedTable7 | data.PrintedInterval | data.Quoted | data.NoCriterion,
    Field(discriminator="kind"),
]  # fmt: skip

#: Number of a claim -> its criterion.
CRITERIA: Mapping[int, Criterion] = load(Path(__file__).with_suffix(".yml"), dict[int, _Kind])
