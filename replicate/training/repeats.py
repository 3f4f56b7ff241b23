"""Stored results made again from nothing, for `replicate.runs.rerun` to compare."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from replicate.files import InputError
from replicate.runs.baselines import Setting
from replicate.runs.experiments import Experiment
from replicate.runs.published import load_run
from replicate.runs.store import Run, folder_of
from replicate.training.baselines import compute
from replicate.training.schedule import run_grid
from replicate.training.worker import Source, Workers, open_source


def repeated(stored: Sequence[Run], source: Source, workers: Workers) -> Iterator[tuple[Run, Run]]:
    """Each stored result and its repeat, as they finish; `InputError` if a run cannot be made."""
    known = {result.experiment: result for result in stored}
    trained = [made for made in known if isinstance(made, Experiment)]
    computed = [made for made in known if isinstance(made, Setting)]
    with tempfile.TemporaryDirectory() as folder:
        for outcome in run_grid(trained, source, workers, Path(folder)):
            made = outcome.experiment
            if outcome.error is not None:
                what = f"cannot be repeated: {outcome.error}"
                raise InputError(made.name, what, "mend that and begin anew")
            yield known[made], load_run(folder_of(made, Path(folder)))
        if computed:
            for result in compute(computed, *open_source(source), Path(folder)):
                yield known[result.experiment], result
