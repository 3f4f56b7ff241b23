"""Settings from the environment, read as the command line reads them."""

import os

import click

from replicate.files import InputError


def switch(variable: str) -> bool:
    """Whether a variable says yes (`1`, `yes`, `true`, `on`); unset, empty, or a no is False.

    `InputError` for any other word.
    """
    said = os.environ.get(variable, "").strip()
    try:
        return bool(said) and click.BOOL.convert(said, None, None)
    except click.BadParameter as error:
        raise InputError(
            f"{variable}={said}", "says neither yes nor no", "set it to 1 or 0, yes or no"
        ) from error
