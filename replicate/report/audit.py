"""The exhibits of the audit: what `replicate.audit` finds, beside what the paper prints."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from replicate import audit, paper
from replicate.experiments import Training
from replicate.judging import printed_confusion
from replicate.report import plots
from replicate.report.layout import EMBEDDINGS, NBSP, intervals, named, number, title
from replicate.report.provenance import (
    PAPER,
    Exhibit,
    Source,
    interactive,
    of_code,
    picture,
    table,
)
from replicate.transcriptions import discard_probability

#: Of what rests on the class sizes too.
LABELS = Source("numbers of IEMOCAP's labels", synthetic=False, corpus=False)

#: Shares of utterances on which one of two models alone is right.
DISAGREEMENTS = (0.05, 0.1, 0.14, 0.18, 0.22, 0.26, 0.3, 0.35, 0.4)

#: Standard deviations of the test accuracy from epoch to epoch.
EPOCH_SDS = (0.005, 0.01, 0.015, 0.02)

#: Standard deviation of scores that open or close a gate almost wholly.
STRONG = 5.0


def names_in_table_7() -> Exhibit:
    """How many of the four printed values of each column each rate reproduces."""
    rates = audit.rates(printed_confusion())
    printed = {
        "Accuracy": [row.accuracy for row in paper.TABLE_7],
        "Recall": [row.recall for row in paper.TABLE_7],
    }
    matches = {
        f"printed as {name}": [f"{(rates[r].round(3) == values).sum()} of 4" for r in rates]
        for name, values in printed.items()
    }
    shown = rates.T.map(number).assign(**matches)
    caption = (
        "Rates of each class from the counts of Table 7, and how many of them are the printed "
        "ones. Accuracy is that of telling the class from all others."
    )
    return table(shown, caption, [PAPER])


def measures_of_table_7() -> Exhibit:
    """Accuracy, UAR, macro-F1 and kappa of the printed counts."""
    found = audit.measures(printed_confusion())
    shown = pd.DataFrame(
        {"value": found["value"].map(number), "95 %": intervals(found["low"], found["high"])}
    )
    caption = (
        f"What the {audit.TESTED} utterances of Table 7 say of the model. UAR: mean recall of "
        "the classes; macro-F1: mean over classes of the harmonic mean of precision and recall; "
        "kappa: agreement with the true classes beyond chance. Wilson's interval for the "
        "accuracy, percentile bootstraps over utterances for the others."
    )
    return table(shown, caption, [PAPER])


def pairs() -> Exhibit:
    """The largest disagreement at which each pair of printed accuracies would differ."""
    shares = audit.ceilings(audit.printed_right())
    names = [named(str(configuration)) for configuration in shares]
    shown = pd.DataFrame(shares.to_numpy(), names, names)
    over = shares.to_numpy()[np.tril_indices(len(shares), -1)]
    alt = (
        f"A grid of the {over.size} pairs of models: {(over == 0).sum()} could never differ, the "
        f"others only if they disagree on at most {over[over > 0].min():.1%} to {over.max():.1%}."
    )
    caption = (
        "On how many utterances may two models at most disagree for their printed difference to "
        "be significant? Exact two-sided McNemar test at 0.05; never: not even if the worse model "
        "is right on no utterance that the better one misses."
    )
    figure = plots.pairs(shown, shown.map(_share_or_never), "largest disagreement", over.max())
    return picture(figure, alt, caption, [PAPER])


def comparisons() -> Exhibit:
    """The paper's own comparisons with what each takes to be significant."""
    found = audit.comparisons()
    right = audit.printed_right() / audit.TESTED
    unrelated = [
        audit.unrelated(right[a], right[b])
        for a, b in zip(found["better"], found["worse"], strict=True)
    ]
    shown = pd.DataFrame(
        {
            "claim": found["claim"],
            "better": found["better"].map(named),
            "worse": found["worse"].map(named),
            "ahead by": found["net"],
            "may disagree on": found["ceiling"].map(_share_or_never),
            "errors unrelated": [f"{share:.1%}" for share in unrelated],
        }
    )
    caption = (
        "The paper's own comparisons of printed accuracies: by how many utterances the better "
        "model is ahead, on what share of the test set the two may disagree at most for that to "
        "be significant, and on what share they would if their errors were unrelated."
    )
    return table(shown, caption, [PAPER], index=False)


def _share_or_never(share: float) -> str:
    return f"{share:.1%}" if share else "never"


def equal_models() -> dict[float, np.ndarray]:
    """Seven equally good models: share of disagreement -> `audit.equal_models`."""
    accuracy = float(np.mean([row.accuracy for row in paper.TABLE_4]))
    return {
        share: audit.equal_models(accuracy, share, len(paper.TABLE_4)) for share in DISAGREEMENTS
    }


