"""A replication of Lima & Bak (2018), number by number."""

import getpass
import os
from pathlib import Path


def folder_named(variable: str) -> Path | None:
    """The folder that a variable of the environment names, `~` as in a shell; None if empty."""
    named = os.environ.get(variable)
    return Path(os.path.expanduser(named)) if named else None


try:
    getpass.getuser()
except (KeyError, OSError, ImportError):  # no such user, as in containers; PyTorch asks for one
    os.environ["LOGNAME"] = f"user-{os.getuid()}"
