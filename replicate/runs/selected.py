"""The stored runs of a corpus and profile, as pages take them, and what is missing."""

from dataclasses import replace

from replicate.runs.store import Run


def under(run: Run, treatment: str) -> Run:
    """The run with its answers under a treatment in place of the last epoch's."""
    rows = run.treated[run.treated["treatment"] == treatment].drop(columns="treatment")
    return replace(run, predictions=rows.assign(selection="last-epoch"))


#: Stands in the prose for the numbers of runs that are not there.
ABSENT = "(not run yet)"


#: How the epoch was chosen, in words (see `replicate.runs.store.SELECTIONS`).
CHOSEN = {
    "last-epoch": "last epoch",
    "development-best": "best development epoch",
    "test-best": "best test epoch (chosen on the test set: optimistic)",
}


class Missing(LookupError):
    """Something that a table or figure needs is not there.

    Args:
        what: what is missing, a sentence.
        remedy: what provides it, as a rule a command.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}\n  -> {remedy}")
        self.what = what
        self.remedy = remedy
