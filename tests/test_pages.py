"""Every page runs from top to bottom, with runs and without, and so does all that it suggests."""

import json
import os
import re
import shlex
import subprocess
import sys
from itertools import chain

import made_store
import pytest
import run_pages

from replicate.__main__ import main
from replicate.settings import MARK

PATHS = sorted(run_pages.NOTEBOOKS.glob("[0-9][0-9]_*.md"))
PAGES = [path.stem for path in PATHS]
#: In a line below an exhibit that names runs.
OF_RUNS = " · profile "
#: What stands for the runs that a page lacks.
ABSENT = "Not here yet"


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """What pages showed on an empty store, then on made runs, where all is tried that they suggest.

    One process does it all: imports, corpora and the stand-in's sentences are paid once.
    """
    folder = tmp_path_factory.mktemp("pages")
    made_store.write(folder / "made")
    store, out = folder / "results", folder / "out.jsonl"
    store.mkdir()
    settings = {"REPLICATE_RESULTS": store, "IPYTHONDIR": folder, "MPLBACKEND": "agg"}
    subprocess.run(
        [sys.executable, run_pages.__file__, out, "--try", "--then", folder / "made"],
        env=os.environ | {name: str(value) for name, value in settings.items()},
        check=True,
        capture_output=True,
    )
    return [run_pages.Step(**step) for step in map(json.loads, out.read_text().splitlines())]


def by_page(steps, store):
    return {page: [s for s in steps if s.page == page and s.store == store] for page in PAGES}


@pytest.fixture(scope="module")
def on_nothing(steps):
    return by_page(steps, 0)


@pytest.fixture(scope="module")
def on_made_runs(steps):
    return by_page(steps, 1)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_and_so_does_what_it_suggests(on_made_runs, page):
    first, *others = on_made_runs[page]
    assert first.error == ""
    assert any(first.cells) and others, "shows nothing, or suggests nothing that is tried"
    needs_a_copy = "InputError: iemocap: "
    errors = {"; ".join(step.tried): step.error for step in others if step.error}
    assert {code: error for code, error in errors.items() if needs_a_copy not in error} == {}


@pytest.mark.parametrize("page", PAGES)
def test_without_runs_a_page_says_what_makes_them(on_made_runs, on_nothing, page):
    """What needs no run, such as the criteria, is shown all the same."""
    with_runs, (without,) = on_made_runs[page][0], on_nothing[page]
    assert without.error == ""
    before, after = (list(chain.from_iterable(step.cells)) for step in (with_runs, without))
    assert not [text for text in after if OF_RUNS in text]
    notices = [text for text in after if ABSENT in text and "replicate " in text]
    assert notices or not [text for text in before if OF_RUNS in text]


def test_what_the_stand_in_made_is_marked(on_made_runs):
    """Its title stands in the line of origin of whatever it made, alone or with others."""
    texts = [text for steps in on_made_runs.values() for s in steps for c in s.cells for text in c]
    made = [text for text in texts if re.search(r"\(synthetic\b.* · ", text)]
    assert len(made) > 50
    assert [text for text in made if MARK not in text] == []


def parse(line, tmp_path):
    """Parse a command line as the shell would, and run nothing."""
    file = tmp_path / "file"
    file.touch()
    _, *arguments = shlex.split(re.sub(r"\b(PATH|FILE)\b", str(file), line))
    command = main
    while hasattr(command, "commands"):
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context(name, arguments)


@pytest.mark.parametrize("path", PATHS, ids=PAGES)
def test_suggested_commands_exist(path, tmp_path):
    for span in chain.from_iterable(run_pages.points(path)):
        if span.startswith("replicate "):
            parse(span, tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_notices_exist(on_nothing, tmp_path, page):
    for text in chain.from_iterable(on_nothing[page][0].cells):
        command = text.splitlines()[-1]
        if text.startswith(ABSENT) and command.startswith("replicate "):
            parse(command, tmp_path)
