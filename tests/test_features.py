"""Acoustic features in place of recordings: the corpus, the encoder, and a training."""

import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import small
import torch

from replicate.corpora import iemocap_features
from replicate.corpora.opening import open_corpus
from replicate.corpora.protocol import classes, cohort, split
from replicate.files import InputError
from replicate.model import EmotionModel, FeatureEncoder
from replicate.paper import CLASS_SIZES, EMOTIONS
from replicate.runs.experiments import FEATURE_CHOICES, PROFILES, chosen
from replicate.runs.grids import grid
from replicate.runs.published import load_runs
from replicate.runs.versions import at_hand
from replicate.settings import RESULTS, Fold, ModelConfig
from replicate.training.examples import examples
from replicate.training.loop import Trainer
from replicate.training.train import train
from replicate.training.treatments import EXCHANGES, answers, treated

SHARED = Path(__file__).parents[2] / "shared" / "data"
LINEAR, DEEP = "acoustic features, linear map", "acoustic features, one hidden layer"


def of_features(model="att_d1", **training):
    made = small.experiment(model, **training)
    return replace(made, architecture=replace(made.architecture, audio_input=LINEAR))


def trainer(model="att_d1", choice="", **training):
    made = of_features(model, **training)
    made = chosen(made, choice) if choice else made
    return Trainer(made, examples(made, cohort(small.corpus()), small.features()), None, "cpu")


class TestFeatures:
    def test_standardised_by_the_training_part_alone(self):
        made, rows = small.features(), np.arange(40)
        found = made.standardised(rows).values
        assert found[rows].mean(axis=0) == pytest.approx(0, abs=1e-12)
        assert found[rows].std(axis=0) == pytest.approx(1)
        changed = replace(made, values=made.values.copy())
        changed.values[40:] += 100
        assert np.array_equal(changed.standardised(rows).values[rows], found[rows])

    def test_a_column_that_does_not_vary_becomes_zero(self):
        still = replace(small.features(), values=np.full((64, 4), 7.0))
        assert not still.standardised(np.arange(40)).values.any()

    def test_without_level(self):
        assert small.features().without_level().columns == ("mfcc1 mean", "F0 mean")

    def test_a_number_that_is_none_names_its_utterance(self):
        values = small.features().values.copy()
        values[3, 1] = np.nan
        with pytest.raises(InputError, match=r"u003.*mfcc1 mean"):
            replace(small.features(), values=values)

    def test_an_utterance_without_features_is_named(self):
        with pytest.raises(InputError, match=r"u999.*1 of 2 utterances"):
            small.features().rows(["u000", "u999"])

    def test_fingerprint_follows_ids_names_and_values(self):
        made = small.features()
        others = [
            replace(made, values=made.values + 1e-9),
            replace(made, columns=made.columns[::-1]),
            replace(made, utterances=made.utterances[::-1]),
        ]
        assert len({each.fingerprint for each in [made, *others]}) == 4
        assert small.features().fingerprint == made.fingerprint


class TestEncoder:
    def test_maps_as_the_formula_says(self):
        encoder = FeatureEncoder(4, ModelConfig(audio_input=LINEAR))
        x = torch.randn(3, 4)
        expected = x.numpy() @ encoder.projection.weight.detach().numpy().T
        expected = expected + encoder.projection.bias.detach().numpy()
        assert encoder(x).detach().numpy() == pytest.approx(expected, abs=1e-6)
        deep = FeatureEncoder(4, ModelConfig(audio_input=DEEP))
        hidden = np.maximum(deep.hidden(x).detach().numpy(), 0)
        expected = hidden @ deep.projection.weight.detach().numpy().T
        expected = expected + deep.projection.bias.detach().numpy()
        assert deep(x).detach().numpy() == pytest.approx(expected, abs=1e-6)

    def test_everything_behind_it_is_as_with_recordings(self):
        from functools import partial

        raw = EmotionModel(ModelConfig(), "att_d1", 9, 4)
        ours = EmotionModel(ModelConfig(), "att_d1", 9, 4, partial(FeatureEncoder, 47))
        shapes = [
            {n: p.shape for n, p in model.named_parameters() if not n.startswith("audio.")}
            for model in (raw, ours)
        ]
        assert shapes[0] == shapes[1]


