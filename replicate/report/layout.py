"""How numbers, intervals and models are written, everywhere alike."""

import re

import numpy as np
import pandas as pd

NBSP = "\N{NO-BREAK SPACE}"


def signed_interval(low: float, high: float) -> str | None:
    """`[-0.010, +0.031]`, for differences; None where there is too little to tell."""
    known = not (np.isnan(low) or np.isnan(high))
    return f"[{signed(low)},{NBSP}{signed(high)}]" if known else None


def number(value: float | None) -> str | None:
    """Three decimals, as the paper prints; None stays an empty cell."""
    return None if value is None or np.isnan(value) else f"{value:.3f}"


def signed(value: float) -> str | None:
    """Three decimals with their sign, a plus for zero; NaN stays an empty cell."""
    return None if np.isnan(value) else f"{round(value, 3) + 0.0:+.3f}"


def small(p_value: float) -> str | None:
    """Three decimals, or that it is less than the last of them; NaN stays an empty cell."""
    return "< 0.001" if p_value < 0.001 else number(p_value)


def interval(low: float, high: float) -> str | None:
    """`[0.681, 0.725]`, kept on one line; None where there is too little to tell."""
    return None if np.isnan(low) or np.isnan(high) else f"[{low:.3f},{NBSP}{high:.3f}]"


def intervals(low: pd.Series, high: pd.Series) -> pd.Series:
    """`interval` for columns."""
    shown = [interval(a, b) for a, b in zip(low, high, strict=True)]
    return pd.Series(shown, low.index, dtype=object)


def whole(value: float) -> str | None:
    """A count as text; NaN stays an empty cell."""
    return None if np.isnan(value) else f"{value:,.0f}"


def in_html(text: str) -> str:
    """Names such as Att_s^1 with their indices, in HTML."""
    return re.sub(r"Att_(\w+)\^(\w+)", r"Att<sub>\1</sub><sup>\2</sup>", text)


def in_mathtext(text: str) -> str:
    """Names such as Att_s^1 with their indices, in matplotlib's notation."""
    return re.sub(r"Att_(\w+)\^(\w+)", r"$\\mathrm{Att}_{\1}^{\2}$", text)
