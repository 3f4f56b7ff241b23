"""Attention scores beside the truth: the exhibits of the page on what they measure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

import numpy as np
import pandas as pd

from replicate import comparison, importance, metrics, paper
from replicate.comparison import LEVEL, POWER
from replicate.corpora import standin
from replicate.experiments import GRIDS
from replicate.importance import (
    ABLATIONS,
    ASTRAY,
    FOLLOWS,
    HARDLY,
    LEAST_LOSS,
    UNKNOWN,
    Agreement,
)
from replicate.model import FUSIONS
from replicate.protocol import Fold
from replicate.report import held_out, plots
from replicate.report.layout import ABSENT, interval, intervals, number, signed, title, whole
from replicate.report.provenance import (
    Exhibit,
    Missing,
    Source,
    of_code,
    of_runs,
    or_notice,
    picture,
    table,
)
from replicate.report.results import Stored, load
from replicate.runs import Run

#: Grid of the runs.
GRID = "attention"

#: Models with attention, in the order of Table 4; and those whose modalities can be taken away.
ATTENDING = [model for model, _ in GRIDS[GRID].rows if model.startswith("att")]
FUSED = [model for model, _ in GRIDS[GRID].rows if model in FUSIONS]

#: Measures of `importance.measured` -> how tables call them, and the models that have them.
MEASURES = {
    "score": ("mean score", ATTENDING),
    "untrained": ("mean score before training", ATTENDING),
    "zeroed": ("share lost, features zeroed", FUSED),
    "shuffled": ("share lost, features exchanged", FUSED),
}

#: Columns of `importance.ablated` with a rank correlation.
LOSSES = [f"{name}{suffix}" for name in ABLATIONS for suffix in ("", "_blind")]

#: Noise of a corpus's mean, as shares of the measure's range, for `precision`.
NOISE = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


@dataclass(frozen=True)
class Study:
    """Runs on several presets of one stand-in, and what they say.

    Attributes:
        size: of the stand-in.
        profile: of the runs.
        runs: preset -> runs; presets without any are left out.
        measured: from `importance.measured`.
        followed: from `importance.followed`, a row a model.
        single: from `importance.by_run`, with `model`.
    """

    size: str
    profile: str
    runs: dict[str, list[Run]]
    measured: pd.DataFrame
    followed: pd.DataFrame
    single: pd.DataFrame

    def agreement(self, measure: str, model: str, known: pd.Series) -> Agreement:
        """How a measure of one model goes with a truth, from preset to preset."""
        rows = self.measured[self.measured["model"] == model].set_index("preset")
        return importance.agreement(rows[measure], known)

    @cached_property
    def ablated(self) -> pd.DataFrame:
        """`importance.ablated` of all runs."""
        return importance.ablated(self.runs, self.size)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Of all runs."""
        return of_runs([run for some in self.runs.values() for run in some], importance.SELECTION)


def study(size: str, profile: str) -> Study:
    """The runs of the grid on every preset, under the profile or else under `quick`.

    Args:
        size: of the stand-in.
        profile: name of the protocol.
    """
    for chosen in (profile, "quick"):
        runs = {
            preset: some
            for preset, name in importance.corpora(size).items()
            if (some := _of_grid(load(name, chosen)))
        }
        if runs:
            break
    found = importance.scores(runs, size)
    single = [importance.by_run(one).assign(model=model) for model, one in found.items()]
    return Study(
        size=size,
        profile=chosen,
        runs=runs,
        measured=importance.measured(runs),
        followed=pd.DataFrame([importance.followed(one) for one in found.values()]),
        single=pd.concat(single) if single else pd.DataFrame(),
    )


def _of_grid(runs: Stored) -> list[Run]:
    return [
        run
        for run in runs.runs
        if (run.experiment.model, run.experiment.embedding) in GRIDS[GRID].rows
        and run.experiment.fold == Fold()
    ]


def _trained(found: Study, models: Sequence[str]) -> list[str]:
    """Those of the models that have runs.

    Raises:
        Missing: if none has.
    """
    return _present(found, models) or _lack(found)


def _lack(found: Study) -> NoReturn:
    raise Missing(
        "No such models have been trained on presets of the stand-in that can tell this.",
        "\n".join(
            f"replicate run --corpus {name} --profile {found.profile} --grid {GRID}"
            for name in importance.corpora(found.size).values()
        ),
    )


def _present(found: Study, models: Sequence[str]) -> list[str]:
    trained = set(found.measured["model"]) if found.runs else set()
    return [model for model in models if model in trained]


def _name(model: str) -> str:
    return title(model, "trainable")


# --- the truth, and what could be found ---


