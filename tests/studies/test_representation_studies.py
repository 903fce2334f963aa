"""Studies of representations on the tiny subject: runs, options, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hubel.studies import StudyContext, find_study
from hubel.studies.representation.sae_probes import sets_of_tasks
from hubel.tools.errors import UsageError
from tests.support.tiny import WORDS, tiny_subject

VOCABULARY = WORDS.split()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """60 texts of 8 words, with a label that is their last word's."""
    rng = np.random.default_rng(0)
    rows = [" ".join(rng.choice(VOCABULARY, 7)) for _ in range(60)]
    path = tmp_path / "texts.csv"
    lines = [f"{text} {('cat', 'dog')[n % 2]},{n % 2},{n // 2}" for n, text in enumerate(rows)]
    path.write_text("text,label,group\n" + "\n".join(lines))
    return path


@pytest.mark.parametrize("measure", ["cka", "procrustes"])
def test_similarity_of_layers_and_of_a_subject_with_itself(table: Path, measure: str) -> None:
    options = {"data": str(table), "measure": measure}
    result = find_study("similarity")(StudyContext([tiny_subject()]), options)
    assert [row["layer"] for row in result.rows] == ["embedding", "resid.0", "resid.1", "resid.2"]
    twice = StudyContext([tiny_subject(), tiny_subject("gpt2")])
    between = find_study("similarity-between")(twice, options)
    assert len(between.rows) == 4
    itself = find_study("similarity-between")(StudyContext([tiny_subject()] * 2), options)
    assert [row["similarity"] for row in itself.rows] == pytest.approx([1] * 4, abs=1e-5)


@pytest.mark.parametrize("colour", ["label", "prediction", "mlp.1.3"])
def test_a_map_is_coloured_by_label_prediction_or_unit(table: Path, colour: str) -> None:
    options = {"data": str(table), "colour": colour, "pooling": "last"}
    result = find_study("map")(StudyContext([tiny_subject()]), options)
    assert len(result.rows) >= 2
    (figure,) = result.figures
    assert len(figure.texts) == 60  # pyright: ignore[reportAttributeAccessIssue]


def test_one_colour_and_a_layer_that_is_not_there_are_refused(table: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.csv"
    one.write_text(table.read_text().replace(",0,", ",1,"))
    with pytest.raises(UsageError, match="all 60 texts have the colour '1'; give two kinds"):
        find_study("map")(StudyContext([tiny_subject()]), {"data": str(one)})
    with pytest.raises(UsageError, match="layer 7 given; tiny-llama has layers 0 to 2"):
        find_study("map")(StudyContext([tiny_subject()]), {"data": str(table), "layer": 7})


def test_layers_read_what_the_last_word_gives_away(table: Path, tmp_path: Path) -> None:
    options = {"properties": [str(table)], "pooling": "last"}
    result = find_study("layers")(StudyContext([tiny_subject()]), options)
    (row,) = result.rows
    assert row["centre of gravity"] == pytest.approx(0, abs=0.5)
    with pytest.raises(UsageError, match="name each data set once"):
        find_study("layers")(StudyContext([tiny_subject()]), {"properties": ["a", "a"]})


def test_senses_on_a_subject(table: Path) -> None:
    result = find_study("senses")(StudyContext([tiny_subject()]), {})
    assert result.rows[0]["across senses"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kind", ["writes", "reads", "tokens"])
def test_directions_of_all_kinds(kind: str) -> None:
    options = {"directions": kind, "count": 20}
    result = find_study("superposition")(StudyContext([tiny_subject()]), options)
    assert result.rows
    assert all(-1 <= row["cosine"] <= 1 for row in result.rows)


def test_the_lens_and_the_context_need_long_enough_documents(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "corpus.txt"
    path.write_text("\n\n".join(" ".join(rng.choice(VOCABULARY, 30)) for _ in range(12)))
    options = {"corpus": str(path), "documents": 8, "length": 16}
    lens = find_study("lens")(StudyContext([tiny_subject()]), options | {"fit": 2})
    assert lens.rows[-1]["jacobian"] == pytest.approx(lens.rows[-1]["logit"], abs=1e-5)
    context = find_study("context")(StudyContext([tiny_subject()]), options)
    assert [row["early context"] for row in context.rows] == ["own", "truncated", "replaced"]
    for name in ("lens", "context"):
        with pytest.raises(UsageError, match="has 0 documents of 40 tokens or more"):
            find_study(name)(StudyContext([tiny_subject()]), options | {"length": 40})


def test_tasks_that_share_a_text_are_one_set() -> None:
    texts = [[1, 2], [3, 4], [2, 5], [6, 7], [5, 8]]
    first, second, third, fourth, fifth = sets_of_tasks([np.array(each) for each in texts])
    assert first == third == fifth
    assert len({first, second, fourth}) == 3


@pytest.fixture
def other_table(tmp_path: Path) -> Path:
    """Other texts with the labels of `table`, from their last word as well."""
    rng = np.random.default_rng(1)
    rows = [" ".join(rng.choice(VOCABULARY, 7)) for _ in range(60)]
    path = tmp_path / "other.csv"
    lines = [f"{text} {('cat', 'dog')[n % 2]},{n % 2},g{n // 2}" for n, text in enumerate(rows)]
    path.write_text("text,label,group\n" + "\n".join(lines))
    return path


def test_a_probe_of_the_last_word_reads_it_in_another_set(table: Path, other_table: Path) -> None:
    options = {"data": [str(table), str(other_table)], "layer": 0}
    result = find_study("probe-transfer")(StudyContext([tiny_subject()]), options)
    assert len(result.rows) == 4
    assert all(row["auc"] > max(0.9, row["best of shuffled"]) for row in result.rows)


def test_the_last_word_is_a_concept_that_predicts_it(table: Path, other_table: Path) -> None:
    options = {"data": str(table), "concepts": [str(other_table)], "layer": 0}
    result = find_study("bottleneck")(StudyContext([tiny_subject()]), options)
    _, residual, needed = result.claims
    assert (needed.verdict, residual.verdict) == ("supported", "cannot say")
    named, _, without = (row["accuracy"] for row in result.rows)
    assert named > 0.8
    assert without == 0.5


def test_sets_that_cannot_be_compared_are_refused(table: Path, tmp_path: Path) -> None:
    def refused(name: str, says: str, **options: object) -> None:
        with pytest.raises(UsageError, match=says):
            find_study(name)(StudyContext([tiny_subject()]), options)

    three, named = tmp_path / "three.csv", tmp_path / "named.csv"
    three.write_text(table.read_text() + "\nthe cat,2,x")
    named.write_text(table.read_text().replace(",0,", ",no,").replace(",1,", ",yes,"))
    refused("probe-transfer", "name each once", data=[str(table)] * 2)
    refused("probe-transfer", "has 3 labels; expected two", data=[str(table), str(three)])
    refused("probe-transfer", "are no and yes, those of", data=[str(table), str(named)])
    refused("bottleneck", "layer 9 given", data=str(table), concepts=[str(named)], layer=9)
