"""How numbers, intervals and models are written, everywhere alike."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from replicate.runs.selection import answers
from replicate.runs.store import Run
from replicate.stats.summaries import summarise

NBSP, DASH = "\N{NO-BREAK SPACE}", "\N{EN DASH}"
#: What stands in a column of numbers: one with its sign, unit and interval, or what is not known.
NUMBER = re.compile(rf"([<>] )?[+-]?[\d.,]+(e[+-]\d+)? ?%?( ?\[[^]]+\])?|\[[^]]+\]|{DASH}")
#: Longer tables can be sorted; of wider ones a box below the caption shows the other columns.
SORTED, UNFOLDED = 10, 7
#: Hidden where no style sheet obeys it, as in JupyterLab: there all columns are shown.
ALL_COLUMNS = '<label class="all-columns" hidden><input type="checkbox"> All {} columns</label>'
#: Characters that no HTML may have.
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def in_points(mean: float, low: float, high: float) -> str:
    """A difference of shares with its interval, in the prose.

    >>> in_points(0.013, -0.09, 0.116), in_points(-0.002, -0.021, 0.014)
    ('1 point [-9, 12]', '0 points [-2, 1]')
    >>> in_points(0.013, float("nan"), float("nan"))  # one run has no interval
    '(too few runs)'
    """
    if np.isnan([mean, low, high]).any():
        return "(too few runs)"
    whole, *ends = (round(100 * share) for share in (mean, low, high))
    return f"{whole} point{'s' * (abs(whole) != 1)} {ends}"


def cells(frame: pd.DataFrame) -> pd.DataFrame:
    """A tidy frame as text, numbers beside their intervals; see `replicate.report.show`.

    >>> tidy = pd.DataFrame({"accuracy": [0.7091], "accuracy_low": [0.63], "accuracy_high": [0.787],
    ...                      "+gain": [0.0321], "p": [0.0004], "seeds": [3]})
    >>> print(cells(tidy).to_string(index=False).replace(NBSP, " "))
                accuracy   gain       p seeds
    0.709 [0.630, 0.787] +0.032 < 0.001     3
    """
    shown: dict[Any, list[str | None]] = {}
    for column in frame.columns:
        above, name = (column[:-1], column[-1]) if isinstance(column, tuple) else ((), str(column))

        def at(label: str, above: tuple[str, ...] = above) -> Any:
            return (*above, label) if above else label

        base = name.removesuffix("_low")
        ends: list[str | None] = [None] * len(frame)
        if at(f"{base}_low") in frame:
            pairs = zip(frame[at(f"{base}_low")], frame[at(f"{base}_high")], strict=True)
            ends = [interval(low, high, base) for low, high in pairs]
        if name.endswith("_low") and at(base) not in frame:
            shown[at(base.lstrip("+"))] = ends
        elif not name.endswith(("_low", "_high")):
            both = zip((_text(value, name) for value in frame[column]), ends, strict=True)
            shown[at(base.lstrip("+"))] = [" ".join(filter(None, pair)) or None for pair in both]
    return pd.DataFrame(shown, index=frame.index)


def tabulated(shown: pd.DataFrame, index: bool, links: Mapping[str, str]) -> str:
    """A frame of texts as an HTML table: numbers to the right, `links` from texts to notebooks.

    A long one repeats what a group of rows has in common, since readers may sort it; of a wide one
    the columns after the first `UNFOLDED`, or after the groups that fit into these, fold.
    """
    long = len(shown) > SORTED
    made = shown.to_html(border=0, index=index, justify="left", sparsify=not long)
    root = ElementTree.fromstring(FORBIDDEN.sub("", made))
    root.set("class", "dataframe sortable" if long else "dataframe")
    columns = [shown.iloc[:, k].astype(str) for k in range(shown.shape[1])]
    numeric = [column.str.fullmatch(NUMBER).all() for column in columns]
    levels = shown.index.nlevels if index else 0
    width = levels + shown.shape[1]
    unfolded = levels + _fitting_columns(shown.columns, UNFOLDED - levels)
    for row in root.iter("tr"):
        place = width
        for cell in reversed(row):
            place -= int(cell.get("colspan", 1))
            if place >= unfolded:
                cell.set("data-fold", "")
        alone = all("colspan" not in cell.attrib for cell in row)
        for cell, right in zip(reversed(row), reversed(numeric), strict=False):
            if alone and right:
                cell.set("class", "number")
    for part, scope in (("thead", "col"), ("tbody", "row")):
        for head in root.iterfind(f"{part}//th"):
            if head.text:
                head.set("scope", scope)
            else:
                head.tag = "td"
    for cell in root.iter("td"):
        if notebook := links.get(cell.text or ""):
            ElementTree.SubElement(cell, "a", href=f"{notebook}.ipynb").text = cell.text
            cell.text = ""
    made = in_html(ElementTree.tostring(root, encoding="unicode", method="html"))
    return ALL_COLUMNS.format(width) + made if width > unfolded else made


def _fitting_columns(columns: pd.Index, room: int) -> int:
    """How many columns there is room for, of groups whole ones, and one at least."""
    groups = columns.get_level_values(0)
    ends = [*np.flatnonzero(groups[1:] != groups[:-1]) + 1, len(groups)]
    return int(max((end for end in ends if end <= room), default=ends[0]))


def overview(chosen: Sequence[Run]) -> str:
    """Baselines and what they reach, with intervals that draw whole dialogues."""
    found = summarise(answers(chosen), "dialogue")
    drawn = found.filter(regex="^(accuracy|uar|macro_f1)(_boot_low|_boot_high)?$")
    shown = found[["model", "folds"]].join(drawn.rename(columns=lambda c: c.replace("_boot", "")))
    return cells(shown).to_string(index=False)


def interval(low: float, high: float, name: str = "") -> str | None:
    """`[0.681, 0.725]`, kept on one line; None where there is too little to tell."""
    if pd.isna(low) or pd.isna(high):
        return None
    return f"[{_text(low, name)},{NBSP}{_text(high, name)}]"


def signed(value: float) -> str:
    """Three decimals with their sign, a plus for zero."""
    return f"{round(value, 3) + 0.0:+.3f}"


def _text(value: object, name: str) -> str | None:
    """One value as the column's name asks; None for what is not known."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return None
    number = float(value)  # type: ignore[arg-type]
    if name.startswith("+"):
        return signed(number)
    if name == "p" or name.startswith("p "):
        return "< 0.001" if number < 0.001 else f"{number:.3f}"
    if not isinstance(value, float) or (number.is_integer() and abs(number) > 1):
        return f"{number:,.0f}"
    return f"{number:.3f}"


def renamed(table: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """Some columns under new names, each followed by its `_low` and `_high` where it has them."""
    ends = {f"{a}{end}": f"{b}{end}" for a, b in names.items() for end in ("", "_low", "_high")}
    chosen = [column for column in ends if column in table]
    return table[chosen].rename(columns=ends)


def in_html(text: str) -> str:
    """Names such as Att_s^1 with their indices, in HTML."""
    return re.sub(r"Att_(\w+)\^(\w+)", r"Att<sub>\1</sub><sup>\2</sup>", text)


def in_mathtext(text: str) -> str:
    """Names such as Att_s^1 with their indices, in matplotlib's notation."""
    return re.sub(r"Att_(\w+)\^(\w+)", r"$\\mathrm{Att}_{\1}^{\2}$", text)
