"""What the paper's open choices change: every other reading against ours, over the same seeds."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import NoReturn, get_args

import numpy as np
import pandas as pd

from replicate import comparison, metrics, paper
from replicate.comparison import LEVEL
from replicate.corpora import at_hand
from replicate.experiments import CHOICES, GRIDS, random_fold
from replicate.model import FUSIONS
from replicate.protocol import Fold
from replicate.report import plots
from replicate.report.layout import ABSENT, interval, intervals, name_of, number, signed
from replicate.report.provenance import (
    PAPER,
    Exhibit,
    Missing,
    listed,
    of_code,
    of_judged,
    or_notice,
    picture,
    table,
)
from replicate.report.results import Stored
from replicate.runs import RESULTS, Run, load_runs

#: What a choice is compared on: the same experiment in all but the choice.
SAME = ["model", "embedding", "fold", "seed"]

#: How far apart the models are that the paper compares: best less worst of Table 4.
PRINTED = max(row.accuracy for row in paper.TABLE_4) - min(row.accuracy for row in paper.TABLE_4)

#: Stands for the expected impact where the paper prints what is changed: no open choice.
SETTING = "printed setting"

IMPACTS = (*reversed(get_args(paper.Impact)), SETTING)


@dataclass(frozen=True)
class Reading:
    """Another reading in words, or another setting of what the paper prints.

    Attributes:
        subject: what is open, or the printed setting.
        ours: our reading.
        other: the other one.
        reason: why ours.
        impact: expected before the runs, one of `IMPACTS`.
    """

    subject: str
    ours: str
    other: str
    reason: str
    impact: str


def reading(name: str) -> Reading:
    """The words for a key of `CHOICES`, from the paper as data."""
    ((field, value),) = CHOICES[name].items()
    for choice in paper.OPEN_CHOICES:
        other = choice.readings.get(name, str(value) if choice.field == field else None)
        if other in choice.alternatives:
            return Reading(choice.choice, choice.default, other, choice.reason, choice.impact)
    settings = [*paper.TABLE_1, *paper.TABLE_2, *paper.TABLE_3]
    printed = next(row for row in settings if row.field == field)
    return Reading(printed.name, printed.printed, str(value), "As printed.", SETTING)


def readings() -> Exhibit:
    """Every other reading that can be run."""
    words = {name: reading(name) for name in CHOICES}
    frame = pd.DataFrame(
        {
            "what is open": [found.subject for found in words.values()],
            "the other reading": [found.other for found in words.values()],
            "expected impact": [found.impact for found in words.values()],
            "grids": [
                ", ".join(grid for grid, made in GRIDS.items() if name in made.choices)
                for name in words
            ],
        },
        index=pd.Index(words, name="choice"),
    )
    caption = (
        "What can be read otherwise, one field of the configuration each, and the grids that do. "
        "The last few are settings that the paper prints, for comparison."
    )
    return table(frame, caption, [PAPER, of_code()], wordy=True)


def studied(runs: Sequence[Run]) -> list[Run]:
    """The runs of other choices and those of ours that can be compared with each other."""
    other = {_without_choice(run) for run in runs if run.experiment.choice}
    ours = {_without_choice(run) for run in runs if not run.experiment.choice}
    return [run for run in runs if _without_choice(run) in other & ours]


def _without_choice(run: Run) -> tuple[str, str, str, int]:
    experiment = run.experiment
    return experiment.model, experiment.embedding, experiment.fold.name, experiment.seed


def differences(runs: Sequence[Run], selection: str) -> pd.DataFrame:
    """Accuracy of every other choice less that of ours: `choice`, `difference`, and `SAME`.

    A seed counts once all models that have the choice have been trained with it.
    """
    single = metrics.per_run(runs, selection)
    ours = single[single["choice"] == ""].set_index(SAME)["accuracy"]
    other = single[single["choice"] != ""].join(ours.rename("ours"), on=SAME, how="inner")
    models = other.groupby("choice")["model"].transform("nunique")
    here = other.groupby(["choice", "fold", "seed"])["model"].transform("nunique")
    other = other[here == models]
    return other.assign(difference=other["accuracy"] - other["ours"])[
        ["choice", "difference", *SAME]
    ]


def unit(runs: Sequence[Run]) -> str:
    """What the intervals are over: seeds, or the groups held out, such as speakers."""
    (kind,) = {run.experiment.fold.kind for run in runs}
    return "seed" if kind == "stratified" else kind


def effects(runs: Sequence[Run], selection: str, region: float = PRINTED) -> pd.DataFrame:
    """Mean difference of each choice, the largest first.

    A seed's difference is the mean over its models; where groups are held out, a group's is the
    mean over models and seeds.

    Args:
        runs: on one kind of folds.
        selection: which epoch.
        region: the size of a difference with which effects are compared.

    Returns:
        `choice`, `value`, `low`, `high` (t interval, see `comparison.mean_difference`), `n` (seeds
        or groups), and `larger` and `smaller`: p values of the effect being larger or smaller than
        the region, with Holm's correction for the choices. Empty if nothing can be compared yet.
    """
    by = "seed" if unit(runs) == "seed" else "fold"
    overlap = _overlap(runs)
    rows = []
    found = differences(runs, selection).groupby(["choice", by])["difference"].mean()
    for choice, values in found.groupby("choice"):
        mean = comparison.mean_difference(values, overlap)
        larger, smaller = comparison.size_tests(values, region, overlap)
        rows.append(
            {
                "choice": choice,
                "value": mean.difference,
                "low": mean.low,
                "high": mean.high,
                "n": mean.n,
                "larger": larger,
                "smaller": smaller,
            }
        )
    if not rows:
        return pd.DataFrame()
    frame = pd.DataFrame(rows)
    for column in ("larger", "smaller"):
        frame[column] = comparison.holm(frame[column])
    return frame.sort_values("value", key=abs, ascending=False, ignore_index=True)


def _overlap(runs: Sequence[Run]) -> float:
    """n_test / n_train where each seed draws a split of its own, else 0."""
    folds = {run.experiment.fold for run in runs}
    return runs[0].provenance.overlap if unit(runs) == "seed" and len(folds) > 1 else 0.0


def flips(runs: Sequence[Run], selection: str) -> pd.DataFrame:
    """Share of test utterances whose predicted class another choice changes, mean over runs.

    Columns: `choice`, `share`, `runs`.
    """
    rows = metrics.pooled(runs, selection)
    key = [*SAME, "utterance"]
    ours = rows[rows["choice"] == ""].set_index(key)["predicted"].rename("ours")
    other = rows[rows["choice"] != ""].join(ours, on=key, how="inner")
    changed = other.assign(flipped=other["predicted"] != other["ours"])
    by_run = changed.groupby(["choice", *SAME])["flipped"].mean().groupby("choice")
    return by_run.agg(share="mean", runs="size").reset_index()


def flips_of_seeds(runs: Sequence[Run], selection: str) -> float:
    """The same for two seeds of our reading, mean over pairs; NaN if they share no utterance."""
    rows = metrics.pooled(runs, selection)
    ours = rows[rows["choice"] == ""]
    by_seed = ours.pivot(
        index=["model", "embedding", "fold", "utterance"], columns="seed", values="predicted"
    )
    shares = [
        (both[a] != both[b]).mean()
        for a, b in combinations(by_seed, 2)
        if len(both := by_seed[[a, b]].dropna())
    ]
    return float(np.mean(shares)) if shares else np.nan


@dataclass(frozen=True)
class Study:
    """Open choices read otherwise on one corpus.

    Attributes:
        stored: all runs of the corpus and profile, by every reading.
        grids: keys of `GRIDS`, which share their kind of folds; a notice names the first.
        selection: which epoch.
    """

    stored: Stored
    grids: tuple[str, ...]
    selection: str

    @cached_property
    def runs(self) -> list[Run]:
        """The runs of the grids, see `studied`.

        Raises:
            Missing: if there are none.
        """
        own = [run for run in self.stored.runs if any(_belongs(run, name) for name in self.grids)]
        chosen = studied([run for run in own if len(run.selected(self.selection))])
        return chosen or self._lack()

    def _lack(self) -> NoReturn:
        place = f"{at_hand(self.stored.corpus)} --profile {self.stored.profile}"
        raise Missing(
            f"No open choice has been read otherwise on {self.stored.corpus}, profile "
            f"{self.stored.profile}.",
            f"replicate run --corpus {place} --grid {self.grids[0]}",
        )

    @cached_property
    def effects(self) -> pd.DataFrame:
        """`effects` against the printed models, by `choice`, with columns `impact` and `size`.

        `size` is `more` or `less` than the models of Table 4 differ, or that it cannot be told.
        """
        found = effects(self.runs, self.selection)
        if found.empty:
            self._lack()
        found = found.set_index("choice")
        size = np.where(
            found["larger"] < LEVEL, "more",
            np.where(found["smaller"] < LEVEL, "less", "cannot be told"),
        )  # fmt: skip
        return found.assign(impact=[reading(str(c)).impact for c in found.index], size=size)

    @property
    def n(self) -> str:
        """How many seeds or groups the effects are over, such as `2 or 3`."""
        return " or ".join(map(str, sorted(self.effects["n"].unique())))

    @property
    def asked(self) -> list[str]:
        """The choices of the grids, printed settings left out."""
        every = {name: None for grid in self.grids for name in GRIDS[grid].choices if name}
        return [name for name in every if reading(name).impact != SETTING]

    @cached_property
    def ours(self) -> float:
        """Best less worst of Table 4's models in our runs, NaN unless all have the same seeds."""
        seeds = {run.experiment.seed for run in self.runs}
        rows = [
            run for run in self.stored.runs
            if run.experiment.model in FUSIONS and run.experiment.embedding == "trainable"
            and not run.experiment.choice and run.experiment.fold == Fold()
            and run.experiment.seed in seeds and len(run.selected(self.selection))
        ]  # fmt: skip
        if len(rows) < len(FUSIONS) * len(seeds):
            return np.nan
        return float(np.ptp(metrics.summarise(rows, self.selection)["accuracy"]))


