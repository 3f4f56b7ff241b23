"""What another page still needs: the source of a corpus's stored levels."""

from replicate.report.provenance import Source
from replicate.report.stored import of_levels


def sources(corpus: str) -> list[Source]:
    """The source of what is judged of a corpus's levels; empty where nothing is stored."""
    found = of_levels(corpus)
    return [found] if isinstance(found, Source) else []
