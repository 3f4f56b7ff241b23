"""How loud IEMOCAP's classes are, by levels that others published (Section 5, Table 8).

They cut each utterance by time from the recording of its dialogue, both microphones averaged:
softer than in the sentence files that the paper used, and the partner may be heard. So order and
ratios of the classes can be compared with print, absolute values cannot. The mean RMS is of
sentence files.

`results/iemocap-features/levels.json` holds one row for each speaker and class, no utterance.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from replicate.corpora import iemocap_features
from replicate.corpora.protocol import cohort
from replicate.corpora.table import Corpus
from replicate.runs import facts

#: Of each speaker and class: utterances, means of the three levels, deviation of the first.
COLUMNS = ("speaker", "emotion", "n", "average", "average_deviation", "spread", "rms")


@dataclass(frozen=True, kw_only=True)
class Levels(facts.Facts):
    """The values of `COLUMNS`; levels are parts of full scale."""

    file = "levels.json"
    made_by = "loudness"

    left_out: int  # utterances of the cohort whose levels are missing or doubtful
    rows: list[tuple[str, str, int, float, float, float, float]]

    @property
    def table(self) -> pd.DataFrame:
        """A row for each speaker and class."""
        return pd.DataFrame(self.rows, columns=list(COLUMNS))


def make(corpus: Corpus) -> Levels:
    """The levels of a corpus `iemocap-features`; an `InputError` where its file lacks them."""
    known = iemocap_features.levels(corpus.root)
    table = cohort(corpus).set_index("utterance")[["speaker", "emotion"]]
    of_utterance = table.join(known, how="inner")
    groups = of_utterance.groupby(["speaker", "emotion"])
    found = groups[["average", "spread", "rms"]].mean().assign(
        n=groups.size(), average_deviation=groups["average"].std(ddof=0)
    )  # fmt: skip
    rows = list(found.reset_index()[list(COLUMNS)].itertuples(index=False, name=None))
    left_out = len(table) - len(of_utterance)
    return Levels(**facts.origin(corpus, heard=False), left_out=left_out, rows=rows)


def class_averages(by_speaker: pd.DataFrame) -> pd.DataFrame:
    """The averages of Table 8 from those of each speaker and class, `Levels.table`.

    WaveAvg and WaveStdAvg are means weighted by n; the variance of a class is the mean of its
    speakers' variances and squared means, less the square of its mean. By emotion, with `n`.

    >>> two = [("a", "anger", 1, 0.1, 0.0, 0.3, 0.0), ("b", "anger", 3, 0.3, 0.0, 0.3, 0.0)]
    >>> class_averages(pd.DataFrame(two, columns=list(COLUMNS))).round(4).to_dict("records")
    [{'n': 4, 'WaveAvg': 0.25, 'WaveAvgStd': 0.0866, 'WaveStdAvg': 0.3}]
    """
    means = by_speaker[["average", "spread"]].assign(
        square=by_speaker["average_deviation"] ** 2 + by_speaker["average"] ** 2
    )
    sums = means.mul(by_speaker["n"], axis="index").groupby(by_speaker["emotion"]).sum()
    n = by_speaker.groupby("emotion")["n"].sum()
    mean = sums.div(n, axis="index")
    deviation = np.sqrt(mean["square"] - mean["average"] ** 2)
    columns = {"n": n, "WaveAvg": mean["average"], "WaveAvgStd": deviation}
    return pd.DataFrame(columns | {"WaveStdAvg": mean["spread"]})
