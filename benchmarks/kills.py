"""Kill commands at random, let the same command go on, and compare with an undisturbed one.

    python benchmarks/kills.py [KILLS [SEED]]

KILLS (50) of each of `corpus build`, `run`, `run --keep-weights` on finished runs, `results pack`
and `jupyter-book build`, by SIGKILL, SIGTERM and SIGINT in turn, at a random moment. Afterwards
nothing that the command started may run. Then the same command ends undisturbed, and what it leaves
must be the same to the bit (but for times of day and durations), with no file more: in the cache,
among the results, in the book, in the folder for temporary files and in shared memory. Exit code 1
if anything differs.
"""

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from replicate.runs.published import load_runs
from replicate.runs.store import WEIGHTS
from replicate.training import weights

ROOT = Path(__file__).parents[1]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
CORPUS = "standin-tiny"
#: Pages that need no corpus or little of one.
PAGES = ("01_paper", "06_training")
#: How long a process may take to notice that its parent has gone.
PATIENCE = 10.0
SHARED_MEMORY = Path("/dev/shm")

State = dict[str, str]


@dataclass(frozen=True)
class Case:
    """A command in a folder of its own.

    Attributes:
        name: as on the command line, or the option that matters.
        arguments: the command.
        prepare: fills a new folder with what there is beforehand.
        state: the folder's files that count -> their digests.
    """

    name: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path], None]
    state: Callable[[Path], State]


def digest(content: bytes) -> str:
    """The beginning of a SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def tree(folder: Path) -> State:
    """Every file below a folder, hidden ones too; a lock may stay, and what it is beside."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    found = {str(path.relative_to(folder)): digest(path.read_bytes()) for path in files}
    folders = [path for path in folder.rglob("*") if path.is_dir() and not any(path.iterdir())]
    found |= {f"{path.relative_to(folder)}/": "empty" for path in folders}
    return {name: content for name, content in found.items() if not name.endswith(".lock")}


def results(folder: Path) -> State:
    """The kinds of files of a store, and the numbers of its runs without durations."""
    found = {re.sub(r"-[0-9a-f]{16}\.", ".", name): "" for name in tree(folder / "results")}
    for run in load_runs(CORPUS, "smoke", folder / "results"):
        numbers = run.predictions.to_csv() + run.epochs.drop(columns="seconds").to_csv()
        found[run.experiment.name] = digest(numbers.encode())
    return found


def kept(folder: Path) -> State:
    """The same, and the arrays of the weights that were kept."""
    found = results(folder)
    for path in folder.glob(f"results/*/*/*{WEIGHTS}"):
        arrays = weights.load(path)[1]
        found[path.name] = digest(
            b"".join(arrays[name].numpy().tobytes() for name in sorted(arrays))
        )
    return found


def book(folder: Path) -> State:
    """Executed notebooks and pages; the version of a style sheet in its address does not count."""
    found = {f"notebooks/{name}": d for name, d in tree(folder / "book" / "notebooks").items()}
    html = folder / "book" / "_build" / "html"
    for name in tree(html):
        if name.endswith(".html"):
            page = re.sub(rb"\?v=\w+", b"", (html / name).read_bytes())
            found[f"html/{name}"] = digest(page)
        elif name != ".buildinfo":
            found[f"html/{name}"] = ""
    return found | {str(path): "" for path in folder.glob("book/_build/.k*") if path.is_dir()}


def two_pages(folder: Path) -> None:
    """This checkout as git has it, with a book of two pages."""
    clone = ["git", "-c", "advice.detachedHead=false", "clone", "-q", str(ROOT), str(folder)]
    subprocess.run(clone, check=True)
    for path in folder.glob("notebooks/[0-9]*"):
        if path.stem not in PAGES:
            path.unlink()
    chapters = [{"file": f"notebooks/{name}"} for name in PAGES]
    contents = {"format": "jb-book", "root": "references", "chapters": chapters}
    (folder / "book" / "_toc.yml").write_text(yaml.safe_dump(contents))


