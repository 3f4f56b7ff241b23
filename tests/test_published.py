"""Published results: the frames of before to the bit, whole or refused, and safe from kills."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import made_runs
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from replicate.files import InputError
from replicate.paper import EMOTIONS
from replicate.runs import published
from replicate.runs.experiments import Experiment
from replicate.runs.published import RUNS, files, is_finished, load_run
from replicate.runs.store import REPORTS, Vectors, folder_of, save_run, whole
from replicate.settings import RESULTS

#: What changes files, of Python's audit events.
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}


def made(root, seed, rng=None, n=5, vectors=None, corpus="small"):
    """A run with random numbers, stored in a folder of its own; some of them are NaN."""
    rng = rng or np.random.default_rng(seed)
    true = list(rng.choice(EMOTIONS, n))
    run = made_runs.run(true, true, seed=seed, corpus=corpus, profile="test")
    predictions = random_answers(run.selected("last-epoch"), rng)
    epochs = pd.DataFrame({"epoch": [1, 2], "loss": rng.random(2), "seconds": [np.nan, 1.5]})
    answers = random_answers(predictions.drop(columns=["selection", "epoch"]), rng)
    treatments = ["rms", "untrained"][: rng.integers(3)]
    treated = pd.concat([answers.assign(treatment=one) for one in ["", *treatments]])[n:]
    selections = ["last-epoch", "test-best"]
    every = pd.concat([predictions.assign(selection=one) for one in selections], ignore_index=True)
    origin = replace(run.provenance, vectors=vectors, code={"model": f"{seed % 2}"})
    run = replace(
        run, provenance=origin, epochs=epochs, predictions=every,
        treated=treated.reset_index(drop=True),
        folder=folder_of(run.experiment, root),
    )  # fmt: skip
    save_run(run)
    return run


def random_answers(table, rng):
    logits = rng.normal(size=(len(table), len(EMOTIONS))).astype("float32") * 9
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    score = np.where(rng.random(len(table)) < 0.5, np.nan, rng.random(len(table)))
    made = dict(zip(EMOTIONS, shares.T, strict=True))
    return table.assign(**made, audio_score=score.astype("float32"))


def require_same(found, expected):
    assert [one.folder for one in found] == [one.folder for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.experiment == other.experiment and one.provenance == other.provenance
        for name in Experiment.tables:
            left, right = getattr(one, name), getattr(other, name)
            assert_frame_equal(left, right, check_exact=True, check_index_type="exact")
            assert repr(left.index) == repr(right.index)
            for column in left.select_dtypes("number"):
                assert left[column].to_numpy().tobytes() == right[column].to_numpy().tobytes()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "small" / "test"


def loaded(folder):
    return published.load_runs(*folder.parts[-2:], folder.parents[1])


def folders(folder):
    return [path.parent for path in sorted(folder.glob("*/run.json"))]


@settings(max_examples=6, deadline=None)
@given(
    seeds=st.lists(st.integers(0, 999), min_size=1, max_size=5, unique=True), n=st.integers(1, 9)
)
def test_what_is_published_reads_as_its_folders_did(tmp_path_factory, seeds, n):
    root = tmp_path_factory.mktemp("results")
    for seed in seeds:
        vectors = Vectors("GloVe", 50, 0.25, 0.5, "digest") if seed % 3 == 0 else None
        made(root, seed, n=n, vectors=vectors)
    folder = root / "small" / "test"
    before = [load_run(place) for place in folders(folder)]
    assert published.pack(folder) == len(seeds) and published.pack(folder) == 0
    assert len(list(folder.iterdir())) == 4 and not folders(folder)
    require_same(loaded(folder), before)
    require_same([load_run(one.folder) for one in before], before)
    assert published.unpack(folder) == len(seeds)
    assert sorted(path.is_dir() for path in folder.iterdir()) == [True] * len(seeds)
    require_same(loaded(folder), before)


def test_published_runs_and_folders_are_read_as_one_store(tmp_path, folder):
    expected = [made(tmp_path, seed) for seed in (1, 3)]
    published.pack(folder)
    expected.insert(1, made(tmp_path, 2))
    assert [run.experiment.seed for run in loaded(folder)] == [1, 2, 3]
    assert all(is_finished(run.experiment, tmp_path) for run in expected)
    assert published.pack(folder) == 1 and len(list(folder.iterdir())) == 4
    assert [run.experiment.seed for run in loaded(folder)] == [1, 2, 3]


def test_a_run_in_progress_stays_as_it_is(tmp_path, folder):
    made(tmp_path, 1)
    (folder / "in-progress").mkdir()
    (folder / "in-progress" / "checkpoint.pt").write_bytes(b"half way")
    published.pack(folder)
    assert (folder / "in-progress" / "checkpoint.pt").read_bytes() == b"half way"
    assert len(loaded(folder)) == 1


def test_a_published_run_with_other_settings_is_not_taken_for_done(tmp_path, folder):
    run = made(tmp_path, 1)
    published.pack(folder)
    other = replace(run.experiment, training=replace(run.experiment.training, epochs=7))
    with pytest.raises(InputError, match=r"other settings\n.*results unpack"):
        is_finished(other, tmp_path)


def test_of_a_published_run_and_its_own_folder_the_published_one_counts(tmp_path, folder):
    run = made(tmp_path, 1)
    published.pack(folder)
    save_run(run)
    require_same(loaded(folder), [load_run(run.folder)])
    assert published.pack(folder) == 0 and not run.folder.exists()


def test_a_folder_that_holds_another_run_is_refused_and_kept(tmp_path, folder):
    run = made(tmp_path, 1)
    published.pack(folder)
    swapped = run.predictions.rename(columns={"anger": "sadness", "sadness": "anger"})
    save_run(replace(run, predictions=swapped))
    with pytest.raises(InputError, match="holds another run than the published one"):
        published.pack(folder)
    save_run(replace(run, provenance=replace(run.provenance, started="later")))
    for act in (loaded, published.pack):
        with pytest.raises(InputError, match="holds another run than the published one"):
            act(folder)
    assert run.folder.exists()


def test_a_result_with_other_columns_is_refused_and_kept(tmp_path, folder):
    made(tmp_path, 1)
    published.pack(folder)
    run = made(tmp_path, 2)
    save_run(replace(run, epochs=run.epochs.assign(more=1)))
    with pytest.raises(InputError, match="its epochs have other columns"):
        published.pack(folder)
    assert len(loaded(folder)) == 2


@pytest.mark.parametrize("name", [RUNS, *Experiment.tables])
@pytest.mark.parametrize("harm", ["cut", "changed", "moved"])
def test_damage_is_one_clear_error(tmp_path, folder, name, harm):
    made(tmp_path, 1)
    published.pack(folder)
    loaded(folder)
    (path,) = files(folder, name)
    content = path.read_bytes()
    if harm == "cut":
        path.write_bytes(content[:-1])
    elif harm == "changed":
        path.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    elif name == RUNS:
        path.rename(path.with_name(f"{RUNS}-{'0' * 16}.parquet"))
    else:
        path.unlink()
    with pytest.raises(InputError, match=r"not the file that was published\n.*restore .* git"):
        loaded(folder)


def test_tables_without_their_runs_are_one_clear_error(tmp_path, folder):
    made(tmp_path, 1)
    published.pack(folder)
    files(folder, RUNS)[0].unlink()
    with pytest.raises(InputError, match="no file of runs beside it"):
        loaded(folder)


def test_a_grid_moved_to_another_corpus_is_refused(tmp_path, folder):
    made(tmp_path, 1)
    published.pack(folder)
    shutil.copytree(folder, tmp_path / "other" / "test")
    with pytest.raises(InputError, match="holds small/test/att_d1-trainable-stratified-0-seed-1"):
        loaded(tmp_path / "other" / "test")


def test_grids_that_two_branches_packed_are_read_together(tmp_path, folder):
    made(tmp_path, 1)
    published.pack(folder)
    shutil.copytree(folder, tmp_path / "branch" / "small" / "test")
    made(tmp_path, 2)
    published.pack(folder)
    made(tmp_path / "branch", 3)
    published.pack(tmp_path / "branch" / "small" / "test")
    shutil.copytree(tmp_path / "branch" / "small" / "test", folder, dirs_exist_ok=True)
    assert len(files(folder, RUNS)) == 2
    assert [run.experiment.seed for run in loaded(folder)] == [1, 2, 3]
    published.pack(folder)
    assert [run.experiment.seed for run in loaded(folder)] == [1, 2, 3]
    assert len(list(folder.iterdir())) == 4


def killed(step, act, folder):
    """Kill a process before its `step`th change of files; False if it ended before."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WIFSIGNALED(status)
    changes = itertools.count(1)

    def watch(event, arguments):
        written = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (written or event in CHANGES) and next(changes) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.addaudithook(watch)
        act(folder)
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.parametrize("act", [published.pack, published.unpack])
def test_a_kill_at_any_moment_loses_nothing_and_the_next_packing_clears_up(tmp_path, act):
    start = tmp_path / "start"
    made(start, 1)
    published.pack(start / "small" / "test")
    made(start, 2)
    expected = loaded(start / "small" / "test")
    assert len(expected) == 2
    for step in itertools.count(1):
        root = tmp_path / str(step)
        shutil.copytree(start, root)
        folder = root / "small" / "test"
        moved = [replace(run, folder=folder / run.folder.name) for run in expected]
        got_so_far = killed(step, act, folder)
        require_same(loaded(folder), moved)
        published.pack(folder)
        require_same(loaded(folder), moved)
        left = {path.name.partition("-")[0] for path in folder.iterdir()}
        assert left == {RUNS, *Experiment.tables} and len(list(folder.iterdir())) == 4
        shutil.rmtree(root)
        if not got_so_far:
            break
    assert step > 20


