"""A corpus that anyone can have: generated, in IEMOCAP's layout, of known informativeness.

`channels` says what each modality knows, `casting` who speaks when and feels what, `grammar` finds
words, `planning` puts them together, `voice` speaks, `write` fills a folder and `manifest` tells
whether it is the published one; `python tests/standin_manifest.py` publishes it anew. `SUMMARY`
says what the corpus is not, `ceilings(preset)` what each modality tells, and `evidence` what the
text and the sound of single utterances do.
"""

from replicate.corpora.names import size_and_preset
from replicate.corpora.standin.casting import SIZES
from replicate.corpora.standin.channels import PRESETS, SUMMARY, ceilings, prior
from replicate.corpora.standin.grammar import sentences
from replicate.corpora.standin.manifest import fingerprint, published
from replicate.corpora.standin.planning import Planned, evidence, plan

__all__ = [
    "PRESETS", "SIZES", "SUMMARY", "Planned", "ceilings", "evidence", "fingerprint", "plan",
    "prior", "published", "sentences", "size_and_preset",
]  # fmt: skip
