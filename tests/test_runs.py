"""The run store: whole, verified, honest about where a run comes from."""

import json

import pandas as pd
import pytest
import small

from replicate.files import InputError
from replicate.runs import code
from replicate.runs.published import is_finished, load_run, load_runs
from replicate.runs.store import folder_of
from replicate.runs.versions import Seen
from replicate.training.train import train


@pytest.fixture
def run(tmp_path):
    experiment = small.experiment("text", epochs=1)
    return train(experiment, small.corpus(), folder_of(experiment, tmp_path))


def edit(run, change):
    path = run.folder / "run.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def test_load_runs_finds_a_profile_in_the_order_of_names(run, tmp_path):
    other = small.experiment("text", seed=1, epochs=1)
    train(other, small.corpus(), folder_of(other, tmp_path))
    found = load_runs("small", "test", tmp_path)
    assert [one.experiment.seed for one in found] == [0, 1]
    assert load_runs("small", "paper", tmp_path) == []


def test_provenance_says_what_made_a_run(run):
    origin = run.provenance
    assert origin.synthetic and origin.corpus_title == "small test corpus"
    assert origin.audio_fingerprint is None and origin.device == "cpu" and origin.threads == 1
    assert origin.n_train + origin.n_development + origin.n_test == 64
    assert {"python", "torch", "numpy"} <= set(origin.packages)
    assert origin.wall_seconds > 0 and origin.started.endswith("+00:00")


def test_a_stored_run_holds_ids_and_numbers_but_no_transcript(run):
    content = [path.read_text() for path in run.folder.glob("*.json")]
    content += [pd.read_parquet(path).to_csv() for path in run.folder.glob("*.parquet")]
    stored = "\n".join(content)
    assert run.predictions["utterance"][0] in stored
    assert not [word for word in (*small.WORDS, "word1") if word in stored]


@pytest.mark.parametrize("name", ["epochs.parquet", "predictions.parquet", "treated.parquet"])
def test_a_changed_file_is_refused(run, name):
    path = run.folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"{name}: missing, or not the file"):
        load_run(run.folder)


def test_a_changed_configuration_is_refused(run):
    edit(run, lambda record: record["experiment"].update(seed=7))
    with pytest.raises(InputError, match="holds small/test/text-trainable-stratified-0-seed-7"):
        load_run(run.folder)


def test_an_unknown_setting_is_refused_by_name(run):
    edit(run, lambda record: record["experiment"]["architecture"].update(gru_output="mean"))
    with pytest.raises(InputError, match=r"experiment\.architecture\.gru_output"):
        load_run(run.folder)


def test_a_run_moved_to_another_corpus_is_refused(run, tmp_path):
    elsewhere = tmp_path / "iemocap" / "test" / run.folder.name
    elsewhere.parent.mkdir(parents=True)
    run.folder.rename(elsewhere)
    with pytest.raises(InputError, match="holds small/test/"):
        load_run(elsewhere)


def test_a_run_of_another_version_of_the_corpus_is_refused(run, tmp_path):
    load_runs("small", "test", tmp_path, Seen(run.provenance.text_fingerprint))
    with pytest.raises(InputError, match="another version of small"):
        load_runs("small", "test", tmp_path, Seen("0" * 64))


def test_a_folder_without_run_json_is_no_finished_run(run, tmp_path):
    assert is_finished(run.experiment, tmp_path)
    (run.folder / "run.json").unlink()
    assert not is_finished(run.experiment, tmp_path)
    assert load_runs("small", "test", tmp_path) == []
    with pytest.raises(InputError, match="no finished run"):
        load_run(run.folder)


def test_changed_definitions_are_named(run, monkeypatch):
    assert run.changed_code == ()
    sources = code._SOURCES | {"model.py": code._SOURCES["model.py"] + "\nanother = 1\n"}
    monkeypatch.setattr(code, "_SOURCES", sources)
    monkeypatch.setattr(code, "loaded", code.loaded.__wrapped__)
    assert run.changed_code == ("another",)


def test_a_text_run_does_not_depend_on_the_audio_code(run):
    assert "Trainer" in run.provenance.code and "Waveforms" not in run.provenance.code
    assert "Waveforms" in code.LOADED_CODE["audio", "cpu"]
