"""The command line as a stranger types it: a run from nothing, resumed, and every refusal."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import trees

from replicate.corpora import open_corpus
from replicate.runs import load_runs

REPLICATE = [sys.executable, "-m", "replicate"]


def replicate(*arguments, **environment):
    return subprocess.run(
        [*REPLICATE, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


def test_check_judges_a_good_and_a_bad_tree(tmp_path):
    tree = trees.write_iemocap(tmp_path / "good")
    good = replicate("corpus", "check", "iemocap", tree)
    assert good.returncode == 0 and "Verdict" in good.stdout
    bad = replicate("corpus", "check", "iemocap", tmp_path / "nowhere")
    assert bad.returncode == 1 and "no such folder" in bad.stdout


def test_a_smoke_run_of_the_tables_leaves_verified_runs(tmp_path):
    results = tmp_path / "results"
    arguments = ("run", "--corpus", "standin-tiny", "--profile", "smoke", "--results", results)
    done = replicate(*arguments)
    assert done.returncode == 0, done.stderr
    runs = load_runs("standin-tiny", "smoke", results)
    assert len(runs) == 11
    assert all(run.provenance.synthetic for run in runs)
    assert "epoch 2/2" in done.stderr and "left" in done.stderr
    again = replicate(*arguments)
    assert "11 experiments, 11 already done" in again.stdout


def test_ctrl_c_says_how_to_go_on(tmp_path):
    arguments = [*REPLICATE, "run", "--corpus", "standin-tiny", "--profile", "paper"]
    arguments += ["--jobs", "1", "--results", str(tmp_path)]
    process = subprocess.Popen(
        arguments,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        # a shell's background jobs ignore SIGINT, and so would their children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    assert any("epoch 1/" in line for line in process.stderr)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait() == 130
    assert "the same command goes on" in rest and "Traceback" not in rest
    assert not list(tmp_path.rglob("run.json")) and list(tmp_path.rglob("checkpoint.pt"))
    assert not list(tmp_path.rglob(".*")), "no half-written file"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--corpus", "iemocap"), "pass --data PATH"),
        (("run", "--corpus", "nonsense"), "choose one of iemocap"),
        (("run", "--corpus", "standin-tiny", "--word2vec", "absent.bin"), "does not exist"),
        (("run", "--profile", "slow"), "is not one of"),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path, arguments, message):
    refused = replicate(*arguments, "--results", tmp_path, REPLICATE_DATA="")
    assert refused.returncode in (1, 2)
    assert message in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr


def test_text_only_runs_on_a_tree_without_recordings(tmp_path):
    tree, results = tmp_path / "IEMOCAP_full_release", tmp_path / "results"
    standin = open_corpus("standin-tiny").root / tree.name
    shutil.copytree(standin, tree, ignore=shutil.ignore_patterns("sentences"))
    arguments = ("run", "--corpus", "iemocap", "--data", tree, "--profile", "smoke")
    refused = replicate(*arguments, "--results", results)
    assert refused.returncode == 1 and "use `--grid text`" in refused.stdout
    runs = load_runs("iemocap", "smoke", results)
    assert [run.experiment.model for run in runs] == ["text"]
