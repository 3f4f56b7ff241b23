"""The command line as a stranger types it: a run from nothing, resumed, and every refusal."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
import torch
import trees
from click.testing import CliRunner

from replicate.__main__ import main
from replicate.corpora.opening import open_corpus
from replicate.paper import EMOTIONS
from replicate.runs.baselines import BASELINES
from replicate.runs.published import load_run, load_runs
from replicate.runs.rerun import reports
from replicate.runs.store import save_run
from replicate.studies import wordlists
from replicate.studies.loudness import Loudness
from replicate.verdicts.claims import NO_VERDICT

REPLICATE = [sys.executable, "-m", "replicate"]


def replicate(*arguments, **environment):
    """A command in this process, which has PyTorch and the kernels already."""
    done = CliRunner().invoke(main, list(map(str, arguments)), env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


class Apart(subprocess.Popen):
    """A command in a process of its own, as in a terminal."""

    def __init__(self, *arguments):
        super().__init__(
            [*REPLICATE, *map(str, arguments)],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            # a shell's background jobs ignore SIGINT, and so would their children
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            start_new_session=True,
        )


class Forked:
    """The same in a copy of this process, which has PyTorch and the kernels already."""

    def __init__(self, *arguments):
        reading, writing = os.pipe()
        fork = multiprocessing.get_context("fork")
        self._process = fork.Process(target=self._run, args=(writing, list(map(str, arguments))))
        self._process.start()
        os.close(writing)
        self.pid, self.stderr = self._process.pid, os.fdopen(reading)

    def _run(self, writing, arguments):
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stdout = sys.stderr = os.fdopen(writing, "w", buffering=1)
        main(arguments)

    def wait(self):
        self._process.join()
        return self._process.exitcode


def test_check_judges_a_good_and_a_bad_tree(tmp_path):
    tree = trees.write_iemocap(tmp_path / "good")
    good = replicate("corpus", "check", "iemocap", tree)
    assert good.exit_code == 0 and "Verdict" in good.stdout
    for wav in tree.rglob("*.wav"):
        wav.write_bytes(wav.read_bytes()[:-9])
    few, every = (replicate("corpus", "check", "iemocap", tree, *more) for more in ((), ("--all",)))
    assert "more)" in few.stdout and "--all" in few.stdout
    assert all(str(wav) in every.stdout for wav in tree.rglob("*.wav"))
    bad = replicate("corpus", "check", "iemocap", tmp_path / "nowhere")
    assert bad.exit_code == 1 and "no such folder" in bad.stdout


def test_a_smoke_run_of_the_tables_leaves_verified_runs(tmp_path):
    results = tmp_path / "results"
    arguments = ("run", "--corpus", "standin-tiny", "--profile", "smoke", "--results", results)
    done = replicate(*arguments, "--jobs", 1)
    assert done.exit_code == 0, done.stderr
    runs = load_runs("standin-tiny", "smoke", results)
    assert len(runs) == 11
    names = sorted(path.name.partition("-")[0] for path in results.glob("*/*/*"))
    assert names == ["epochs", "predictions", "runs", "treated"], "few files, and no folders"
    assert all(run.provenance.synthetic for run in runs)
    assert "epoch 2/2" in done.stderr and "left" in done.stderr
    again = replicate(*arguments)
    assert "11 experiments, 11 already done" in again.stdout


def test_verdicts_are_told_and_the_stand_in_gives_none_on_the_paper(tmp_path):
    told = replicate("verdicts", "--corpus", "standin-quick", "--profile", "quick")
    assert told.exit_code == 0, told.stderr
    assert told.stdout.count("mechanism check, no verdict") > 20
    listed = json.loads(replicate("verdicts", "--json").stdout)
    assert [row["id"] for row in listed] == list(range(1, 30))
    decided = {row["id"] for row in listed if row["verdict"] not in NO_VERDICT}
    assert decided == {19, 27}, "what the paper's own tables decide"
    assert all(row["basis"] == "the paper's own tables" for row in listed if row["id"] in decided)


def test_words_of_a_corpus_without_runs_are_those_of_its_true_classes(tmp_path):
    done = replicate("words", "--corpus", "standin-tiny", "--results", tmp_path)
    assert done.exit_code == 0, done.stderr
    (found,) = wordlists.load("standin-tiny", tmp_path).values()
    assert found.classes == "true" and found.synthetic and found.rows


def test_levels_of_a_corpus_are_stored(tmp_path):
    done = replicate("loudness", "--corpus", "standin-tiny", "--results", tmp_path)
    assert done.exit_code == 0, done.stderr
    found = Loudness.load("standin-tiny", tmp_path)
    assert found.synthetic and set(found.table["emotion"]) == set(EMOTIONS)


@pytest.mark.parametrize(("begin", "jobs"), [(Forked, 1), (Apart, 2)])
def test_ctrl_c_says_how_to_go_on(tmp_path, begin, jobs):
    arguments = ("run", "--corpus", "standin-tiny", "--profile", "paper", "--grid", "text")
    process = begin(*arguments, "--jobs", jobs, "--results", tmp_path)
    # not the first: an interrupt while Python frees what loading the kernels left would be lost
    assert any("epoch 3/" in line for line in process.stderr)
    time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    rest = process.stderr.read()
    assert process.wait() == 130
    assert "`replicate run` goes on" in rest and "Traceback" not in rest
    assert not list(tmp_path.rglob("run.json")) and list(tmp_path.rglob("checkpoint.pt"))
    assert {path.suffix for path in tmp_path.rglob(".*")} == {".lock"}, "no half-written file"


def test_two_schedulers_on_one_store_share_the_work(tmp_path):
    arguments = ("run", "--corpus", "standin-tiny", "--profile", "smoke", "--grid", "text")
    pair = [Forked(*arguments, "--jobs", 1, "--results", tmp_path) for _ in range(2)]
    said = [process.stderr.read() for process in pair]
    assert [process.wait() for process in pair] == [0, 0], said
    assert len(load_runs("standin-tiny", "smoke", tmp_path)) == 2
    lines = [line for told in said for line in told.splitlines()]
    last_epochs = [line.split()[0] for line in lines if "epoch 2/2" in line]
    assert len(last_epochs) == len(set(last_epochs)) == 2, "each was trained once"
    assert not list(tmp_path.rglob(".*"))


def test_an_experiment_that_fails_stops_no_other(tmp_path):
    arguments = ("run", "--corpus", "standin-tiny", "--profile", "quick", "--grid", "text")
    arguments += ("--seeds", 1, "--jobs", 1, "--results", tmp_path)
    (tmp_path / "standin-tiny/quick/text-glove-stratified-0-seed-0/checkpoint.pt").mkdir(
        parents=True
    )
    done = replicate(*arguments)
    assert done.exit_code == 1 and "1 of 2 experiments failed" in done.stderr
    assert "text-glove-stratified-0-seed-0: FAILED" in done.stdout
    (run,) = load_runs("standin-tiny", "quick", tmp_path)
    assert run.folder.exists(), "nothing is packed while something is left to do"
    assert run.experiment.embedding == "trainable"


def test_a_killed_training_is_one_clear_error(tmp_path):
    arguments = ("run", "--corpus", "standin-tiny", "--profile", "paper", "--grid", "text")
    process = Apart(*arguments, "--jobs", 2, "--results", tmp_path)
    assert any("epoch 1/" in line for line in process.stderr)
    trainings = psutil.Process(process.pid).children(recursive=True)
    max(trainings, key=lambda child: child.cpu_times().user).kill()
    rest = process.stderr.read()
    assert process.wait() == 1
    assert "a training process was killed" in rest and "Traceback" not in rest
    assert "fewer --jobs than 2" in rest
    assert list(tmp_path.rglob("checkpoint.pt")) and not list(tmp_path.rglob("run.json"))


def test_a_killed_command_goes_on(tmp_path):
    arguments = ("run", "--corpus", "standin-tiny", "--profile", "smoke", "--grid", "text")
    process = Forked(*arguments, "--jobs", 1, "--results", tmp_path)
    assert any("epoch 1/" in line for line in process.stderr)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = replicate(*arguments, "--jobs", 1, "--results", tmp_path)
    assert done.exit_code == 0, done.stderr
    assert len(load_runs("standin-tiny", "smoke", tmp_path)) == 2
    assert "0 running" in done.stdout and "best 0." in done.stdout


@pytest.fixture(scope="module")
def text_runs(tmp_path_factory):
    """A store with two runs, each in a folder of its own."""
    results = tmp_path_factory.mktemp("results")
    arguments = ("--corpus", "standin-tiny", "--profile", "smoke", "--results", results)
    done = replicate("run", *arguments, "--grid", "text", "--jobs", 1)
    assert done.exit_code == 0, done.stderr
    unpacked = replicate("results", "unpack", *arguments)
    assert unpacked.exit_code == 0 and "2 unpacked" in unpacked.stdout, unpacked.stderr
    return results


def test_results_are_packed_at_will(tmp_path, text_runs):
    shutil.copytree(text_runs, tmp_path, dirs_exist_ok=True)
    for told in ("2 packed", ""):
        done = replicate("results", "pack", "--results", tmp_path)
        assert done.exit_code == 0 and told in done.stdout
        assert len(list(tmp_path.glob("*/*/*"))) == 4
    assert len(load_runs("standin-tiny", "smoke", tmp_path)) == 2


def test_a_stored_run_repeats_and_a_changed_one_is_found_out(tmp_path, text_runs):
    shutil.copytree(text_runs, tmp_path, dirs_exist_ok=True)
    arguments = ("--corpus", "standin-tiny", "--profile", "smoke", "--results", tmp_path)
    again = ("rerun", *arguments, "--sample", 9, "--jobs", 1, "--report")
    first, second = (tmp_path / "reruns" / f"{name}.json" for name in ("first", "second"))
    same = replicate(*again, first, "--signed", "A. N. Other")
    assert same.exit_code == 0, same.stderr
    refused = replicate(*again, first, "--signed", "me")
    assert refused.exit_code == 1 and "is there already" in refused.stderr
    assert same.stdout.count("holds") == same.stdout.count("the same bits") == 2

    run = load_run(next(tmp_path.rglob("text-trainable-*")))
    swapped = {"anger": "sadness", "sadness": "anger"}
    save_run(replace(run, predictions=run.predictions.rename(columns=swapped)))
    other = replicate(*again, second, "--signed", "A. N. Other")
    assert other.exit_code == 1 and "1 of 2 repeats differ" in other.stderr
    assert f"DIFFERS  {run.experiment.name}, to the bit" in other.stdout
    good, bad = reports(tmp_path)
    assert [repeat.agreement for repeat in good.repeats] == ["to the bit"] * 2
    assert sorted(repeat.agreement for repeat in bad.repeats) == ["differs", "to the bit"]
    assert good.signed == "A. N. Other" and good.packages["torch"] and good.system and good.seconds


def test_a_stored_baseline_repeats_and_a_changed_one_is_found_out(tmp_path):
    arguments = ("--corpus", "standin-tiny", "--results", tmp_path)
    done = replicate("baselines", *arguments, "--seeds", 1)
    assert done.exit_code == 0, done.stderr
    again = ("rerun", *arguments, "--profile", "baselines", "--sample", 99, "--jobs", 1)
    same = replicate(*again)
    assert same.exit_code == 0, same.stderr
    count = sum({"text", "audio", "times"}.issuperset(made.needs) for made in BASELINES.values())
    assert same.stdout.count("the same bits") == count

    replicate("results", "unpack", *arguments, "--profile", "baselines")
    stored = load_run(next(tmp_path.rglob("tfidf-*")))
    swapped = {"anger": "sadness", "sadness": "anger"}
    save_run(replace(stored, predictions=stored.predictions.rename(columns=swapped)))
    other = replicate(*again)
    assert other.exit_code == 1 and f"1 of {count} repeats differ" in other.stderr
    assert f"DIFFERS  {stored.experiment.name}, to the bit" in other.stdout


def test_a_run_of_other_settings_is_not_taken_for_done(tmp_path, text_runs):
    shutil.copytree(text_runs, tmp_path, dirs_exist_ok=True)
    arguments = ("run", "--corpus", "standin-tiny", "--profile", "smoke", "--results", tmp_path)
    record = next(tmp_path.rglob("text-trainable-*/run.json"))
    record.write_text(record.read_text().replace('"epochs": 2,', '"epochs": 3,'))
    refused = replicate(*arguments, "--grid", "text")
    assert refused.exit_code == 1 and "other settings" in refused.stderr
    assert str(record.parent) in refused.stderr and "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--corpus", "iemocap"), "--data PATH"),
        (("run", "--data", "."), "is generated"),
        pytest.param(
            ("run", "--device", "cuda"),
            "finds no GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        (("run", "--cluster", "head:1", "--jobs", "2"), "leave --jobs or --cluster out"),
        (("run", "--corpus", "nonsense"), "choose one of iemocap"),
        (("run", "--corpus", "standin-tiny", "--word2vec", "absent.bin"), "does not exist"),
        (("run", "--profile", "slow"), "is not one of"),
        (("run", "--word2vec", "."), "is a directory"),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path, arguments, message):
    refused = replicate(*arguments, "--results", tmp_path, REPLICATE_DATA="")
    assert refused.exit_code in (1, 2)
    assert message in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr


def test_text_only_runs_on_a_tree_without_recordings(tmp_path):
    tree, results = tmp_path / "IEMOCAP_full_release", tmp_path / "results"
    standin = open_corpus("standin-tiny").root / tree.name
    shutil.copytree(standin, tree, ignore=shutil.ignore_patterns("sentences"))
    arguments = ("run", "--corpus", "iemocap", "--data", tree, "--profile", "smoke")
    done = replicate(*arguments, "--results", results, "--jobs", 1)
    assert done.exit_code == 0 and "left out: they need audio" in done.stderr
    refused = replicate(*arguments, "--results", results, "--grid", "audio-choices")
    assert refused.exit_code == 1 and "every experiment needs audio" in refused.stderr
    runs = load_runs("iemocap", "smoke", results)
    assert [run.experiment.model for run in runs] == ["text"]


def test_vectors_of_another_width_are_refused_before_anything_is_trained(tmp_path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("2 3\nyes 0 0 1\nno 0 1 0\n")
    arguments = ("run", "--corpus", "standin-tiny", "--profile", "smoke", "--word2vec", vectors)
    refused = replicate(*arguments, "--results", tmp_path)
    assert refused.exit_code == 1 and "has vectors of 3 dimensions" in refused.stderr
    assert "epoch" not in refused.stderr and "Traceback" not in refused.stderr


def test_a_damaged_checkpoint_does_not_stop_a_run(tmp_path, text_runs):
    shutil.copytree(text_runs, tmp_path, dirs_exist_ok=True)
    folder = next(tmp_path.rglob("text-trainable-*/run.json")).parent
    (folder / "run.json").unlink()
    (folder / "checkpoint.pt").write_bytes(b"no checkpoint")
    arguments = ("run", "--corpus", "standin-tiny", "--profile", "smoke", "--results", tmp_path)
    done = replicate(*arguments, "--grid", "text", "--jobs", 1)
    assert done.exit_code == 0 and "checkpoint.pt: damaged; training starts anew" in done.stderr
    assert len(load_runs("standin-tiny", "smoke", tmp_path)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("verdicts", "--corpus", "iemocap-txt"), "no such corpus"),
        (("corpus", "build", "emodb"), "corpus check emodb PATH"),
        (("corpus", "check", "emodb"), "corpus check emodb PATH"),
        (("words", "--corpus", "standin-tiny", "--results", __file__), "is a file"),
        (("words", "--corpus", "standin-tiny", "--results", "/proc/none"), "cannot be written"),
    ],
)
def test_a_wrong_place_is_one_clear_error(arguments, message):
    refused = replicate(*arguments, REPLICATE_DATA="")
    assert refused.exit_code in (1, 2) and message in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr


def test_words_of_a_tree_without_transcripts_are_one_clear_error(tmp_path):
    tree = tmp_path / "IEMOCAP_full_release"
    standin = open_corpus("standin-tiny").root / tree.name
    shutil.copytree(standin, tree, ignore=shutil.ignore_patterns("transcriptions"))
    refused = replicate("words", "--corpus", "iemocap", "--data", tree, "--results", tmp_path)
    assert refused.exit_code == 1 and "has no transcripts" in refused.stderr
    assert "Traceback" not in refused.stderr
