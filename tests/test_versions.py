"""Runs of two versions of a corpus, or of two files of vectors, are never taken for each other."""

import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small
from gensim.models import KeyedVectors

from replicate.corpora.features import Features
from replicate.corpora.transcriptions import WordVectors, load_vectors
from replicate.files import InputError
from replicate.runs import published, versions
from replicate.runs.published import is_finished, load_runs, pack, stored_records
from replicate.runs.rerun import compare
from replicate.runs.selection import load
from replicate.runs.store import folder_of, save_run
from replicate.runs.versions import Seen, at_hand
from replicate.training import pretrained, worker
from replicate.training.train import train
from replicate.training.worker import Source

PLACE = ("small", "test")


@cache
def trained(model):
    """A run of one epoch."""
    experiment = small.experiment(model, epochs=1)
    with tempfile.TemporaryDirectory() as root:
        place = folder_of(experiment, Path(root))
        return train(experiment, small.corpus(), place, sound=small.waveforms())


def stored(root, seed=0, model="text", text=None):
    """A stored run that claims to have seen other data."""
    run = trained(model)
    made = replace(run.experiment, seed=seed)
    origin = replace(run.provenance, text_fingerprint=text or run.provenance.text_fingerprint)
    run = replace(run, experiment=made, provenance=origin, folder=folder_of(made, root))
    save_run(run)
    return run


@pytest.mark.parametrize("seen", [Seen("other"), Seen("other", "other")])
def test_a_run_of_another_version_is_not_done(tmp_path, seen):
    run = stored(tmp_path)
    assert is_finished(run.experiment, tmp_path, at_hand(small.corpus()))
    with pytest.raises(InputError, match="another version of small") as caught:
        is_finished(run.experiment, tmp_path, seen)
    assert run.experiment.name in caught.value.what and "--results" in caught.value.remedy
    with pytest.raises(InputError, match="labels or transcripts"):
        load_runs(*PLACE, tmp_path, seen)


def test_other_recordings_concern_only_runs_that_heard_them(tmp_path):
    stored(tmp_path, model="audio")
    other = replace(small.waveforms(), fingerprint="others")
    versions.require(stored_records(tmp_path / "small/test"), at_hand(small.corpus()), tmp_path)
    with pytest.raises(InputError, match="recordings or features"):
        load_runs(*PLACE, tmp_path, at_hand(small.corpus(), other))
    (tmp_path / "text").mkdir()
    stored(tmp_path / "text")
    assert load_runs(*PLACE, tmp_path / "text", at_hand(small.corpus(), other))


def test_a_selection_looks_at_what_its_runs_heard(tmp_path):
    stored(tmp_path, model="audio")
    corpus = small.corpus()
    wavs = replace(corpus, utterances=corpus.utterances.assign(wav=None))
    features = small.features()
    with pytest.raises(InputError, match="recordings or features"):
        load(*PLACE, seen=replace(wavs, features=features), root=tmp_path)
    assert len(load(*PLACE, seen=wavs, root=tmp_path)) == 1, "without sound there is nothing to see"


@pytest.mark.parametrize("packed", [False, True])
def test_two_versions_are_never_one_table(tmp_path, packed):
    for seed in range(3):
        stored(tmp_path, seed)
    if packed:
        pack(tmp_path / "small/test")
    odd = stored(tmp_path, 3, text="another")
    for read in (lambda: load_runs(*PLACE, tmp_path), lambda: pack(tmp_path / "small/test")):
        with pytest.raises(InputError, match="1 of 4 runs were made from another version") as found:
            read()
        assert odd.experiment.name in found.value.what
    assert (odd.folder / "run.json").exists(), "nothing is lost"


def test_a_repeat_that_saw_other_data_says_so(tmp_path):
    run = stored(tmp_path, model="audio")
    again = replace(run, provenance=replace(run.provenance, audio_fingerprint="others"))
    assert compare(run, run).holds
    with pytest.raises(InputError, match="other recordings or features than its repeat"):
        compare(run, again)


