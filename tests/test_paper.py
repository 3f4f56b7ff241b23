"""The paper as data, against the paper itself, against itself, and against our configuration."""

import math
import re
from itertools import product
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pandas as pd
import pytest

from replicate import paper
from replicate.files import InputError
from replicate.model import FUSIONS
from replicate.paper import EMOTIONS, printed_confusion
from replicate.runs.experiments import Experiment
from replicate.settings import EMB_SIZE, ModelConfig, Training
from replicate.verdicts import criteria
from replicate.verdicts.criteria import CRITERIA
from replicate.verdicts.criteria_of_data import Words
from replicate.verdicts.criteria_of_runs import Accuracy

PAPER = Path(__file__).parents[2] / "shared" / "paper.md"
PARTS = {"training": Training(), "architecture": ModelConfig()}

SCORES = ["label", "accuracy", "audio_score", "text_score"]

needs_paper = pytest.mark.skipif(not PAPER.exists(), reason="the paper's text is not here")


def rows(number):
    """The cells of a table of paper.md, its header left out."""
    block = re.search(rf"^Table {number}\. .*\n\n(.*\n)((?:.+\n)+)", PAPER.read_text(), re.M)
    return [line.split("\t") for line in block.group(2).splitlines()]


def cells(number, columns):
    """The same of our table."""
    table = getattr(paper, f"TABLE_{number}")[columns]
    return [tuple(row) for row in table.itertuples(index=False)]


def numbers(cells):
    return [float(x) for cell in cells for x in re.findall(r"\d+(?:\.\d+)?", cell)]


def label(cell):
    r"""`$Att_{d1}^{\tilde{n}}$` -> `Att_d1^n`, `<i>Text</i> [5]` -> `Text`."""
    return re.sub(r"\\tilde|<.*?>|\[5\]|[${}\s]", "", cell)


@needs_paper
def test_tables_1_to_3_are_as_printed():
    printed = {cells[0]: cells[1].strip("$") for cells in rows(1)}
    assert paper.TABLE_1.set_index("name")["printed"].to_dict() == printed
    assert paper.TABLE_2["printed"].tolist() == rows(2)[0]
    ((emb_sizes, filters, n_fms),) = rows(3)
    sizes = re.findall(r"\d{3}", emb_sizes)
    assert paper.TABLE_3["printed"].tolist() == [*sizes, filters, n_fms]


@needs_paper
def test_table_4_is_as_printed():
    printed = rows(4)
    ours = [(label, [x for x in values if x == x]) for label, *values in cells(4, SCORES)]
    quoted = [(row.label, [row.accuracy]) for row in paper.TABLE_4_QUOTED.itertuples()]
    assert ours + quoted == [(label(cells[0]), numbers(cells[1:])) for cells in printed]


@needs_paper
def test_table_5_is_as_printed():
    ours = [(label, values) for label, *values in cells(5, SCORES)]
    assert ours == [(label(cells[0]), numbers(cells[1:])) for cells in rows(5)]


@needs_paper
def test_table_6_is_as_printed():
    printed = rows(6)
    assert cells(6, ["word", "ratio"]) == [(word, float(ratio)) for _, word, ratio in printed]
    middle = [emotion.lower() for emotion, _, _ in printed[1::3]]  # print names a class once
    assert paper.TABLE_6["emotion"].tolist() == [e for e in middle for _ in range(3)]


@needs_paper
def test_table_7_is_as_printed():
    columns = ["emotion", *EMOTIONS, "accuracy", "recall"]
    ours = [(emotion, values) for emotion, *values in cells(7, columns)]
    assert ours == [(cells[1].lower(), numbers(cells[2:])) for cells in rows(7)]


@needs_paper
def test_table_8_is_as_printed():
    ours = [(emotion, values) for emotion, *values in cells(8, list(paper.TABLE_8))]
    assert ours == [(cells[0].lower(), numbers(cells[1:])) for cells in rows(8)]