def spread(simulated: Mapping[float, np.ndarray], observed: int) -> Exhibit:
    """How far equally good models lie apart by chance.

    Args:
        simulated: from `equal_models`.
        observed: utterances between the best and the worst in print.
    """
    spreads = {share: np.ptp(right, axis=1) for share, right in simulated.items()}
    told = "; ".join(f"{s:g}: {(v >= observed).mean():.0%}" for s, v in spreads.items())
    caption = (
        f"Best minus worst of {len(paper.TABLE_4)} equally good models on {audit.TESTED} "
        f"utterances, {audit.TRIALS:,} simulations. Coloured: as far apart as Table 4 or farther. "
        "The slider sets on what share of the utterances two of them disagree."
    )
    figure = plots.spreads(
        spreads, observed, "utterances between the best and the worst", "pair disagreement"
    )
    alt = f"How often the spread is {observed} or more, by pair disagreement: {told}"
    return interactive(figure, alt, caption, [PAPER])


def chosen(simulated: Mapping[float, np.ndarray], observed: int) -> Exhibit:
    """What choosing the best of equally good models adds."""
    accuracy = float(np.mean([row.accuracy for row in paper.TABLE_4]))
    shown = pd.DataFrame(
        {
            "pair disagreement": [f"{share:g}" for share in simulated],
            f"{observed} apart or more": [
                f"{(np.ptp(right, axis=1) >= observed).mean():.0%}" for right in simulated.values()
            ],
            "best of seven, above the truth": [
                number(audit.best_of_models(right, accuracy)) for right in simulated.values()
            ],
        }
    )
    caption = (
        "Seven equally good models by chance: how often they spread as far as Table 4's, and by "
        "how much the accuracy of whichever came out best exceeds what all of them have."
    )
    return table(shown, caption, [PAPER], index=False)


def best_epochs(observed: int) -> Exhibit:
    """What choosing the best epoch on the test set adds.

    Args:
        observed: utterances between the best and the worst of Table 4, for comparison.
    """
    epochs = Training().epochs
    x = np.linspace(0, 0.98, 50)
    height = np.array([audit.best_of_epochs(float(phi), epochs) for phi in x])
    figure = plots.curves(
        {f"epoch sd {sd:.1%}": sd * height for sd in EPOCH_SDS},
        x,
        "autocorrelation of neighbouring epochs",
        "added to the accuracy",
        {"best - worst,\nTable 4": observed / audit.TESTED},
    )
    alt = "; ".join(
        f"sd {sd:.1%}: {sd * height[0]:.3f} to {sd * height[-1]:.3f}" for sd in EPOCH_SDS
    )
    caption = (
        f"By how much the best of {epochs} epochs exceeds their mean if the test accuracy only "
        f"fluctuates about a constant, as a Gaussian AR(1) process ({audit.TRIALS:,} simulations)."
    )
    return picture(figure, f"Falling with the autocorrelation; {alt}", caption, [PAPER])


def splits() -> Exhibit:
    """Row sums that different ways of holding out a tenth would give."""
    found = audit.splits()
    rows = printed_confusion().sum(axis="columns")
    shown = found.assign(
        all=found.sum(axis="columns"), fits=np.where((found == rows).all(axis="columns"), "yes", "")
    )
    printed = pd.DataFrame([{**rows, "all": rows.sum(), "fits": ""}], ["Table 7"])
    caption = "Test utterances of each class if a tenth is held out in different ways."
    return table(pd.concat([printed, shown]), caption, [PAPER, LABELS])


def words() -> Exhibit:
    """The fractions behind Table 6's ratios, and what the smallest of them can tell."""
    found = audit.words()
    shown = pd.DataFrame(
        {
            "word": found["word"] + " (" + found["emotion"] + ")",
            "printed": found["printed"].map(str),
            "may be": [first_of(fitting) for fitting in found["fractions"]],
            "95 % of the first": intervals(found["low"], found["high"]),
            "base rate": found["base"].map(number),
            "the class": found["direction"].map(
                {"above": "attracts it", "below": "avoids it", "either": "cannot be told"}
            ),
            "by chance, one word in": [f"{1 / chance:,.0f}" for chance in found["chance"]],
        }
    )
    caption = (
        "The words of Table 6 and of its text: fractions that round to the printed ratio, smallest "
        "first; Wilson's interval of the first; how often the model calls any utterance so (Table "
        "7); and of how many words with that many occurrences one would lie as far from the base "
        "rate by chance alone."
    )
    return table(shown, caption, [PAPER], index=False)


def first_of(fitting: list[tuple[int, int]]) -> str:
    """The first four fractions, `4/5, 8/10, …`."""
    return ", ".join(f"{k}/{m}" for k, m in fitting[:4]) + (f",{NBSP}…" if fitting[4:] else "")


