"""What one run of text alone would print, and whether an objection changes what follows from it.

The paper prints single runs with audio and none without. So text alone has to be described as it
would be printed: as a single run, on a split and with a seed of its own. Of runs that each draw
both, `metrics.prediction_interval` says where the next one would lie.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from replicate import comparison, metrics
from replicate.audit import TESTED
from replicate.baseline_runs import BaselineRun, dialogues, load_all, whole_rounds
from replicate.experiments import random_fold
from replicate.metrics import Interval, Tested
from replicate.paper import TABLE_4
from replicate.runs import RESULTS, Run, load_runs
from replicate.treated import under

#: The printed accuracy that text alone is held against: the best whose embeddings are trained, too.
TARGET = max(row.accuracy for row in TABLE_4)

Verdict = Literal["no", "yes", "cannot be told", "another question"]


@dataclass(frozen=True)
class TextAlone:
    """All that is stored of text alone on one corpus.

    Attributes:
        corpus: name as on the command line.
        runs: by the paper's protocol, with every reading of what it leaves open.
        nested: the same with a tenth of the training part held back to choose the epoch.
        simple: the baselines.
        cut: as `runs`, on the corpus `CORPUS-cut`, which is as large as the paper's cohort.
    """

    corpus: str
    runs: tuple[Run, ...]
    nested: tuple[Run, ...]
    simple: tuple[BaselineRun, ...]
    cut: tuple[Run, ...] = ()

    def drawn(self, selection: str, embedding: str = "trainable", choice: str = "") -> list[Run]:
        """The runs on random splits of their own.

        Args:
            selection: how the epoch was chosen, see `replicate.runs.SELECTIONS`.
            embedding: `trainable` or `glove`.
            choice: a key of `replicate.experiments.CHOICES`; empty for our reading.
        """
        return [
            run
            for run in own_splits(self.chosen(selection))
            if (run.experiment.embedding, run.experiment.choice) == (embedding, choice)
        ]

    def held_out(self, kind: str, selection: str) -> list[Run]:
        """The runs of our reading with groups of one kind held out, whole rounds of them."""
        wanted = [
            run
            for run in self.chosen(selection)
            if run.experiment.fold.kind == kind and not run.experiment.choice
        ]
        return whole_rounds(wanted, self.simple)

    @property
    def smaller(self) -> "TextAlone":
        """The same on the corpus that is as large as the paper's cohort."""
        return TextAlone(f"{self.corpus}-cut", self.cut, (), ())

    def chosen(self, selection: str) -> tuple[Run, ...]:
        """All runs by the protocol that has this choice of the epoch."""
        return self.nested if selection == "development-best" else self.runs

    def baseline(self, name: str) -> list[BaselineRun]:
        """A baseline's results on random splits."""
        wanted = (name, "stratified")
        return [r for r in self.simple if (r.experiment.model, r.experiment.fold.kind) == wanted]


def load(corpus: str, root: Path = RESULTS) -> TextAlone:
    """What is stored; baselines of another version of the corpus than the runs' are left out."""
    ours, nested, cut = (
        tuple(run for run in load_runs(name, profile, root) if run.experiment.model == "text")
        for name, profile in ((corpus, "paper"), (corpus, "paper-dev"), (f"{corpus}-cut", "paper"))
    )
    seen = {run.provenance.text_fingerprint for run in (*ours, *nested)}
    simple = load_all(corpus, root)
    same = [one for one in simple if not seen or one.provenance.text_fingerprint in seen]
    return TextAlone(corpus, ours, nested, tuple(same), cut)


def own_splits(runs: Iterable[Run]) -> list[Run]:
    """The runs whose random split is drawn anew with their seed, as in the grid `text`."""
    return [r for r in runs if r.experiment.fold == random_fold("own", r.experiment.seed)]