def truths() -> Exhibit:
    """What each preset's text and audio tell, and the audio's share."""
    known = importance.truth()
    frame = pd.DataFrame(
        {
            ("bits on the class", "text"): known["text"].map(number),
            ("bits on the class", "audio"): known["audio"].map(number),
            ("bits on the class", "both"): known["both"].map(number),
            ("audio's share", "of what each tells"): known["share"].map(number),
            ("audio's share", "of what each adds"): known["share_added"].map(number),
            ("audio's share", "of best accuracies"): known["share_accuracy"].map(number),
        }
    )
    caption = (
        "The presets of the stand-in, by rising share of the audio: mutual information with the "
        "class, of 2 bits at most, and three ways to divide it. The third divides how far the best "
        "possible observer of each modality is above the largest class."
    )
    return table(frame.rename_axis(None), caption, [of_code()])


def precision() -> Exhibit:
    """How likely a measure that follows the truth is to be found in order."""
    known = importance.truth()["share"]
    chances = {f"{noise:.0%}": f"{importance.power(noise, known):.0%}" for noise in NOISE}
    frame = pd.DataFrame({"found in order": chances}).rename_axis("noise of a corpus's mean")
    caption = (
        f"The chance that {len(known)} corpora show a significant order (exact test, two-sided, "
        f"{LEVEL:g}) if a measure is the true share and normal noise. The noise is a "
        "standard deviation, as a share of the measure's range over the corpora."
    )
    return table(frame, caption, [of_code()])


@or_notice
def learned(found: Study) -> Exhibit:
    """What networks of one modality reach on each preset, against what they could."""
    modalities, rows = _trained(found, ["text", "audio"]), found.measured
    mean = rows.groupby(["model", "preset"])["accuracy"].mean()
    shown: dict[tuple[str, str], pd.Series] = {}
    for modality in modalities:
        best = {
            preset: getattr(standin.describe(preset), modality).accuracy for preset in found.runs
        }
        shown[modality, "alone"] = mean[modality].reindex(list(found.runs)).map(number)
        shown[modality, "at best"] = pd.Series(best).map(number)
    majority = rows.groupby("preset")["majority"].mean()
    shown["", "largest class"] = majority.map(number)
    known = importance.truth()["share"]
    shown["audio's share", "learned"] = importance.reached(rows).reindex(known.index).map(number)
    shown["audio's share", "true"] = known.map(number)
    frame = pd.DataFrame(shown).reindex(list(found.runs))
    caption = (
        "Accuracy of networks of one modality (mean over seeds) and what the best possible "
        "observer of one utterance reaches. Learned share: of how far each is above the largest "
        "class."
    )
    return table(frame, caption, found.sources)


# --- at a glance ---


@or_notice
def glance(found: Study) -> Exhibit:
    """The verdicts, model by model."""
    known = importance.truth()["share"]
    by_utterance = _verdicts_by_utterance(found)
    rows = {}
    for model in _trained(found, FUSED):
        verdicts = {
            name: found.agreement(measure, model, known).verdict
            for measure, (name, models) in MEASURES.items()
            if model in models
        }
        rows[_name(model)] = {**verdicts, "score of an utterance": by_utterance.get(model)}
    caption = (
        f"Does it follow the truth? From preset to preset ({len(found.runs)} of {len(known)}), and "
        "from utterance to utterance. This page gives the rules."
    )
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
    return table(frame, caption, found.sources, wordy=True)


def _verdicts_by_utterance(found: Study) -> dict[str, str]:
    rows = found.followed
    return dict(zip(rows["model"], rows["verdict"], strict=True)) if len(rows) else {}


# --- from preset to preset ---


@or_notice
def across(found: Study) -> Exhibit:
    """Mean score and share of the accuracy lost against the true share, a panel a model."""
    models, rows = _trained(found, FUSED), found.measured
    known = importance.truth()["share"]
    panels, told = {}, []
    for model in models:
        part = rows[rows["model"] == model].groupby("preset")
        curves = {}
        for measure in ("score", "zeroed"):
            over_seeds = part[measure].agg(["mean", "min", "max"]).dropna()
            if len(over_seeds):
                curves[MEASURES[measure][0]] = over_seeds.assign(truth=known[over_seeds.index])
                ends = over_seeds["mean"]
                told.append(f"{_name(model)}, {measure}: {ends.min():.2f} to {ends.max():.2f}")
        panels[_name(model)] = curves
    caption = (
        "The mean score, and the audio's share of the accuracy lost when its features or the "
        "text's are zeroed, against the true share of the audio: mean over seeds and their range. "
        "On the diagonal a measure is the truth. A share is left out where less than "
        f"{LEAST_LOSS:g} of accuracy is lost in all."
    )
    return picture(plots.against_truth(panels), "; ".join(told), caption, found.sources)