def cases(stored: Path) -> Iterator[Case]:
    """The commands; `stored` is a folder that `run` has left, with its runs unpacked."""
    replicate = (sys.executable, "-m", "replicate")
    smoke = ("--corpus", CORPUS, "--profile", "smoke", "--grid", "text", "--results", "results")
    yield Case(
        "corpus build",
        (*replicate, "corpus", "build", CORPUS),
        Path.mkdir,
        # what notes the files notes their times of change, too
        lambda folder: tree(folder / "cache") | {f"{CORPUS}/files.json": ""},
    )
    yield Case("run", (*replicate, "run", *smoke, "--jobs", "2"), with_cache, results)
    yield Case(
        "keep-weights",
        (*replicate, "run", *smoke, "--jobs", "2", "--keep-weights"),
        lambda folder: shutil.copytree(folder.parent / "run", folder) and None,
        kept,
    )
    yield Case(
        "results pack",
        (*replicate, "results", "pack", "--results", "results"),
        lambda folder: shutil.copytree(stored, folder) and None,
        lambda folder: tree(folder / "results"),
    )
    builder = str(Path(sys.executable).with_name("jupyter-book"))
    yield Case("jupyter-book build", (builder, "build", "book/"), two_pages, book)


def with_cache(folder: Path) -> None:
    """A folder whose cache has the corpus."""
    shutil.copytree(folder.parent / "corpus", folder)


def start(case: Case, folder: Path) -> subprocess.Popen[bytes]:
    """The command, with all that it may write to in its folder; its processes bear its name."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    package = folder if (folder / "replicate").is_dir() else ROOT
    environment = {
        **os.environ,
        "PYTHONPATH": str(package),
        "REPLICATE_CACHE": str(folder / "cache"),
        "TMPDIR": str(temporary),
        "OMP_NUM_THREADS": "1",
        "KILLED": str(folder),
    }
    with (folder.with_suffix(".log")).open("wb") as log:
        return subprocess.Popen(
            case.arguments, cwd=folder, env=environment, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, start_new_session=True,
            # a shell's background jobs ignore SIGINT, and so would what they start
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip


def processes(folder: Path) -> list[psutil.Process]:
    """What the command of a folder has started and still runs."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = process.environ().get("KILLED") == str(folder)
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            pass
    return found


def finish(case: Case, folder: Path) -> float:
    """Let the command end; its seconds. `SystemExit` if it fails."""
    begun = time.monotonic()
    if code := start(case, folder).wait():
        log = folder.with_suffix(".log").read_text(errors="replace")
        raise SystemExit(f"{case.name}: exit code {code} in {folder}\n{log[-3000:]}")
    return time.monotonic() - begun


def kill(case: Case, folder: Path, number: signal.Signals, after: float) -> list[str]:
    """Kill the command; what is wrong afterwards, once it has ended undisturbed."""
    process = start(case, folder)
    time.sleep(after)
    process.send_signal(number)
    process.wait()
    deadline = time.monotonic() + PATIENCE
    while (left := processes(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    faults = [f"still runs: {' '.join(each.cmdline())[:100]}" for each in left]
    for each in left:
        each.kill()
    marks = (f"_{process.pid}_", f"-{process.pid}-")
    shared = SHARED_MEMORY.iterdir() if SHARED_MEMORY.is_dir() else ()
    faults += [f"in shared memory: {p.name}" for p in shared if any(m in p.name for m in marks)]
    finish(case, folder)
    return faults


def compare(expected: State, found: State) -> list[str]:
    """What is missing, what is left over, and what differs."""
    names = sorted(expected.keys() | found.keys())
    return [
        f"{'left over' if n not in expected else 'missing' if n not in found else 'differs'}: {n}"
        for n in names
        if expected.get(n) != found.get(n)
    ]


def main() -> None:
    """Print a line for each command, and each fault."""
    kills, seed = (int(given) for given in (*sys.argv[1:], *("50", "0")[len(sys.argv) - 1 :]))
    rng, wrong = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        stored = root / "stored"
        for case in cases(stored):
            reference = root / case.name.split()[0]
            case.prepare(reference)
            seconds = finish(case, reference)
            expected = case.state(reference) | tree(reference / "tmp")
            if case.name == "run":
                shutil.copytree(reference, stored)
                unpack = ("results", "unpack", "--results", "results", "--profile", "smoke")
                command = [sys.executable, "-m", "replicate", *unpack, "--corpus", CORPUS]
                subprocess.run(command, cwd=stored, check=True, capture_output=True)
            bad = 0
            for k in range(kills):
                folder = root / f"killed-{case.name.split()[0]}-{k}"
                case.prepare(folder)
                number, after = SIGNALS[k % len(SIGNALS)], rng.uniform(0, seconds)
                faults = kill(case, folder, number, after)
                faults += compare(expected, case.state(folder) | tree(folder / "tmp"))
                bad += bool(faults)
                for fault in faults:
                    print(f"  {case.name}, {number.name} after {after:.2f} s: {fault}", flush=True)
                shutil.rmtree(folder)
            wrong += bad
            print(f"{case.name} ({seconds:.1f} s): {kills} kills, {bad} with faults", flush=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
