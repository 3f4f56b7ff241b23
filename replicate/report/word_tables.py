"""What other pages still need of stored words: sources, and what Equation 1 leaves."""

from collections.abc import Mapping
from dataclasses import fields

from replicate.report.provenance import Source
from replicate.report.stored import of_words
from replicate.wordlists import Classes, Thinned, WordList, printed_words

__all__ = ["printed_words", "sources", "thinned_in_words"]


def sources(corpus: str) -> list[Source]:
    """The source of what is judged of a corpus's words; empty where nothing is stored."""
    found = of_words(corpus, "one-test-set")
    return [found] if isinstance(found, Source) else []


def thinned_in_words(lists: Mapping[Classes, WordList]) -> dict[str, str]:
    """What Equation 1 does to a corpus, `real_tokens` and so on; `(not counted yet)` without it."""
    if "true" not in lists:
        names = [f"real_{field.name}" for field in fields(Thinned)]
        return dict.fromkeys(names, "(not counted yet)")
    left = lists["true"].thinned
    return {
        "real_tokens": f"{left.tokens:,}",
        "real_most_frequent": f"{left.most_frequent:,}",
        "real_highest": f"{left.highest:.2f}",
        "real_dropped": f"{left.dropped:.0%}",
        "real_emptied": f"{left.emptied:.1%}",
    }