@or_notice
def orders(found: Study, *measures: str) -> Exhibit:
    """How measures go with the truth from preset to preset, model by model.

    Args:
        found: the runs.
        measures: keys of `MEASURES`.
    """
    shown = {}
    for measure in measures:
        name, _ = MEASURES[measure]
        ranked = _ranked(found, measure) or _lack(found)
        corrected = _corrected(ranked)
        for model, one in ranked.items():
            learned = found.agreement(measure, model, importance.reached(found.measured))
            shown[name, _name(model)] = {
                "presets": one.n,
                "rho": number(one.rho),
                "95 % over seeds": interval(one.low, one.high),
                "p": number(one.p_value),
                "p, corrected": number(corrected[model]),
                "tau": number(one.tau),
                "slope": number(one.slope),
                "95 %, slope": interval(one.slope_low, one.slope_high),
                "rho, learned share": number(learned.rho),
            }
    frame = pd.DataFrame.from_dict(shown, orient="index").rename_axis(["measure", "model"])
    caption = (
        "Rank correlation with the true share over presets: Spearman's rho with the interval that "
        "other seeds give and the exact p value of all orders, also with Holm's correction for the "
        "models; Kendall's tau; the slope (1 where a measure is the truth); and rho with the share "
        "that networks of one modality learned."
    )
    return table(frame.reset_index(), caption, found.sources, index=False)


def _ranked(found: Study, measure: str) -> dict[str, Agreement]:
    """How a measure goes with the true share from preset to preset, by model."""
    known, models = importance.truth()["share"], _present(found, MEASURES[measure][1])
    return {model: found.agreement(measure, model, known) for model in models}


def _corrected(ranked: Mapping[str, Agreement]) -> pd.Series:
    """Index model; p values of rank correlations with Holm's correction for the models."""
    p_values = comparison.holm([one.p_value for one in ranked.values()])
    return pd.Series(p_values, list(ranked), dtype=float)


# --- from utterance to utterance ---


@or_notice
def by_utterance(found: Study) -> Exhibit:
    """How the scores of single utterances go with what these tell, model by model."""
    rows = found.followed if len(found.followed) else _lack(found)
    frame = pd.DataFrame(
        {
            "rho": rows["rho"].map(number),
            "95 % over utterances": intervals(rows["low"], rows["high"]),
            "95 % over seeds": intervals(rows["seeds_low"], rows["seeds_high"]),
            "before training": rows["untrained"].map(number),
            "gained by training": rows["difference"].map(signed),
            "95 %": intervals(rows["difference_low"], rows["difference_high"]),
            "rho, information gain": rows["gain"].map(number),
            "utterances": rows["utterances"].map(whole),
        }
    ).set_axis(list(map(_name, rows["model"])))
    caption = (
        "Spearman's rho of an utterance's score with the bits that its audio tells about its true "
        "class, less those of its text: mean over presets and seeds. Intervals over utterances "
        "draw whole dialogues. Information gain: the same, whatever the true class."
    )
    return table(frame.rename_axis("model"), caption, found.sources)


@or_notice
def by_preset(found: Study) -> Exhibit:
    """The same rank correlation in each preset."""
    single = found.single if len(found.single) else _lack(found)
    cells = single.groupby(["model", "preset"])["rho"].agg(_with_interval).unstack()
    frame = cells.reindex(
        index=[model for model in ATTENDING if model in cells.index],
        columns=[preset for preset in found.runs if preset in cells],
    )
    frame = frame.rename(index=_name).rename_axis(index="model", columns=None)
    caption = (
        "Spearman's rho of score and pointwise information in each preset, mean over seeds with "
        "its 95 % interval. In the preset clean, text and audio tell the same of every utterance: "
        "there is nothing to follow."
    )
    return table(frame, caption, found.sources, wordy=True)


def _with_interval(values: pd.Series) -> str:
    """A mean over seeds, and its 95 % interval on a line of its own."""
    ends = interval(*metrics.mean_interval(values))
    return f"{values.mean():.3f}" + f"\n{ends}" * bool(ends)