def test_processes_that_pack_at_once_lose_nothing(tmp_path, folder):
    """Two keep storing and packing, while this one keeps reading."""
    children = []
    for first in (0, 100):
        children.append(os.fork())
        if not children[-1]:
            try:
                for seed in range(first, first + 8):
                    made(tmp_path, seed)
                    published.pack(folder)
                os._exit(0)
            finally:
                os._exit(1)
    seen, ended = set(), {}
    while len(ended) < 2:
        now = {run.experiment.seed for run in loaded(folder)}
        assert seen <= now
        seen = now
        for child in set(children) - ended.keys():
            done, status = os.waitpid(child, os.WNOHANG)
            ended |= {child: status} if done else {}
    assert set(ended.values()) == {0}
    assert {run.experiment.seed for run in loaded(folder)} == {*range(8), *range(100, 108)}
    published.pack(folder)
    assert len(list(folder.iterdir())) == 4 and not list(tmp_path.rglob(".*"))


def test_every_selection_must_hold_one_distribution_for_each_utterance(tmp_path):
    table = made(tmp_path, 1).predictions
    both, counts, sizes = pd.concat([table, table]), np.array([10, 10]), np.array([5, 5])
    assert whole(both, counts, sizes).tolist() == [True, True]
    assert whole(both, counts, np.array([5, 6])).tolist() == [True, False]
    assert whole(both[:18], np.array([10, 8]), sizes).tolist() == [True, False]
    twice = both.reset_index(drop=True)
    twice.loc[11, "utterance"] = twice.loc[10, "utterance"]
    assert whole(twice, counts, sizes).tolist() == [True, False]
    twice = both.reset_index(drop=True)
    twice.loc[3, "anger"] += 0.1
    assert whole(twice, counts, sizes).tolist() == [False, True]


def test_reading_results_needs_nothing_that_trains():
    heavy = "{'torch', 'numba', 'sklearn'}"
    code = f"import sys, replicate.runs.published; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_published_results_are_few_files():
    """But for reports, of which anybody may add one."""
    grids = [path for path in RESULTS.glob("*/*") if path.is_dir()]
    folders = [path for path in RESULTS.iterdir() if path.is_dir() and path.name != REPORTS]
    found = [path for folder in [RESULTS, *folders, *grids]
             for path in folder.iterdir() if path.is_file()]  # fmt: skip
    assert len(found) <= 100


def test_the_readme_of_the_results_reads_them_without_this_package(monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", (RESULTS / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(RESULTS.parent)
    there: dict[str, pd.DataFrame] = {}
    exec(code, there)
    for (corpus, embedding), found in there["accuracy"].items():
        runs = [
            run for run in published.load_runs(corpus, "paper")
            if (run.experiment.embedding, run.experiment.choice) == (embedding, "")
            and run.experiment.model == "text" and run.experiment.fold.kind == "stratified"
        ]  # fmt: skip
        mine = [run.epochs["test_accuracy"].iloc[-1] for run in runs]
        assert found == pytest.approx(np.mean(mine))