def _belongs(run: Run, name: str) -> bool:
    """Whether a run is one of a grid's."""
    made, experiment = GRIDS[name], run.experiment
    drawn = random_fold(made.folds, experiment.seed)
    return (
        (experiment.model, experiment.embedding) in made.rows
        and experiment.choice in made.choices
        and (experiment.fold == drawn if drawn else experiment.fold.kind == made.folds)
    )


def study(corpus: str, profile: str, grids: Sequence[str], selection: str) -> Study:
    """Load the runs of a corpus once, for all that is shown of them.

    Raises:
        InputError: if a run is damaged.
    """
    runs = load_runs(corpus, profile, RESULTS)
    return Study(Stored(corpus, profile, tuple(runs)), tuple(grids), selection)


@or_notice
def effect_sizes(made: Study) -> Exhibit:
    """How much each choice moves accuracy, beside what the paper compares, as a picture."""
    found = made.effects
    bands = {"best less worst of Table 4, in print": PRINTED}
    if not np.isnan(made.ours):
        bands["the same models in our runs, same seeds"] = made.ours
    models = listed("model", (name_of(run) for run in made.runs))
    outside = int((found["value"].abs() > PRINTED).sum())
    alt = (
        f"One row a choice, the largest effect first: {found.index[0]}, "
        f"{signed(found['value'].iloc[0])}. {outside} of {len(found)} lie beyond {PRINTED:.3f}."
    )
    caption = (
        f"Accuracy of another reading less that of ours, on the same {made.n} {unit(made.runs)}s "
        f"({models}), with 95 % t intervals over {unit(made.runs)}s (none where all of "
        "these differ alike). Bands: how far the models lie apart that the paper compares. Names "
        "are explained in the next table."
    )
    expected = "expected impact: " + found["impact"]
    marked = found.assign(impact=expected.where(found["impact"] != SETTING, SETTING))
    figure = plots.effects(marked, bands, f"difference in accuracy, over {unit(made.runs)}s")
    return picture(figure, alt, caption, of_judged(made.runs, made.selection))