@or_notice
def ablation_by_utterance(found: Study) -> Exhibit:
    """How losses of single utterances go with what these tell, model by model."""
    rows = found.ablated if len(found.ablated) else _lack(found)
    rows = rows.set_index("model").loc[[m for m in FUSED if m in set(rows["model"])]]
    shown: dict[tuple[str, str], pd.Series] = {}
    for name, head in (("zeroed", "features zeroed"), ("shuffled", "features exchanged")):
        for suffix, told in (("", "told the class"), ("_blind", "not told")):
            column = f"{name}{suffix}"
            ends = intervals(rows[f"{column}_low"], rows[f"{column}_high"])
            seeds = intervals(rows[f"{column}_seeds_low"], rows[f"{column}_seeds_high"])
            shown[head, f"{told}: rho, 95 %"] = rows[column].map(number) + "\n" + ends
            shown[head, f"{told}: 95 %, seeds"] = seeds
    frame = pd.DataFrame(shown).rename(index=_name).rename_axis(None)
    one = rows.iloc[0]
    caption = (
        "Spearman's rho with the bits that an utterance's audio tells about its true class, less "
        "those of its text. Told the class: of the bits of that class's probability that go "
        "without the audio, less those without the text. Not told: of how far the answer moves "
        f"(divergence). Mean over seeds and {one['presets']:.0f} presets in which a modality "
        f"leads, {one['utterances']:.0f} test utterances each; intervals draw whole dialogues, or "
        "seeds."
    )
    return table(frame, caption, found.sources, wordy=True)


# --- what the score does ---


@or_notice
def inside(found: Study) -> Exhibit:
    """How scores vary, and what it changes to put one half in their place."""
    shown = {}
    for model in _trained(found, ATTENDING):
        part = found.measured[found.measured["model"] == model]
        means = part.groupby("preset")["score"].mean()
        low, high = metrics.mean_interval(part.groupby("seed")["half"].mean())
        shown[_name(model)] = {
            "mean score": f"{means.min():.3f} to {means.max():.3f}",
            "sd over utterances": number(part["score_sd"].mean()),
            "sd over dimensions": number(part["spread"].mean()),
            "predictions changed": f"{part['flips'].mean():.1%}",
            "accuracy gained": signed(part["half"].mean()),
            "95 % over seeds": interval(low, high),
        }
    caption = (
        "The scores of trained models: range of their means over presets, spread over utterances "
        "and, within an utterance, over dimensions; and what changes if both modalities weigh one "
        "half instead. Means over presets and seeds."
    )
    frame = pd.DataFrame.from_dict(shown, orient="index").rename_axis("model")
    return table(frame, caption, found.sources)


@or_notice
def halves(found: Study) -> Exhibit:
    """What it changes in each preset to put one half in the place of the scores."""
    models = _trained(found, ATTENDING)
    part = found.measured[found.measured["model"].isin(models)]
    cells = part.groupby(["model", "preset"])
    gained = cells["half"].mean().map(signed)
    above = (cells["accuracy"].mean() - cells["majority"].mean()).map(number)
    score = cells["score"].mean().map("{:.2f}".format)
    frame = (gained + "\n" + above + " / " + score).unstack()
    frame = frame.reindex(index=models, columns=list(found.runs))
    caption = (
        "Accuracy gained by one half in the place of the scores, preset by preset, mean over "
        "seeds. Below: how far the model is above the largest class / its mean score of the audio."
    )
    frame = frame.rename(index=_name).rename_axis(index="model", columns=None)
    return table(frame, caption, found.sources, wordy=True)


# --- a real corpus whose texts tell nothing ---


@or_notice
def without_text(runs: Stored) -> Exhibit:
    """EmoDB, where text tells nothing: what the scores say, and what ablation says."""
    chosen = held_out.runs_of(runs)
    if not any(run.experiment.model in ATTENDING for run in chosen):
        runs.lack("attention models", "speaker")
    rows = importance.measured({runs.corpus: chosen}).groupby("model").mean(numeric_only=True)
    models = [model for model in ("audio", "text", *FUSED) if model in rows.index]
    rows = rows.loc[models]
    frame = pd.DataFrame(
        {
            "accuracy": rows["accuracy"].map(number),
            "largest class": rows["majority"].map(number),
            "mean score": rows["score"].map(number),
            "95 % over speakers": [
                _over_speakers([run for run in chosen if run.experiment.model == model])
                for model in models
            ],
            "before training": rows["untrained"].map(number),
            **{
                f"lost: {modality} {done}": rows[f"{modality}_{name}"].map(number)
                for name, done in {"zeroed": "zeroed", "shuffled": "exchanged"}.items()
                for modality in ("audio", "text")
            },
            "predictions changed by 1/2": rows["flips"].map("{:.1%}".format, na_action="ignore"),
        }
    ).rename(index=_name)
    caption = (
        "EmoDB, each speaker held out in turn: accuracy, mean score of the audio, and accuracy "
        "lost where a modality's features are zeroed or come from another utterance. The true "
        "share of the audio is 1."
    )
    return table(frame.rename_axis("model"), caption, of_runs(chosen, importance.SELECTION))


