"""Recordings: what is refused and why, the memory map, and Table 8."""

import os
import re
import shlex
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from trees import COHORT, label_file, tone, wav_file, write_iemocap, write_wav

from replicate.corpora import iemocap
from replicate.corpora.protocol import cohort
from replicate.corpora.table import Corpus
from replicate.corpora.waveforms import decode, levels, open_waveforms, statistics
from replicate.files import InputError, cache_folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("REPLICATE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def corpus(tmp_path) -> Corpus:
    return iemocap.read(write_iemocap(tmp_path))


@pytest.fixture
def tree(corpus) -> Path:
    return corpus.root


# Decoding


@settings(deadline=None)
@given(arrays(np.int16, st.integers(1, 400)))
def test_decoding_is_what_soundfile_reads(tmp_path_factory, samples):
    path = tmp_path_factory.getbasetemp() / "any.wav"
    soundfile.write(path, samples, 16_000, subtype="PCM_16")
    assert decode(path).dtype == np.int16
    np.testing.assert_array_equal(decode(path), samples)
    np.testing.assert_array_equal(decode(path), soundfile.read(path, dtype="int16")[0])


UNKNOWN = 0xFFFFFFFF
HEADS = {
    "sizes right": {},
    "of a head that was never finished": {"riff": 36, "data": 0},
    "no sizes": {"riff": 0, "data": 0},
    "no size of the samples": {"data": 0},
    "the size of the head alone": {"riff": 36},
    "no size of the file": {"riff": 0},
    "sizes unknown": {"riff": UNKNOWN, "data": UNKNOWN},
    "sizes unknown to sox": {"riff": 0x7FFFF024, "data": 0x7FFFF000},
    "a size unknown to arecord": {"data": 0x80000000},
}


def headed(
    samples: np.ndarray,
    riff: int | None = None,
    data: int | None = None,
    extensible: bool = False,
    after: bytes = b"",
) -> bytes:
    """A wav file whose head gives these sizes; the right ones where it is None."""
    sound = samples.astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else 1, 1, 16_000, 32_000, 2, 16)
    if extensible:
        guid = bytes.fromhex("0100000000001000800000aa00389b71")
        form += struct.pack("<HHI", 22, 16, 4) + guid
    size = len(sound) if data is None else data
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", size) + sound + after
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_what_every_player_opens_is_read_whole(tmp_path, head, extensible):
    path = tmp_path / "a.wav"
    path.write_bytes(headed(tone(), **HEADS[head], extensible=extensible))
    np.testing.assert_array_equal(decode(path), tone())


def test_a_file_of_64_bit_sizes_is_read_whole_and_missed_if_cut(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(), 16_000, format="RF64", subtype="PCM_16")
    np.testing.assert_array_equal(decode(path), tone())
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match="cut short"):
        decode(path)


@pytest.mark.parametrize("lost", [1, 2, 1000, 3200])
@pytest.mark.parametrize("riff", [None, 36, 0, UNKNOWN])
def test_samples_that_the_head_announces_must_be_there(tmp_path, riff, lost):
    path = tmp_path / "a.wav"
    path.write_bytes(headed(tone(), riff)[:-lost])
    with pytest.raises(InputError, match=r"is cut short: .* of the 1,600 samples"):
        decode(path)