def widths() -> Exhibit:
    """The widths of x_text and x_audio as printed, and what would make them equal."""
    size = {row.name: row.value for row in paper.TABLE_3}
    embeddings = {"trainable": "emb_size (trainable)", "Word2Vec": "emb_size (Word2Vec)"}
    rows = {
        "x_text has 2 n_fms (Section 3.2)": [2 * size["n_fms"] for _ in embeddings],
        "x_audio has 2 emb_size (Section 3.1)": [2 * size[name] for name in embeddings.values()],
        f"n_fms that would fit (Table 3 prints {size['n_fms']})": [
            size[name] for name in embeddings.values()
        ],
    }
    caption = "Widths of the features that Equations 3 and 10 add, from Table 3."
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(embeddings))
    return table(frame, caption, [PAPER])


def discarding() -> Exhibit:
    """Equation 1 and Mikolov's formula as curves of the count."""
    t = Training().subsampling_t
    counts = np.geomspace(1, 4 * t, 300)
    figure = plots.curves(
        {"Equation 1, f a count": discard_probability(counts, t),
         "1 - sqrt(t / f), f a count": audit.mikolov(counts, t)},
        counts, "occurrences of a word", "probability of discarding it",
        {"Equation 1, f a share:\nat most": (1 / t) ** 0.5}, log=True,
    )  # fmt: skip
    caption = f"Equation 1 with t = {t:,.0f} under both readings of f, and the usual formula."
    alt = "Equation 1 rises from the first occurrence on; the usual formula starts at t."
    return picture(figure, alt, caption, [PAPER])


def surviving() -> Exhibit:
    """How many of a word's occurrences each formula keeps."""
    t = Training().subsampling_t
    counts = np.linspace(0, 1.25 * t, 400)[1:]
    kept = {
        "Equation 1": counts * (1 - discard_probability(counts, t)),
        "1 - sqrt(t / f)": counts * (1 - audit.mikolov(counts, t)),
    }
    figure = plots.curves(kept, counts, "occurrences of a word", "expected to be kept")
    caption = f"Occurrences that are kept, on average, with t = {t:,.0f} and f a count."
    alt = (
        "Equation 1 keeps most of a word that occurs about "
        f"{audit.most_kept(t)[0]:,.0f} times, then fewer."
    )
    return picture(figure, alt, caption, [PAPER])


def attention(n: int) -> Exhibit:
    """Scores of untrained modules on random features beside the printed ones.

    Args:
        n: features.
    """
    shown = {}
    for model in audit.ATTENTION:
        strong = audit.untrained_gates(model, n, sd=STRONG)
        shown[title(model, "trainable")] = {
            "gates": strong.shape[-1],
            "alike": _mean_and_sd(audit.untrained_gates(model, n)),
            "text rectified": _mean_and_sd(audit.untrained_gates(model, n, rectify_text=True)),
            f"scores of sd {STRONG:g}": _mean_and_sd(strong),
            "of these gates outside 0.1 to 0.9": f"{((strong < 0.1) | (strong > 0.9)).mean():.0%}",
            "printed mean": _each(
                (r.embedding, f"{r.audio_score:.3f}") for r in paper.OWN if r.model == model
            ),
            "printed sd": _each(
                (embedding, str(sd))
                for name, sd in paper.SCORE_SPREADS.items()
                for kind, _, embedding in [name.partition("-")]
                if kind == model
            ),
        }
    caption = (
        f"Audio scores of {audit.MODELS} untrained modules a row, each on {audit.UTTERANCES} "
        f"utterances of {n} random features: mean (standard deviation over utterances). "
        "Alike: text and audio are standard normal. Text rectified: its negative features are 0. "
        f"Scores of sd {STRONG:g}: alike, but scaled. Printed: after training."
    )
    return table(pd.DataFrame.from_dict(shown, orient="index"), caption, [PAPER, of_code()])


def _mean_and_sd(found: np.ndarray) -> str:
    """Of the utterances' scores; the deviation is that within a model."""
    scores = found.mean(axis=-1)
    return f"{scores.mean():.3f}{NBSP}({scores.std(axis=1).mean():.3f})"


def _each(values: Iterable[tuple[str, str]]) -> str | None:
    """Printed values, pretrained embeddings by name."""
    named = [", ".join(filter(None, (value, EMBEDDINGS[e]))) for e, value in values]
    return "; ".join(named) or None


def strong_gates(model: str, n: int) -> Exhibit:
    """Single gates and utterances' means, as initialised and with strong scores.

    Args:
        model: a key of `audit.ATTENTION`.
        n: features.
    """
    found = {
        "as initialised": audit.untrained_gates(model, n),
        f"scores of sd {STRONG:g}": audit.untrained_gates(model, n, sd=STRONG),
    }
    means = {name: values.mean(axis=-1) for name, values in found.items()}
    alt = "; ".join(
        f"{name}: gates have sd {found[name].std():.2f}, means {means[name].std():.3f}"
        for name in found
    )
    caption = (
        f"{title(model, 'trainable')}, untrained, on random features drawn alike: its {n} gates of "
        "each utterance, and their means, which are what the paper prints."
    )
    return picture(plots.gates(found, means), alt, caption, [of_code()])
