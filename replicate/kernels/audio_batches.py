"""Recordings as the compiled loops take them: aligned, in batches."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from replicate.corpora.waveforms import Waveforms
from replicate.kernels import audio_loops
from replicate.kernels.audio_loops import BLOCK, FULL_SCALE, H1, H2, K1, TAIL, Array, Recordings
from replicate.kernels.compiled import share_out


class FusedAudio:
    """The waveforms of a corpus, read where they lie (a memory map) and never copied."""

    def __init__(self, waveforms: "Waveforms") -> None:
        samples = np.asarray(waveforms.samples).view(np.ndarray)
        samples.flags.writeable = False  # one type of array, so kernels are compiled once
        lengths = np.ascontiguousarray(waveforms.lengths, np.int64)
        offsets = np.ascontiguousarray(waveforms.offsets, np.int64)
        self.recordings = Recordings(samples, offsets, lengths, lengths)
        self._lag_sums = np.full((len(lengths), K1 + 1), np.nan)  # NaN: not yet known

    def of(self, waveforms: "Waveforms") -> "FusedAudio":
        """The same for another store."""
        return FusedAudio(waveforms)

    def lag_sums(self, rows: Array) -> Tensor:
        """[26], float64: lag sums 0..24 and the sum of the utterances `rows`, added up."""
        unknown = np.unique(rows[np.isnan(self._lag_sums[rows, K1])])
        if len(unknown):
            share_out(
                audio_loops.waveform_lag_sums,
                len(unknown),
                self.recordings,
                unknown,
                self._lag_sums,
            )
        units = np.append(np.full(K1, FULL_SCALE**2), FULL_SCALE)
        return torch.from_numpy(self._lag_sums[rows].sum(0) * units)

    def batch(self, rows: Sequence[int] | Array, masked: bool = False) -> "FusedBatch":
        """The utterances `rows`, zero-padded to the longest of them (Section 3.1) unless masked."""
        return FusedBatch(self, np.asarray(rows, np.int64), masked)


class FusedBatch:
    """Utterances of a `FusedAudio`, zero-padded to the longest of them; masked, not padded.

    Attributes:
        recordings: the utterances.
        padded: [B], samples to which each utterance is padded: T, or masked its own length.
        dropped: padded positions that are not kept (idea 3), of all utterances together.
        lag_sums: [26], see `FusedAudio.lag_sums`.
        edges: [2, B, 14], the first and the last samples of each padded utterance.
    """

    def __init__(self, audio: FusedAudio, rows: Array, masked: bool = False) -> None:
        store = audio.recordings
        lengths = store.lengths[rows]
        self.padded = lengths if masked else np.full_like(lengths, lengths.max())
        kept = np.minimum(self.padded, lengths + TAIL)
        self.recordings = Recordings(store.samples, store.offsets[rows], lengths, kept)
        self.dropped = int((self.padded - kept).sum())
        self.lag_sums = audio.lag_sums(rows)
        self.edges = self._edges(H1 + H2)

    def __len__(self) -> int:
        return len(self.recordings.lengths)

    @cached_property
    def blocks(self) -> Array:
        """[n, 2], utterance and first position of blocks that cover all that is kept."""
        kept = enumerate(self.recordings.kept)
        return np.array([(i, start) for i, end in kept for start in range(0, end, BLOCK)])

    def _edges(self, count: int) -> Tensor:
        samples, offsets, lengths, kept = self.recordings
        time = np.arange(count) + np.stack([np.zeros_like(kept), kept - count])[..., None]
        inside = (time >= 0) & (time < lengths[:, None])  # [2, B, count]
        found = samples[np.where(inside, offsets[:, None] + time, 0)]
        return torch.from_numpy(np.where(inside, found * FULL_SCALE, 0))

    def bins(self, count: int) -> tuple[Array, Array]:
        """The bins of `adaptive_max_pool1d`, as far as they are kept.

        That is the first position of each bin, [B, count], and one beyond its last position.
        """
        index, padded = np.arange(count), self.padded[:, None]
        begins = index * padded // count
        ends = -(-(index + 1) * padded // count)
        lengths, kept = self.recordings.lengths[:, None], self.recordings.kept[:, None]

        def kept_position(position: Array) -> Array:
            beyond: Array = np.clip(position - lengths - TAIL // 2, 0, padded - kept)
            return position - beyond

        return kept_position(begins), kept_position(ends - 1) + 1