def test_a_chunk_after_no_samples_is_no_sound(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(headed(tone()[:0], after=b"LIST" + struct.pack("<I", 4) + b"INFO"))
    with pytest.raises(InputError, match="zero length"):
        decode(path)


def test_chunks_around_the_samples_are_no_samples(tmp_path):
    write_wav(tmp_path / "a.wav", tone())
    plain = (tmp_path / "a.wav").read_bytes()
    extra = b"LIST" + (4).to_bytes(4, "little") + b"INFO"
    body = plain[12:36] + extra + plain[36:] + extra
    (tmp_path / "b.wav").write_bytes(
        b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WAVE" + body
    )
    np.testing.assert_array_equal(decode(tmp_path / "b.wav"), tone())


def zero_length(path: Path) -> None:
    write_wav(path, tone()[:0])


def cut_short(path: Path) -> None:
    write_wav(path, tone(0.1))
    path.write_bytes(path.read_bytes()[:-1001])


def cut_in_the_header(path: Path) -> None:
    write_wav(path, tone())
    path.write_bytes(path.read_bytes()[:30])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("no sound\n" * 100)


def folder(path: Path) -> None:
    path.mkdir()


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def no_number(path: Path) -> None:
    samples = tone().astype(np.float32) / 32768
    samples[[3, 5]] = np.nan
    samples[7] = np.inf
    soundfile.write(path, samples, 16_000, subtype="FLOAT")


BEYOND_REPAIR = {
    zero_length: r"zero length",
    cut_short: r"cut short: 1,099 of the 1,600 samples",
    cut_in_the_header: r"no wav file that can be read \(30 bytes\)",
    empty: r"no wav file that can be read \(0 bytes\)",
    text: r"no wav file that can be read",
    folder: r"cannot be read: Is a directory",
    dangling: r"cannot be read: No such file",
    no_number: r"3 of 1,600 samples are no number",
}


@pytest.mark.parametrize("spoil", BEYOND_REPAIR, ids=lambda spoil: spoil.__name__)
def test_a_recording_beyond_repair_is_refused(tmp_path, spoil):
    path = tmp_path / "Ses01F_impro01_F000.wav"
    spoil(path)
    with pytest.raises(InputError, match=BEYOND_REPAIR[spoil]) as refusal:
        decode(path)
    assert refusal.value.place == str(path)
    assert "restore" in refusal.value.remedy


def stereo(path: Path) -> None:
    write_wav(path, np.repeat(tone(), 2), channels=2)


def cd_rate(path: Path) -> None:
    write_wav(path, tone(), rate=44_100)


def as_subtype(subtype: str):
    def write(path: Path) -> None:
        soundfile.write(path, tone() / 32768, 16_000, subtype=subtype)

    write.__name__ = subtype
    return write


def extensible(path: Path) -> None:
    soundfile.write(path, np.stack([tone()] * 3, axis=1), 16_000, format="WAVEX")


def aiff(path: Path) -> None:
    soundfile.write(path, tone(), 16_000, format="AIFF", subtype="PCM_16")


CONVERTIBLE = {
    stereo: "PCM_16, 16000 Hz, stereo",
    cd_rate: "44100 Hz, mono",
    as_subtype("PCM_24"): "WAV PCM_24",
    as_subtype("PCM_U8"): "WAV PCM_U8",
    as_subtype("FLOAT"): "WAV FLOAT",
    as_subtype("DOUBLE"): "WAV DOUBLE",
    as_subtype("ULAW"): "WAV ULAW",
    extensible: "3 channels",
    aiff: "AIFF",
}


@pytest.mark.parametrize("write", CONVERTIBLE, ids=lambda write: write.__name__)
def test_a_recording_in_another_form_is_refused_with_the_command(tmp_path, write):
    path = tmp_path / "it's here.wav"
    write(path)
    with pytest.raises(InputError, match=re.escape(CONVERTIBLE[write])) as refusal:
        decode(path)
    ffmpeg, sox = refusal.value.remedy.split("or: ")
    for command in (ffmpeg, sox):
        words = shlex.split(command)
        assert words[0] in ("ffmpeg", "sox")
        assert words.count(str(path)) == 2  # read, then replaced
        assert words[words.index("-r" if words[0] == "sox" else "-ar") + 1] == "16000"
        if shutil.which(words[0]):
            subprocess.run(command, shell=True, check=True, capture_output=True)
            decode(path)
            write(path)


# The memory map


def test_every_utterance_of_the_cohort_is_there_and_as_on_disk(corpus, tree):
    waveforms = open_waveforms(corpus)
    assert list(waveforms.utterances) == [u for u in corpus.utterances["utterance"] if u in COHORT]
    assert isinstance(waveforms.samples, np.memmap)
    assert waveforms.samples.dtype == np.int16
    for utterance in waveforms.utterances:
        expected = soundfile.read(wav_file(tree, utterance), dtype="float32")[0]
        found = waveforms.waveform(utterance)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


def test_a_batch_is_padded_with_zeros_to_its_longest(corpus):
    waveforms = open_waveforms(corpus)
    rows = waveforms.rows([COHORT[4], COHORT[0], COHORT[2]])
    batch = waveforms.padded(rows)
    assert batch.dtype == torch.float32
    assert batch.shape == (3, waveforms.lengths[rows].max())
    for line, row in zip(batch.numpy(), rows, strict=True):
        alone = waveforms.waveform(waveforms.utterances[row])
        np.testing.assert_array_equal(line, np.pad(alone, (0, batch.shape[1] - len(alone))))


def test_rows_of_an_utterance_without_a_recording_are_refused(corpus):
    with pytest.raises(InputError, match="Ses01F_impro01_M002: no recording"):
        open_waveforms(corpus).rows([COHORT[0], "Ses01F_impro01_M002"])


def test_the_fingerprint_depends_on_the_samples_and_not_on_the_place(tmp_path, corpus):
    before = open_waveforms(corpus).fingerprint
    (tmp_path / "elsewhere").mkdir()
    moved = iemocap.read(write_iemocap(tmp_path / "elsewhere"))
    assert open_waveforms(moved).fingerprint == before
    path = wav_file(corpus.root, COHORT[3])
    samples = decode(path).copy()
    samples[10] += 1
    write_wav(path, samples)
    assert open_waveforms(corpus).fingerprint != before


def cached() -> list[Path]:
    return sorted((cache_folder() / "waveforms").glob("*/samples.int16"))


def test_recordings_are_decoded_once(corpus):
    open_waveforms(corpus)
    (before,) = cached()
    stamp = before.stat().st_mtime_ns, before.stat().st_ino
    open_waveforms(corpus)
    (after,) = cached()
    assert (after.stat().st_mtime_ns, after.stat().st_ino) == stamp


@pytest.mark.parametrize("name", ["samples.int16", "index.json", "recordings.sha256"])
@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        lambda path: path.write_bytes(b"{}"),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),  # as after a power cut
    ],
)
def test_a_spoilt_cache_is_made_anew(corpus, name, spoil):
    good = open_waveforms(corpus)
    before = np.array(good.samples)
    spoil(cached()[0].with_name(name))
    again = open_waveforms(corpus)
    np.testing.assert_array_equal(again.samples, before)
    assert again.fingerprint == good.fingerprint


