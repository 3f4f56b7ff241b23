"""How fast stored results are read: a folder a run against published files, side by side.

    python benchmarks/results.py [--folders PATH]

Each corpus and profile of `results/` is unpacked into a temporary store with a folder a run, and
both are read, in turns; the best of several times counts, in seconds of the processor. What both
give must be the same in every bit. `--folders` takes such a store that is at hand instead, for
example of a commit from before results were packed.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.testing import assert_frame_equal

from replicate.runs.published import load_runs
from replicate.runs.store import Run, save_run
from replicate.settings import RESULTS

REPEATS = 3


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folders", type=Path, help="a store with a folder a run")
    chosen = parser.parse_args()
    rows = []
    for folder in sorted({path.parent for path in RESULTS.glob("*/*/runs-*.parquet")}):
        with tempfile.TemporaryDirectory() as temporary:
            other = (chosen.folders or Path(temporary)) / folder.relative_to(RESULTS)
            rows.append(compared(folder, other))
        print(pd.DataFrame(rows[-1:]).to_string(index=False, header=len(rows) == 1), flush=True)
    total = pd.DataFrame(rows).drop(columns=["grid", "ratio"]).sum()
    total["ratio"] = total["seconds_folders"] / total["seconds_published"]
    print("\nall of them", total.to_string(float_format="{:.1f}".format), sep="\n")


def compared(folder: Path, other: Path) -> dict[str, Any]:
    """Files, bytes and seconds of a grid in both forms.

    Args:
        folder: with published files.
        other: with a folder a run; filled if it is absent.
    """
    corpus, profile = folder.parts[-2:]
    if not other.exists():
        for run in load_runs(corpus, profile):
            save_run(replace(run, folder=other / run.folder.name))
    slow, fast, found = [], [], {}
    for _ in range(REPEATS):
        for place, seconds in ((other, slow), (folder, fast)):
            started = time.process_time()
            found[place] = load_runs(corpus, profile, place.parents[1])
            seconds.append(time.process_time() - started)
    require_same(found[other], found[folder])
    return {
        "grid": "/".join(folder.parts[-2:]),
        "runs": len(found[folder]),
        **{f"{name}_folders": value for name, value in size(other).items()},
        **{f"{name}_published": value for name, value in size(folder).items()},
        "seconds_folders": round(min(slow), 3),
        "seconds_published": round(min(fast), 3),
        "ratio": round(min(slow) / min(fast), 1),
    }


def require_same(ones: Sequence[Run], others: Sequence[Run]) -> None:
    """Fail unless results agree in all but where they lie, to the bit."""
    for one, other in zip(ones, others, strict=True):
        assert one.experiment == other.experiment and one.provenance == other.provenance
        assert one.folder.parts[-3:] == other.folder.parts[-3:]
        for name in one.experiment.tables:
            left, right = getattr(one, name), getattr(other, name)
            assert_frame_equal(left, right, check_exact=True, check_index_type="exact")
            assert repr(left.index) == repr(right.index) and left.dtypes.equals(right.dtypes)
            for column in left.columns:
                if left[column].dtype.kind in "fi":  # NaN, too
                    assert left[column].to_numpy().tobytes() == right[column].to_numpy().tobytes()


def size(folder: Path) -> dict[str, int]:
    """Number and bytes of the files in a folder."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return {"files": len(sizes), "bytes": sum(sizes)}


if __name__ == "__main__":
    main()
