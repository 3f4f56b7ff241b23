"""Players: an utterance as Ogg Vorbis, about 7 KB a second, inside the page."""

import base64
import io

import numpy as np
import soundfile

from replicate.corpora.table import Corpus
from replicate.corpora.waveforms import SAMPLE_RATE
from replicate.report.provenance import Exhibit, of_corpus, or_notice
from replicate.runs.selection import Missing


@or_notice
def player(wave: np.ndarray, caption: str, corpus: Corpus) -> Exhibit:
    """An audio element that plays one utterance of the stand-in.

    Recordings of other corpora are not ours to put into a page.

    Args:
        wave: float samples in [-1, 1) at 16 kHz.
        caption: what is to be heard.
        corpus: where it comes from.
    """
    if not corpus.synthetic:
        raise Missing(
            f"Recordings of {corpus.title} are not put into pages ({caption}).",
            "IPython.display.Audio(waveforms.waveform(utterance), rate=16_000)",
        )
    file = io.BytesIO()
    soundfile.write(file, wave, SAMPLE_RATE, format="OGG", subtype="VORBIS")
    sound = base64.b64encode(file.getvalue()).decode()
    body = f'<audio controls preload="metadata" src="data:audio/ogg;base64,{sound}"></audio>'
    return Exhibit(body, f"[sound: {len(wave) / SAMPLE_RATE:.1f} s]", caption, (of_corpus(corpus),))
