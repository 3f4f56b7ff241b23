"""How numbers, intervals and models are written, everywhere alike."""

import re

import numpy as np
import pandas as pd

NBSP = "\N{NO-BREAK SPACE}"


def number(value: float | None) -> str | None:
    """Three decimals, as the paper prints; None stays an empty cell."""
    return None if value is None or np.isnan(value) else f"{value:.3f}"


def signed(value: float) -> str | None:
    """Three decimals with their sign, a plus for zero; NaN stays an empty cell."""
    return None if np.isnan(value) else f"{round(value, 3) + 0.0:+.3f}"


def interval(low: float, high: float) -> str | None:
    """`[0.681, 0.725]`, kept on one line; None where there is too little to tell."""
    return None if np.isnan(low) or np.isnan(high) else f"[{low:.3f},{NBSP}{high:.3f}]"


def intervals(low: pd.Series, high: pd.Series) -> pd.Series:
    """`interval` for columns."""
    shown = [interval(a, b) for a, b in zip(low, high, strict=True)]
    return pd.Series(shown, low.index, dtype=object)


def in_html(text: str) -> str:
    """Names such as Att_s^1 with their indices, in HTML."""
    return re.sub(r"Att_(\w+)\^(\w+)", r"Att<sub>\1</sub><sup>\2</sup>", text)


def in_mathtext(text: str) -> str:
    """Names such as Att_s^1 with their indices, in matplotlib's notation."""
    return re.sub(r"Att_(\w+)\^(\w+)", r"$\\mathrm{Att}_{\1}^{\2}$", text)
