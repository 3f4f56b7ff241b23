"""`python tests/standin_manifest.py`: generate the published corpora, keep their fingerprints.

Run it after any change to the generator. Every preset is published in the small sizes; of the full
size only the default preset, which takes most of the time.
"""

import json
import tempfile
from itertools import product
from pathlib import Path

from replicate.corpora import standin
from replicate.corpora.standin.casting import SIZES
from replicate.corpora.standin.channels import PRESETS
from replicate.corpora.standin.manifest import fingerprint
from replicate.corpora.standin.write import generate
from replicate.files import replacing


def main() -> None:
    """Write `manifest.json` anew."""
    found = {}
    small = product([size for size in SIZES if size != "full"], PRESETS)
    for size, preset in [*small, ("full", "default")]:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "corpus"
            generate(root, size, preset)
            found[f"{size}-{preset}"] = fingerprint(root)
        print(f"{size}-{preset}", *found[f"{size}-{preset}"].values())
    with replacing(Path(standin.__file__).with_name("manifest.json")) as path:
        path.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