def vectors_file(path, seed, words=("never", "great", "okay", "gone")):
    made = KeyedVectors(vector_size=300)
    rng = np.random.default_rng(seed)
    made.add_vectors(list(words), rng.normal(size=(len(words), 300)).astype(np.float32))
    made.save_word2vec_format(str(path))
    return path


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A real corpus at hand, and a run on it that began with vectors of a file."""
    corpus = replace(small.corpus(), synthetic=False)
    monkeypatch.setattr(worker, "open_source", lambda source: (corpus, None))
    experiment = small.experiment("text", epochs=1)
    wide = replace(experiment.architecture, emb_size=300)
    experiment = replace(experiment, embedding="word2vec", architecture=wide)
    vectors = load_vectors(vectors_file(tmp_path / "one.txt", 1))
    run = train(experiment, corpus, folder_of(experiment, tmp_path), vectors=vectors)
    yield run, tmp_path
    worker.forget_vectors()


def test_another_file_of_vectors_is_not_done(begun):
    run, root = begun
    known = stored_records(root / "small/test")
    again = [replace(run.experiment, seed=1), run.experiment]

    def check(path):
        return pretrained.check(again, Source("small", word2vec=path), known, root / "small/test")

    renamed = (root / "one.txt").rename(root / "same.txt")
    assert "of the training part's words" in check(renamed)
    with pytest.raises(InputError, match="1 of 1 runs were made from other word vectors"):
        check(vectors_file(root / "two.txt", 2))
    with pytest.raises(InputError, match="other word vectors"):
        check(None)
    with pytest.raises(InputError, match="no word of the corpus"):
        check(vectors_file(root / "far.txt", 1, ["elsewhere"]))


def test_two_files_of_vectors_are_never_one_table(begun):
    run, root = begun
    for seed, digest in ((1, run.provenance.vectors.digest), (2, "another")):
        made = replace(run.experiment, seed=seed)
        vectors = replace(run.provenance.vectors, digest=digest)
        origin = replace(run.provenance, vectors=vectors)
        save_run(replace(run, experiment=made, provenance=origin, folder=folder_of(made, root)))
    with pytest.raises(InputError, match="1 of 3 runs were made from other word vectors"):
        load_runs(*PLACE, root)


@pytest.mark.parametrize("where", [(), ("provenance",), ("experiment", "training"),
                                   ("provenance", "vectors")])  # fmt: skip
def test_a_newer_record_is_told_apart_from_a_damaged_one(begun, where):
    run, root = begun
    path = run.folder / "run.json"
    record = json.loads(path.read_text())
    part = record
    for name in where:
        part = part[name]
    part["invented_later"] = 1
    path.write_text(json.dumps(record))
    for read in (lambda: load_runs(*PLACE, root), lambda: is_finished(run.experiment, root)):
        with pytest.raises(InputError, match=r"newer version.*invented_later") as caught:
            read()
        assert "update" in caught.value.remedy and "remove" not in caught.value.remedy
    path.write_text(path.read_text()[:-9])
    with pytest.raises(InputError) as caught:
        load_runs(*PLACE, root)
    assert "newer version" not in str(caught.value)


def test_a_newer_published_record_is_told_apart(tmp_path):
    stored(tmp_path)
    folder = tmp_path / "small/test"
    pack(folder)
    (old,) = published.files(folder, "runs")
    table = pq.read_table(old).append_column("invented_later", pa.array([1]))
    old.unlink()
    published._write(folder, "runs", table)
    with pytest.raises(InputError, match=r"newer version.*invented_later") as caught:
        load_runs(*PLACE, tmp_path)
    assert "remove" not in caught.value.remedy


def test_features_know_their_version():
    one, other = small.features(), small.features()
    other = Features(other.values + 1, other.columns, other.utterances)
    assert at_hand(small.corpus(), one) != at_hand(small.corpus(), other)
    assert isinstance(WordVectors("none", None).notes, tuple)
