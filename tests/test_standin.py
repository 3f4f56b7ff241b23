"""The stand-in corpus: its channels are what it says, and it is the same corpus everywhere."""

import csv
import hashlib
import json
import math
import re
import shutil
import wave
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from replicate import paper
from replicate.corpora import standin
from replicate.corpora.standin import channels, grammar, manifest, voice
from replicate.corpora.standin.write import generate

PRIOR = np.array(paper.CLASS_SIZES) / 5531
#: Table 8 of the paper: WaveAvg, WaveAvgStd, WaveStdAvg.
TABLE_8 = (
    (0.034, 0.039, 0.062),
    (0.019, 0.023, 0.034),
    (0.009, 0.007, 0.017),
    (0.005, 0.004, 0.009),
)
COHORT = {"ang": "anger", "hap": "happiness", "exc": "happiness", "neu": "neutrality"} | {
    "sad": "sadness"
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The tiny corpus, spoken by two processes."""
    root = tmp_path_factory.mktemp("standin") / "tiny"
    generate(root, "tiny", "default", processes=2)
    return root


plan = cache(standin.plan)


@pytest.fixture(scope="module")
def full():
    return plan("full", "default")


def cohort(utterances):
    return [u for u in utterances if u.label in COHORT]


def recordings(root):
    return sorted((root / "IEMOCAP_full_release").glob("Session?/sentences/wav/*/*.wav"))


def samples(path):
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def files(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


# The corpus is the same everywhere ----------------------------------------------------------------


def test_one_process_and_two_make_the_same_files(tiny, tmp_path):
    generate(tmp_path / "alone", "tiny", "default", processes=1)
    assert files(tmp_path / "alone") == files(tiny)


def test_an_utterance_sounds_the_same_whatever_was_spoken_before(tiny):
    planned = plan("tiny", "default")
    for utterance in (planned[40], planned[3], planned[40], planned[17]):
        (path,) = tiny.rglob(f"{utterance.utterance}.wav")
        np.testing.assert_array_equal(voice.render(utterance), samples(path))


def test_the_tiny_corpus_is_the_published_one(tiny):
    assert standin.fingerprint(tiny) == standin.published()["tiny-default"]
    written = json.loads((tiny / "fingerprint.json").read_text())
    assert (written["size"], written["preset"]) == ("tiny", "default")
    assert standin.fingerprint(tiny) == {"text": written["text"], "audio": written["audio"]}


@pytest.mark.parametrize("name", standin.published())
def test_every_published_text_comes_out(name):
    planned = plan(*name.split("-", 1))
    transcripts = {u.utterance: u.transcript for u in planned}
    found = manifest.text_hash(manifest.truth(planned), transcripts)
    assert found == standin.published()[name]["text"]


def test_small_sizes_and_the_full_corpus_are_published():
    sizes = ("tiny", "quick", "medium")
    small = {f"{size}-{preset}" for size in sizes for preset in standin.PRESETS}
    assert set(standin.published()) == small | {"full-default"}


def test_a_changed_corpus_has_another_fingerprint(tiny, tmp_path):
    root = shutil.copytree(tiny, tmp_path / "copy")
    before = standin.fingerprint(root)
    path = recordings(root)[5]
    path.write_bytes(path.read_bytes()[:-2] + b"\x01\x00")
    assert standin.fingerprint(root)["audio"] != before["audio"]
    transcription = next(root.rglob("transcriptions/*.txt"))
    transcription.write_text(transcription.read_text().replace("]: ", "]: Well, ", 1))
    assert standin.fingerprint(root)["text"] != before["text"]


# On disk ------------------------------------------------------------------------------------------

LABEL = re.compile(
    r"^\[(\d+\.\d{4}) - (\d+\.\d{4})\]\t(\w+)\t(\w{3})\t\[(\d\.\d{4}), (\d\.\d{4}), (\d\.\d{4})\]$"
)
SPOKEN = re.compile(r"^(Ses\d\d[FM]_\w+) \[(\d{3}\.\d{4})-(\d{3}\.\d{4})\]: (.+)$")


def test_the_layout_is_iemocaps(tiny):
    planned = {u.utterance: u for u in plan("tiny", "default")}
    release = tiny / "IEMOCAP_full_release"
    assert [folder.name for folder in sorted(release.iterdir())] == [
        f"Session{n}" for n in range(1, 6)
    ]
    labels, words = {}, {}
    for path in release.glob("Session?/dialog/EmoEvaluation/*.txt"):
        for line in path.read_text().splitlines():
            if match := LABEL.match(line):
                labels[match[3]] = (match[4], match[1], match[2], path)
            else:
                assert line == "" or re.match(r"% \[START|C-E\d:\t|A-E\d:\tval ", line), line
    for path in release.glob("Session?/dialog/transcriptions/*.txt"):
        for line in path.read_text().splitlines():
            match = SPOKEN.match(line)
            words[match[1]] = (match[4], match[2], match[3], path)
    sound = {path.stem: path for path in recordings(tiny)}
    assert set(labels) == set(words) == set(sound) == set(planned)
    for utterance, u in planned.items():
        label, start, end, labelled = labels[utterance]
        transcript, *times, transcribed = words[utterance]
        assert (label, transcript) == (u.label, u.transcript)
        assert list(map(float, times)) == [float(start), float(end)]
        assert float(end) - float(start) == pytest.approx(
            len(samples(sound[utterance])) / 16000, abs=2e-4
        )
        session = f"Session{int(utterance[3:5])}"
        dialogue, _, turn = utterance.rpartition("_")
        assert (labelled.stem, transcribed.stem) == (dialogue, dialogue)
        assert labelled.parts[-4] == transcribed.parts[-4] == session
        assert sound[utterance].parts[-5:-1] == (session, "sentences", "wav", dialogue)
        assert u.speaker == utterance[3:5] + turn[0]


def test_annotators_mostly_agree_with_the_label_and_not_on_xxx(tiny):
    category = {"ang": "Anger", "exc": "Excited", "neu": "Neutral", "sad": "Sadness"}
    blocks = [
        block.splitlines()
        for path in tiny.rglob("EmoEvaluation/*.txt")
        for block in path.read_text().split("\n\n")[1:]
        if block.strip()
    ]
    seen = set()
    for head, *annotators in blocks:
        _, _, label, affect = head.split("\t")
        votes = Counter(re.findall(r"C-E\d:\t(\w+);", "\n".join(annotators)))
        ratings = np.array(
            re.findall(r"val (\d); act (\d); dom  (\d);", "\n".join(annotators)), float
        )
        np.testing.assert_allclose(ratings.mean(0), [float(x) for x in affect[1:-1].split(",")])
        assert label != "xxx" or max(votes.values()) == 1
        assert label not in category or votes[category[label]] >= 2
        seen.add(label)
    assert {"xxx", "ang", "neu"} <= seen


def test_truth_lies_outside_the_release_and_tells_how_each_utterance_was_made(tiny):
    rows = {row["utterance"]: row for row in csv.DictReader((tiny / "truth.csv").open())}
    for u in plan("tiny", "default"):
        row = rows.pop(u.utterance)
        assert row["text_symbol"] == paper.EMOTIONS[u.text_symbol]
        assert row["prosody_symbol"] == paper.EMOTIONS[u.prosody_symbol]
        assert row["acted"] == COHORT.get(u.label, row["acted"])
    assert not rows
    assert (tiny / "README.txt").read_text().startswith("SYNTHETIC: this is not IEMOCAP.")


# The plan -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "labels"),
    [
        ("tiny", {"ang": 12, "hap": 7, "exc": 11, "neu": 18, "sad": 12}),
        ("quick", {"ang": 120, "hap": 64, "exc": 113, "neu": 185, "sad": 118}),
        ("medium", {"ang": 319, "hap": 172, "exc": 301, "neu": 494, "sad": 314}),
        ("full", {"ang": 1103, "hap": 595, "exc": 1041, "neu": 1708, "sad": 1084}),
    ],
)
@pytest.mark.parametrize("preset", ["default", "text-only"])
def test_labels_are_counted(size, labels, preset):
    planned = plan(size, preset)
    found = Counter(u.label for u in planned)
    assert {label: found[label] for label in labels} == labels
    others = len(planned) - sum(labels.values())
    assert others == pytest.approx(0.15 * len(planned), abs=0.5)
    assert set(found) - set(labels) <= {"fru", "xxx", "sur", "fea", "oth", "dis"}
    assert len({u.utterance for u in planned}) == len(planned)
    assert {u.speaker for u in planned} == {f"0{n}{sex}" for n in range(1, 6) for sex in "FM"}


def test_full_has_iemocaps_dialogues_and_split(full):
    dialogues = {u.dialogue for u in cohort(full)}
    assert Counter("impro" in dialogue for dialogue in dialogues) == {True: 80, False: 71}
    held_out = [math.ceil(0.1 * n) for n in Counter(COHORT[u.label] for u in cohort(full)).values()]
    assert (sum(held_out), len(cohort(full)) - sum(held_out)) == (555, 4976)


def test_emotions_persist_within_a_dialogue(full):
    turns = defaultdict(list)
    for u in cohort(full):
        turns[u.dialogue, u.speaker].append(u.acted)
    same = np.mean([a == b for run in turns.values() for a, b in pairwise(run)])
    assert 0.8 < same < 0.93  # IEMOCAP: .85
    kinds = Counter(len({u.acted for u in cohort(full) if u.dialogue == d}) for d, _ in turns)
    assert kinds[2] == max(kinds.values())
    assert set(kinds) == {1, 2, 3, 4}


def test_scripts_repeat_their_lines_and_a_line_knows_the_symbol_only(full):
    """Of a script's line, what two performances say is the same if the symbols are."""
    readings = defaultdict(Counter)
    classes = defaultdict(list)
    for u in full:
        scene, turn = re.match(r"Ses\d\d[FM]_(\w+?)b?_([FM]\d+)$", u.utterance).groups()
        if scene.startswith("script"):
            bare = re.sub(r"\[[A-Z]+\]", "", u.transcript).strip()
            readings[scene, turn, u.text_symbol][bare] += 1
            if u.label in COHORT:
                classes[scene, turn].append((u.acted, u.text_symbol))
    often = [c for c in readings.values() if sum(c.values()) >= 3]
    share = np.mean([c.most_common(1)[0][1] / sum(c.values()) for c in often])
    assert share > 0.5
    # Two performances of one line agree in class no more often than chance has it.
    pairs = [(a, b) for acted in classes.values() for (a, _), (b, _) in pairwise(acted)]
    chance = sum(p**2 for p in standin.prior())
    assert np.mean([a == b for a, b in pairs]) == pytest.approx(chance, abs=0.05)


@pytest.mark.parametrize("preset", standin.PRESETS)
def test_symbols_follow_the_channels(preset):
    """Chi-square of the symbols drawn against the channel, and of J against K given the class."""
    model = channels.PRESETS[preset]
    planned = cohort(plan("full", preset))
    for acted in range(4):
        drawn = np.zeros((4, 4))
        for u in planned:
            if u.acted == acted:
                drawn[u.text_symbol, u.prosody_symbol] += 1
        for seen, row in ((drawn.sum(1), model.text[acted]), (drawn.sum(0), model.prosody[acted])):
            possible = np.array(row) > 0
            assert seen[~possible].sum() == 0
            expected = drawn.sum() * np.array(row)[possible] / sum(row)
            assert possible.sum() == 1 or stats.chisquare(seen[possible], expected).pvalue > 1e-3
        if preset != "clean":
            assert stats.chi2_contingency(drawn).pvalue > 1e-3


@pytest.mark.parametrize("size", ["quick", "medium", "full"])
def test_planned_levels_are_table_8s(size):
    for acted, (average, spread, _) in enumerate(TABLE_8):
        levels = [u.level for u in cohort(plan(size, "default")) if u.acted == acted]
        assert np.mean(levels) == pytest.approx(average, rel=0.02)
        assert np.std(levels) == pytest.approx(spread, rel=0.06)


def test_text_only_levels_do_not_tell_the_class():
    planned = cohort(plan("full", "text-only"))
    by_class = [[u.level for u in planned if u.acted == acted] for acted in range(4)]
    assert stats.kruskal(*by_class).pvalue > 1e-3
    default = sorted(u.level for u in cohort(plan("full", "default")))
    assert sorted(level for levels in by_class for level in levels) == default


# What the channels let through --------------------------------------------------------------------


def simulated(model, n=300_000, seed=0):
    """Classes, symbols, log level and tag, drawn as `planning` draws them, but by other code."""
    rng = np.random.default_rng(seed)
    c = rng.choice(4, n, p=PRIOR)

    def symbol(channel):
        return (rng.random(n)[:, None] > np.cumsum(np.array(channel), 1)[c]).sum(1).clip(0, 3)

    j, k = symbol(model.text), symbol(model.prosody)
    told = c if model.loudness else rng.permutation(c)
    mean, sd = np.array(channels.LOG_LEVEL)[told].T
    level = np.clip(rng.normal(mean, sd), *np.log(channels.LEVEL_RANGE))
    laugh, breath = (rng.random(n) < np.array(p)[j] for p in (model.laughter, model.breath))
    return c, j, k, level, 2 * laugh + breath


def counted(c, seen):
    """Log P(seen | class), from the frequencies: [n, 4]."""
    table = np.full((4, 4), 1e-9)
    np.add.at(table, (c, seen), 1)
    return np.log(table / table.sum(1, keepdims=True))[:, seen].T


def density(level, by_class):
    """Log p(level | class), the mass at either end included: [n, 4]."""
    low, high = np.log(channels.LEVEL_RANGE)
    each = [stats.norm(*parameters) for parameters in channels.LOG_LEVEL]
    inside = np.stack([one.pdf(level) for one in each], 1)
    at_low, at_high = [one.cdf(low) for one in each], [one.sf(high) for one in each]
    found = np.select([level[:, None] <= low, level[:, None] >= high], [at_low, at_high], inside)
    return np.log(found if by_class else np.repeat(found @ PRIOR[:, None], 4, 1))


def observed(c, *evidence):
    """Accuracy, and information in bits, of an observer who weighs the evidence right."""
    joint = np.log(PRIOR) + sum(evidence)
    posterior = joint - np.logaddexp.reduce(joint, 1, keepdims=True)
    gain = posterior[np.arange(len(c)), c] - np.log(PRIOR)[c]
    return (joint.argmax(1) == c).mean(), gain.mean() / np.log(2)


@pytest.mark.parametrize("preset", standin.PRESETS)
def test_ceilings_are_what_an_observer_reaches(preset):
    model, known = channels.PRESETS[preset], standin.ceilings(preset)
    c, *drawn = simulated(model)
    j, k, tag = (counted(c, seen) for seen in (drawn[0], drawn[1], drawn[3]))
    level = density(drawn[2], model.loudness)
    views = {"text": (j,), "prosody": (k,), "loudness": (level,), "tags": (tag,)} | {
        "audio": (k, tag, level),
        "symbols": (j, k),
        "both": (j, k, level),
    }
    assert set(known.index) == {"majority", *views}
    for name, evidence in views.items():
        accuracy, bits = observed(c, *evidence)
        assert accuracy == pytest.approx(known.loc[name, "accuracy"], abs=0.004), name
        assert bits == pytest.approx(known.loc[name, "bits"], abs=0.008), name


def test_presets_do_what_their_names_say():
    found = {name: standin.ceilings(name) for name in standin.PRESETS}
    accuracy = pd.DataFrame({name: known["accuracy"] for name, known in found.items()})
    bits = pd.DataFrame({name: known["bits"] for name, known in found.items()})
    assert np.allclose(accuracy.loc["majority"], 1708 / 5531)
    assert bits["text-only"]["audio"] == pytest.approx(0, abs=1e-12)
    assert bits["text-only"]["both"] == pytest.approx(bits["text-only"]["text"])
    assert bits["audio-only"]["text"] == pytest.approx(0, abs=1e-12)
    assert bits["audio-only"]["both"] == pytest.approx(bits["audio-only"]["audio"])
    assert np.allclose(accuracy["clean"][["text", "audio"]], 1)
    assert accuracy["text-hard"]["text"] < accuracy["default"]["audio"] - 0.1
    assert accuracy["audio-hard"]["audio"] < accuracy["default"]["text"] - 0.1
    assert (accuracy.loc[["text", "audio"]].max() <= accuracy.loc["both"] + 1e-9).all()
    assert (bits.loc["both"] <= bits.loc[["text", "audio"]].sum() + 1e-9).all()
    assert "synthetic" in standin.SUMMARY
    assert "not" in standin.SUMMARY


# Sound --------------------------------------------------------------------------------------------


def test_recordings_have_their_level_and_none_clips(tiny):
    planned = {u.utterance: u for u in plan("tiny", "default")}
    crest = []
    for path in recordings(tiny):
        sound = samples(path) / 32768
        assert np.abs(sound).max() < 0.99
        assert np.abs(sound).mean() == pytest.approx(planned[path.stem].level, rel=0.01)
        assert len(np.unique(samples(path)[:800])) > 1  # a room, not digital silence
        crest.append(sound.std() / np.abs(sound).mean())
    assert 1.7 < np.mean(crest) < 1.9  # Table 8: .062 / .034 to .009 / .005


@pytest.mark.parametrize("tag", ["[LAUGHTER]", "[BREATHING]"])
def test_tags_are_heard(tag):
    plain = replace(plan("tiny", "default")[0], transcript="I will look it up.")
    with_tag = replace(plain, transcript=f"{tag} I will look it up.")
    assert len(voice.render(with_tag)) - len(voice.render(plain)) > 0.3 * 16000


def test_a_breath_is_noise_and_a_laugh_a_voice():
    def periodicity(tag):
        """The highest autocorrelation, at lags of a voice, in any 40 ms of the first 0.3 s."""
        u = replace(plan("tiny", "default")[0], transcript=f"{tag} Okay.", level=0.05)
        sound = voice.render(u) / 32768
        start = np.flatnonzero(np.abs(sound) > 0.02)[0]
        frames = sound[start : start + 4480].reshape(-1, 640)
        power = np.abs(np.fft.rfft(frames, 1280)) ** 2
        correlation = np.fft.irfft(power)
        return (correlation[:, 40:230].max(1) / correlation[:, 0]).max()

    assert periodicity("[BREATHING]") < 0.5 < 0.6 < periodicity("[LAUGHTER]")


def test_the_voice_hears_neither_the_words_marks_nor_the_class():
    u = plan("tiny", "default")[0]
    asked, told = (replace(u, transcript=f"You can get that{mark}") for mark in "?.")
    np.testing.assert_array_equal(voice.render(asked), voice.render(told))
    other = replace(u, acted=(u.acted + 1) % 4, label="xxx", text_symbol=(u.text_symbol + 1) % 4)
    np.testing.assert_array_equal(voice.render(other), voice.render(u))


def test_prosody_follows_its_symbol():
    """Sad prosody takes longer than angry prosody for the same words; voices differ."""
    u = replace(plan("tiny", "default")[0], transcript="We talked about it for an hour.")
    sad, angry = (voice.render(replace(u, prosody_symbol=k)) for k in (3, 0))
    assert len(sad) > 1.15 * len(angry)
    voices = [voice.render(replace(u, speaker=speaker)) for speaker in voice.SPEAKERS]
    assert len({sound.tobytes() for sound in voices}) == 10


# Words --------------------------------------------------------------------------------------------


def test_words_carry_their_symbol(full):
    """A clause of the symbol's own occurs in every utterance of at least five words."""
    own = []
    symbols = grammar.load()["symbols"]
    for symbol in map(symbols.get, paper.EMOTIONS):
        clauses = [re.escape(c.strip("?")) for c in (*symbol["clauses"], *symbol["short"])]
        own.append(re.compile("|".join(re.sub(r"\\{\w+\\}", ".+", c) for c in clauses), re.I))
    for u in full[::5]:
        plain = re.sub(r"\ban\b", "a", u.transcript)
        assert own[u.text_symbol].search(plain), u.transcript


def test_transcripts_read_like_transcripts(full):
    words = [len(u.transcript.split()) for u in full]
    assert 10 < np.mean(words) < 14  # IEMOCAP: about 12
    types = {w.strip(".,?!").lower() for u in full for w in u.transcript.split()}
    assert len(types) > 900
    for u in full:
        assert re.fullmatch(r"[A-Za-z' ,.?!\[\]]+", u.transcript), u.transcript
        assert "  " not in u.transcript
        assert not re.search(r"\ba [aeio]", u.transcript, re.I), u.transcript
        assert ("[LAUGHTER]" in u.transcript) == u.laughter
        assert ("[BREATHING]" in u.transcript) == u.breath


def test_sentences_are_further_ones():
    drawn = standin.sentences(400, seed=1)
    assert drawn == standin.sentences(400, seed=1)
    assert drawn[:50] == standin.sentences(50, seed=1)
    corpus = {u.transcript for u in plan("quick", "default")}
    long = [s for s in drawn if len(s.split()) > 14]
    assert not corpus & set(long)
    assert len(set(drawn) & set(standin.sentences(400, seed=2))) < 100
    assert any("[LAUGHTER]" in s for s in drawn)
