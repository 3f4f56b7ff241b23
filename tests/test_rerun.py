"""A repeat confirms a run: to the bit on the same kind of machine, within a tolerance elsewhere."""

import json
from dataclasses import replace

import made_runs
import pandas as pd
import pytest

from replicate.files import InputError
from replicate.runs.code import TABLE, by_definition, parts_of
from replicate.runs.rerun import (
    change_since,
    compare,
    repeats,
    reports,
    signer,
    write_report,
)
from replicate.runs.selection import load
from replicate.runs.store import REPORTS
from replicate.training.worker import duration

TRUE = ["anger", "happiness", "neutrality", "sadness"] * 25


def run(wrong=10, loss=1.0, hardware="one", seconds=1.0):
    """A run with `wrong` errors in 100."""
    guessed = ["sadness"] * wrong + TRUE[wrong:]
    right = sum(a == b for a, b in zip(TRUE, guessed, strict=True)) / len(TRUE)
    made = made_runs.run(TRUE, guessed)
    epochs = pd.DataFrame({"loss": [loss], "test_accuracy": [right], "seconds": [seconds]})
    return replace(made, epochs=epochs, provenance=replace(made.provenance, hardware=hardware))


def test_the_same_machine_must_repeat_every_bit_but_may_take_longer():
    assert compare(run(), run(seconds=2.0)).holds
    assert not compare(run(), run(loss=1.0 + 1e-12)).holds
    assert not compare(run(10), run(14)).holds
    treated = run().selected("last-epoch").drop(columns=["selection", "epoch"])
    answers = replace(run(), treated=treated.assign(treatment="rms"))
    others = replace(run(), treated=treated.assign(treatment="rms", anger=0.2))
    assert compare(answers, answers).holds and not compare(answers, others).holds


@pytest.mark.parametrize(
    ("again", "holds"),
    [
        (run(14, hardware="other"), True),
        (run(60, hardware="other"), False),
        (run(10, loss=1.0005, hardware="other"), True),
        (run(10, loss=1.005, hardware="other"), False),
    ],
)
def test_another_machine_may_round_otherwise(again, holds):
    comparison = compare(run(), again)
    assert not comparison.exact and comparison.holds == holds


def test_it_must_begin_alike():
    first = run().selected("last-epoch").drop(columns=["selection", "epoch"])
    first = first.assign(treatment="untrained")
    near, far = (first.assign(anger=first["anger"] + by) for by in (1e-6, 1e-3))
    stored = replace(run(), treated=first)
    assert compare(stored, replace(run(hardware="other"), treated=near)).holds
    assert not compare(stored, replace(run(hardware="other"), treated=far)).holds
    epochs = pd.DataFrame({"loss": [1.0, 0.9, 0.8], "test_accuracy": 0.9, "seconds": 1.0})
    slower = epochs.assign(loss=[1.0, 0.9, 0.84])
    other = run(hardware="other")
    assert compare(replace(run(), epochs=epochs), replace(other, epochs=epochs)).holds
    assert not compare(replace(run(), epochs=epochs), replace(other, epochs=slower)).holds


def test_another_seed_or_another_reading_does_not_pass_for_a_repeat():
    """As on another machine, where the tolerance decides: runs that are stored."""
    stored = load("iemocap-features", "paper", choices=True)
    runs = stored.of("text", "trainable", "own")
    readings = [
        run for run in stored
        if run.experiment.choice and run.experiment.model == "text"
    ]  # fmt: skip

    def elsewhere(made):
        return replace(made, provenance=replace(made.provenance, hardware="other"))

    ours = {run.experiment.seed: run for run in runs}
    assert len(ours) == 10 and len(readings) == 150
    assert all(compare(run, elsewhere(run)).holds for run in runs)
    passed = [r for r in readings if compare(ours[r.experiment.seed], elsewhere(r)).holds]
    assert len(passed) < len(readings) / 20, [r.experiment.name for r in passed]
    on_one_split = load("standin-full", "paper").of()
    pairs = [
        (a, b) for a in on_one_split for b in on_one_split
        if a.experiment.seed != b.experiment.seed
        and a.experiment == replace(b.experiment, seed=a.experiment.seed)
    ]  # fmt: skip
    assert pairs and not any(compare(a, elsewhere(b)).holds for a, b in pairs)


def test_a_run_of_a_gpu_is_not_held_to_the_bit():
    def on_gpu(made):
        return replace(made, provenance=replace(made.provenance, device="cuda"))

    comparison = compare(on_gpu(run(10)), on_gpu(run(14)))
    assert not comparison.exact and comparison.holds


