"""The command line: `replicate corpus check | build`, `replicate run | rerun | verdicts | ...`.

A command imports what it needs when it is called, so that help and errors of usage come at once.
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from replicate import options
from replicate.runs.experiments import GRIDS, PROFILES, Experiment, serves
from replicate.settings import FOLDS

if TYPE_CHECKING:
    from replicate.corpora.table import Corpus


class _Commands(click.Group):
    """Shows bad input as one clear error, and an interruption as what it leaves behind."""

    def invoke(self, ctx: click.Context) -> object:
        from replicate.files import InputError
        from replicate.interrupts import exit_code, report, sigterm_interrupts

        try:
            with sigterm_interrupts():
                return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except InputError as error:
            raise click.ClickException(str(error)) from error
        except Exception as error:
            click.echo(report(error), err=True)
            sys.exit(70)  # an internal error's, in sysexits.h
        except KeyboardInterrupt as error:
            click.echo(
                "\nInterrupted. Nothing is broken: `replicate run` goes on where it stopped, "
                "`replicate rerun` begins anew.",
                err=True,
            )
            sys.exit(exit_code(error))


@click.group(cls=_Commands, context_settings={"show_default": True})
@click.version_option(package_name="lima-bak-replication")
def main() -> None:
    """Replicate Lima & Bak (2018), speech emotion from raw audio and transcriptions."""


@main.group()
def corpus() -> None:
    """Build the stand-in corpus, or check any corpus."""


@corpus.command("check")
@click.argument("name", callback=options.known)
@click.argument("path", type=options.path, required=False)
@options.skip_damaged
@click.option("--all", "every", is_flag=True, help="Print each of many problems that are alike.")
def corpus_check(name: str, path: Path | None, skip_damaged: bool, every: bool) -> None:
    """Read corpus NAME at PATH, report counts and every problem; exit code 1 if unusable."""
    from replicate.corpora.check import check, render

    report = check(name, path, skip_damaged)
    click.echo(render(report, every))
    sys.exit(0 if report.usable else 1)


@corpus.command("build")
@click.argument("name", default="standin-quick")
def corpus_build(name: str) -> None:
    """Generate the stand-in NAME (standin-quick, standin-full, ...) where it is missing."""
    from replicate.corpora.opening import open_corpus
    from replicate.files import InputError

    if not name.startswith("standin-"):
        raise InputError(name, "is not generated", f"see `replicate corpus check {name} PATH`")
    built = open_corpus(name)
    click.echo(f"{built.title}: {len(built.utterances)} utterances in {built.root}")


@main.command(epilog=options.GRIDS_IN_WORDS)
@options.training
@options.profile()
@click.option("--grid", "which", type=click.Choice(list(GRIDS)),
              help="Which experiments.  [default: tables; demo has its own]")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), help="Only so many of the profile's seeds.")
@click.option("--cluster", metavar="ADDRESS", help="Train on the Ray cluster at HOST:PORT instead.")
@click.option("--gpus-each", type=click.FloatRange(0, min_open=True), default=0.25,
              help="On a cluster, GPUs for one training.")  # fmt: skip
@click.option("--keep-weights", is_flag=True, help="Keep the models, for `replicate predict`.")
def run(
    name: str, data: Path | None, profile: str, which: str | None, word2vec: Path | None,
    device: str, jobs: int | None, skip_damaged: bool, seeds: int | None, cluster: str | None,
    gpus_each: float, keep_weights: bool, results: Path,
) -> None:  # fmt: skip
    """Train a grid of experiments; finished ones are kept, interrupted ones go on."""
    from replicate.corpora.protocol import cohort
    from replicate.files import InputError, require_writable
    from replicate.runs import published, versions
    from replicate.runs.grids import grid
    from replicate.training import pretrained, schedule, worker

    which = which or PROFILES[profile].grid
    heard = any(model != "text" for model, _ in GRIDS[which].rows)
    source = worker.Source(name, data, word2vec, skip_damaged, heard)
    workers = worker.workers(jobs, device, cluster, gpus_each)
    opened, sound = worker.open_source(source)
    place = results / name / profile
    known = published.stored_records(place)
    versions.require(known, versions.at_hand(opened, sound), place)
    wanted = replace(PROFILES[profile], seeds=PROFILES[profile].seeds[:seeds])
    experiments = grid(which, name, wanted, cohort(opened), opened.audio_input)
    if not experiments:
        raise InputError(name, f"has no {GRIDS[which].folds}s", "choose another grid")
    experiments = _served(experiments, opened, word2vec)
    kept = experiments if keep_weights else experiments[-1:] if wanted.keeps else []
    workers = replace(workers, keep=frozenset(kept))
    todo = [e for e in experiments if not worker.is_done(e, results, e in workers.keep)]
    click.echo(f"{len(experiments)} experiments, {len(experiments) - len(todo)} already done")
    if told := pretrained.check(experiments, source, known, place):
        click.echo(told, err=True)
    require_writable(place)
    outcomes: list[worker.Outcome] = []
    started, running = time.perf_counter(), None if cluster else workers.jobs
    for outcome in schedule.run_grid(todo, source, workers, results):
        outcomes.append(outcome)
        click.echo(worker.state(outcomes, len(todo), time.perf_counter() - started, running))
    if failed := sum(outcome.error is not None for outcome in outcomes):
        raise click.ClickException(f"{failed} of {len(todo)} experiments failed, see above")
    published.pack(place)


#: A model of one modality -> a grid of it alone.
ALONE = {"text": "text", "audio": "learning-curve"}


def _served(
    experiments: list[Experiment], opened: Corpus, word2vec: Path | None
) -> list[Experiment]:
    """The experiments that a corpus has all for; says which are left out."""
    from replicate.files import InputError

    said = bool(opened.utterances["transcript"].notna().any())
    served = [e for e in experiments if serves(e.choice, opened.audio_input)]
    if left := len(experiments) - len(served):
        sound, _, _ = opened.audio_input.partition(",")
        click.echo(f"{left} experiments are left out: they say nothing of {sound}", err=True)
    for needed, there, free in (
        ("audio", opened.has_sound, "text"),
        ("transcripts", said, "audio"),
    ):
        kept = [e for e in served if there or e.model == free]
        lacking = f"{needed}, and {opened.name} has none: see `--grid {ALONE[free]}`, or --data"
        if not kept:
            what = f"every experiment needs {lacking}"
            raise InputError(opened.name, what, "choose another grid")
        if left := len(served) - len(kept):
            click.echo(f"{left} experiments are left out: they need {lacking}", err=True)
        served = kept
    trained = [e for e in served if word2vec or opened.synthetic or e.embedding != "word2vec"]
    if len(trained) < len(served):
        click.echo("Table 5 is left out: it needs pretrained vectors, see --word2vec", err=True)
    return trained


@main.command()
@options.corpus
@options.data
@click.option("--folds", "kind", type=click.Choice(FOLDS), default="stratified",
              help="What is held out.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), default=10, help="Random splits, if stratified.")
@options.results
def baselines(
    name: str, data: Path | None, skip_damaged: bool, kind: str, seeds: int, results: Path
) -> None:
    """Compute every baseline that a corpus allows; what is stored is kept."""
    from replicate.corpora.opening import open_corpus, open_sound
    from replicate.files import require_writable
    from replicate.report.layout import overview
    from replicate.runs import published
    from replicate.runs.baselines import BASELINES, PROFILE
    from replicate.runs.versions import at_hand
    from replicate.training import baselines as training_baselines

    opened = open_corpus(name, data, skip_damaged)
    settings = training_baselines.wanted(opened, kind, seeds)
    for left_out in sorted(set(BASELINES) - {setting.model for setting in settings}):
        needs = " and ".join(BASELINES[left_out].needs)
        click.echo(f"{left_out} is left out: it needs {needs}", err=True)
    sound = open_sound(opened)
    stored = published.load_runs(name, PROFILE, results, at_hand(opened, sound))
    done = {result.experiment: result for result in stored}
    todo = [setting for setting in settings if setting not in done]
    click.echo(f"{len(settings)} results, {len(settings) - len(todo)} already there")
    if todo:
        require_writable(results / name / PROFILE)
        for result in training_baselines.compute(todo, opened, sound, results):
            done[result.experiment] = result
            click.echo(f"  {result.experiment.name}: {result.provenance.wall_seconds:.1f} s")
    published.pack(results / name / PROFILE)
    click.echo(overview([done[setting] for setting in settings]))


@main.command()
@click.argument("run")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path),
                metavar="[FILE | FOLDER | TABLE.csv]...")  # fmt: skip
@click.option("--text", help="What is said in the one FILE.")
@click.option("--json", "as_json", is_flag=True, help="All there is to know, for programs.")
@options.results
def predict(run: str, paths: tuple[Path, ...], text: str | None, as_json: bool,
            results: Path) -> None:  # fmt: skip
    """Say what a RUN's model makes of recordings and texts; never to be used to judge people.

    RUN is CORPUS/PROFILE/NAME, or CORPUS/PROFILE where one run's weights were kept, such as
    standin-quick/demo. A TABLE has columns file, text or both.
    """
    from replicate.corpora.given import gathered
    from replicate.training.predict import in_json, in_words, open_model

    given = gathered(paths, text)
    if not given:
        raise click.UsageError("name a FILE, a FOLDER or a TABLE.csv, or pass --text")
    for part in (in_json if as_json else in_words)(open_model(run, results), given):
        click.echo(part)


@main.command()
@options.training
@options.profile("baselines")
@click.option("--sample", type=click.IntRange(1), default=3, help="How many stored runs to draw.")
@click.option("--seed", type=int, help="Of the draw.  [default: another at each call]")
@click.option("--report", type=options.path_in_full, metavar="FILE",
              help="Write what came of it; the book shows what is in results/reruns/.")  # fmt: skip
@click.option("--signed", metavar="NAME", help="Who signs the report.  [default: git's user.name]")
def rerun(
    name: str, data: Path | None, profile: str, sample: int, seed: int | None, skip_damaged: bool,
    report: Path | None, signed: str | None, word2vec: Path | None, device: str, jobs: int | None,
    results: Path,
) -> None:  # fmt: skip
    """Make a random sample of stored results again from nothing; exit code 1 if they differ."""
    from replicate.files import InputError, require_writable
    from replicate.runs import rerun as rerunning
    from replicate.runs import versions
    from replicate.runs.published import load_runs
    from replicate.training import pretrained, worker
    from replicate.training.repeats import repeated

    place, stored = results / name / profile, load_runs(name, profile, results)
    if not stored:
        command = "baselines" if profile == "baselines" else "run"
        raise InputError(place, "nothing is stored", f"see `replicate {command} --help`")
    seed = random.randrange(10**6) if seed is None else seed
    drawn = random.Random(seed).sample(stored, min(sample, len(stored)))
    click.echo(f"{len(drawn)} of {len(stored)} results, drawn with --seed {seed}")
    if report is not None:
        signed = signed or rerunning.signer()
        require_writable(report.parent)
        if report.exists():
            raise InputError(report, "is there already", "name another file")
    heard = any(result.provenance.audio_fingerprint for result in drawn)
    source = worker.Source(name, data, word2vec, skip_damaged, heard)
    known = {result.experiment.name: result for result in stored}
    versions.require(known, versions.at_hand(*worker.open_source(source)), place)
    trained = [made for made in (one.experiment for one in drawn) if isinstance(made, Experiment)]
    pretrained.check(trained, source, known, place)
    made = []
    started = time.perf_counter()
    for result, again in repeated(drawn, source, worker.workers(jobs, device)):
        made.append((result, again, rerunning.compare(result, again)))
        click.echo(made[-1][-1])
        if report is not None and signed:
            rerunning.write_report(report, signed, made, time.perf_counter() - started)
    if differ := sum(not comparison.holds for *_, comparison in made):
        raise click.ClickException(f"{differ} of {len(drawn)} repeats differ")


@main.command()
@options.corpus
@click.option("--data", type=options.path_in_full,
              help="The corpus's folder; not needed for what its stored runs decide.")  # fmt: skip
@options.skip_damaged
@click.option("--profile", type=click.Choice(list(PROFILES)),
              help="Whose runs.  [default: paper if there are any, else quick]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="All there is to know, for programs.")
def verdicts(
    name: str, data: Path | None, skip_damaged: bool, profile: str | None, as_json: bool
) -> None:
    """Say which claims of the paper the stored runs of a corpus bear out."""
    from replicate.corpora.opening import open_text
    from replicate.runs.selection import load
    from replicate.verdicts import claims

    readable = data is not None or name.startswith("standin-")
    opened = open_text(name, data, skip_damaged) if readable else None
    runs = load(name, *([profile] if profile else ["paper", "quick"]), seen=opened)
    given = claims.verdicts(runs, opened)
    if as_json:
        click.echo(given.reset_index().to_json(orient="records", indent=1, force_ascii=False))
    else:
        click.echo(f"{runs.corpus}, profile {runs.profile}, {len(runs)} runs\n")
        click.echo(claims.told(given))


@main.command()
@options.real_corpus
@options.data
@options.results
def words(name: str, data: Path | None, skip_damaged: bool, results: Path) -> None:
    """Store the words that go with each class: single words with counts, no sentences.

    By the true classes, and by those that the stored runs of text alone (profile paper) predict;
    and the words that the paper names, by Att_d^1 with GloVe, where that has runs.
    """
    from replicate.corpora.opening import open_corpus
    from replicate.runs.selection import load
    from replicate.studies import wordlists

    opened = open_corpus(name, data, skip_damaged)
    runs = load(name, "paper", seen=opened, root=results)
    for found in wordlists.make(opened, runs.of("text", "trainable").runs):
        click.echo(found.save(results))
    if best := runs.of("att_d1", "glove", "own"):
        click.echo(wordlists.of_runs(opened, best).save(results))


@main.command()
@options.real_corpus
@options.data
@options.results
def loudness(name: str, data: Path | None, skip_damaged: bool, results: Path) -> None:
    """Store how loud each utterance is: ids, classes, speakers and two numbers each.

    Of iemocap-features, whose levels others published, one row for each speaker and class.
    """
    from replicate.corpora.opening import open_corpus
    from replicate.studies import loudness, released_levels

    opened = open_corpus(name, data, skip_damaged)
    study = released_levels if name == "iemocap-features" else loudness
    click.echo(study.make(opened).save(results))


@main.group("results")
def stored() -> None:
    """Publish finished results as few files, or give each a folder of its own again."""


@stored.command("pack")
@options.results
def results_pack(results: Path) -> None:
    """Publish every finished result that has a folder of its own, as `run` and `baselines` do."""
    from replicate.runs import published

    for folder in sorted(path for path in results.glob("*/*") if path.is_dir()):
        if packed := published.pack(folder):
            click.echo(f"{folder}: {packed} packed")


@stored.command("unpack")
@options.real_corpus
@click.option("--profile", required=True, help="A protocol, or `baselines`.")
@options.results
def results_unpack(name: str, profile: str, results: Path) -> None:
    """Give every published result a folder of its own again, to remove or replace some."""
    from replicate.runs import published

    unpacked = published.unpack(results / name / profile)
    click.echo(f"{results / name / profile}: {unpacked} unpacked")


if __name__ == "__main__":
    main()
