"""What a search over settings is worth: on the test set itself, and honestly."""

import pandas as pd


def searched(accuracies: pd.DataFrame, ours: str) -> pd.DataFrame:
    """The accuracy of one run on each split, by how its setting was chosen.

    Args:
        accuracies: of one run on the test set, a row a split, a column a setting.
        ours: the setting that was fixed before any run.

    Returns:
        Index as given; `fixed` (ours), `on the test set` (the best of all settings there), `on the
        other splits` (of the setting that is best in the mean over the other rows).

    >>> table = pd.DataFrame({"a": [0.6, 0.6, 0.6], "b": [0.7, 0.7, 0.4]})
    >>> searched(table, "a").mean().round(3).to_dict()
    {'fixed': 0.6, 'on the test set': 0.667, 'on the other splits': 0.533}
    """
    others = (accuracies.sum() - accuracies) / (len(accuracies) - 1)  # without the row itself
    chosen = others.idxmax(axis="columns")
    honest = [accuracies.at[split, setting] for split, setting in chosen.items()]
    return pd.DataFrame(
        {
            "fixed": accuracies[ours],
            "on the test set": accuracies.max(axis="columns"),
            "on the other splits": pd.Series(honest, accuracies.index),
        }
    )
