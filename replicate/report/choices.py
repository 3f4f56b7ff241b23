"""What the paper's open choices change: every other reading against ours, over the same seeds."""

from collections.abc import Sequence

import pandas as pd

from replicate import metrics, paper
from replicate.experiments import CHOICES
from replicate.report import plots
from replicate.report.layout import interval, title
from replicate.report.provenance import (
    PAPER,
    Exhibit,
    Missing,
    of_code,
    of_runs,
    or_notice,
    picture,
    table,
)
from replicate.runs import RESULTS, Run, load_runs

#: What a choice is compared on: the same experiment in all but the choice.
SAME = ["model", "embedding", "fold", "seed"]


def studied(corpus: str, profile: str) -> list[Run]:
    """The runs of other choices, and those of ours that they can be compared with."""
    runs = load_runs(corpus, profile, RESULTS)
    other = {_without_choice(run) for run in runs if run.experiment.choice}
    return [run for run in runs if _without_choice(run) in other]


def _without_choice(run: Run) -> tuple[str, str, str, int]:
    experiment = run.experiment
    return experiment.model, experiment.embedding, experiment.fold.name, experiment.seed


def differences(runs: Sequence[Run], selection: str) -> pd.DataFrame:
    """Accuracy of every other choice less that of ours: `choice`, `difference`, and `SAME`."""
    single = metrics.per_run(runs, selection)
    ours = single[single["choice"] == ""].set_index(SAME)["accuracy"]
    other = single[single["choice"] != ""].join(ours.rename("ours"), on=SAME, how="inner")
    return other.assign(difference=other["accuracy"] - other["ours"])[
        ["choice", "difference", *SAME]
    ]


def effects(runs: Sequence[Run], selection: str) -> pd.DataFrame:
    """Mean difference of each choice over seeds, the largest first.

    A seed's difference is the mean over its models and folds. Columns: `choice`, `value`, `low`,
    `high` (Student's t over seeds), `seeds`.
    """
    by_seed = differences(runs, selection).groupby(["choice", "seed"])["difference"].mean()
    rows = [
        {"choice": choice, "value": values.mean(), "seeds": len(values)}
        | metrics.mean_interval(values)._asdict()
        for choice, values in by_seed.groupby("choice")
    ]
    found = pd.DataFrame(rows)
    return found.sort_values("value", key=abs, ascending=False, ignore_index=True)


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


def readings() -> Exhibit:
    """Every other reading that can be run, with the field that it changes."""
    known = {choice.field: choice for choice in paper.OPEN_CHOICES}
    rows = [
        {
            "choice": name,
            "what is open": known[field].choice if field in known else field,
            "our reading": known[field].default if field in known else None,
            "the other": str(value),
        }
        for name, changes in CHOICES.items()
        for field, value in changes.items()
    ]
    caption = "Open choices that can be read otherwise, one field of the configuration each."
    return table(pd.DataFrame(rows), caption, [PAPER, of_code()], index=False, wordy=True)


@or_notice
def effect_sizes(corpus: str, profile: str, selection: str) -> Exhibit:
    """How much each choice moves accuracy, as a picture."""
    runs = _needed(corpus, profile)
    found = effects(runs, selection).set_index("choice")
    grid = "text-choices" if {run.experiment.model for run in runs} == {"text"} else "choices"
    models = sorted({title(r.experiment.model, r.experiment.embedding) for r in runs})
    spread = float((found["value"].abs()).max())
    return picture(
        plots.effects(found),
        alt=f"One row a choice; the largest moves accuracy by {spread:.3f}.",
        caption=f"Accuracy of another reading less that of ours, on the same seeds "
        f"({', '.join(models)}; grid {grid}), with Student's t intervals over seeds.",
        sources=of_runs(runs, selection),
    )


@or_notice
def effect_table(corpus: str, profile: str, selection: str) -> Exhibit:
    """How much each choice moves accuracy, and how many predictions it changes."""
    runs = _needed(corpus, profile)
    found = effects(runs, selection).set_index("choice")
    flipped = flips(runs, selection).set_index("choice")["share"]
    shown = pd.DataFrame(
        {
            "difference": found["value"].map("{:+.3f}".format),
            "95 % over seeds": [
                interval(low, high) for low, high in found[["low", "high"]].itertuples(index=False)
            ],
            "seeds": found["seeds"],
            "predictions changed": flipped.reindex(found.index).map("{:.1%}".format),
        }
    )
    caption = (
        "What each other reading changes. Two trainings by our own reading with other seeds differ "
        "too; only `test-one-by-one` and `test-sorted` keep the trained weights."
    )
    return table(shown.rename_axis("choice"), caption, of_runs(runs, selection))


def _needed(corpus: str, profile: str) -> list[Run]:
    runs = studied(corpus, profile)
    if not runs:
        text = corpus in ("iemocap-text", "meld")
        path = "" if corpus.startswith("standin-") else " --data PATH"
        raise Missing(
            f"No open choice has been read otherwise on {corpus}, profile {profile}.",
            f"replicate run --corpus {corpus}{path} --profile {profile} --grid "
            f"{'text-choices' if text else 'choices'}",
        )
    return runs
