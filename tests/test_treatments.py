"""What a finished model answers when its input is altered."""

import numpy as np
import pandas as pd
import pytest
import small
import torch

from replicate.corpora.altered import FRAME, altered
from replicate.corpora.protocol import cohort
from replicate.model import FUSIONS
from replicate.paper import EMOTIONS
from replicate.settings import RECORDINGS, SAMPLE_RATE, TREATMENTS
from replicate.training.examples import examples
from replicate.training.loop import Trainer
from replicate.training.treatments import answers, applicable, treated


def trainer(model: str = "att_d1") -> Trainer:
    experiment = small.experiment(model)
    data = examples(experiment, cohort(small.corpus()), small.waveforms())
    return Trainer(experiment, data, None, "cpu")


@pytest.fixture(scope="module")
def trained() -> Trainer:
    made = trainer()
    for _ in range(3):
        made.run_epoch()
    return made


def under(made: Trainer, name: str) -> torch.Tensor:
    with treated(made, name):
        return made.predict(made.data.parts.test)[0]


@pytest.fixture
def recording() -> np.ndarray:
    rng = np.random.default_rng(0)
    loud = np.repeat([0.02, 0.1, 0.0, 0.05], SAMPLE_RATE // 2)
    noise = rng.standard_normal(len(loud)) * loud
    return np.rint(np.convolve(noise, np.ones(8) / 8, "same") * 32768).astype(np.int16)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean((samples / 32768.0) ** 2)))


def test_loudness_treatments_move_the_level_and_nothing_else(recording: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for name, decibels in (("louder", 6), ("softer", -6)):
        changed = altered(name, recording, rng)
        assert 20 * np.log10(rms(changed) / rms(recording)) == pytest.approx(decibels, abs=0.05)
        assert np.corrcoef(changed, recording)[0, 1] > 0.999
    levelled = altered("rms", recording, rng)
    assert 20 * np.log10(rms(levelled)) == pytest.approx(-26, abs=0.05)
    assert np.corrcoef(levelled, recording)[0, 1] > 0.999
    assert np.array_equal(altered("rms", 0 * recording, rng), 0 * recording)


def test_clipping_not_wrapping(recording: np.ndarray) -> None:
    loud = np.where(recording >= 0, 30000, -30000).astype(np.int16)
    changed = altered("louder", loud, np.random.default_rng(0))
    assert set(np.unique(changed)) == {-32768, 32767}


def test_shuffled_samples_are_the_same_samples(recording: np.ndarray) -> None:
    changed = altered("time-shuffled", recording, np.random.default_rng(0))
    assert np.array_equal(np.sort(changed), np.sort(recording))
    neighbours = np.corrcoef(changed[:-1], changed[1:])[0, 1]
    assert abs(neighbours) < 0.05 < np.corrcoef(recording[:-1], recording[1:])[0, 1]


def test_the_envelope_is_kept_and_nothing_else(recording: np.ndarray) -> None:
    changed = altered("envelope", recording, np.random.default_rng(1))

    def levels(samples: np.ndarray) -> np.ndarray:
        return np.array([rms(part) for part in samples[: len(samples) // FRAME * FRAME]
                         .reshape(-1, FRAME)])  # fmt: skip

    assert np.corrcoef(levels(changed), levels(recording))[0, 1] > 0.95
    assert abs(np.corrcoef(changed, recording)[0, 1]) < 0.05
    assert altered("envelope", recording[:5], np.random.default_rng(0)).shape == (5,)


def test_every_treatment_answers_for_every_test_utterance(trained: Trainer) -> None:
    found = answers(trained, trainer())
    assert found.groupby("treatment", sort=False).size().to_dict() == dict.fromkeys(
        applicable("att_d1", "audio"), len(trained.data.parts.test)
    )
    assert np.allclose(found[list(EMOTIONS)].sum(axis=1), 1, atol=1e-5)
    assert (found.loc[found["treatment"] == "half", "audio_score"] == 0.5).all()
    repeated = answers(trained, trainer())
    pd.testing.assert_frame_equal(found, repeated)


def test_treatments_leave_the_model_and_its_data_as_they_were(trained: Trainer) -> None:
    before = trained.predict(trained.data.parts.test)[0]
    data, fused = trained.data, trained.fused
    for name in applicable("att_d1", "audio"):
        under(trained, name)
        assert trained.data is data and trained.fused is fused
    assert torch.equal(trained.predict(trained.data.parts.test)[0], before)


def test_only_what_is_altered_matters(trained: Trainer) -> None:
    """Without audio, altered audio changes nothing; likewise without text."""
    with treated(trained, "audio-zero"):
        reference = trained.predict(trained.data.parts.test)[0]
        for name in (*RECORDINGS, "audio-shuffled"):
            assert torch.equal(under(trained, name), reference), name
        assert not torch.equal(under(trained, "text-shuffled"), reference)
    with treated(trained, "text-zero"):
        reference = trained.predict(trained.data.parts.test)[0]
        assert torch.equal(under(trained, "text-shuffled"), reference)
        for name in (*RECORDINGS, "audio-shuffled"):
            assert not torch.equal(under(trained, name), reference), name


def test_half_is_the_mean_of_both_features(trained: Trainer) -> None:
    seen: list[torch.Tensor] = []
    fusion = trained.model.fusion
    hook = fusion.register_forward_hook(lambda module, inputs, out: seen.append(sum(inputs) / 2))
    trained.predict(trained.data.parts.test)
    hook.remove()
    expected = trained.model.classifier(torch.cat(seen)).softmax(1)
    assert torch.allclose(under(trained, "half"), expected, atol=1e-6)


def test_shuffled_words_are_the_words_of_the_test_part(trained: Trainer) -> None:
    test = trained.data.parts.test
    before = [trained.data.sentences[i].tolist() for i in test]
    with treated(trained, "text-shuffled"):
        after = [trained.data.sentences[i].tolist() for i in test]
    assert after != before and sorted(after) == sorted(before)


def test_what_applies_to_which_model() -> None:
    assert set(applicable("att_s1", "audio")) == set(TREATMENTS)
    for model in FUSIONS:
        assert ("half" in applicable(model, "audio")) == model.startswith("att")
    assert applicable("text", "none") == ["untrained", "one-by-one", "sorted"]
    assert set(applicable("audio", "audio")) == {"untrained", "one-by-one", "sorted", *RECORDINGS}
