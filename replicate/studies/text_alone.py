"""What one run of text alone would print, and whether an objection changes what follows from it.

The paper prints single runs with audio and none without. So text alone has to be described as it
would be printed: as a single run, on a split and with a seed of its own. Of runs that each draw
both, `intervals.prediction_interval` says where the next one would lie.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from replicate.paper import COUNTS, TABLE_4
from replicate.runs.experiments import random_fold
from replicate.runs.selection import Selection, load_baselines, whole_rounds
from replicate.runs.selection import load as load_runs
from replicate.settings import EMB_SIZE, RESULTS
from replicate.stats import hypothesis_tests
from replicate.stats.intervals import Interval, prediction_interval, without_spread
from replicate.stats.power import detectable
from replicate.stats.summaries import by_run

#: The printed accuracy that text alone is held against: the best whose embeddings are trained, too.
TARGET = float(TABLE_4["accuracy"].max())

#: Utterances of the paper's test set.
TESTED = int(COUNTS["test"])

#: The reading whose trained vectors are as wide as GloVe's.
AS_WIDE_AS_GLOVE = f"emb_size-{EMB_SIZE['glove']}"

Verdict = Literal["no", "yes", "cannot be told", "another question"]


# --- what is stored ---


@dataclass(frozen=True)
class TextAlone:
    """All that is stored of text alone on one corpus; each selection may be empty.

    Attributes:
        runs: by the paper's protocol, with every reading of what it leaves open.
        development: the same with a tenth of the training part held back to choose the epoch.
        baselines: results of simple classifiers.
    """

    runs: Selection
    development: Selection
    baselines: Selection

    def by(self, epoch: str) -> Selection:
        """All runs that have this choice of the epoch, see `replicate.runs.store.SELECTIONS`."""
        return (self.development if epoch == "development-best" else self.runs).at(epoch)

    def drawn(self, epoch: str, embedding: str = "", choice: str = "") -> Selection:
        """The runs on random splits of their own.

        Args:
            epoch: as of `by`.
            embedding: `trainable` or `glove`; both by default.
            choice: a key of `replicate.runs.experiments.CHOICES`; our reading by default.
        """
        return self.by(epoch).of("text", embedding or (), "own", choice)

    def held_out(self, kind: str, epoch: str) -> Selection:
        """The runs of our reading with groups of one kind held out, whole rounds of them."""
        chosen = self.by(epoch).of("text", folds=kind)
        return replace(chosen, runs=tuple(whole_rounds(chosen.runs, self.baselines)))


def load(corpus: str, root: Path = RESULTS) -> TextAlone:
    """What is stored; baselines of another version of the corpus than the runs' are left out.

    Raises:
        InputError: if a run is damaged.
    """
    runs, development = (
        load_runs(corpus, profile, choices=True, root=root) for profile in ("paper", "paper-dev")
    )
    baselines = load_baselines(corpus, root)
    seen = {run.provenance.text_fingerprint for run in (*runs, *development)}
    same = tuple(b for b in baselines if not seen or b.provenance.text_fingerprint in seen)
    return TextAlone(runs, development, replace(baselines, runs=same))


def single_runs(selections: Iterable[Selection]) -> pd.DataFrame:
    """Each run on a random split of its own, with the accuracy that it would print.

    Returns:
        One row a run: the columns of `summaries.by_run`; `name`, as tables call the model; `epoch`,
        how it was chosen.
    """
    return pd.concat([_single_runs(some) for some in selections], ignore_index=True)


def _single_runs(some: Selection) -> pd.DataFrame:
    own = tuple(r for r in some if r.experiment.fold == random_fold("own", r.experiment.seed))
    answers = replace(some, runs=own).answers()
    names = answers.groupby("run")["name"].first()
    return by_run(answers).assign(name=names.to_numpy(), epoch=some.epoch)


def accuracies(runs: Selection) -> pd.Series:
    """Accuracy of each run of one model on a split of its own: index the fold's name."""
    return _single_runs(runs).set_index("fold")["accuracy"]


# --- one more run ---


def chance(accuracy: float, n: float) -> float:
    """Standard deviation of accuracy if only the luck of the test utterances varies: sqrt(p q / n).

    Args:
        accuracy: p, the chance that an utterance is answered rightly; q is 1 - p.
        n: test utterances.

    >>> round(chance(0.5, 100), 3)
    0.05
    """
    return float(np.sqrt(accuracy * (1 - accuracy) / n))