def test_it_says_by_how_much_a_repeat_differs():
    told = str(compare(run(10), run(14, hardware="other")))
    assert "3.0% of classes differ" in told and "accuracy -0.030" in told


def reported(root, name, *pairs, signed="A. N. Other"):
    made = [(stored, again, compare(stored, again)) for stored, again in pairs]
    return write_report(root / REPORTS / f"{name}.json", signed, made, 12.34)


def test_reports_say_who_on_what_and_how_results_agree(tmp_path):
    assert reports(tmp_path) == []
    other = run(60, hardware="other")
    reported(tmp_path, "same", (run(), run()))
    reported(tmp_path, "other", (run(10), other), (run(10), run(14, hardware="other")))
    far, same = reports(tmp_path)
    assert [repeat.agreement for repeat in same.repeats] == ["to the bit"]
    assert [repeat.agreement for repeat in far.repeats] == ["differs", "within the tolerance"]
    assert (same.hardware, far.hardware) == ("one", "other")
    assert far.repeats[0].comparison == compare(run(10), other)
    assert (same.signed, same.seconds) == ("A. N. Other", 12.3) and same.system
    assert len(repeats(tmp_path)) == 3


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("signed", "", "signed"),
        ("date", "yesterday", "date"),
        ("seconds", -1, "seconds"),
        ("device", "abacus", "device"),
        ("repeats", [], "repeats"),
        ("mood", "good", "mood"),
        ("repeats.0.run", "somewhere", "repeats.0.run"),
        ("repeats.0.agreement", "differs", "says 'differs', but by its numbers it is 'to the bit'"),
        ("repeats.0.comparison.flips", "few", "repeats.0.comparison.flips"),
    ],
)
def test_a_report_that_is_none_is_one_error_with_file_and_field(tmp_path, field, value, told):
    path = reported(tmp_path, "mine", (run(), run()))
    said = json.loads(path.read_text())
    *places, name = field.split(".")
    inner = said
    for place in places:
        inner = inner[int(place) if place.isdigit() else place]
    inner[name] = value
    path.write_text(json.dumps(said))
    with pytest.raises(InputError) as refusal:
        reports(tmp_path)
    assert "mine.json" in str(refusal.value) and told in str(refusal.value)
    path.write_text("[{]")
    with pytest.raises(InputError, match=r"mine\.json"):
        reports(tmp_path)


def test_whoever_reports_has_a_name(monkeypatch, tmp_path):
    for variable in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(variable, str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="--signed NAME"):
        signer()
    (tmp_path / "config").write_text("[user]\nname = A. N. Other\n")
    assert signer() == "A. N. Other"


def test_what_is_stored_reads_as_reports():
    assert all(report.signed for report in reports())


def test_only_a_repeat_to_the_bit_shows_that_a_change_was_harmless(tmp_path):
    def by(code, made):
        return replace(made, provenance=replace(made.provenance, code=code))

    old, now = by({"training": "a"}, run(10)), run(10).code_now
    reported(tmp_path, "a", (old, by(now, run(14, hardware="other"))))
    assert change_since([old], repeats(tmp_path)).startswith("code changed since (")
    assert "identical results" not in change_since([old], repeats(tmp_path))
    reported(tmp_path, "b", (old, by(now, run(10))))
    assert "identical results" in change_since([old], repeats(tmp_path))
    reported(tmp_path, "c", (old, by(now, run(14))))
    told = change_since([old], repeats(tmp_path))
    assert "gave other results" in told and "identical results" not in told


def test_a_repeat_of_an_old_record_serves_a_new_record_of_the_same_code(tmp_path):
    versions = {part: list(known) for part, known in json.loads(TABLE.read_text()).items()}
    by_module = {part: versions[part][0] for part in parts_of("none")}
    old, new = (
        replace(run(), provenance=replace(run().provenance, code=code))
        for code in (by_module, by_definition(by_module))
    )
    assert old.changed_code == new.changed_code and "Trainer" in new.changed_code
    now = replace(run(), provenance=replace(run().provenance, code=run().code_now))
    reported(tmp_path, "mine", (old, now))
    assert "identical results" in change_since([new], repeats(tmp_path))
    assert "identical results" not in change_since([run()], repeats(tmp_path))


@pytest.mark.parametrize(
    ("seconds", "told"), [(59.6, "0:01:00"), (3_601, "1:00:01"), (90_000, "1 day, 1:00:00")]
)
def test_long_grids_say_how_long(seconds, told):
    assert duration(seconds) == told