@or_notice
def effect_table(made: Study) -> Exhibit:
    """The choices by effect, with our reading and why, and how many predictions each changes."""
    found, words = made.effects, [reading(str(name)) for name in made.effects.index]
    flipped = flips(made.runs, made.selection).set_index("choice")["share"]
    ends = intervals(found["low"], found["high"]).fillna("")
    shown = pd.DataFrame(
        {
            "choice": [
                f"{name}\n{r.subject}: {r.other}"
                for name, r in zip(found.index, words, strict=True)
            ],
            "ours, and why": [f"{r.ours}. {r.reason}" for r in words],
            "expected impact": found["impact"],
            "difference, 95 %": found["value"].map(signed) + "\n" + ends,
            "than Table 4's models": found["size"],
            "predictions changed": flipped.reindex(found.index).map("{:.1%}".format),
        }
    )
    by_seed = flips_of_seeds(made.runs, made.selection)
    seeds = "" if np.isnan(by_seed) else f" Another seed of our reading changes {by_seed:.1%}."
    caption = (
        f"The choices by effect, over {made.n} {unit(made.runs)}s. Than Table 4's models: whether "
        f"it is more or less than the {PRINTED:.3f} between the best and the worst of them, by "
        "one-sided t tests with Holm's correction. Predictions changed: share of the test "
        f"utterances.{seeds}"
    )
    sources = of_judged(made.runs, made.selection)
    return table(shown, caption, sources, index=False, wordy=True)