class TestTraining:
    def test_learns_what_the_features_say(self):
        made = trainer("audio", epochs=12)
        for _ in range(12):
            made.run_epoch()
        assert made.epochs[-1]["train_accuracy"] > 0.8

    def test_sees_no_test_row_before_the_test(self):
        made = of_features("audio")
        table, other = cohort(small.corpus()), small.features()
        test = split(table, made.fold, made.training.development).test
        other.values[test] *= 50
        weights = []
        for features in (small.features(), other):
            run = Trainer(made, examples(made, table, features), None, "cpu")
            run.run_epoch()
            weights.append(run.model.audio.projection.weight)
        assert torch.equal(*weights)

    def test_is_stored_and_repeats_to_the_bit(self, tmp_path):
        corpus = replace(small.corpus(), features=small.features())
        made = of_features("concat", epochs=2)
        runs = [train(made, corpus, tmp_path / str(k), sound=corpus.features) for k in range(2)]
        assert runs[0].predictions.equals(runs[1].predictions)
        assert runs[0].treated.equals(runs[1].treated)
        origin = runs[0].provenance
        assert origin.audio_fingerprint == small.features().fingerprint
        assert "Features" in origin.code and "Waveforms" not in origin.code
        assert runs[0].changed_code == ()

    @pytest.mark.parametrize("choice", FEATURE_CHOICES)
    def test_every_choice_gives_other_predictions(self, choice):
        ours, other = trainer(), trainer(choice=choice)
        rows = np.arange(64)
        for made in (ours, other):
            made.run_epoch()
        assert not torch.equal(ours.predict(rows)[0], other.predict(rows)[0])

    @pytest.mark.parametrize("silenced", ["audio", "text"])
    def test_a_silenced_modality_changes_nothing(self, silenced):
        made = trainer("concat", choice=f"{silenced}-silenced")
        made.run_epoch()
        rows = made.data.parts.test
        before = made.predict(rows)[0]
        with treated(made, f"{silenced}-shuffled"):
            assert torch.equal(made.predict(rows)[0], before)
        other = {"audio": "text", "text": "audio"}[silenced]
        with treated(made, f"{other}-shuffled"):
            assert not torch.equal(made.predict(rows)[0], before)


class TestExchanges:
    @pytest.mark.parametrize("name", EXCHANGES)
    def test_stay_within_what_they_promise(self, name):
        made = trainer("concat")
        test, within = made.data.parts.test, EXCHANGES[name]
        rows, sentences = made.data.rows.copy(), [tuple(s) for s in made.data.sentences]
        with treated(made, name):
            if name.startswith("audio"):
                moved = [int(np.flatnonzero(rows == row)[0]) for row in made.data.rows[test]]
            else:
                now = [tuple(made.data.sentences[i]) for i in test]
                assert sorted(now) == sorted(sentences[i] for i in test)
                moved = None
        if moved is not None:
            assert sorted(moved) == sorted(test) and moved != list(test)
            if within:
                shared = getattr(made.data, within)
                assert (shared[moved] == shared[test]).all()
        assert np.array_equal(made.data.rows, rows)

    def test_features_have_no_recording_to_alter(self):
        made = trainer()
        found = set(answers(made, trainer())["treatment"])
        assert {"louder", "rms"}.isdisjoint(found) and set(EXCHANGES) <= found


