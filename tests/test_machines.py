"""Machines as they are: full disks, refused locks, users without a name, folders that cannot be."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import small
from click.testing import CliRunner
from filelock import SoftFileLock, Timeout
from trees import write_iemocap

from replicate import __main__, files
from replicate.files import InputError, UnwritableError, lock_beside, replacing
from replicate.training import worker
from replicate.training.train import train
from replicate.training.worker import workers

root = pytest.mark.skipif(os.getuid() != 0, reason="needs another user's rights")


def replicate(*arguments, **settings):
    environment = {name: str(value) for name, value in settings.items()}
    return CliRunner().invoke(__main__.main, [*map(str, arguments)], env=environment)


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Full:
    """A library that hides why it could not write, on a disk that takes nothing more."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(Path, "open", full)

    def __call__(self):
        raise RuntimeError("stream error")


@pytest.mark.parametrize("hidden", [False, True])
def test_a_full_disk_is_named_and_leaves_what_was_there(tmp_path, monkeypatch, hidden):
    path = tmp_path / "kept.txt"
    path.write_text("before")
    fail = Full(monkeypatch) if hidden else full
    with pytest.raises(UnwritableError) as caught, replacing(path):
        fail()
    monkeypatch.undo()
    assert "is full" in caught.value.what and "the disk at /" in caught.value.what
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_other_errors_while_a_file_is_written_stay_what_they_are(tmp_path):
    with pytest.raises(RuntimeError, match="mine"), replacing(tmp_path / "x"):
        raise RuntimeError("mine")


@pytest.mark.parametrize("refusal", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_where_locks_are_refused_a_file_is_the_lock(tmp_path, monkeypatch, refusal):
    def refuse(*_):
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    with lock_beside(tmp_path / "run") as lock:
        assert isinstance(lock, SoftFileLock)
        with pytest.raises(Timeout), lock_beside(tmp_path / "run", timeout=0):
            pass
    with lock_beside(tmp_path / "run", timeout=0) as lock:
        Path(lock.lock_file).unlink()
    assert not list(tmp_path.iterdir())


def test_a_lock_that_vanishes_loses_no_run(tmp_path, monkeypatch):
    def trained(*arguments, **options):
        run = train(*arguments, **options)
        for lock in tmp_path.rglob(".*.lock"):
            lock.unlink()
        return run

    monkeypatch.setattr(worker, "train", trained)
    monkeypatch.setattr(worker, "open_source", lambda source: (small.corpus(), None))
    experiment = small.experiment("text", epochs=1)
    outcome = worker.run_one(experiment, None, "cpu", tmp_path, wait=False)
    assert outcome.error is None and outcome.accuracy >= 0


def test_a_full_disk_stops_a_grid_and_is_no_error_of_one_training(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "train", full)
    monkeypatch.setattr(worker, "open_source", lambda source: (small.corpus(), None))
    with pytest.raises(UnwritableError, match="is full"):
        worker.run_one(small.experiment("text"), None, "cpu", tmp_path, wait=False)


def test_a_user_without_an_entry_in_the_password_file_has_a_name():
    code = (
        "import os, pwd, sys\n"
        "def unknown(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = unknown\n"
        "import replicate, getpass; print(getpass.getuser())"
    )
    known = {k: v for k, v in os.environ.items() if k not in ("LOGNAME", "USER", "LNAME")}
    known.pop("USERNAME", None)
    done = subprocess.run([sys.executable, "-c", code], env=known, capture_output=True, text=True)
    assert done.stdout.strip() == f"user-{os.getuid()}", done.stderr


def test_without_a_home_the_cache_must_be_named(monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("REPLICATE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(InputError, match="REPLICATE_CACHE"):
        files.cache_folder()


def test_paths_of_the_environment_may_begin_with_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REPLICATE_CACHE", "~/cache")
    assert files.cache_folder() == tmp_path / "cache"
    write_iemocap(tmp_path)
    for settings, data in (({"REPLICATE_DATA": "~"}, ()), ({}, ("--data=~",))):
        done = replicate("words", "--corpus", "iemocap", *data, "--results=~/r", **settings)
        assert done.exit_code == 0, done.output
    assert (tmp_path / "r").is_dir()


@pytest.mark.parametrize("arguments", [("corpus", "check", "iemocap"), ("loudness", "--corpus",
                                       "iemocap", "--data")])  # fmt: skip
def test_a_folder_whose_name_is_not_utf8_is_one_clear_error(tmp_path, arguments):
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    write_iemocap(odd)
    refused = replicate(*arguments, odd)
    assert refused.exit_code == 1 and r"caf\xe9: has a name that is not UTF-8" in refused.output


@root
@pytest.mark.parametrize("closed", ["Session3", "Session1/dialog/transcriptions"])
def test_a_folder_that_may_not_be_read_is_one_clear_error(tmp_path, closed):
    tree = write_iemocap(tmp_path)
    tmp_path.chmod(0o755)
    for above in tmp_path.parents:
        if above.stat().st_uid == os.getuid() and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o011)
    (tree / closed).chmod(0)
    code = (
        "import os; from pathlib import Path; from replicate.corpora.opening import read_corpus\n"
        f"os.setuid(65534)\ntry: read_corpus('iemocap', Path({str(tmp_path)!r}))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("InputError") and closed in done.stdout, done.stdout + done.stderr


def test_an_error_nobody_foresaw_is_one_line_and_a_report(monkeypatch, tmp_path):
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("replicate.corpora.check.check", lambda *_: 1 / 0)
    done = replicate("corpus", "check", "iemocap", tmp_path)
    (written,) = tmp_path.iterdir()
    assert done.exit_code == 70 and "ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.output and str(written) in done.stderr
    assert "Traceback" in written.read_text() and "Python" in written.read_text()


def test_a_store_that_cannot_be_written_is_found_before_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(files.tempfile, "TemporaryFile", full)
    done = replicate("run", "--corpus", "standin-tiny", "--profile", "smoke", "--grid", "text",
                     "--jobs", 1, "--results", tmp_path)  # fmt: skip
    assert done.exit_code == 1 and "is full" in done.stderr and "epoch 1/" not in done.stderr


def test_a_training_a_core_that_may_be_used():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("cores are not to be chosen here")
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, [min(before)])
        assert workers(None, "cpu").jobs == 1
    finally:
        os.sched_setaffinity(0, before)
    assert workers(None, "cpu").jobs == len(before)
