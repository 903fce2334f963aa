"""A run's own texts are read without a tagger; any other text needs one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.tools.annotation import Annotations, StoredAnnotator, annotator, store_annotations
from hubel.tools.annotation.annotator import tag_contexts
from hubel.tools.annotation.stored_annotator import UNTAGGED
from hubel.tools.dissection import Lexicon, Predicate
from hubel.tools.dissection.frozen_lexicon import annotation_layers
from hubel.tools.errors import UnavailableError

STRINGS = [" The", " dogs", " barked", " and", " played", " loudly", "."]
TOKENS = np.array([[0, 1, 2, 3, 4, 6], [0, 1, 4, 5, 6, 0]])
LENGTH = np.array([6, 5])
PRINTED = (
    'strongly lemma("play") + slightly previous(pos("noun")) - faintly head(form("past form")); '
    "step 0.5, rest 0.25"
)


class OneTagger:
    def __init__(self, tagger: Any) -> None:
        self._tagger = tagger

    def annotate(self, tokens: np.ndarray, length: np.ndarray) -> Annotations:
        return tag_contexts(self._tagger, STRINGS, tokens, length)


def no_tagger(*args: object) -> None:
    raise UnavailableError("spaCy is not installed")


@pytest.mark.tagger
def test_a_stored_text_is_predicted_bit_for_bit_without_a_tagger(
    tagger: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicate = Predicate.parse(PRINTED)
    expected = predicate.predict(TOKENS, Lexicon(STRINGS, annotator=OneTagger(tagger)), LENGTH)
    layers = annotation_layers([PRINTED])
    assert layers == ["lemma", "pos", "tense"]
    store_annotations(OneTagger(tagger), tmp_path, TOKENS, LENGTH, layers)

    monkeypatch.setattr(annotator, "load_tagger", no_tagger)
    monkeypatch.setattr(annotator, "tagger_version", no_tagger)
    lexicon = Lexicon(STRINGS, annotator=StoredAnnotator(tmp_path, STRINGS))
    np.testing.assert_array_equal(predicate.predict(TOKENS, lexicon, LENGTH), expected)
    assert len(np.unique(expected)) > 2
    with pytest.raises(UnavailableError, match=r"has no annotations of this text.*not installed"):
        predicate.predict(TOKENS[:1], lexicon, LENGTH[:1])


@pytest.mark.tagger
def test_any_other_text_is_tagged_where_a_tagger_is(
    tagger: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotator, "load_tagger", lambda say: tagger)
    annotations = StoredAnnotator(tmp_path, STRINGS).annotate(TOKENS, LENGTH)
    assert annotations.layer("lemma").values == (".", "and", "bark", "dog", "loudly", "play", "the")


def test_texts_that_could_not_be_tagged_are_not_tagged_later(tmp_path: Path) -> None:
    store_annotations(None, tmp_path, TOKENS, LENGTH, ["lemma"])
    assert [path.name for path in tmp_path.iterdir()] == [UNTAGGED]
    with pytest.raises(UnavailableError, match="could not be tagged when it ran"):
        StoredAnnotator(tmp_path, STRINGS).annotate(TOKENS, LENGTH)