@pytest.mark.skipif(
    not (SHARED / "iemocap-acoustics").exists(), reason="the published features are not at hand"
)
class TestIemocap:
    @pytest.fixture(scope="class")
    @classmethod
    def corpus(cls):
        return open_corpus("iemocap-features", SHARED)

    def test_the_cohort_is_the_papers(self, corpus):
        table = cohort(corpus)
        assert np.bincount(classes(table)).tolist() == list(CLASS_SIZES)
        parts = split(table, Fold())
        assert (len(parts.train), len(parts.test)) == (4976, 555)
        known = pd.read_csv(SHARED / "iemocap-metadata" / "utterances.csv")
        labels = table.set_index("utterance")["label"].to_dict()
        assert labels == dict(zip(known["utterance"], known["label"], strict=True))

    def test_ids_are_those_of_an_independent_matching_by_text(self, corpus):
        matched = pd.read_csv(SHARED / "iemocap-text" / "ids.csv").set_index("utterance")
        ours = corpus.utterances.set_index("utterance")
        assert set(ours.index) == set(matched.index)
        assert (ours["label"] == matched["iemocap_label"].loc[ours.index]).all()
        aside = {
            name for entries in iemocap_features.surplus().values() for name in entries.values()
        }
        assert aside == set(matched.index[matched["iemocap_label"] == "xxx"])

    def test_any_machine_reads_the_data_of_the_stored_runs(self, corpus):
        seen = at_hand(corpus, corpus.features)
        assert load_runs("iemocap-features", "paper", seen=seen)

    def test_rows_belong_to_their_ids(self, corpus):
        """With the true lengths in samples every count of frames is whole."""
        known = pd.read_csv(SHARED / "iemocap-metadata" / "utterances.csv").set_index("utterance")
        quiet = corpus.features.frame()["quiet frames"].loc[known.index]
        counts = (quiet * (1 + known["num_samples"] // 512))[quiet > 0]
        assert len(counts) == 4721 and (counts - counts.round()).abs().max() < 1e-6

    @pytest.fixture
    def copy(self, tmp_path):
        for name in ("iemocap-text/iemocap.pkl", "iemocap-acoustics/levels.csv",
                     "iemocap-acoustics/ids.txt", "iemocap-acoustics/egemaps47.npy"):  # fmt: skip
            target = tmp_path / Path(name).name
            target.write_bytes((SHARED / name).read_bytes())
        return tmp_path

    def test_files_may_lie_in_one_folder(self, copy, corpus):
        assert open_corpus("iemocap-features", copy).utterances.equals(corpus.utterances)

    def test_the_page_s_commands_make_the_files_that_nobody_publishes(self, copy, monkeypatch):
        """From tables in the form of their publishers', with the real values."""
        table = pd.read_csv(copy / "levels.csv").sample(frac=1, random_state=0)
        made = {
            "df_iemocap.csv": ["start", "end", "utterance", "label"],
            "audio_features.csv": ["utterance", "label", "dialogue_mean_abs", "dialogue_sd"],
            "iemocap_features.csv": ["utterance", "sentence_mean_rms"],
        }
        theirs = {"start": "start_time", "end": "end_time", "utterance": "wav_file",
                  "label": "emotion", "dialogue_mean_abs": "sig_mean", "dialogue_sd": "sig_std",
                  "sentence_mean_rms": "energy"}  # fmt: skip
        for name, columns in made.items():
            part = table[columns].dropna().rename(columns=theirs)
            if name == "iemocap_features.csv":
                folder = "C:\\data\\IEMOCAP\\"
                part = part.assign(file_path=folder + part.pop("wav_file") + ".wav")
            part.to_csv(copy / name, index=False)
        ids = (copy / "ids.txt").read_bytes()
        expected = iemocap_features.levels(copy)
        (copy / "ids.txt").unlink()
        (copy / "levels.csv").unlink()
        page = (Path(__file__).parents[1] / "book" / "rerun.md").read_text()
        (block,) = re.findall(r"```python\n(import pandas.*?)```", page, flags=re.DOTALL)
        monkeypatch.chdir(copy)
        exec(block, {})
        assert (copy / "ids.txt").read_bytes() == ids
        pd.testing.assert_frame_equal(iemocap_features.levels(copy).loc[expected.index], expected)

    def test_neither_a_sentence_nor_a_feature_is_published(self, corpus):
        told = "".join(path.read_text() for path in RESULTS.rglob("*.json"))
        sentences = [text for text in corpus.utterances["transcript"] if len(text.split()) > 4]
        assert len(sentences) > 5000 and not [text for text in sentences if text in told]
        tables = [pq.read_schema(path) for path in RESULTS.rglob("*.parquet")]
        columns = {name for table in tables for name in table.names}
        assert columns and columns.isdisjoint(["transcript", *iemocap_features.COLUMNS])

    def test_an_empty_transcript_is_damage(self, copy, corpus):
        speakers, labels, sentences, *rest = pickle.loads((copy / "iemocap.pkl").read_bytes())
        sentences["Ses01F_impro01"][0] = " "
        (copy / "iemocap.pkl").write_bytes(pickle.dumps([speakers, labels, sentences, *rest]))
        with pytest.raises(InputError, match="Ses01F_impro01_F000 has no transcript"):
            open_corpus("iemocap-features", copy)
        left = open_corpus("iemocap-features", copy, skip_damaged=True)
        assert len(left.utterances) == len(corpus.utterances) - 1

    def test_rows_in_another_order_are_refused(self, copy):
        ids = (copy / "ids.txt").read_text().split()
        (copy / "ids.txt").write_text("\n".join(ids[1:] + ids[:1]))
        with pytest.raises(InputError, match="do not fit their ids"):
            open_corpus("iemocap-features", copy)

    def test_labels_that_contradict_each_other_are_refused(self, copy):
        table = pd.read_csv(copy / "levels.csv")
        swapped = {"neu": "ang", "ang": "neu"}
        table["label"] = table["label"].replace(swapped)
        table.to_csv(copy / "levels.csv", index=False)
        with pytest.raises(InputError, match=r"entry \d+ of Ses"):
            open_corpus("iemocap-features", copy)

    @pytest.mark.parametrize("name", ["iemocap.pkl", "levels.csv", "ids.txt", "egemaps47.npy"])
    def test_a_missing_or_damaged_file_is_named(self, copy, name):
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError):
            open_corpus("iemocap-features", copy)
        (copy / name).unlink()
        with pytest.raises(InputError, match=f"holds no {name}"):
            open_corpus("iemocap-features", copy)

    def test_grids_take_features_in_place_of_recordings(self, corpus):
        made = grid("fusions", corpus.name, PROFILES["paper"], cohort(corpus), corpus.audio_input)
        assert len(made) == 110
        assert {each.sound for each in made} == {"features", "none"}
        assert {each.embedding for each in made} == {"trainable", "glove", "none"}
        assert len({each.fold for each in made}) == 10 and len(EMOTIONS) == 4