@needs_paper
def test_every_reported_number_stands_in_the_paper():
    printed = set(numbers([PAPER.read_text()]))
    for claim in paper.CLAIMS:
        for name, value in claim.reported.items():
            assert float(value) in printed, (claim.id, name)


def test_the_tables_name_our_models_and_classes():
    assert paper.TABLE_4["model"].tolist() == list(FUSIONS)
    assert paper.TABLE_7["emotion"].tolist() == list(EMOTIONS)
    assert paper.TABLE_8["emotion"].tolist() == list(EMOTIONS)
    assert set(paper.TABLE_4_QUOTED["same_as"]) < {*FUSIONS, "audio", "text"}


def test_the_tables_agree_with_each_other():
    counts = printed_confusion().to_numpy()
    right, total = counts.trace(), counts.sum()
    assert (right, total) == (397, 555)
    assert round(right / total, 3) == paper.TABLE_5["accuracy"][0]
    for row in paper.OWN.itertuples():  # each accuracy is a whole number of utterances
        assert sum(round(k / total, 3) == row.accuracy for k in range(total + 1)) == 1
        if not math.isnan(row.audio_score):
            assert row.audio_score + row.text_score == pytest.approx(1)


def test_table_7_s_rows_are_a_stratified_tenth_of_the_real_class_sizes():
    sizes = {"anger": 1103, "happiness": 595 + 1041, "neutrality": 1708, "sadness": 1084}
    assert sum(sizes.values()) == 4976 + 555
    for emotion, count in printed_confusion().sum(axis="columns").items():
        assert count == math.ceil(sizes[emotion] / 10)


def test_claims_repeat_the_tables():
    claims = {claim.id: claim for claim in paper.CLAIMS}
    assert list(claims) == list(range(1, 30))
    printed = {f"{row.model}-{row.embedding}": row for row in paper.OWN.itertuples()}
    judged = set()
    for claim in paper.CLAIMS:
        reported = {name: float(value) for name, value in claim.reported.items()}
        criterion = CRITERIA[claim.id]
        if isinstance(criterion, Accuracy):
            row = printed[criterion.model]
            judged.add(criterion.model)
            scores = {"audio score": row.audio_score, "text score": row.text_score}
            scores = {name: score for name, score in scores.items() if not math.isnan(score)}
            assert reported == {"accuracy": row.accuracy, **scores}
        if isinstance(criterion, Words):
            table = paper.TABLE_6.query("emotion == @criterion.emotion")
            table = table.set_index("word")["ratio"].to_dict()
            assert table.items() <= reported.items()
            assert set(criterion.negative) <= set(table)
    assert judged == set(printed)
    assert paper.TABLE_4_QUOTED.set_index("label")["accuracy"].to_dict() == {
        name: float(value) for name, value in claims[9].reported.items()
    }
    assert list(map(float, claims[17].reported.values())) == [
        *paper.TABLE_7["accuracy"], *paper.TABLE_7["recall"]
    ]  # fmt: skip
    waves = paper.TABLE_8.drop(columns="emotion").to_numpy().ravel().tolist()
    assert list(map(float, claims[25].reported.values())) == waves


def test_no_text_of_ours_cites_by_the_paper_s_numbers():
    """This book numbers its references otherwise."""
    texts = [claim.statement for claim in paper.CLAIMS]
    texts += [f"{choice.default} {choice.reason}" for choice in paper.OPEN_CHOICES]
    texts += paper.TABLE_4_QUOTED["label"].tolist()
    assert [text for text in texts if re.search(r"\[\d+\]", text)] == []


def test_a_reported_value_keeps_its_printed_digits():
    assert str(paper.CLAIMS[3].reported["audio score"]) == "0.500"
    assert str(paper.CLAIMS[15].reported["att_d1-trainable"]) == "0.09"