def p_value_of_next(values: ArrayLike, value: float) -> float:
    """P value of a value as one more of the same kind: Student's t, two-sided.

    t = (value - mean) / (s sqrt(1 + 1/n)) with n - 1 degrees of freedom. It is below 0.05 just
    where the value lies outside `intervals.prediction_interval`; NaN where that has no ends.

    >>> low, high = prediction_interval([0.60, 0.64, 0.66])
    >>> round(p_value_of_next([0.60, 0.64, 0.66], high), 3)
    0.05
    """
    sample = np.asarray(values, dtype=float)
    if without_spread(sample):
        return np.nan
    error = sample.std(ddof=1) * np.sqrt(1 + 1 / len(sample))
    return float(2 * stats.t.sf(abs(value - sample.mean()) / error, len(sample) - 1))


def left(printed: float, one_run: Interval) -> Interval:
    """The difference between a printed single run and the mean of text alone: its 95 % interval.

    Both runs are taken to scatter alike. Then this is the interval for one run of text alone, seen
    from the printed accuracy.

    >>> difference = left(0.75, Interval(0.5, 0.625))
    >>> difference.low, difference.high
    (0.125, 0.25)
    """
    return Interval(printed - one_run.high, printed - one_run.low)


def passes_again(single: pd.Series) -> float:
    """How often the interval for one run of as many other runs would reach `TARGET`.

    The upper end of such an interval is uncertain itself. If runs are normal with the mean and the
    standard deviation of these, the distance of `TARGET` from a new mean, in new standard
    deviations, has a noncentral t distribution.

    Args:
        single: accuracies of single runs; NaN for those `without_spread`.
    """
    if without_spread(single):
        return np.nan
    n = len(single)
    reach = stats.t.ppf(1 - hypothesis_tests.LEVEL / 2, n - 1) * np.sqrt(n + 1)
    shift = np.sqrt(n) * (TARGET - single.mean()) / single.std()
    return float(stats.nct.cdf(reach, n - 1, shift))


def by_epoch(runs: Selection) -> pd.DataFrame:
    """Test accuracy after each epoch: index epoch; `mean`, and `low` and `high` of one run."""
    curves = [run.epochs.set_index("epoch")["test_accuracy"] for run in runs]
    table = pd.concat(curves, axis="columns").dropna()
    ends = [prediction_interval(row) for row in table.to_numpy()]
    return pd.DataFrame(ends, table.index).assign(mean=table.mean(axis="columns"))


# --- pairs of runs ---


def paired(first: pd.Series, second: pd.Series, overlap: float) -> hypothesis_tests.Mean:
    """The mean difference of two models over the random splits that both have.

    Args:
        first: from `accuracies`.
        second: the same of the other model.
        overlap: n_test / n_train, for Nadeau and Bengio's correction.

    Returns:
        As of `hypothesis_tests.mean_difference`; all NaN but `n` where no split has both.
    """
    differences = (first - second).dropna()
    if differences.empty:
        return hypothesis_tests.Mean(0, *[np.nan] * 5)
    return hypothesis_tests.mean_difference(differences, overlap)


def pairs_can_show(spread: float, n: int, overlap: float) -> tuple[float, float]:
    """What pairs of runs on random splits can show, by Nadeau and Bengio's correction.

    The standard error of the mean of n differences is s sqrt(1/n + n_test/n_train).

    Args:
        spread: s, the standard deviation of the differences.
        n: how many pairs.
        overlap: n_test / n_train.

    Returns:
        The true difference that is found with probability `power.POWER`, and how far the 90 %
        interval, by which two models are shown to be alike, reaches to either side.

    >>> [round(value, 3) for value in pairs_can_show(0.02, 10, 0.1)]
    [0.028, 0.016]
    """
    error = spread * np.sqrt(1 / n + overlap)
    seen = detectable([error * np.sqrt(n)], [n]).to_numpy()[0, 0]
    return float(seen), float(stats.t.ppf(1 - hypothesis_tests.LEVEL, n - 1) * error)


# --- the rule for objections ---


def verdict(reach: float, change: Interval, own: float = np.nan) -> Verdict:
    """Whether an objection would change what follows about `TARGET`.

    What follows is whether the interval for one run of text alone reaches `TARGET`.

    Where an objection has as many runs of its own as our reading, theirs decides. (This rule is
    younger than the runs of other epochs and batches; at first their intervals were moved, too.)

    Elsewhere, fixed before any run by another reading was made, the objection moves our interval
    as a whole by a difference that is known within an interval itself: if the answer is another one
    at both of its ends, the objection would change it, if at neither, not.

    Args:
        reach: upper end of the interval for one run by our reading.
        change: 95 % interval of the difference; NaN where there is none.
        own: upper end of the interval for one run under the objection; NaN with fewer runs.
    """
    ends = {bool(reach + end >= TARGET) for end in change} if np.isnan(own) else {own >= TARGET}
    known = not np.isnan([reach, *change]).any() if np.isnan(own) else not np.isnan(reach)
    if not known or len(ends) > 1:
        return "cannot be told"
    return "no" if ends == {bool(reach >= TARGET)} else "yes"
