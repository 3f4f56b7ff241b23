"""Options that several commands share; what they look up is imported when they are used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from replicate.runs.experiments import GRIDS, PROFILES
from replicate.settings import RESULTS

Command = TypeVar("Command", bound=Callable[..., Any])

#: `\b` keeps the lines as they are.
GRIDS_IN_WORDS = "\b\nGrids:\n" + "\n".join(
    f"  {name}: {made.about}" for name, made in GRIDS.items()
)


def known(context: click.Context, option: click.Parameter, name: str) -> str:
    """The name of a corpus, looked at before all else; `InputError` where there is none."""
    from replicate.corpora.names import require_known

    require_known(name)
    return name


def _together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, shown in this order."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


class _Path(click.Path):
    """A path whose `~` is a home also after `--data=`, and whose name can be stored."""

    def convert(self, value: Any, *context: Any) -> Any:
        from replicate.files import usable

        return super().convert(usable(Path(value)), *context)


path = _Path(path_type=Path)
path_in_full = _Path(path_type=Path, resolve_path=True)
_corpus = partial(click.option, "--corpus", "name", callback=known, help="Which corpus.")
corpus, real_corpus = _corpus(default="standin-quick"), _corpus(required=True)
skip_damaged = click.option("--skip-damaged", is_flag=True, envvar="REPLICATE_SKIP_DAMAGED",
                            help="Leave damaged utterances out.")  # fmt: skip
#: Where a corpus lies, and whether all of it is wanted.
data = _together(
    click.option("--data", type=path_in_full, help="The corpus's folder."), skip_damaged
)
results = click.option("--results", type=_Path(file_okay=False, path_type=Path),
                       default=RESULTS, help="Where results are stored.")  # fmt: skip

#: Of every command that trains: on what and where.
training = _together(
    corpus,
    data,
    click.option("--word2vec",
                 type=_Path(exists=True, dir_okay=False, path_type=Path, resolve_path=True),
                 help="File of pretrained vectors."),
    click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu",
                 help="Where to train."),
    click.option("--jobs", type=click.IntRange(1),
                 help="Trainings at once.  [default: one a core; 1 on a GPU]"),
    results,
)  # fmt: skip


def profile(*others: str) -> Callable[[Command], Command]:
    """The option `--profile`: a protocol, or one of some other names."""
    return click.option("--profile", type=click.Choice([*PROFILES, *others]), default="quick",
                        help="The protocol: epochs, seeds, what is held out.")  # fmt: skip
