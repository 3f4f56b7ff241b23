"""The command line: `replicate corpus check | build`, `replicate run | rerun | words`."""

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import torch

from replicate import rerun as rerunning
from replicate import schedule, wordlists
from replicate.corpora import open_corpus
from replicate.corpora.check import check, render
from replicate.corpora.table import text_fingerprint
from replicate.errors import InputError
from replicate.experiments import GRIDS, PROFILES, grid
from replicate.protocol import cohort
from replicate.runs import RESULTS, folder_of, load_run, load_runs

Command = TypeVar("Command", bound=Callable[..., Any])

skip_damaged_option = click.option(
    "--skip-damaged",
    is_flag=True,
    envvar="REPLICATE_SKIP_DAMAGED",
    help="Leave damaged utterances out.",
)


def training_options(command: Command) -> Command:
    """The options of every command that trains: on what, by which protocol, where."""
    for option in reversed(
        (
            click.option("--corpus", "name", default="standin-quick", show_default=True),
            click.option("--data", type=click.Path(path_type=Path, resolve_path=True),
                         help="The corpus's folder."),
            skip_damaged_option,
            click.option("--profile", type=click.Choice(list(PROFILES)), default="quick",
                         show_default=True),
            click.option("--word2vec",
                         type=click.Path(exists=True, path_type=Path, resolve_path=True),
                         help="File of pretrained vectors."),
            click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu",
                         show_default=True),
            click.option("--jobs", type=click.IntRange(1),
                         help="Trainings at once.  [default: one a core; 1 on a GPU]"),
            click.option("--results", type=click.Path(path_type=Path), default=RESULTS,
                         help="Where runs are stored.  [default: results/]"),
        )
    ):  # fmt: skip
        command = option(command)
    return command