@or_notice
def impact_table(made: Study) -> Exhibit:
    """The expected impact of the choices against the effect found."""
    found = made.effects.assign(distance=made.effects["value"].abs())
    rows = {
        impact: _counted(found[found["impact"] == impact])
        for impact in IMPACTS
        if impact in set(found["impact"])
    }
    caption = (
        "The impact that was expected before any run, and the sizes of the differences found. "
        f"More, less: than the {PRINTED:.3f} between Table 4's models, corrected as above."
    )
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("expected impact")
    return table(frame, caption, of_judged(made.runs, made.selection))


def _counted(found: pd.DataFrame) -> dict[Hashable, object]:
    sizes = found["size"].value_counts()
    return {
        "choices": len(found),
        "median size": number(float(found["distance"].median())),
        "largest size": number(float(found["distance"].max())),
        "surely more": sizes.get("more", 0),
        "surely less": sizes.get("less", 0),
        "cannot be told": sizes.get("cannot be told", 0),
    }


def in_words(made: Study, prefix: str = "") -> dict[str, str]:
    """Numbers for the prose; `(not run yet)` where there are no runs.

    Settings that the paper prints do not count.

    Args:
        made: the study.
        prefix: of the names.
    """
    names = (
        "n", "needed", "choices", "largest", "beyond", "more", "less", "untold", "high",
        "high_beyond", "below", "centred", "ours", "beyond_ours", "verdict", "unrun",
    )  # fmt: skip
    try:
        found = made.effects[made.effects["impact"] != SETTING]
    except Missing:
        found = pd.DataFrame()
    if found.empty:
        return dict.fromkeys((prefix + name for name in names), ABSENT)
    beyond, sizes = int((found["value"].abs() > PRINTED).sum()), found["size"].value_counts()
    more, less = int(sizes.get("more", 0)), int(sizes.get("less", 0))
    first, high = found.iloc[0], found[found["impact"] == "high"]
    known, n = not np.isnan(made.ours), int(found["n"].max())
    values = (
        f"{n} {unit(made.runs)}{'s' * (n > 1)}",
        f"{widest(n):.3f}" if n > 1 else "(unknown)",
        len(found),
        f"{reading(str(first.name)).subject}, {signed(first['value'])} "
        f"{interval(first['low'], first['high']) or '(no interval)'}",
        beyond,
        more,
        less,
        len(found) - more - less,
        len(high),
        int((high["value"].abs() > PRINTED).sum()),
        int((found["value"].round(3) < 0).sum()),
        int(((found["value"] - found["value"].median()).abs() > PRINTED).sum()),
        f"{made.ours:.3f}" if known else "(not all run)",
        int((found["value"].abs() > made.ours).sum()) if known else "(not all run)",
        verdict(len(found), beyond, more, less),
        ", ".join(name for name in made.asked if name not in found.index) or "none",
    )
    return {prefix + name: str(value) for name, value in zip(names, values, strict=True)}


def widest(n: int) -> float:
    """The spread over n seeds up to which an effect of the size `PRINTED` is found."""
    return float(PRINTED / comparison.detectable([1.0], [n]).to_numpy()[0, 0])


def verdict(choices: int, beyond: int, more: int, less: int) -> str:
    """Does what the paper leaves open move accuracy more than what it compares?

    Args:
        choices: how many were read otherwise.
        beyond: of which the mean effect is larger than the printed models lie apart.
        more: of which that is sure.
        less: of which it is sure that it is smaller.
    """
    if more:
        return (
            f"{more} of the {choices} choices that the paper leaves open surely "
            f"{'moves' if more == 1 else 'move'} accuracy more than what it compares"
        )
    if beyond:
        return (
            "what the paper leaves open may move accuracy more than what it compares, but these "
            "runs are too few to be sure"
        )
    if less == choices:
        return "none of these choices moves accuracy as much as what the paper compares"
    return (
        "none of these choices moved accuracy as much as what the paper compares, but these runs "
        "are too few to be sure that none does"
    )