def opened(root: Path) -> tuple[str, int]:
    waveforms = open_waveforms(iemocap.read(root))
    return waveforms.fingerprint, int(waveforms.samples.astype(np.int64).sum())


def test_processes_may_decode_at_once(tree):
    tasks = [joblib.delayed(opened)(tree)] * 8
    results = joblib.Parallel(2, "multiprocessing", batch_size=1)(tasks)
    assert set(results) == {opened(tree)}
    assert len(cached()) == 1
    assert sorted(path.name for path in cached()[0].parent.iterdir()) == [
        "index.json",
        "recordings.sha256",
        "samples.int16",
    ]


def test_recordings_that_change_are_decoded_in_place_of_their_old_copy(corpus, tree):
    before = open_waveforms(corpus)
    os.utime(wav_file(tree, COHORT[0]))
    again = open_waveforms(corpus)
    assert again.fingerprint == before.fingerprint and len(cached()) == 1
    assert before.waveform(COHORT[0]).any(), "what another reader still has open stays readable"


# Damage


def test_all_damaged_utterances_are_named_at_once(corpus, tree):
    for utterance in COHORT[:3]:
        cut_short(wav_file(tree, utterance))
    wav_file(tree, COHORT[5]).unlink()
    with pytest.raises(InputError) as refusal:
        open_waveforms(iemocap.read(tree))
    assert "4 damaged" in refusal.value.what
    for utterance in (*COHORT[:3], COHORT[5]):
        assert utterance in refusal.value.what
    assert "--skip-damaged" in refusal.value.remedy


def test_many_alike_damages_are_one_line_with_a_count(corpus):
    many = pd.concat([corpus.utterances] * 2, ignore_index=True)
    many["utterance"] = [f"u{row:02d}" for row in many.index]
    many["label"] = "ang"
    many["wav"] = many["wav"] + ".gone"
    with pytest.raises(InputError) as refusal:
        open_waveforms(replace(corpus, utterances=many))
    assert refusal.value.what.count("No such file") == 1
    assert f"{len(many)} damaged" in refusal.value.what
    assert f"u01, u02 and {len(many) - 3} more" in refusal.value.what


