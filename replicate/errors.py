"""The one error that bad input raises: what is wrong, where, and what to do about it."""


class InputError(Exception):
    """Input that cannot be used.

    Args:
        place: the file, `file:line` or utterance id at fault.
        what: what is wrong there.
        remedy: what the user can do about it.
    """

    def __init__(self, place: object, what: str, remedy: str) -> None:
        super().__init__(f"{place}: {what}\n  -> {remedy}")
        self.place = str(place)
        self.what = what
        self.remedy = remedy

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str, str]]:
        """Pickle by the three arguments, so that the error survives a worker process."""
        return type(self), (self.place, self.what, self.remedy)
