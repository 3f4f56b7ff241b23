"""What trainings cost, from made benchmarks and runs; exactness of the kernels on a batch."""

from dataclasses import replace

import made_runs
import numpy as np
import pandas as pd
import pytest
import small

from replicate.files import InputError
from replicate.kernels.audio import FusedFrontEnd
from replicate.kernels.audio_batches import FusedAudio
from replicate.model import AudioFrontEnd
from replicate.paper import EMOTIONS
from replicate.report import sources
from replicate.runs import facts
from replicate.runs.rerun import compare, reports, write_report
from replicate.runs.store import folder_of
from replicate.settings import Fold
from replicate.studies import speed


def test_the_fused_front_end_is_exact():
    waveforms, rows = small.waveforms(), np.arange(8)
    fused, double, eager = FusedFrontEnd(), FusedFrontEnd().double(), AudioFrontEnd().double()
    batch = FusedAudio(waveforms).batch(rows)
    ways = {
        "float32": (fused, lambda: fused(batch)),
        "float64": (double, lambda: double(batch)),
        "eager": (eager, lambda: eager(waveforms.padded(rows).double())),
    }
    worst = speed.gaps(ways, waveforms, rows).max(axis="columns")
    assert 0 < worst["float64"] < 1e-8 and worst["float32"] < 1e-4
    assert worst["eager"] == 0


def test_a_measurement_reads_back_and_a_damaged_one_is_named(tmp_path):
    table = pd.DataFrame({"way": ["eager", "fused"], "ms": [4000.5, 70.25]})
    path = facts.save_benchmark("example", "noise", {"steps": table}, tmp_path)
    found = facts.load_benchmark("example", tmp_path)
    assert found is not None
    pd.testing.assert_frame_equal(found.table("steps"), table)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match="--save"):
        facts.load_benchmark("example", tmp_path)


def test_without_a_benchmark_the_page_says_how_to_run_it(monkeypatch):
    assert sources.of_benchmark("cuda").title.startswith("benchmarks/cuda.py")
    monkeypatch.setattr(facts, "load_benchmark", lambda name: None)
    absent = sources.of_benchmark("cuda")
    assert not absent and absent.remedy == "python benchmarks/cuda.py --save"


def on_a_gpu(started, seconds, device="cuda"):
    """A run whose epochs took so long."""
    run = made_runs.run(list(EMOTIONS), list(EMOTIONS), list("abcd"))
    made = replace(
        run.provenance, hardware="X9", device=device, started=started, wall_seconds=150 * seconds
    )
    return replace(run, provenance=made, epochs=pd.DataFrame({"epoch": [1], "seconds": [seconds]}))


def test_runs_shared_a_gpu_that_began_before_the_first_of_them_ended():
    first, second, later, on_cpu = runs = [
        on_a_gpu("2026-01-01T10:00:00+00:00", 4.0),
        on_a_gpu("2026-01-01T10:00:02+00:00", 2.0),
        on_a_gpu("2026-01-01T10:59:00+00:00", 6.0),
        on_a_gpu("2026-01-01T10:00:00+00:00", 99.0, device="cpu"),
    ]
    assert speed.trained_together(runs) == (first, second)
    assert speed.minutes_together([first, second]) == 10
    assert speed.minutes_together([first, later]) == 59 + 15
    assert speed.trained_together([on_cpu]) == speed.trained_together([]) == ()


def test_a_repeat_of_a_gpu_s_run_stands_beside_what_a_seed_changes(tmp_path):
    def trained(guessed, seed, fold=None, **provenance):
        run = made_runs.run(list(EMOTIONS), guessed, list("abcd"), seed=seed, fold=fold)
        right = sum(a == b for a, b in zip(EMOTIONS, guessed, strict=True)) / 4
        return replace(
            run,
            provenance=replace(run.provenance, **provenance),
            epochs=pd.DataFrame({"loss": [1.0], "test_accuracy": [right], "seconds": [1.0]}),
            folder=folder_of(run.experiment),
        )

    angry = ["anger"] * 4
    stored = [
        trained(angry, seed=0, hardware="core"),
        trained(list(EMOTIONS), seed=1, hardware="core"),
        trained(list(EMOTIONS), seed=2, hardware="X9", device="cuda"),
        trained(angry, seed=3, fold=Fold("stratified", "3"), hardware="core"),
    ]
    again = trained(["anger", *EMOTIONS[:1], *EMOTIONS[2:]], seed=2, hardware="core")
    other_gpu = replace(again, provenance=replace(again.provenance, hardware="Y", device="cuda"))
    other_code = replace(stored[2], provenance=replace(stored[2].provenance, code={"model": "a"}))

    def report(name, run, repeated):
        made = [(run, repeated, compare(run, repeated))]
        write_report(tmp_path / "reruns" / f"{name}.json", "me", made, 1.0)

    for name, *pair in (("a", stored[1], stored[1]), ("b", stored[2], other_gpu),
                        ("c", other_code, again)):  # fmt: skip
        report(name, *pair)
    assert speed.repeated_on_cpu(stored, reports(tmp_path)) == [], "none of this run, on a CPU"
    report("d", stored[2], again)
    ((run, by, compared),) = speed.repeated_on_cpu(stored, reports(tmp_path))
    assert run is stored[2] and by.hardware == "core"
    assert (compared.loss, compared.accuracy, compared.flips) == (0, -0.25, 0.25)
    assert speed.flips_between_seeds(run, stored) == 0.375
    assert np.isnan(speed.flips_between_seeds(run, stored[2:])), "no other seed on this split"
