"""Processor seconds of each page and of the whole book, of two commits side by side.

    python benchmarks/book.py [BEFORE [AFTER]]

BEFORE is by default the commit at which the pages were still calls, AFTER the one checked out. Each
is taken from git into a folder of its own and built there with this environment's packages: the
notebooks one by one, in one process or, as BEFORE runs them, in a process each, then Sphinx, then a
build in which nothing has changed. The stand-in's sound and compiled kernels are there beforehand.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEFORE = "523ce53"
#: Pages that had another name there.
RENAMED = {"does_audio_help": "text_alone", "attention": "importance"}

JOBS = """
import dataclasses, json
from pathlib import Path
from replicate.report.sphinx_ext import jobs
for job in jobs(Path("book").resolve()):
    print(json.dumps(dataclasses.asdict(job), default=str))
"""

#: Prints the seconds of each page: its own and those of its kernel.
EXECUTE = """
import json, os, sys
from pathlib import Path
from replicate.report.execution import Job, execute
os.chdir("notebooks")
for line in sys.argv[1:]:
    paths = ("source", "target", "scratch")
    job = Job(**{k: Path(v) if k in paths else v for k, v in json.loads(line).items()})
    before = sum(os.times()[:4])
    execute(job)
    print(json.dumps([job.source.stem, sum(os.times()[:4]) - before]), flush=True)
"""


def seconds(command: list[str], folder: Path, log: Path) -> float:
    """Processor seconds of a command and of all that it started and waited for.

    Raises:
        SystemExit: it failed; its output is in the log.
    """
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    with log.open("wb") as out:
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)[:200]} failed:\n{log.read_text()[-2000:]}")
    return usage.ru_utime + usage.ru_stime


def measure(commit: str, folder: Path) -> dict[str, float]:
    """Processor seconds of a commit's pages, of Sphinx and of an unchanged build."""
    log = folder.with_suffix(".log")
    add = ["git", "-C", str(ROOT), "worktree", "add", "--detach", str(folder), commit]
    subprocess.run(add, check=True, capture_output=True)
    python, book = sys.executable, [str(Path(sys.executable).parent / "jupyter-book"), "build"]
    smoke = ["-m", "replicate", "run", "--profile", "smoke", "--results", str(folder / "smoke")]
    seconds([python, *smoke], folder, log)
    seconds([python, "-c", JOBS], folder, log)
    jobs = [line for line in log.read_text().splitlines() if line.startswith("{")]
    found, pages = {}, 0.0
    for together in [[job] for job in jobs] if commit == BEFORE else [jobs]:
        pages += seconds([python, "-c", EXECUTE, *together], folder, log)
        for line in log.read_text().splitlines():
            if line.startswith('["'):
                stem, spent = json.loads(line)
                page = stem[3:]  # numbers change with the order
                found[RENAMED.get(page, page)] = spent
                print(f"  {commit} {page}: {spent:.1f} s", file=sys.stderr)
    found["all pages"] = pages  # with what a process imports to run them
    found["Sphinx"] = seconds([*book, "book/"], folder, log)
    found["whole build"] = found["all pages"] + found["Sphinx"]
    found["unchanged build"] = seconds([*book, "book/"], folder, log)
    return found


def main() -> None:
    """Print a row for each page of either commit."""
    commits = [*sys.argv[1:], *[BEFORE, "HEAD"][len(sys.argv) - 1 :]]
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / str(k) for k in range(len(commits))]
        try:
            found = [measure(*pair) for pair in zip(commits, folders, strict=True)]
        finally:
            for folder in folders:
                remove = ["git", "-C", str(ROOT), "worktree", "remove", "--force", str(folder)]
                subprocess.run(remove, capture_output=True)
    before, after = found
    print(f"{'processor seconds':32}{'before':>10}{'after':>10}{'ratio':>8}")
    for row in dict.fromkeys([*before, *after]):
        pair = [side.get(row) for side in (before, after)]
        shown = ["" if value is None else f"{value:.1f}" for value in pair]
        ratio = f"{pair[1] / pair[0]:.2f}" if all(pair) else ""
        print(f"{row:32}{shown[0]:>10}{shown[1]:>10}{ratio:>8}")


if __name__ == "__main__":
    main()
