"""The book's figures, in one style, most with alternative text and data; none computes a test.

Colours are Okabe and Ito's, which stay apart for colour-blind readers. Pictures have a white ground
so that they read the same in light and dark mode.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import scipy.signal
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from replicate.paper import EMOTIONS
from replicate.report.layout import in_mathtext
from replicate.settings import SAMPLE_RATE

COLOURS = dict(zip(EMOTIONS, ("#D55E00", "#E69F00", "#7A7A7A", "#0072B2"), strict=True))
REPORTED, REPRODUCED, FAINT = "#000000", "#009E73", "#BBBBBB"
#: How points of the paper are drawn.
PRINTED: dict[str, Any] = {"color": REPORTED, "marker": "D", "fillstyle": "none"}
MODALITIES = {"audio": "#CC79A7", "text": "#009E73"}
#: For series that are neither classes nor modalities.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A7A7A", "#000000")

STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
}

#: Columns of values and of their intervals.
ENDS = ["value", "low", "high"]

styled = mpl.rc_context(STYLE)


@styled
def waveforms(samples: Mapping[str, np.ndarray], one_scale: bool = False) -> Figure:
    """Waveforms, samples in [-1, 1), and spectrograms, one row each, on one time axis.

    With `one_scale`, all rows share the scales of amplitude and of power.
    """
    figure = Figure(figsize=(7.2, 1.7 * len(samples)))
    sharey: Any = "col" if one_scale else False
    grid = figure.subplots(len(samples), 2, sharex=True, sharey=sharey, squeeze=False)
    spectra = {
        name: scipy.signal.spectrogram(wave, SAMPLE_RATE, nperseg=400, noverlap=240)
        for name, wave in samples.items()
    }
    loudest = max(power.max() for _, _, power in spectra.values())
    for (wave_axes, spectrum_axes), (name, wave) in zip(grid, samples.items(), strict=True):
        style: dict[str, Any] = {"color": COLOURS.get(name, REPRODUCED), "linewidth": 0.4}
        wave_axes.plot(np.arange(len(wave)) / SAMPLE_RATE, wave, **style)
        wave_axes.set(title=name, ylabel="amplitude")
        frequency, time, power = spectra[name]
        top = 10 * np.log10((loudest if one_scale else power.max()) + 1e-12)
        level = 10 * np.log10(power + 1e-12)
        spectrum_axes.pcolormesh(
            time, frequency / 1000, level, vmin=top - 70, vmax=top, cmap="magma", rasterized=True
        )
        spectrum_axes.set(ylabel="kHz")
    for axes in grid[-1]:
        axes.set_xlabel("seconds")
    return figure


@styled
def levels(level: pd.DataFrame) -> tuple[Figure, str, pd.DataFrame]:
    """Histograms of utterances' `average`, mean |x|, on one logarithmic axis, an `emotion` each."""
    figure = Figure(figsize=(7.2, 0.6 + 1.05 * len(EMOTIONS)))
    bins = list(np.geomspace(level["average"].min(), level["average"].max(), 50))
    panels = figure.subplots(len(EMOTIONS), sharex=True)
    medians = level.groupby("emotion")["average"].median()
    counts = {}
    for axes, emotion in zip(panels, EMOTIONS, strict=True):
        values = level.loc[level["emotion"] == emotion, "average"]
        counts[emotion], *_ = axes.hist(values, bins, color=COLOURS[emotion])
        axes.axvline(medians[emotion], color="black", linewidth=1)
        axes.set(title=f"{emotion} (line: median)", yticks=[])
    panels[-1].set(xlabel="mean |x| of an utterance", xscale="log")
    told = "; ".join(f"{emotion} {medians[emotion]:.4f}" for emotion in EMOTIONS)
    counted = pd.DataFrame({"from": bins[:-1], "to": bins[1:], **counts})
    return figure, f"Histograms; medians: {told}", counted