def test_damaged_utterances_are_left_out_when_asked_for_and_only_then(corpus, tree):
    whole = open_waveforms(corpus)
    expected = {u: whole.waveform(u) for u in COHORT[1:]}
    no_number(wav_file(tree, COHORT[0]))
    left = open_waveforms(iemocap.read(tree), skip_damaged=True)
    assert set(left.utterances) == set(COHORT[1:])
    assert [problem.utterance for problem in left.problems] == [COHORT[0]]
    for utterance, samples in expected.items():
        np.testing.assert_array_equal(left.waveform(utterance), samples)
    with pytest.raises(InputError, match="no number"):
        open_waveforms(iemocap.read(tree))


@pytest.mark.parametrize("end", ["9.0100", "9.2000"])
def test_a_recording_that_its_times_contradict_is_damage(corpus, tree, end):
    open_waveforms(corpus)  # what was decoded once is looked at again when the times change
    times = label_file(tree, "Ses01F_impro01")
    times.write_text(times.read_text().replace("9.0000 - 9.0900", f"9.0000 - {end}"))
    with pytest.raises(InputError, match=r"Ses01F_impro01_F002\.wav: lasts 0\.09 s"):
        open_waveforms(iemocap.read(tree))


def test_damage_outside_the_cohort_does_not_matter(tree):
    cut_short(wav_file(tree, "Ses01F_impro01_F005"))
    assert set(open_waveforms(iemocap.read(tree)).utterances) == set(COHORT)


def test_a_repaired_recording_is_seen(tree):
    path = wav_file(tree, COHORT[0])
    good = path.read_bytes()
    cut_short(path)
    with pytest.raises(InputError):
        open_waveforms(iemocap.read(tree))
    path.write_bytes(good)
    assert open_waveforms(iemocap.read(tree)).problems == ()


def test_a_corpus_without_recordings_is_refused(corpus):
    silent = corpus.utterances.assign(wav=pd.array([pd.NA] * len(corpus.utterances), "string"))
    with pytest.raises(InputError, match=r"has no recordings\n.*text-only"):
        open_waveforms(replace(corpus, utterances=silent))


def test_nothing_is_left_when_all_are_damaged(corpus, tree):
    for utterance in COHORT:
        zero_length(wav_file(tree, utterance))
    with pytest.raises(InputError, match=f"{len(COHORT)} damaged"):
        open_waveforms(iemocap.read(tree), skip_damaged=True)


# Table 8


def test_the_statistics_of_table_8(corpus, tree):
    chosen = cohort(corpus)
    found = statistics(open_waveforms(corpus), chosen)
    assert found["n"].to_dict() == chosen["emotion"].value_counts().to_dict()
    for emotion, rows in chosen.groupby("emotion"):
        signals = [soundfile.read(wav)[0] for wav in rows["wav"]]
        average = np.array([np.mean(np.abs(signal)) for signal in signals])
        spread = np.array([np.sqrt(np.mean((s - np.mean(s)) ** 2)) for s in signals])
        expected = [
            average.mean(),
            np.sqrt(np.mean((average - average.mean()) ** 2)),
            spread.mean(),
        ]
        np.testing.assert_allclose(
            found.loc[emotion, ["WaveAvg", "WaveAvgStd", "WaveStdAvg"]].astype(float), expected
        )


def test_levels_are_those_of_known_signals(corpus, tree):
    square = np.tile(np.array([16_384, -16_384], dtype=np.int16), 400)
    write_wav(wav_file(tree, COHORT[0]), square)
    write_wav(wav_file(tree, COHORT[1]), np.full(1000, 8192, dtype=np.int16))
    found = levels(open_waveforms(iemocap.read(tree)), COHORT[:2])
    assert found.loc[COHORT[0]].tolist() == [0.5, 0.5]
    assert found.loc[COHORT[1]].tolist() == [0.25, 0.0]
