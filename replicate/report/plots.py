"""The book's figures, in one style. Every function returns a figure; none computes a test.

Colours are Okabe and Ito's, which stay apart for colour-blind readers. Pictures have a white ground
so that they read the same in light and dark mode.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import scipy.signal
import scipy.stats
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter, StrMethodFormatter
from plotly.subplots import make_subplots

from replicate.protocol import EMOTIONS
from replicate.report.layout import in_html, in_mathtext
from replicate.waveforms import SAMPLE_RATE

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
def class_balance(shares: pd.DataFrame) -> Figure:
    """Share of each class, in percent.

    Args:
        shares: index emotion, one column a bar; the last column gets the class colours.
    """
    figure = Figure(figsize=(6.5, 3))
    axes = figure.subplots()
    width = 0.8 / shares.shape[1]
    for k, column in enumerate(shares):
        places = np.arange(len(shares)) + (k - (shares.shape[1] - 1) / 2) * width
        last = k == shares.shape[1] - 1
        fill = [COLOURS[str(e)] for e in shares.index] if last else ["white"] * len(shares)
        bars = axes.bar(places, shares[column], width * 0.92, color=fill, edgecolor="black")
        axes.bar_label(bars, fmt="%.1f", fontsize=8)
    axes.set_xticks(np.arange(len(shares)), list(shares.index))
    axes.set_ylabel("% of the utterances")
    axes.set_title(f"white: {shares.columns[0]}; coloured: {shares.columns[-1]}")
    return figure


def durations(seconds: pd.DataFrame) -> Any:
    """Histogram of durations for each class with the lognormal that fits it best (plotly).

    Args:
        seconds: columns `emotion` and `seconds`.
    """
    figure = make_subplots(2, 2, subplot_titles=EMOTIONS, shared_xaxes="all")
    for k, emotion in enumerate(EMOTIONS):
        values = seconds.loc[seconds["emotion"] == emotion, "seconds"].to_numpy()
        logs = np.log(values)
        grid = np.linspace(0.1, seconds["seconds"].quantile(0.995), 300)
        density = scipy.stats.lognorm.pdf(grid, logs.std(ddof=1), scale=np.exp(logs.mean()))
        place = {"row": k // 2 + 1, "col": k % 2 + 1}
        figure.add_histogram(
            x=values.round(3), xbins={"size": 0.5}, histnorm="probability density",
            marker_color=COLOURS[emotion], opacity=0.75, showlegend=False, **place,
        )  # fmt: skip
        figure.add_scatter(
            x=grid.round(3), y=density.round(5), mode="lines", line_color="black",
            name="lognormal fit", showlegend=k == 0, **place,
        )  # fmt: skip
    figure.update_xaxes(title_text="seconds", row=2)
    figure.update_yaxes(title_text="density", col=1)
    return _plain(figure, height=480)


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
def filters(weights: Mapping[str, np.ndarray]) -> Figure:
    """First-layer filters and their frequency responses, one row a stage.

    Args:
        weights: stage (such as "before training") -> filters [c, k] at 16 kHz.
    """
    count = next(iter(weights.values())).shape[0]
    figure = Figure(figsize=(7.2, 2.1 * len(weights)))
    grid = figure.subplots(len(weights), 2, squeeze=False, sharex="col")
    for (taps_axes, response_axes), (stage, bank) in zip(grid, weights.items(), strict=True):
        for k in range(count):
            time = np.arange(bank.shape[1]) / SAMPLE_RATE * 1000
            taps_axes.plot(time, bank[k], color=SERIES[k], linewidth=1.2)
            frequency, response = scipy.signal.freqz(bank[k], worN=512, fs=SAMPLE_RATE)
            level = 20 * np.log10(np.abs(response) + 1e-6)
            response_axes.plot(frequency / 1000, level, color=SERIES[k], label=f"filter {k + 1}")
        taps_axes.set(title=stage, ylabel="weight")
        response_axes.set(ylabel="gain, dB", ylim=(-50, None))
    grid[-1, 0].set_xlabel("milliseconds")
    grid[-1, 1].set_xlabel("kHz")
    grid[0, 1].legend(ncols=2)
    return figure


@styled
def feature_maps(maps: Mapping[str, np.ndarray], seconds: float, xlabel: str = "seconds") -> Figure:
    """What each stage makes of one utterance, against time.

    Args:
        maps: stage -> [channels, steps]; one channel is drawn as a curve, more as rows of colour,
            each between its own least and largest value.
        seconds: what every stage spans, as a rule the utterance's duration.
        xlabel: of the horizontal axis.
    """
    figure = Figure(figsize=(7.2, 1.2 * len(maps)))
    for axes, (stage, values) in zip(
        figure.subplots(len(maps), 1, sharex=True, squeeze=False)[:, 0], maps.items(), strict=True
    ):
        if values.shape[0] == 1:
            time = np.arange(values.shape[1]) / values.shape[1] * seconds
            axes.plot(time, values[0], color="black", linewidth=0.4)
        else:
            extent = (0.0, seconds, values.shape[0] + 0.5, 0.5)
            axes.imshow(
                _stretched(_peaks(values, 1600)),
                aspect="auto",
                extent=extent,
                cmap="viridis",
                interpolation="none",
            )
            axes.set_ylabel("channel")
            axes.set_yticks([1, values.shape[0]])
        axes.set_title(stage)
    axes.set_xlabel(xlabel)
    return figure


def _peaks(values: np.ndarray, columns: int) -> np.ndarray:
    """The largest value of each of so many pieces of time, where there are more: [c, t]."""
    if values.shape[1] <= columns:
        return values
    starts = np.linspace(0, values.shape[1], columns, endpoint=False).astype(int)
    return np.maximum.reduceat(values, starts, axis=1)


def _stretched(values: np.ndarray) -> np.ndarray:
    """Each row between 0 and 1; a constant row is 0: [c, t]."""
    low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
    stretched: np.ndarray = (values - low) / np.where(high > low, high - low, 1)
    return stretched


@styled
def discard(counts: np.ndarray, probability: np.ndarray, words: Sequence[str], t: float) -> Figure:
    """Equation 1: the probability of discarding a word against its count.

    Args:
        counts: occurrences of each word in the training part.
        probability: P of each word.
        words: the words, in the same order; the most frequent are named.
        t: the paper's t, drawn as the count from which every occurrence would go.
    """
    figure = Figure(figsize=(7.2, 3.4))
    axes = figure.subplots()
    curve = np.geomspace(1, 1.5 * t, 200)
    axes.plot(curve, np.minimum(np.sqrt(curve / t), 1), color=FAINT, label="Equation 1")
    axes.plot(counts, probability, "o", color=SERIES[0], markersize=3, label="words")
    axes.axvline(t, color="black", linestyle=":", linewidth=1, label=f"t = {t:,.0f}")
    for word in np.argsort(counts)[::-1][:6:2]:
        axes.annotate(
            words[word], (counts[word], probability[word]), xytext=(-6, 4), ha="right",
            textcoords="offset points", fontsize=8,
        )  # fmt: skip
    axes.set(xscale="log", xlabel="occurrences in the training part, f", ylabel="P, discarded")
    axes.legend(loc="upper left")
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


def learning_curves(curves: Mapping[str, pd.DataFrame], column: str, title: str) -> Any:
    """A quantity against the epoch: mean over seeds and their range (plotly).

    A colour a model; dashed with an embedding, which stands after a comma in the model's name.

    Args:
        curves: model -> columns `epoch`, `seed` and the quantity.
        column: the quantity.
        title: for the vertical axis.
    """
    figure = go.Figure()
    models = list(dict.fromkeys(name.partition(",")[0] for name in curves))
    for name, frame in curves.items():
        model, _, embedding = name.partition(",")
        colour, dash = CURVES[models.index(model)], "dash" if embedding else "solid"
        by_epoch = frame.groupby("epoch")[column].agg(["mean", "min", "max"]).dropna().round(4)
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        figure.add_scatter(
            x=[*by_epoch.index, *by_epoch.index[::-1]],
            y=[*by_epoch["max"], *by_epoch["min"][::-1]],
            fill="toself", fillcolor=f"rgba({red},{green},{blue},0.15)", line_width=0,
            hoverinfo="skip", showlegend=False, legendgroup=name,
        )  # fmt: skip
        figure.add_scatter(
            x=by_epoch.index, y=by_epoch["mean"], mode="lines", legendgroup=name,
            name=in_html(name), line={"color": colour, "dash": dash},
        )  # fmt: skip
    figure.update_xaxes(title_text="epoch")
    figure.update_yaxes(title_text=title)
    return _plain(figure, height=500)


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
def single_runs(
    values: Mapping[str, np.ndarray],
    ends: Mapping[str, tuple[float, float]],
    reported: Mapping[str, Sequence[float]],
) -> Figure:
    """Single runs with the interval for one more, above reported ones; one row a name.

    Args:
        values: name -> accuracies of single runs.
        ends: the same names -> the interval, NaN where there is none; the first is shaded.
        reported: name -> accuracies that others report.
    """
    figure = Figure(figsize=(7.2, 0.9 + 0.36 * (len(values) + len(reported))))
    axes = figure.subplots()
    axes.axvspan(*next(iter(ends.values())), color=REPRODUCED, alpha=0.12, linewidth=0)
    for place, (name, single) in enumerate(values.items()):
        axes.plot(ends[name], [place, place], color=REPRODUCED, linewidth=1.2)
        axes.plot(single.mean(), place, "|", color=REPRODUCED, markersize=14)
        axes.plot(single, np.full(len(single), place), "o", color=REPRODUCED, markersize=3.5)
    for place, points in enumerate(reported.values(), start=len(values)):
        axes.plot(points, np.full(len(points), place), "D", color=REPORTED, fillstyle="none")
    names = [*values, *reported]
    _rows(axes, names, "accuracy")
    _legend(axes, [("o", "single run", "full"), ("|", "mean", "full"), ("D", "reported", "none")])
    return figure


@styled
def effects(rows: pd.DataFrame, bands: Mapping[str, float], xlabel: str) -> Figure:
    """Differences with their intervals around zero, one row each, beside known sizes.

    Args:
        rows: index name; columns `value`, `low`, `high` (NaN where there is no interval), `impact`,
            the class that each belongs to.
        bands: name -> a size to compare with; the first is a band, a second one dashed lines.
        xlabel: what the values are.
    """
    figure = Figure(figsize=(7.2, 1.4 + 0.27 * len(rows)))
    axes = figure.subplots()
    for k, (name, size) in enumerate(bands.items()):
        label = f"{name}: {size:.3f}"
        if k:
            ends: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "linestyles": "--"}
            axes.vlines([-size, size], 0, 1, colors="#555555", label=label, **ends)
        else:
            axes.axvspan(-size, size, color="#DDDDDD", linewidth=0, label=label)
    axes.axvline(0, color="black", linewidth=1)
    places = pd.Series(range(len(rows)), rows.index)
    for k, (impact, part) in enumerate(rows.groupby("impact", sort=False)):
        spread = np.vstack([part["value"] - part["low"], part["high"] - part["value"]])
        style: dict[str, Any] = {"fmt": "osD^v"[k], "color": SERIES[k], "capsize": 3}
        axes.errorbar(part["value"], places[part.index], xerr=spread, label=str(impact), **style)
    _rows(axes, rows.index, xlabel)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


@styled
def against_truth(panels: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """Measures against the truth with their ranges over seeds, a panel each.

    Args:
        panels: title -> name of a measure -> columns `truth`, `mean`, `min`, `max` in [0, 1].
    """
    rows = -(-len(panels) // 3)
    figure = Figure(figsize=(7.2, 0.5 + 2.4 * rows))
    grid = figure.subplots(rows, 3, sharex=True, sharey=True, squeeze=False)
    drawn: dict[str, Any] = {}
    for axes, (title, measures) in zip(grid.ravel(), panels.items(), strict=False):
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
        for name, values in measures.items():
            k = len(drawn)
            style = drawn.setdefault(name, {"color": SERIES[k], "fmt": "os^D"[k]})
            spread = [values["mean"] - values["min"], values["max"] - values["mean"]]
            axes.errorbar(
                values["truth"], values["mean"], yerr=spread, markersize=4, linewidth=1, **style
            )
        axes.set(title=in_mathtext(title), ylim=(-0.05, 1.05))
    for axes in grid.ravel()[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[-1]:
        axes.set_xlabel("true share of the audio")
    for axes in grid[:, 0]:
        axes.set_ylabel("measured")
    handles = [
        Line2D([], [], color=style["color"], marker=style["fmt"], linestyle="", label=name)
        for name, style in drawn.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


@styled
def grouped(groups: Mapping[str, pd.DataFrame], xlabel: str, percent: bool = False) -> Figure:
    """Values with their intervals, one row a name and in it one point a group.

    Args:
        groups: name in the legend -> columns `value`, `low`, `high` (NaN where there is none); the
            groups need not have the same rows.
        xlabel: what the values are.
        percent: whether to write the values so.
    """
    names = list(dict.fromkeys(name for rows in groups.values() for name in rows.index))
    figure = Figure(figsize=(7.2, 0.9 + len(names) * (0.18 + 0.12 * len(groups))))
    axes = figure.subplots()
    for k, (group, rows) in enumerate(groups.items()):
        rows = rows.reindex(names)
        places = np.arange(len(names)) + (k - (len(groups) - 1) / 2) * 0.6 / len(groups)
        spread = np.vstack([rows["value"] - rows["low"], rows["high"] - rows["value"]]).clip(0)
        style: dict[str, Any] = {"fmt": "osD^"[k], "markersize": 4, "color": SERIES[k]}
        axes.errorbar(rows["value"], places, xerr=spread, capsize=2, label=group, **style)
    _rows(axes, names, xlabel)
    if percent:
        axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


@styled
def reliability(panels: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """Accuracy against confidence, panels side by side.

    Args:
        panels: title -> name -> curve, of `metrics.reliability`.
    """
    figure = Figure(figsize=(7.2, 4.2))
    row = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, curves) in zip(row, panels.items(), strict=True):
        axes.plot([0.25, 1], [0.25, 1], color=FAINT, linewidth=1)
        for k, (name, curve) in enumerate(curves.items()):
            style: dict[str, Any] = {"marker": "o", "markersize": 3, "color": SERIES[k]}
            axes.plot(curve["confidence"], curve["accuracy"], label=in_mathtext(name), **style)
        axes.set(title=title, xlabel="probability of the predicted class", ylim=(0, 1))
        if curves:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16))
    row[0].set_ylabel("share right")
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


def spreads(samples: Mapping[float, np.ndarray], observed: int, xlabel: str, slider: str) -> Any:
    """A histogram of counts that a slider chooses, coloured from an observed value on (plotly).

    Args:
        samples: position of the slider -> whole numbers.
        observed: where the colour changes.
        xlabel: what the numbers are.
        slider: what the positions are.
    """
    values = np.arange(max(int(sample.max()) for sample in samples.values()) + 1)
    far = values >= observed
    heights, names = [], []
    for sample in samples.values():
        shares = (np.bincount(sample, minlength=len(values)) / len(sample)).round(4)
        heights.append([shares[~far].tolist(), shares[far].tolist()])
        names.append(
            [f"below {observed}", f"{observed} or more: {(sample >= observed).mean():.0%}"]
        )
    steps = [
        {"label": f"{position:g}", "method": "restyle", "args": [{"y": y, "name": name}]}
        for position, y, name in zip(samples, heights, names, strict=True)
    ]
    first = len(steps) // 2
    figure = go.Figure()
    for k, part in enumerate((~far, far)):
        figure.add_bar(
            x=values[part], y=heights[first][k], name=names[first][k],
            marker_color=(FAINT, SERIES[1])[k],
        )  # fmt: skip
    top = max(max(near + beyond) for near, beyond in heights)
    figure.update_xaxes(title_text=xlabel)
    figure.update_yaxes(title_text="share of the simulations", range=[0, 1.05 * top])
    _plain(figure, height=460)
    figure.update_layout(
        bargap=0.05,
        legend={"orientation": "h", "x": 1, "y": 1, "xanchor": "right", "yanchor": "bottom"},
        sliders=[
            {"active": first, "steps": steps, "currentvalue": {"prefix": f"{slider}: "},
             "pad": {"t": 50}}
        ],
    )  # fmt: skip
    return figure


@styled
def curves(
    lines: Mapping[str, np.ndarray],
    x: np.ndarray,
    xlabel: str,
    ylabel: str,
    marks: Mapping[str, float] | None = None,
    log: bool = False,
) -> Figure:
    """Some curves over one axis.

    Args:
        lines: name -> values, as many as of `x`.
        x: where.
        xlabel: what `x` is.
        ylabel: what the values are.
        marks: name -> height of a horizontal reference line.
        log: whether the horizontal axis is logarithmic.
    """
    figure = Figure(figsize=(7.2, 3.4))
    axes = figure.subplots()
    for k, (name, values) in enumerate(lines.items()):
        axes.plot(x, values, color=SERIES[k], linewidth=1.6, label=name)
    for k, (name, height) in enumerate((marks or {}).items()):
        style = (":", "--", "-.")[k % 3]
        axes.axhline(height, color="black", linestyle=style, linewidth=1, label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel, xscale="log" if log else "linear")
    axes.grid(color="#E5E5E5")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


@styled
def gates(single: Mapping[str, np.ndarray], means: Mapping[str, np.ndarray]) -> Figure:
    """Histograms of single gates, and of their means over an utterance's dimensions.

    Args:
        single: name -> gates in [0, 1], one row of pictures a name.
        means: the same names -> the mean of each utterance.
    """
    figure = Figure(figsize=(7.2, 0.6 + 1.5 * len(single)))
    grid = figure.subplots(len(single), 2, sharex=True, squeeze=False)
    bins = list(np.linspace(0, 1, 42))  # one of them around one half
    for (left, right), name in zip(grid, single, strict=True):
        left.hist(single[name].ravel(), bins=bins, color=MODALITIES["audio"], alpha=0.6)
        right.hist(means[name].ravel(), bins=bins, color=MODALITIES["audio"])
        left.set_title(f"{name}: single gates")
        right.set_title(f"{name}: means of utterances")
    for axes in grid.ravel():
        axes.set_yticks([])
    for axes in grid[-1]:
        axes.set_xlabel("p of the audio")
    return figure


@styled
def word_ratios(rows: pd.DataFrame) -> Figure:
    """Table 6's ratios with their intervals and counts.

    Args:
        rows: columns `word`, `emotion`, `reported`, `ratio`, `low`, `high`, `present`; NaN where
            the word does not occur.
    """
    figure = Figure(figsize=(7.2, 0.9 + 0.33 * len(rows)))
    axes = figure.subplots()
    for place, row in enumerate(rows.to_dict("records")):
        colour = COLOURS[row["emotion"]]
        axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2)
        axes.plot(row["ratio"], place, "o", color=colour)
        axes.plot(row["reported"], place, "D", color=REPORTED, fillstyle="none")
        known = "absent" if np.isnan(row["ratio"]) else f"n = {row['present']:.0f}"
        axes.text(1.03, place, known, va="center", fontsize=8)
    names = rows["word"] + "  (" + rows["emotion"] + ")"
    axes.set_yticks(range(len(rows)), list(names))
    axes.invert_yaxis()
    axes.set(
        xlim=(0, 1), xlabel="share of the word's occurrences in sentences predicted as the class"
    )
    axes.grid(axis="x", color="#E5E5E5")
    _legend(axes, [("o", "ours, Wilson 95 % interval", "full"), ("D", "reported", "none")])
    return figure


def _rows(axes: Axes, names: Iterable[object], xlabel: str) -> None:
    """Names down the side, a row each, and a grid to read values by."""
    labels = [in_mathtext(str(name)) for name in names]
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(axis="x", color="#E5E5E5")
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel)


def _legend(axes: Axes, entries: Sequence[tuple[str, str, Any]]) -> None:
    """A legend above the axes for markers that differ in colour from row to row."""
    handles = [
        Line2D([], [], marker=marker, color="black", linestyle="", fillstyle=fill, label=text)
        for marker, text, fill in entries
    ]  # fmt: skip
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(handles))


def _plain(figure: Any, height: int) -> Any:
    """The book's style for plotly."""
    figure.update_layout(
        template="plotly_white", height=height, margin={"l": 60, "r": 20, "t": 60, "b": 50},
        legend={"orientation": "h", "y": -0.18, "yanchor": "top"},
        font={"family": "sans-serif", "size": 12, "color": "#222222"}, paper_bgcolor="white",
    )  # fmt: skip
    return figure
