"""The book's figures, in one style. Every function returns a figure; none computes a test.

Colours are Okabe and Ito's, which stay apart for colour-blind readers. Pictures have a white ground
so that they read the same in light and dark mode.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import scipy.stats
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from replicate.corpora.waveforms import SAMPLE_RATE
from replicate.paper import EMOTIONS
from replicate.report.layout import in_mathtext

COLOURS = {
    "anger": "#D55E00",
    "happiness": "#E69F00",
    "neutrality": "#7A7A7A",
    "sadness": "#0072B2",
}
REPORTED, REPRODUCED, FAINT = "#000000", "#009E73", "#BBBBBB"
MODALITIES = {"audio": "#CC79A7", "text": "#009E73"}
#: For series that are neither classes nor modalities.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A7A7A", "#000000")

#: For up to nine models that are drawn as lines.
CURVES = (*SERIES, "#8C510A")

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

styled = mpl.rc_context(STYLE)


@styled
def waveforms(samples: Mapping[str, np.ndarray], one_scale: bool = False) -> Figure:
    """Waveforms and spectrograms, one row each, on one time axis.

    Args:
        samples: emotion, or another name -> float samples in [-1, 1).
        one_scale: whether all rows share the scales of amplitude and of power.
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
def histograms(
    values: Mapping[str, np.ndarray], xlabel: str, colours: Mapping[str, str], log: bool = False
) -> Figure:
    """One histogram below the other on a common axis.

    Args:
        values: name -> positive values.
        xlabel: what they are.
        colours: name -> colour.
        log: whether the horizontal axis is logarithmic.
    """
    figure = Figure(figsize=(7.2, 0.6 + 1.05 * len(values)))
    pooled = np.concatenate(list(values.values()))
    space = np.geomspace if log else np.linspace
    bins = list(space(pooled.min(), pooled.max(), 50))
    panels = figure.subplots(len(values), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, sample) in zip(panels, values.items(), strict=True):
        axes.hist(sample, bins=bins, color=colours[name])
        axes.axvline(np.median(sample), color="black", linewidth=1)
        axes.set_yticks([])
        axes.set_title(f"{name} (line: median)")
    panels[-1].set_xlabel(xlabel)
    if log:
        panels[-1].set_xscale("log")
    return figure


@styled
def attention_scores(scores: Mapping[str, np.ndarray], reported: Mapping[str, float]) -> Figure:
    """Distribution over test utterances of the audio's score, one row a model.

    Args:
        scores: model -> audio scores of utterances; the text's is 1 minus this.
        reported: model -> the paper's mean.
    """
    figure = Figure(figsize=(7.2, 0.9 + 0.5 * len(scores)))
    axes = figure.subplots()
    rows = range(len(scores))
    axes.axvline(0.5, color=FAINT, linewidth=1, zorder=0)
    parts = axes.boxplot(
        list(scores.values()), positions=list(rows), orientation="horizontal", whis=(2.5, 97.5),
        showfliers=False, patch_artist=True, widths=0.55,
    )  # fmt: skip
    for box in parts["boxes"]:
        box.set(facecolor=MODALITIES["audio"], alpha=0.6)
    for line in parts["medians"]:
        line.set_color("black")
    known = [(reported[name], row) for row, name in enumerate(scores) if name in reported]
    if known:
        axes.plot(
            *zip(*known, strict=True), "D", color=REPORTED, fillstyle="none", label="reported mean"
        )
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1))
    axes.set_yticks(list(rows), [in_mathtext(name) for name in scores])
    axes.invert_yaxis()
    axes.set_xlabel("audio score of an utterance (box: half of them, whiskers: 95 %)")
    return figure


@styled
def accuracies(
    rows: pd.DataFrame,
    lines: Mapping[str, float] | None = None,
    label: str = "95 % interval",
) -> Figure:
    """Reproduced values with their intervals against the reported points, one row each.

    Args:
        rows: index name; columns `reported` (may be NaN), `value`, `low`, `high` (NaN where there
            are no runs).
        lines: name -> value of vertical reference lines.
        label: what the intervals belong to.
    """
    figure = Figure(figsize=(7.2, 0.9 + 0.36 * len(rows)))
    axes = figure.subplots()
    places = np.arange(len(rows))
    spread = np.vstack([rows["value"] - rows["low"], rows["high"] - rows["value"]]).clip(0)
    compared = rows["reported"].notna().any()
    axes.errorbar(
        rows["value"], places + 0.12 * compared, xerr=spread, fmt="o", color=REPRODUCED, capsize=3,
        label=label,
    )  # fmt: skip
    if compared:
        diamonds: dict[str, Any] = {"color": REPORTED, "fillstyle": "none", "label": "reported"}
        axes.plot(rows["reported"], places - 0.12, "D", **diamonds)
    for k, (name, value) in enumerate((lines or {}).items()):
        style = ("--", ":", "-.")[k % 3]
        marked: dict[str, Any] = {"color": "#555555", "linewidth": 1, "label": in_mathtext(name)}
        axes.axvline(value, linestyle=style, **marked)
    _rows(axes, rows.index, "accuracy")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


@styled
def confusions(matrices: Mapping[str, np.ndarray]) -> Figure:
    """Confusion matrices side by side, each row normalised to 1.

    Args:
        matrices: title -> counts [4, 4], rows true and columns predicted, in `EMOTIONS`' order.
    """
    figure = Figure(figsize=(3.6 * len(matrices), 3.5))
    panels = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axes, (title, counts) in zip(panels, matrices.items(), strict=True):
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        both = zip(shares.flat, counts.round(1).flat, strict=True)
        cells = np.array([f"{share:.2f}\n({n:g})" for share, n in both]).reshape(shares.shape)
        seaborn.heatmap(
            shares, vmin=0, vmax=1, cmap="Blues", cbar=False, square=True, ax=axes, fmt="",
            annot=cells, annot_kws={"fontsize": 8},
            xticklabels=EMOTIONS, yticklabels=EMOTIONS,
        )  # fmt: skip
        axes.tick_params("x", rotation=30)
        axes.tick_params("y", rotation=0)
        axes.set(title=in_mathtext(title), xlabel="predicted")
    panels[0].set_ylabel("true")
    return figure


@styled
def pairs(
    values: pd.DataFrame, texts: pd.DataFrame, label: str, top: float, signed: bool = False
) -> Figure:
    """A value for every pair of models as a grid of coloured cells.

    Args:
        values: [models, models], of which the part below the diagonal is drawn; index and columns
            are names. Cells of 0 have grey text.
        texts: what to write in each cell.
        label: what the values are.
        top: the size with the strongest colour.
        signed: whether values may be negative; else they are shares.
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


def plain(figure: Any, height: int) -> Any:
    """The book's style for plotly."""
    figure.update_layout(
        template="plotly_white", height=height, margin={"l": 60, "r": 20, "t": 60, "b": 50},
        legend={"orientation": "h", "y": -0.18, "yanchor": "top"},
        font={"family": "sans-serif", "size": 12, "color": "#222222"}, paper_bgcolor="white",
    )  # fmt: skip
    return figure
