"""Which side comes first, what a formula covers of the exemplars, and where its headline holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from hubel.agent.review.exemplars import exemplars
from hubel.agent.review.token_maps import CollectedData
from hubel.tools.annotation import AnnotationLayer, Annotations
from hubel.tools.dissection import Lexicon
from hubel.tools.errors import UnavailableError
from hubel.tools.index import Collected
from hubel.tools.subject.address import Unit

WORDS = [" the", " cat", " dog", " ran", " red", " blue"]
TEXTS = [[0, 1, 3, 0], [0, 2, 3, 4], [4, 5, 0, 1], [5, 5, 2, 2]]
PEAKS = [1, 1, 3, 2]
EITHER = 'strongly words("cat") - moderately words("dog"); step 0.5, rest 0.25'
AFTER = 'strongly after(words("the")) + list(" dog" 3); step 0.5, rest 0.25'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> CollectedData:
    """Four collected contexts, numbered 10 to 13."""
    folder = tmp_path_factory.mktemp("collected")
    tensors = {
        "activations": np.zeros((1, 4, 4), np.float16),
        "tokens": np.array(TEXTS, np.int32),
        "length": np.full(4, 4, np.int32),
        "document": np.arange(4, dtype=np.int32),
        "context": np.arange(10, 14, dtype=np.int32),
    }
    save_file(
        tensors,
        folder / "explore.safetensors",
        metadata={"collected": '{"targets": ["mlp.0.0"]}'},
    )
    explore = Collected.open(folder, "explore")
    return CollectedData(explore, explore, Lexicon.build(WORDS, None))


def observed(plus: list[int], minus: list[int]) -> dict[str, Any]:
    """The observation with these contexts as exemplars."""

    def listed(contexts: list[int], sign: float) -> dict[str, Any]:
        rows = []
        for i in contexts:
            values = [0.0] * 4
            values[PEAKS[i]] = sign * 2.0
            tokens = [WORDS[token] for token in TEXTS[i]]
            row = {"tokens": tokens, "activations": values, "context": 10 + i, "peak": PEAKS[i]}
            rows.append(row)
        return {"exemplars": rows}

    return {"exemplars+": listed(plus, 1.0), "exemplars-": listed(minus, -1.0)}


def test_misses_are_those_whose_strongest_token_the_formula_does_not_predict(
    data: CollectedData,
) -> None:
    shown = exemplars(Unit.parse("mlp.0.0"), EITHER, observed([0, 1, 2], [1, 3, 0]), data)
    covered = {side: [m.get("covered") for m in maps] for side, maps in shown["exemplars"].items()}
    assert covered == {"+": [True, False, True], "-": [True, True, False]}
    assert shown["misses"] == [
        {"side": "+", "missed": 1, "of": 3, "tokens": [" dog"]},
        {"side": "-", "missed": 1, "of": 3, "tokens": [" cat"]},
    ]


def test_headline_holds_at_the_tokens_where_a_naive_reader_finds_it(data: CollectedData) -> None:
    shown = exemplars(Unit.parse("mlp.0.0"), AFTER, observed([0, 1, 2, 3], []), data)
    naive = [
        [p for p in range(1, 4) if WORDS[text[p - 1]] == " the"]  # a listed " dog" is no concept
        for text in TEXTS
    ]
    assert [shown_map.get("named") for shown_map in shown["exemplars"]["+"]] == naive


@pytest.mark.parametrize(
    ("target", "printed", "first"),
    [
        ("mlp.0.0-", EITHER, "-"),
        ("mlp.0.0+", EITHER, "+"),
        ("mlp.0.0", EITHER, "+"),
        ("mlp.0.0", 'strongly words("cat") - extremely words("dog")', "+"),
        ("mlp.0.0", '- moderately words("dog") + strongly words("cat")', "-"),
        ("mlp.0.0", 'list(" dog" -3)', "-"),
        ("mlp.0.0", None, "-"),
    ],
)
def test_explained_side_is_shown_first(
    target: str, printed: str | None, first: str, data: CollectedData
) -> None:
    observation = observed([0], [1])
    observation["exemplars-"]["exemplars"][0]["activations"][PEAKS[1]] = -3.0
    assert exemplars(Unit.parse(target), printed, observation, data)["sides"][0] == first


def test_side_that_is_not_explained_has_no_misses(data: CollectedData) -> None:
    shown = exemplars(Unit.parse("mlp.0.0-"), 'strongly words("dog")', observed([0], [0, 1]), data)
    assert "covered" not in shown["exemplars"]["+"][0]
    assert shown["misses"] == [{"side": "-", "missed": 1, "of": 2, "tokens": [" cat"]}]


@pytest.mark.parametrize("printed", ["strongly nonsense(1)", "(", None])
def test_formula_that_cannot_be_read_marks_nothing(
    printed: str | None, data: CollectedData
) -> None:
    shown = exemplars(Unit.parse("mlp.0.0"), printed, observed([0], [1]), data)
    assert shown["misses"] == []
    assert "named" not in shown["exemplars"]["+"][0]


def test_context_that_was_not_collected_is_shown_without_marks(data: CollectedData) -> None:
    observation = observed([0, 1], [])
    observation["exemplars+"]["exemplars"][1]["context"] = 99
    shown = exemplars(Unit.parse("mlp.0.0"), EITHER, observation, data)
    assert shown["misses"] == [{"side": "+", "missed": 0, "of": 1, "tokens": []}]
    assert "covered" not in shown["exemplars"]["+"][1]


class OneText:
    """Tags the four contexts above, as a run's folder does, and no part of them."""

    def annotate(self, tokens: np.ndarray, length: np.ndarray) -> Annotations:
        if tokens.tolist() != TEXTS:
            raise UnavailableError("this text was not stored")
        word = np.arange(16, dtype=np.int32).reshape(4, 4)
        none = np.full(16, -1, np.int32)
        lemmas = tuple(word.strip() for word in WORDS)
        layers = {"lemma": AnnotationLayer(np.array(TEXTS, np.int32).ravel(), lemmas)}
        return Annotations(word, np.zeros((4, 4), np.int32), none, none, layers)


def test_tagged_words_of_an_exemplar_are_those_of_the_whole_text(data: CollectedData) -> None:
    lexicon = Lexicon(WORDS, annotator=OneText())
    tagged = data._replace(lexicon=lexicon)
    observation = observed([1, 3], [])
    shown = exemplars(Unit.parse("mlp.0.0"), 'strongly lemma("dog")', observation, tagged)
    assert [m.get("named") for m in shown["exemplars"]["+"]] == [[1], [2, 3]]
    assert shown["misses"] == [{"side": "+", "missed": 0, "of": 2, "tokens": []}]
