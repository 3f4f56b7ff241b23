"""The page on speed: what it shows of the kernels is computed from them, times from benchmarks."""

from dataclasses import replace

import made_runs
import numpy as np
import pandas as pd
import pytest
import small

from replicate import measurements
from replicate.errors import InputError
from replicate.protocol import EMOTIONS, Fold
from replicate.report import gpus, speed
from replicate.report.provenance import Notice, Source
from replicate.rerun import keep, repeats
from replicate.runs import folder_of

HERE = Source("a test", False)


def test_positions_follow_from_the_lengths_alone():
    waveforms = small.waveforms()
    rows = np.arange(64)
    mean = speed.positions(waveforms, rows, size=64)
    assert mean["padded"] == waveforms.lengths.max()
    assert mean["recorded"] == waveforms.lengths.mean()
    assert mean["recorded"] <= mean["kept"] <= mean["recorded"] + 64


def test_batch_statistics_agree_in_every_printed_digit():
    shown = speed.batch_statistics(small.waveforms(), np.arange(8), HERE)
    cells = [line.split()[-4:] for line in shown.plain.splitlines() if line.startswith("channel")]
    assert len(cells) == 4
    for row in cells:
        assert row[0] == row[1] and row[2] == row[3]


def test_winners_are_at_most_one_a_bin_and_channel():
    won = speed.winners(small.waveforms(), np.arange(8))
    assert 0 < won["winners"] <= 8 * 200 * 8
    assert won["seen"] == 29  # 25 taps, and 2 more on either side by the 5 taps after them


def test_the_fused_front_end_is_exact():
    shown = speed.exactness(small.waveforms(), np.arange(8), HERE).plain.splitlines()
    worst = {line[:14].strip(): max(map(float, line.split()[-2:])) for line in shown[2:]}
    assert worst["fused, float64"] < 1e-8
    assert worst["fused, float32"] < 1e-4


def test_a_measurement_reads_back_and_a_damaged_one_is_named(tmp_path):
    table = pd.DataFrame({"way": ["eager", "fused"], "ms": [4000.5, 70.25]})
    path = measurements.save("example", "noise", {"steps": table}, tmp_path)
    found = measurements.load("example", tmp_path)
    assert found is not None
    pd.testing.assert_frame_equal(found.table("steps"), table)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match="--save"):
        measurements.load("example", tmp_path)


def test_without_a_benchmark_the_page_says_how_to_run_it(monkeypatch):
    monkeypatch.setattr(speed, "load", lambda name: None)
    monkeypatch.setattr(gpus, "load", lambda name: None)
    for show in (
        speed.steps, speed.parts, speed.cost, speed.growth, speed.together, gpus.benchmark,
        gpus.agreement,
    ):  # fmt: skip
        notice = show()
        assert isinstance(notice, Notice) and notice.command.startswith("python benchmarks/")
    assert set((speed.speedup() | gpus.benchmark_in_words()).values()) == {"(not measured yet)"}


def test_the_prose_says_how_much_faster_a_step_and_a_training_are(monkeypatch):
    made = ("0123456789ab", False, "a machine", {"torch": "1", "numba": "2"}, "2026-01-01", "noise")
    times = {"fused, 1 thread": 80.0, "fused": 50.0, "eager": 2800.0}
    steps = [{"way": way, "random, mean ms": ms} for way, ms in times.items()]
    size = [{"utterances": 700, "seconds": 3.0}, {"utterances": 5531, "seconds": 12.0}]
    measured = {
        "front_end": measurements.Measurement("front_end", *made, {"steps": steps}),
        "scaling": measurements.Measurement("scaling", *made, {"size": size}),
    }
    monkeypatch.setattr(speed, "load", measured.get)
    hours = 150 * 166 * 2.8 / 3600
    assert speed.speedup() == {
        "speedup": "56", "speedup_one": "35", "eager_hours": f"{hours:.0f}", "fused_minutes": "30"
    }  # fmt: skip


def test_the_matrix_costs_what_its_trainings_cost(monkeypatch):
    made = ("0123456789ab", False, "a machine", {"torch": "1", "numba": "2"}, "2026-01-01", "noise")
    parts = [{"part": p, "ms": 5.0} for p in ("text", "fusion, classifier", "optimiser")]
    scaling = {
        "size": [{"utterances": 700, "seconds": 3.0}, {"utterances": 5531, "seconds": 20.0}],
        "together": [{"trainings": n, "throughput": 0.9 * n} for n in (1, 2)],
    }
    measured = {
        "front_end": measurements.Measurement("front_end", *made, {"parts": parts}),
        "scaling": measurements.Measurement("scaling", *made, scaling),
    }
    monkeypatch.setattr(speed, "load", measured.get)
    row = speed.cost().plain.splitlines()[-1].split()
    n_audio, n_text = (sum(n) for n in zip(*speed.MATRIX.values(), strict=True))
    assert row[:3] == ["all", str(n_audio), str(n_text)] and n_audio + n_text == 700
    hours = (n_audio * 20 + n_text * 0.015 * 166) * 150 / 3600 / 0.9
    assert float(row[3]) == pytest.approx(hours / 2, abs=0.05)


