"""Do the models of Tables 4 and 5 differ? First what could be told, then what the tests tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np
import pandas as pd
from scipy.stats import kendalltau
from scipy.stats import t as student

from replicate import comparison
from replicate.audit import TESTED
from replicate.claims import Verdict
from replicate.comparison import LEVEL, POWER, REGION
from replicate.report import plots
from replicate.report.layout import ABSENT, intervals, name_of, named, number, signed, small
from replicate.report.provenance import (
    Exhibit,
    Missing,
    listed,
    of_judged,
    of_runs,
    or_notice,
    picture,
    table,
)
from replicate.report.results import Stored
from replicate.report.tables import TABLE_4, TABLE_5, answering
from replicate.runs import Run

#: Standard deviations of the paired differences over seeds for which power is shown.
SPREADS = (0.005, 0.01, 0.02, 0.04, 0.08)

#: Shares of utterances on which one of two models alone is right, for which power is shown.
DISAGREEMENTS = (0.1, 0.2, 0.3, 0.4)

#: Numbers of seeds for which power is shown beside that of the stored ones.
SEEDS = (10, 20)

#: Whether a pair differs and whether it is equivalent -> what can be said of it.
SAID = {
    (True, False): "differ",
    (False, True): "equal",
    (True, True): "differ, but little",
    (False, False): "cannot be told",
}


@dataclass(frozen=True)
class Compared:
    """The models of Tables 4 and 5 on the test utterances that all of them answered.

    Whatever the runs do not allow raises `Missing`.

    Attributes:
        stored: runs of one corpus and profile.
        selection: which epoch.
    """

    stored: Stored
    selection: str

    @cached_property
    def runs(self) -> list[Run]:
        """The runs of these models."""
        found = answering([*TABLE_4, *TABLE_5], self.stored)
        found = self.stored.having(found, self.selection)
        if len({name_of(run) for run in found}) < 2:
            self.stored.lack("two models of Tables 4 and 5")
        return found

    @cached_property
    def right(self) -> pd.DataFrame:
        """`comparison.answers`, a column for each model's title."""
        found = comparison.answers(self.runs, self.selection)
        if found.empty:
            self.stored.lack("all models with the same seed")
        return found.rename(columns=named)

    @cached_property
    def accuracies(self) -> pd.DataFrame:
        """Accuracy by seed (rows) and model (columns)."""
        found = comparison.accuracies(self.right, "seed")
        if len(found) < 2:
            self.stored.lack("all models with a second seed")
        return found

    @cached_property
    def trainings(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """`comparison.each_training`."""
        return comparison.each_training(self.right)

    @cached_property
    def same_utterances(self) -> pd.DataFrame:
        """Each pair over the trainings: `first`, `second`, means of McNemar's counts, `differ`.

        `differ` is the share of the trainings in which McNemar's test, corrected, tells them apart.
        """
        pairs = self.trainings[1]
        pairs = pairs.assign(differ=pairs["p_holm"] < LEVEL)
        means = ["only_first", "only_second", "difference", "differ"]
        return pairs.groupby(["first", "second"], sort=False)[means].mean().reset_index()

    @cached_property
    def over_seeds(self) -> pd.DataFrame:
        """`comparison.over_seeds`, with the columns of `equivalences` as `equal_`, and `said`."""
        found = comparison.over_seeds(self.accuracies)
        equal = comparison.equivalences(self.accuracies)[["low", "high", "p_holm"]]
        found = found.join(equal.add_prefix("equal_"))
        verdicts = zip(found["p_holm"] < LEVEL, found["equal_p_holm"] < LEVEL, strict=True)
        return found.assign(said=[SAID[bool(differ), bool(same)] for differ, same in verdicts])

    @property
    def names(self) -> list[str]:
        """Titles of the models, in the tables' order."""
        return [str(name) for name in self.right]

    @property
    def pairs(self) -> int:
        """How many pairs of models there are."""
        return comb(len(self.names), 2)

    @property
    def seeds(self) -> int:
        """How many seeds all models have."""
        return self.right.index.get_level_values("seed").nunique()

    @property
    def tested(self) -> int:
        """Utterances of the test set."""
        return self.right.index.get_level_values("utterance").nunique()

    @property
    def levels(self) -> dict[str, float]:
        """Significance that a pair needs if it is the only one, or the clearest of all."""
        alone = {"one pair": LEVEL}
        return alone | ({f"first of {self.pairs}": LEVEL / self.pairs} if self.pairs > 1 else {})


@or_notice
def power_over_seeds(compared: Compared) -> Exhibit:
    """The smallest differences that paired t tests over seeds would find."""
    seeds = sorted({compared.seeds, *SEEDS} - {1})
    columns = {
        (f"{n} seeds", name): found[n].map(_resolved)
        for name, level in compared.levels.items()
        for found in [comparison.detectable(SPREADS, seeds, level)]
        for n in seeds
    }
    shown = pd.DataFrame(columns)[[(f"{n} seeds", name) for n in seeds for name in compared.levels]]
    shown.index = pd.Index([f"varies by {spread:.3f}" for spread in SPREADS])
    caption = (
        "The smallest true difference in accuracy that a paired t test over seeds finds with "
        f"probability {POWER:g}, by the standard deviation of the difference from seed to seed. "
        f"Two-sided at {LEVEL:g}: for a pair by itself, and for the clearest of all pairs after "
        "Holm's correction. None: no difference, however large."
    )
    return table(shown, caption, of_runs(compared.runs, compared.selection))


@or_notice
def power_over_utterances(compared: Compared) -> Exhibit:
    """The smallest differences that McNemar's test would find on the paper's test set and ours."""
    sizes = {"the paper's": TESTED, "here": compared.tested}
    if compared.tested == TESTED:
        sizes = {"here, as the paper": TESTED}
    columns = {
        (f"{n} utterances ({whose})", name): [
            _resolved(comparison.resolvable(n, share, level)) for share in DISAGREEMENTS
        ]
        for whose, n in sizes.items()
        for name, level in compared.levels.items()
    }
    rows = [f"disagree on {share:.0%}" for share in DISAGREEMENTS]
    caption = (
        "The smallest true difference in accuracy of two trained models that McNemar's exact test "
        f"finds with probability {POWER:g}, by the share of utterances on which one of them alone "
        f"is right. Two-sided at {LEVEL:g}, for a pair by itself and for the clearest of all. "
        "None: no difference that such a disagreement allows."
    )
    sources = of_judged(compared.runs, compared.selection)
    return table(pd.DataFrame(columns, rows), caption, sources)


def _resolved(difference: float) -> str:
    return f"{difference:.3f}" if difference < 1 else "none"


@or_notice
def single_trainings(compared: Compared) -> Exhibit:
    """Cochran's Q of all models, and how many pairs differ, for each seed."""
    tests = compared.trainings[0]
    by_training = compared.right.groupby(level=["fold", "seed"]).mean()
    shown = pd.DataFrame(
        {
            "utterances": tests["n"],
            "best - worst": by_training.apply(np.ptp, axis="columns").map(number),
            "Q": tests["statistic"].map("{:.1f}".format, na_action="ignore"),
            "degrees of freedom": tests["degrees"],
            "p, corrected": tests["p_holm"].map(small),
            f"of {compared.pairs} pairs differ": tests["apart"],
        }
    )
    caption = (
        f"The {len(compared.names)} models as trained with each seed, on the same test utterances: "
        "accuracy of the best less that of the worst, Cochran's Q with Holm's correction for the "
        "seeds, and the pairs that McNemar's exact test tells apart, with Holm's correction for "
        "the pairs."
    )
    return table(shown, caption, of_runs(compared.runs, compared.selection))


@or_notice
def same_utterances(compared: Compared) -> Exhibit:
    """In how many trainings McNemar's test tells each pair apart, as a picture."""
    found, n = compared.same_utterances, len(compared.trainings[0])
    found = found.assign(
        text=[
            f"{signed(-difference)}\n{differ * n:.0f} of {n}"
            for difference, differ in zip(found["difference"], found["differ"], strict=True)
        ]
    )
    often = found.sort_values("differ", ascending=False, kind="stable").iloc[0]
    alt = (
        f"A grid of {compared.pairs} pairs of models: {(found['differ'] == 0).sum()} differ with "
        f"no seed, {(found['differ'] == 1).sum()} with every seed; most often {often['first']} and "
        f"{often['second']}, with {often['differ'] * n:.0f} of {n} seeds."
    )
    caption = (
        "The model of the row less that of the column: mean difference in accuracy, and with how "
        "many seeds McNemar's exact test tells the two apart, after Holm's correction for all "
        "pairs."
    )
    values, texts = (_grid(found, column, compared.names) for column in ("differ", "text"))
    figure = plots.pairs(values, texts, "seeds with which they differ", 1.0)
    return picture(figure, alt, caption, of_runs(compared.runs, compared.selection))


def _grid(pairs: pd.DataFrame, column: str, names: list[str]) -> pd.DataFrame:
    """A column of pairs as a square: the second of a pair has the row, the first the column."""
    return pairs.pivot(index="second", columns="first", values=column).reindex(names, columns=names)


@or_notice
def same_utterances_table(compared: Compared) -> Exhibit:
    """`same_utterances` in numbers."""
    found = compared.same_utterances
    n = len(compared.trainings[0])
    shown = pd.DataFrame(
        {
            "first": found["first"],
            "second": found["second"],
            "only the first is right": found["only_first"].map("{:.1f}".format),
            "only the second is right": found["only_second"].map("{:.1f}".format),
            "difference": found["difference"].map(signed),
            "differ": [f"with {share * n:.0f} of {n} seeds" for share in found["differ"]],
        }
    )
    caption = (
        f"The pairs of the picture: utterances of {compared.tested} and differences in accuracy, "
        "first less second, means over seeds."
    )
    return table(shown, caption, of_runs(compared.runs, compared.selection), index=False)


@or_notice
def over_seeds(compared: Compared) -> Exhibit:
    """What the tests over seeds say of each pair, as a picture."""
    found = compared.over_seeds
    marks = found["said"].replace("cannot be told", "?")
    found = found.assign(
        text=[f"{signed(-d)}\n{mark}" for d, mark in zip(found["difference"], marks, strict=True)],
        gain=-found["difference"].where(found["said"].str.startswith("differ"), 0.0),
    )
    counts = found["said"].value_counts()
    alt = f"A grid of {compared.pairs} pairs of models; " + "; ".join(
        f"{said}: {counts.get(said, 0)}" for said in SAID.values()
    )
    caption = (
        f"The model of the row less that of the column: mean difference in accuracy over "
        f"{compared.seeds} seeds. Differ: paired t test at {LEVEL:g}. Equal: two one-sided tests, "
        f"±{REGION:g}. Both with Holm's correction for all pairs. A question mark: neither."
    )
    values, texts = (_grid(found, column, compared.names) for column in ("gain", "text"))
    top = max(found["difference"].abs().max(), REGION)
    figure = plots.pairs(values, texts, "row less column, where they differ", top, signed=True)
    return picture(figure, alt, caption, of_runs(compared.runs, compared.selection))


@or_notice
def over_seeds_table(compared: Compared) -> Exhibit:
    """`over_seeds` in numbers, with the signed-rank test."""
    found = compared.over_seeds
    shown = pd.DataFrame(
        {
            ("pair", "first"): found["first"],
            ("pair", "second"): found["second"],
            ("difference", "mean"): found["difference"].map(signed),
            ("paired t test", "95 %"): intervals(found["low"], found["high"]),
            ("paired t test", "p, corrected"): found["p_holm"].map(small),
            ("signed-rank test", "95 %"): intervals(found["rank_low"], found["rank_high"]),
            ("signed-rank test", "p, corrected"): found["rank_p_holm"].map(small),
            (f"within ±{REGION:g}", "90 %"): intervals(found["equal_low"], found["equal_high"]),
            (f"within ±{REGION:g}", "p, corrected"): found["equal_p_holm"].map(small),
            ("so they", ""): found["said"],
        }
    )
    caption = (
        f"The pairs of the picture over {compared.seeds} seeds, first less second. Intervals are "
        "for each pair by itself, p values with Holm's correction for all pairs. The signed-rank "
        "interval needs six seeds."
    )
    return table(shown, caption, of_runs(compared.runs, compared.selection), index=False)


def chance_spread(n: int) -> float:
    """Standard deviation of the difference of two models on n utterances, if only chance decides.

    That is, if one of them alone is right on a tenth, and that may be either.
    """
    return float(np.sqrt(1 / 10 / n))


def widest_for_equivalence(seeds: int, tests: int = 1) -> float:
    """Spread of differences up to which equal means are shown to be equal; NaN for one seed.

    Args:
        seeds: how many differences.
        tests: how many are made, of which this is the first by Holm's correction.
    """
    return float(REGION * np.sqrt(seeds) / student.ppf(1 - LEVEL / tests, seeds - 1))


def power_in_words(compared: Compared) -> dict[str, str]:
    """Numbers for the prose about what could be told; `(not run yet)` where there are no runs."""
    names = (
        "models", "pairs", "seeds", "chance_here", "chance_paper", "rank_seeds", "rank_can",
        "equal_spread", "equal_spread_first",
    )  # fmt: skip
    try:
        right, pairs = compared.right, compared.pairs
    except Missing:
        return dict.fromkeys(names, ABSENT)
    needed = comparison.fewest_seeds(pairs)
    return _told(
        names,
        right.shape[1],
        pairs,
        listed("seed", right.index.get_level_values("seed")),
        number(chance_spread(compared.tested)),
        number(chance_spread(TESTED)),
        needed,
        "can" if compared.seeds >= needed else "cannot",
        *(
            number(widest_for_equivalence(compared.seeds, tests)) or "(no spread is known)"
            for tests in (1, pairs)
        ),
    )


def single_in_words(compared: Compared) -> dict[str, str]:
    """Results on the same utterances for the prose; `(not run yet)` where there are no runs."""
    names = ("rejected", "apart", "always", "never")
    try:
        tests, differ = compared.trainings[0], compared.same_utterances["differ"]
    except Missing:
        return dict.fromkeys(names, ABSENT)
    apart = tests["apart"]
    return _told(
        names,
        f"{(tests['p_holm'] < LEVEL).sum()} of {len(tests)}",
        apart.min() if apart.nunique() == 1 else f"{apart.min()} to {apart.max()}",
        (differ == 1).sum(),
        (differ == 0).sum(),
    )


def seeds_in_words(compared: Compared) -> dict[str, str]:
    """Results over seeds for the prose; `(not run yet)` where there are too few runs."""
    names = ("t_differ", "rank_differ", "equal", "untold", "spread", "conclusion")
    try:
        found = compared.over_seeds
    except Missing:
        return dict.fromkeys(names, ABSENT)
    differ = int((found["p_holm"] < LEVEL).sum())
    return _told(
        names,
        differ,
        (found["rank_p_holm"] < LEVEL).sum(),
        (found["equal_p_holm"] < LEVEL).sum(),
        (found["said"] == "cannot be told").sum(),
        number(float(found["spread"].median())),
        _conclusion(differ, compared.pairs),
    )


def _told(names: Sequence[str], *values: object) -> dict[str, str]:
    return {name: str(value) for name, value in zip(names, values, strict=True)}


def _conclusion(differ: int, pairs: int) -> str:
    if not differ:
        return "these runs do not show that any two of the models differ"
    if differ == pairs:
        return "these runs tell all models apart"
    return "these runs tell some of the models apart, and others not"


def order_in_words(given: Sequence[Verdict]) -> dict[str, str]:
    """Claim 12 for the prose: our order of the fusions against the paper's."""
    (found,) = (verdict for verdict in given if verdict.claim.criterion.kind == "order")
    printed = np.array([row.accuracy for row in TABLE_4], dtype=float)
    most = kendalltau(printed, printed.argsort().argsort()).statistic  # the same order, no ties
    words = {"tau_most": f"{most:.3f}"}
    if np.isnan(found.low):
        return words | {"tau": f"tau {ABSENT}", "resembles": "cannot be judged"}
    resembles = (
        "resembles the paper's" if found.low > 0
        else "runs against the paper's" if found.high < 0
        else "cannot be told from one that has nothing to do with the paper's"
    )  # fmt: skip
    return words | {"tau": found.reproduced, "resembles": resembles}
