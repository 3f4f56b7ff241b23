"""Sphinx goes by times and by what it remembers; of a build that was killed both may deceive it."""

import pickle
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

LOG = logging.getLogger(__name__)
MARK = ".unfinished"
#: As of a build with other settings, after which Sphinx writes every page.
OTHER_SETTINGS = "# Sphinx build info version 1\n#\nconfig: none\ntags: none\n"


def forget_damaged(app: Sphinx, config: Config) -> None:
    """Let Sphinx read all pages anew where one of those that it has read is damaged."""
    folder = Path(app.doctreedir)
    if damaged := [path for path in sorted(folder.rglob("*.doctree")) if not _is_whole(path)]:
        LOG.info("damaged, so all pages are read anew: %s", ", ".join(map(str, damaged)))
        (folder / "environment.pickle").unlink(missing_ok=True)


def _is_whole(path: Path) -> bool:
    try:
        pickle.loads(path.read_bytes())
    except Exception:  # of whatever kind: damage has no rules
        return False
    return True


def begin(app: Sphinx) -> None:
    """Mark the output as unfinished; if it is, its pages may be half written: write them all."""
    mark = Path(app.outdir) / MARK
    if mark.exists():
        (Path(app.outdir) / ".buildinfo").write_text(OTHER_SETTINGS)
    mark.touch()


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Take the mark away, unless the build has failed."""
    if exception is None:
        (Path(app.outdir) / MARK).unlink(missing_ok=True)


def setup(app: Sphinx) -> None:
    """Watch a build from its settings to its end."""
    app.connect("config-inited", forget_damaged)
    app.connect("builder-inited", begin)
    app.connect("build-finished", finish)