def test_a_gpu_is_told_by_what_was_measured_of_it(monkeypatch):
    rows = [("GPU", 1, 2.0), ("GPU", 8, 10.0), ("CPU", 1, 15.0), ("CPU", 16, 30.0)]
    together = [
        {
            "way": way,
            "trainings": n,
            "seconds": seconds,
            "minutes": 22.5 * seconds / n,
            "GPU MB each": 900.0,
        }
        for way, n, seconds in rows
    ]
    made = ("0123456789ab", False, "a machine", {"torch": "1", "numba": "2"}, "2026-01-01")
    agreement = [{"way": way} for way in ("GPU", "GPU, bf16")]
    tables = {"together": together, "agreement": agreement}
    found = measurements.Measurement("cuda", *made, "noise, on an X9", tables)
    for module in (speed, gpus):
        monkeypatch.setattr(module, "load", lambda name: found)
    assert gpus.benchmark_in_words() == {
        "gpu": "X9", "gpu_gain": "7.5", "gpu_most": "8", "gpu_share": "12", "gpu_minutes": "28",
        "gpu_untimed": "Not timed: GPU, bf16.",
    }  # fmt: skip
    shown = gpus.benchmark().body
    assert shown.count("<tr") == 1 + len(rows) and "<td>28</td>" in shown


def on_a_gpu(started, seconds, device="cuda"):
    """A run whose epochs took so long."""
    run = made_runs.run(list(EMOTIONS), list(EMOTIONS), list("abcd"))
    made = replace(
        run.provenance, hardware="X9", device=device, started=started, wall_seconds=150 * seconds
    )
    return replace(run, provenance=made, epochs=pd.DataFrame({"epoch": [1], "seconds": [seconds]}))


def test_runs_that_shared_a_gpu_tell_what_trainings_cost_there(monkeypatch):
    runs = [
        on_a_gpu("2026-01-01T10:00:00+00:00", 4.0),
        on_a_gpu("2026-01-01T10:00:02+00:00", 2.0),
        on_a_gpu("2026-01-01T10:59:00+00:00", 6.0),
        on_a_gpu("2026-01-01T10:00:00+00:00", 99.0, device="cpu"),
    ]
    monkeypatch.setattr(gpus, "load_runs", lambda corpus, profile: runs)
    assert gpus.sharing_in_words() == {
        "shared_gpu": "X9", "shared_runs": "2", "shared_minutes": "10"
    }  # fmt: skip
    n_audio = sum(heard for heard, _ in speed.MATRIX.values())
    row = gpus.cost().plain.splitlines()
    row = next(line for line in row if line.startswith("all")).split()
    assert row[1] == str(n_audio)
    hours = n_audio * 150 * 3 / 2 / 3600
    assert [float(cell) for cell in row[2:]] == [
        pytest.approx(hours, abs=0.05), pytest.approx(hours / 8, abs=0.05),
    ]  # fmt: skip
    assert "2 of 2 runs (seed 0) on X9" in gpus.sharing().sources[0].line


def test_a_repeat_of_a_gpu_s_run_stands_beside_what_a_seed_changes(monkeypatch, tmp_path):
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
    monkeypatch.setattr(gpus, "load_runs", lambda corpus, profile: stored)
    monkeypatch.setattr(gpus, "repeats", lambda: repeats(tmp_path))
    assert isinstance(gpus.repeated(), Notice) and "--keep" in gpus.repeated().command
    other_gpu = replace(again, provenance=replace(again.provenance, hardware="Y", device="cuda"))
    other_code = replace(stored[2], provenance=replace(stored[2].provenance, code={"model": "a"}))
    for run, repeated in ((stored[1], stored[1]), (stored[2], other_gpu), (other_code, again)):
        keep(run, repeated, tmp_path)
    assert isinstance(gpus.repeated(), Notice), "none is of this run of a GPU on a CPU"
    keep(stored[2], again, tmp_path)
    shown = gpus.repeated()
    cells = shown.plain.splitlines()[-1].split()
    assert cells[-5:] == ["0e+00", "1.000", "0.750", "25.0%", "37.5%"]
    assert "trained again on core" in shown.caption and "on X9" in shown.sources[0].line
    monkeypatch.setattr(gpus, "load_runs", lambda corpus, profile: stored[2:])
    assert gpus.repeated().plain.split()[-1] == "\N{EN DASH}", "no other seed on this split"


def test_without_a_run_on_a_gpu_the_page_says_how_to_train_one(monkeypatch):
    monkeypatch.setattr(gpus, "load_runs", lambda corpus, profile: [])
    for show in (gpus.sharing, gpus.cost):
        notice = show()
        assert isinstance(notice, Notice) and "--device cuda" in notice.command
    assert set(gpus.sharing_in_words().values()) == {"(not trained yet)"}