def _over_speakers(runs: Sequence[Run]) -> str | None:
    """The interval of the mean score; None without attention."""
    if runs[0].experiment.model not in ATTENDING:
        return None
    _, low, high = held_out.mean_score(runs)
    return interval(low, high)


# --- in words ---


def precision_in_words(size: str) -> dict[str, object]:
    """Numbers for the prose on what could be found, before any result."""
    known, n = importance.truth()["share"], importance.tested(size)
    low, high = metrics.wilson(n / 2, n)
    printed = next(row.audio_score for row in paper.TABLE_5 if row.audio_score is not None)
    return {
        "printed_audio": float(printed),
        "printed_text": float(1 - printed),
        "presets": len(known),
        "needed": importance.needed(len(known)),
        "perfect": f"{2 / np.prod(np.arange(1, len(known) + 1)):.4f}",
        "by_chance": f"{LEVEL / 2 * len(ATTENDING):.1%}",
        "size": size,
        "cohort": whole(sum(standin.SIZES[size].counts)),
        "utterances": n,
        "resolved": f"{(high - low) / 2:.2f}",
        "seeds": f"{GRIDS[GRID].seeds}",
        "power": f"{POWER:.0%}",
        "detectable": f"{importance.detectable(n):.2f}",
        "detectable_most": f"{importance.detectable((len(known) - 1) * n):.2f}",
        "weak": f"{importance.WEAK:g}",
        "weak_by_utterance": f"{importance.WEAK_BY_UTTERANCE:g}",
        "least_slope": f"{importance.LEAST_SLOPE:g}",
        "least_loss": f"{LEAST_LOSS:g}",
        "follows": FOLLOWS,
        "hardly": HARDLY,
        "astray": ASTRAY,
        "unknown": UNKNOWN,
    }


def in_words(found: Study) -> dict[str, str]:
    """Verdicts for the prose: how many models got which, `(not run yet)` where there are none."""
    known = importance.truth()["share"]
    ranked = {measure: _ranked(found, measure) for measure in MEASURES}
    words = {
        measure: _tallied([one.verdict for one in by_model.values()])
        for measure, by_model in ranked.items()
    }
    words["utterance"] = _tallied(list(_verdicts_by_utterance(found).values()))
    words |= {
        "score_rho": _range(found.followed, "rho"),
        **{f"{name}_rho": _range(_attending(found.ablated), name) for name in LOSSES},
    }
    words["trained_on"] = f"{len(found.runs)} of {len(known)}"
    words |= _told_orders(ranked["score"])
    return words | _unlearned(found)


def _told_orders(ranked: Mapping[str, Agreement]) -> dict[str, str]:
    """How sure the orders of mean scores are, and how steep those that are in order."""
    p_values = _corrected(ranked)
    slopes = [one.slope for one in ranked.values() if one.verdict in (FOLLOWS, HARDLY)]
    return {
        "score_p": number(p_values.min()) or ABSENT if len(p_values) else ABSENT,
        "score_slopes": f"{min(slopes):.2f} to {max(slopes):.2f}" if slopes else ABSENT,
    }


def _attending(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of models with attention."""
    return rows[rows["model"].isin(ATTENDING)] if len(rows) else rows


def _range(rows: pd.DataFrame, column: str) -> str:
    """The smallest and the largest value of a column, for the prose."""
    return f"{rows[column].min():.2f} to {rows[column].max():.2f}" if len(rows) else ABSENT


def _unlearned(found: Study) -> dict[str, str]:
    """Presets whose text (`unread`) or audio (`unheard`) tells something that is not learned."""
    known, words = importance.truth(), {}
    for name, modality in (("unread", "text"), ("unheard", "audio")):
        words[name] = ABSENT
        if modality in _present(found, ["text", "audio"]):
            rows = found.measured[found.measured["model"] == modality]
            lift = (rows["accuracy"] - rows["majority"]).groupby(rows["preset"]).mean()
            few = [p for p in lift.index if lift[p] < LEAST_LOSS and known.loc[p, modality] > 1e-9]
            words[name] = ", ".join(few) or "none"
    return words


def _tallied(verdicts: Sequence[str]) -> str:
    """`follows the truth (3 of 5 models), cannot be told (2 of 5 models)`."""
    counts = Counter(verdicts)
    said = [
        f"{verdict} ({counts[verdict]} of {len(verdicts)} models)"
        for verdict in (FOLLOWS, HARDLY, UNKNOWN, ASTRAY)
        if verdict in counts
    ]
    return ", ".join(said) or ABSENT