class _Commands(click.Group):
    """Shows bad input as one clear error, and an interruption as what it leaves behind."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except InputError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("\nInterrupted. Nothing is broken, and `replicate run` goes on.", err=True)
            sys.exit(130)


@click.group(cls=_Commands)
@click.version_option(package_name="lima-bak-replication")
def main() -> None:
    """Replicate Lima & Bak (2018), speech emotion from raw audio and transcriptions."""


@main.group()
def corpus() -> None:
    """Build the stand-in corpus, or check any corpus."""


@corpus.command("check")
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@skip_damaged_option
def corpus_check(name: str, path: Path | None, skip_damaged: bool) -> None:
    """Read corpus NAME at PATH, report counts and every problem; exit code 1 if unusable."""
    report = check(name, path, skip_damaged)
    click.echo(render(report))
    sys.exit(0 if report.usable else 1)


@corpus.command("build")
@click.argument("name", default="standin-quick")
def corpus_build(name: str) -> None:
    """Generate the stand-in NAME (standin-quick, standin-full, ...) where it is missing."""
    built = open_corpus(name)
    click.echo(f"{built.title}: {len(built.utterances)} utterances in {built.root}")


@main.command()
@training_options
@click.option("--grid", "which", type=click.Choice(list(GRIDS)), default="tables",
              show_default=True)  # fmt: skip
@click.option("--cluster", metavar="ADDRESS",
              help="Train on the Ray cluster at HOST:PORT instead.")  # fmt: skip
@click.option("--gpus-each", type=click.FloatRange(0, min_open=True), default=0.25,
              show_default=True, help="On a cluster, GPUs for one training.")  # fmt: skip
def run(
    name: str,
    data: Path | None,
    profile: str,
    which: str,
    word2vec: Path | None,
    device: str,
    jobs: int | None,
    skip_damaged: bool,
    cluster: str | None,
    gpus_each: float,
    results: Path,
) -> None:
    """Train a grid of experiments; finished ones are kept, interrupted ones go on."""
    source = schedule.Source(name, data, word2vec, skip_damaged, heard=which != "text")
    workers = schedule.Workers(_jobs(jobs, device), device, cluster, gpus_each)
    opened = schedule.open_source(source)[0]
    experiments = grid(which, name, PROFILES[profile], cohort(opened))
    if word2vec is None and not opened.synthetic:
        trained = [e for e in experiments if e.embedding != "word2vec"]
        if len(trained) < len(experiments):
            click.echo("Table 5 is left out: it needs pretrained vectors, see --word2vec", err=True)
        experiments = trained
    todo = schedule.remaining(experiments, results)
    click.echo(f"{len(experiments)} experiments, {len(experiments) - len(todo)} already done")
    outcomes: list[schedule.Outcome] = []
    started = time.perf_counter()
    for outcome in schedule.run_grid(todo, source, workers, results):
        outcomes.append(outcome)
        seconds = time.perf_counter() - started
        click.echo(_progress(outcomes, len(todo), seconds, None if cluster else workers.jobs))
    if failed := sum(outcome.error is not None for outcome in outcomes):
        raise click.ClickException(f"{failed} of {len(todo)} experiments failed, see above")


@main.command()
@training_options
@click.option("--sample", type=click.IntRange(1), default=3, show_default=True,
              help="How many stored runs to draw.")  # fmt: skip
@click.option("--seed", type=int, help="Of the draw.  [default: another at each call]")
@click.option("--keep", is_flag=True, help="Note repeats to the bit in results/repeats.json.")
def rerun(
    name: str,
    data: Path | None,
    profile: str,
    sample: int,
    seed: int | None,
    skip_damaged: bool,
    keep: bool,
    word2vec: Path | None,
    device: str,
    jobs: int | None,
    results: Path,
) -> None:
    """Train a random sample of stored runs again from nothing, and compare; exit code 1 if not."""
    seen = text_fingerprint(open_corpus(name, data, skip_damaged).utterances)
    runs = load_runs(name, profile, results, seen)
    if not runs:
        raise InputError(results / name / profile, "no stored runs", "see `replicate run --help`")
    seed = random.randrange(10**6) if seed is None else seed
    drawn = random.Random(seed).sample(runs, min(sample, len(runs)))
    click.echo(f"{len(drawn)} of {len(runs)} runs, drawn with --seed {seed}")
    stored = {run.experiment: run for run in drawn}
    heard = any(run.provenance.audio_fingerprint for run in drawn)
    source = schedule.Source(name, data, word2vec, skip_damaged, heard)
    workers = schedule.Workers(_jobs(jobs, device), device)
    held = 0
    with tempfile.TemporaryDirectory() as folder:
        for outcome in schedule.run_grid(list(stored), source, workers, Path(folder)):
            if outcome.error is not None:
                raise click.ClickException(f"{outcome.experiment.name}: {outcome.error}")
            again = load_run(folder_of(outcome.experiment, Path(folder)))
            comparison = rerunning.compare(stored[outcome.experiment], again)
            held += comparison.holds
            click.echo(comparison)
            if keep and comparison.identical:
                rerunning.keep(stored[outcome.experiment], again, results)
    if held < len(drawn):
        raise click.ClickException(f"{len(drawn) - held} of {len(drawn)} repeats differ")


@main.command()
@click.option("--corpus", "name", required=True)
@click.option("--data", type=click.Path(path_type=Path, resolve_path=True),
              help="The corpus's folder.")  # fmt: skip
@skip_damaged_option
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS,
              help="Where runs and words are stored.  [default: results/]")  # fmt: skip
def words(name: str, data: Path | None, skip_damaged: bool, results: Path) -> None:
    """Store the words that go with each class: single words with counts, no sentences.

    By the true classes, and by those that the stored runs of text alone (profile paper) predict.
    """
    opened = open_corpus(name, data, skip_damaged)
    runs = load_runs(name, "paper", results, text_fingerprint(opened.utterances))
    alone = [run for run in runs if run.experiment.name.startswith("text-trainable-stratified")]
    for found in wordlists.make(opened, alone):
        click.echo(wordlists.save(found, results))


def _jobs(jobs: int | None, device: str) -> int:
    """How many trainings at once, if nothing else is asked for."""
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda", "PyTorch finds no GPU here", "use --device cpu")
    return jobs or (1 if device == "cuda" else os.cpu_count() or 1)


def _progress(
    outcomes: list[schedule.Outcome], total: int, seconds: float, jobs: int | None
) -> str:
    """The grid's state after the last of the outcomes; how many run is not known of a cluster."""
    done, last = len(outcomes), outcomes[-1]
    state = f"test accuracy {last.accuracy:.3f}" if last.error is None else f"FAILED\n{last.error}"
    best = max((o for o in outcomes if o.error is None), key=lambda o: o.accuracy, default=last)
    left = schedule.duration(seconds / done * (total - done))
    running = "" if jobs is None else f"{min(jobs, total - done)} running, "
    return (
        f"[{done} of {total} done, {running}{left} left, "
        f"best {best.accuracy:.3f} {best.experiment.name}] {last.experiment.name}: {state}"
    )


if __name__ == "__main__":
    main()