def test_criterion_a_is_as_wide_and_as_weak_as_it_says():
    criterion = CRITERIA[2]
    binomial = math.sqrt(0.715 * (1 - 0.715) / 555)
    assert math.floor(1960 * math.hypot(binomial, criterion.seed_sd)) / 1000 == criterion.tolerance
    printed = paper.OWN["accuracy"]
    low, high = max(printed) - criterion.tolerance, min(printed) + criterion.tolerance
    assert low < 0.689 < high  # one true mean that passes every row


def test_choices_are_in_step_with_the_configuration():
    experiment = set(get_type_hints(Experiment))
    for choice in paper.OPEN_CHOICES:
        assert choice.alternatives[0] == choice.default, choice.choice
        if choice.field is None:
            continue
        part, _, name = choice.field.partition(".")
        assert part in experiment, choice.choice
        if name:
            value = getattr(PARTS[part], name)
            assert not isinstance(value, str) or value == choice.default, choice.choice


#: Settings of a model of acoustic features, which the paper has not.
OF_FEATURES = {"architecture.audio_input", "training.features", "training.silenced"}


def test_every_choice_of_the_configuration_is_listed():
    listed = {choice.field: choice.alternatives for choice in paper.OPEN_CHOICES}
    for part, defaults in PARTS.items():
        for name, hint in get_type_hints(type(defaults)).items():
            if get_origin(hint) is Literal and f"{part}.{name}" not in OF_FEATURES:
                readings = listed[f"{part}.{name}"]
                assert set(get_args(hint)) <= set(readings), "what can be run is listed"


def test_tables_1_to_3_are_the_configuration_s_defaults():
    for row in pd.concat([paper.TABLE_1, paper.TABLE_2, paper.TABLE_3]).itertuples():
        part, name = row.field.split(".")
        if name == "emb_size":
            embedding = "word2vec" if "Word2Vec" in row.name else "trainable"
            assert EMB_SIZE[embedding] == row.value
        else:
            assert getattr(PARTS[part], name) == row.value, row.name


def test_criteria_name_configurations_that_exist():
    known = {
        f"{model}-{embedding}"
        for model, embedding in product([*FUSIONS, "text"], ["trainable", "word2vec"])
    } | {"audio-none"}
    for claim in paper.CLAIMS:
        named = getattr(CRITERIA[claim.id], "models", lambda reported: [])
        assert set(named(claim.reported)) <= known, claim.id


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- {model: a, embedding: trainable, label: A, accuracy: 0.7, acuracy: 0.7}", "0.acuracy"),
        ("- {model: a, embedding: trainable, label: A, accuracy: high}", "0.accuracy"),
        ("- {model: a, embedding: fasttext, label: A, accuracy: 0.7}", "0.embedding"),
        ("- {model: a", "not YAML"),
        ("just words", "the whole file"),
    ],
)
def test_a_file_that_does_not_fit_is_named_with_every_place(tmp_path, text, complaint):
    path = tmp_path / "table.yml"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(complaint)) as error:
        paper.load(path, tuple[paper.Row, ...])
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        (("kind: order", "kind: odour"), "12: "),
        (("12: {kind: order, embedding: trainable}\n", ""), r"\[12\]"),
        (("1: {kind: counts}\n", "1: {kind: counts}\n30: {kind: counts}\n"), r"\[30\]"),
    ],
)
def test_each_claim_has_one_criterion_of_a_known_kind(tmp_path, changed, complaint):
    path = tmp_path / "criteria.yml"
    path.write_text(criteria.FILE.read_text().replace(*changed))
    with pytest.raises(InputError, match=complaint):
        criteria.read(path)


def test_works_of_others_are_in_the_bibliography():
    entries = (Path(__file__).parents[1] / "book" / "references.bib").read_text(encoding="utf-8")
    for key, reported in paper.ELSEWHERE.items():
        assert f"{{{key}," in entries and all(0 < value < 1 for value in reported.values())