@styled
def attention_scores(
    answers: pd.DataFrame, reported: pd.Series
) -> tuple[Figure, str, pd.DataFrame]:
    """Distribution over test utterances of the audio's score, one row a model.

    `answers` have the model's `name` and `audio_score`; `reported` are the paper's means, by name.
    """
    scores = answers.groupby("name", sort=False)["audio_score"]
    names = list(scores.indices)
    figure = Figure(figsize=(7.2, 0.9 + 0.5 * len(names)))
    axes = figure.subplots()
    axes.axvline(0.5, color=FAINT, linewidth=1, zorder=0)
    axes.boxplot(
        [part.to_numpy() for _, part in scores], positions=range(len(names)), widths=0.55,
        orientation="horizontal", whis=(2.5, 97.5), showfliers=False, patch_artist=True,
        boxprops={"facecolor": MODALITIES["audio"], "alpha": 0.6}, medianprops={"color": "black"},
    )  # fmt: skip
    known = reported.reindex(names)
    axes.plot(known, range(len(names)), ls="", label="reported mean", **PRINTED)
    if known.notna().any():
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1))
    _rows(axes, names, "audio score of an utterance (box: half of them, whiskers: 95 %)")
    shares = np.array([0.025, 0.25, 0.5, 0.75, 0.975])
    drawn = scores.quantile(shares).unstack().assign(reported=reported)
    told = "; ".join(f"{name}: median {median:.2f}" for name, median in drawn[0.5].items())
    return figure, told, drawn


@styled
def intervals(
    groups: Mapping[str, pd.DataFrame | pd.Series],
    xlabel: str = "accuracy",
    lines: Mapping[str, float] | None = None,
    bands: Mapping[str, float] | None = None,
    written: Callable[[float], str] = "{:.3f}".format,
) -> tuple[Figure, str, pd.DataFrame]:
    """Values with their intervals, a row a name and in it a point a group.

    Returns: the figure, the same in words, and the values.

    `groups`: label -> index name, columns in order value, low, high, or values alone; NaN where not
    known. What is labelled `reported` is drawn as the paper's. `lines`: label -> value of vertical
    reference lines; `bands`: label -> how far a band reaches to either side of zero; `written`:
    value -> its text; if that has a % sign, values are shares.
    """
    frames = {group: pd.DataFrame(rows, dtype=float) for group, rows in groups.items()}
    names = list(dict.fromkeys(name for rows in frames.values() for name in rows.index))
    known = [name for rows in frames.values() for name in rows.index[rows.iloc[:, 0].notna()]]
    n = len(frames) if len(known) > len(set(known)) else 1  # points in a row
    figure = Figure(figsize=(7.2, 1.2 + len(names) * (0.18 + 0.12 * n)))
    axes, told = figure.subplots(), []
    _references(axes, lines or {}, bands or {})
    for k, (group, rows) in enumerate(frames.items()):
        value = rows.iloc[:, 0]
        marks: dict[str, Any] = {"color": COLOURS.get(group, SERIES[k]), "marker": "osD^v"[k]}
        if rows.shape[1] == 3:
            marks["xerr"] = np.clip([value - rows.iloc[:, 1], rows.iloc[:, 2] - value], 0, None)
        marks |= PRINTED if group == "reported" else {}
        places = rows.index.map(names.index) + 0.6 * (k % n - (n - 1) / 2) / n
        axes.errorbar(value, places, label=group, ls="", ms=4, capsize=2, **marks)
        texts = value.dropna().map(written)
        told.append(f"{group}: " + ", ".join(f"{name} {text}" for name, text in texts.items()))
    _rows(axes, names, xlabel)
    if "%" in written(1.0):
        axes.xaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(loc="outside lower left", ncols=2)
    named = {group: rows.set_axis(ENDS[: rows.shape[1]], axis=1) for group, rows in frames.items()}
    return figure, "; ".join(told), pd.concat(named, names=["group", "name"])


