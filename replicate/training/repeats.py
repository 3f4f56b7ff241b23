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
    """Each stored result of one corpus and its repeat, as they finish; no repeat is kept.

    `InputError` if a run cannot be trained.
    """
    known = {result.experiment: result for result in stored}
    trained = [made for made in known if isinstance(made, Experiment)]
    computed = [made for made in known if isinstance(made, Setting)]
    with tempfile.TemporaryDirectory() as folder:
        for run in _trained(trained, source, workers, Path(folder)):
            yield known[run.experiment], run
        if computed:
            for result in compute(computed, *open_source(source), Path(folder)):
                yield known[result.experiment], result


def _trained(
    experiments: Sequence[Experiment], source: Source, workers: Workers, root: Path
) -> Iterator[Run]:
    for outcome in run_grid(experiments, source, workers, root):
        if outcome.error is not None:
            what = f"cannot be repeated: {outcome.error}"
            raise InputError(outcome.experiment.name, what, "mend that and begin anew")
        yield load_run(folder_of(outcome.experiment, root))