def accuracies(tested: Sequence[Tested], selection: str) -> pd.Series:
    """Accuracy of each run of one model: index the fold's name, one run a fold."""
    found = {
        one.experiment.fold.name: metrics.accuracy(rows["emotion"], metrics.predicted(rows))
        for one in tested
        if len(rows := one.selected(selection))
    }
    return pd.Series(found, dtype=float)


def passes_again(single: pd.Series) -> float:
    """How often the interval for one run of as many other runs would reach `TARGET`.

    The upper end of such an interval is uncertain itself. If runs are normal with the mean and the
    standard deviation of these, the distance of `TARGET` from a new mean, in new standard
    deviations, has a noncentral t distribution.

    Args:
        single: from `accuracies`, two at least.
    """
    n = len(single)
    reach = stats.t.ppf(1 - comparison.LEVEL / 2, n - 1) * np.sqrt(n + 1)
    shift = np.sqrt(n) * (TARGET - single.mean()) / single.std()
    return float(stats.nct.cdf(reach, n - 1, shift))


def treated(runs: Sequence[Run], treatment: str) -> pd.Series:
    """`accuracies` of the last epoch under a key of `replicate.treatments.TREATMENTS`."""
    return accuracies([under(run, treatment) for run in runs], "last-epoch")


def by_epoch(runs: Sequence[Run]) -> pd.DataFrame:
    """Test accuracy after each epoch: index epoch; `mean`, and `low` and `high` of one run."""
    curves = [run.epochs.set_index("epoch")["test_accuracy"] for run in runs]
    table = pd.concat(curves, axis="columns").dropna()
    ends = [metrics.prediction_interval(row) for row in table.to_numpy()]
    return pd.DataFrame(ends, table.index).assign(mean=table.mean(axis="columns"))


def left(printed: float, one_run: Interval) -> Interval:
    """The difference between a printed single run and the mean of text alone: its 95 % interval.

    Both runs are taken to scatter alike. Then this is the interval for one run of text alone, seen
    from the printed accuracy.
    """
    return Interval(printed - one_run.high, printed - one_run.low)


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


def elsewhere(text: TextAlone, kind: str, selection: str) -> pd.DataFrame:
    """Accuracy with groups held out less that on random splits, of the same utterances.

    An utterance counts by how often it is answered rightly under either kind of fold.

    Returns:
        As of `comparison.over_clusters`, which draws whole dialogues; empty without such runs, or
        without the baselines, which know the dialogues.
    """
    groups, random = text.held_out(kind, selection), text.drawn(selection)
    if not (groups and random and text.simple):
        return pd.DataFrame()
    shares = {name: _right(runs, selection) for name, runs in ((kind, groups), ("random", random))}
    both = pd.DataFrame(shares).dropna()
    return comparison.over_clusters(both, both.index.map(dialogues(text.simple)))


def _right(runs: Sequence[Run], selection: str) -> pd.Series:
    """How often each utterance was answered rightly, of the runs that tested it."""
    rows = metrics.pooled(runs, selection)
    return (rows["predicted"] == rows["emotion"]).groupby(rows["utterance"]).mean()


def without_surplus(runs: Sequence[Run], selection: str) -> Interval:
    """Bounds on what leaving out a test part's surplus over the paper's could do to accuracy.

    The lower one if every utterance left out was answered rightly, the upper one if none was.
    """
    counts = metrics.per_run(runs, selection)
    n, right = counts["n_utterances"], counts["accuracy"] * counts["n_utterances"]
    ends = ((right - (n - TESTED)) / TESTED, right / TESTED)
    low, high = (float((end - counts["accuracy"]).mean()) for end in ends)
    return Interval(low, high)


def class_sizes(text: TextAlone) -> pd.Series:
    """Utterances of each class in the corpus, from folds that test each of them once."""
    parts = [r.predictions for r in text.simple if r.experiment.fold.kind == "session"]
    if not parts:
        return pd.Series(dtype=int)
    tested = pd.concat(parts)[["utterance", "emotion"]].drop_duplicates()
    return tested["emotion"].value_counts()
