"""Kept machine code is used while it is whole, and compiled anew where it is damaged."""

import importlib.util

import numpy as np
import pytest
from numba import config

import replicate.kernels  # noqa: F401 - from here on, kept code is checked

KERNEL = """
from numba import njit
@njit(cache=True)
def doubled(x):
    return x * 2
"""


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Call a kernel as a new process would: how often kept code was used, and what was told."""
    (tmp_path / "kernel.py").write_text(KERNEL)
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "kept"))

    def called():
        found = importlib.util.spec_from_file_location("kernel", tmp_path / "kernel.py")
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        assert module.doubled(np.arange(3.0)).sum() == 6
        return sum(module.doubled.stats.cache_hits.values()), capsys.readouterr().err

    return called


def emptied(content):
    return b""


def zeros(content):
    return bytes(len(content))


def cut(content):
    return content[: len(content) // 2]


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("kind", "damage"),
    [("nbi", emptied), ("nbi", zeros), ("nbi", cut), ("nbc", emptied), ("nbc", flipped)],
)
def test_damaged_machine_code_is_compiled_anew(tmp_path, call, kind, damage):
    call()
    assert call() == (1, "")
    (file,) = (tmp_path / "kept").rglob(f"*.{kind}")
    file.write_bytes(damage(file.read_bytes()))
    hits, told = call()
    assert hits == 0 and "compiled anew" in told
    assert call() == (1, "")


def test_code_that_cannot_be_kept_runs(tmp_path, call):
    call()
    (data,) = (tmp_path / "kept").rglob("*.nbc")
    data.unlink()
    data.mkdir()
    hits, told = call()
    assert hits == 0 and "cannot be written" in told