def _references(axes: Axes, lines: Mapping[str, float], bands: Mapping[str, float]) -> None:
    """Vertical lines, and bands around a line at zero."""
    for k, (name, value) in enumerate(lines.items()):
        dashes = ("--", ":", "-.")[k % 3]
        axes.axvline(value, linestyle=dashes, color="#555555", lw=1, label=in_mathtext(name))
    for k, (name, size) in enumerate(bands.items()):
        style: dict[str, Any] = {"color": "#DDDDDD"} if k == 0 else {"fill": False, "ls": "--"}
        axes.axvspan(-size, size, label=f"{name}: {size:.3f}", zorder=0, **style)
    if bands:
        axes.axvline(0, color="black", linewidth=1)


@styled
def confusions(matrices: Mapping[str, pd.DataFrame]) -> tuple[Figure, str, pd.DataFrame]:
    """Confusion matrices side by side; counts, rows true, by title, are normalised by row."""
    figure = Figure(figsize=(3.6 * len(matrices), 3.5))
    panels = figure.subplots(1, len(matrices), squeeze=False)[0]
    told = []
    for axes, (title, counts) in zip(panels, matrices.items(), strict=True):
        shares = counts.div(counts.sum(axis="columns").clip(lower=1), axis="index")
        texts = shares.map("{:.2f}\n".format) + counts.round(1).map("({:g})".format)
        seaborn.heatmap(
            shares, vmin=0, vmax=1, cmap="Blues", cbar=False, square=True, ax=axes, fmt="",
            annot=texts, annot_kws={"fontsize": 8}, xticklabels=EMOTIONS, yticklabels=EMOTIONS,
        )  # fmt: skip
        axes.tick_params("x", rotation=30)
        axes.tick_params("y", rotation=0)
        axes.set(title=in_mathtext(title), xlabel="predicted", ylabel="")
        recall = zip(EMOTIONS, np.diag(shares), strict=True)
        told.append(f"{title}: " + ", ".join(f"{name} {share:.2f}" for name, share in recall))
    panels[0].set_ylabel("true")
    counted = pd.concat(matrices, names=["matrix", "true class"])
    return figure, "Share of each class called right: " + "; ".join(told), counted


@styled
def pairs(
    values: pd.DataFrame, texts: pd.DataFrame, label: str, top: float, signed: bool = False
) -> Figure:
    """A value for every pair of models as a grid of coloured cells.

    Of `values`, [models, models] with names, the part below the diagonal is drawn, and in each cell
    its text, grey where the value is 0. `label` says what values are, of which `top` has the
    strongest colour; unless `signed`, they are shares.
    """
    n = len(values)
    figure = Figure(figsize=(7.2, 5.6))
    axes = figure.subplots()
    below = np.where(np.tril(np.ones((n, n), bool), -1), values.to_numpy(), np.nan)
    image = axes.imshow(
        below, cmap="PuOr" if signed else "Blues", vmin=-top if signed else 0, vmax=top
    )
    for row, column in np.argwhere(~np.isnan(below)):
        size = abs(below[row, column])
        axes.text(
            column, row, str(texts.iat[row, column]), ha="center", va="center", fontsize=8,
            color="white" if size > 0.6 * top else "black" if size else "#767676",
        )  # fmt: skip
    names = [in_mathtext(str(name)) for name in values.index]
    axes.set_xticks(range(n - 1), names[:-1], rotation=35, ha="right")
    axes.set_yticks(range(1, n), names[1:])
    axes.set(xlim=(-0.5, n - 1.5), ylim=(n - 0.5, 0.5))
    axes.spines[:].set_visible(False)
    written = StrMethodFormatter("{x:+.3f}") if signed else PercentFormatter(1, 0)
    figure.colorbar(image, ax=axes, shrink=0.7, format=written, label=label)
    return figure


def _rows(axes: Axes, names: Iterable[object], xlabel: str) -> None:
    """Names down the side, a row each, and a grid to read values by."""
    labels = [in_mathtext(str(name)) for name in names]
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(axis="x", color="#E5E5E5")
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel)
