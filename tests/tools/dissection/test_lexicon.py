"""The lexicon is kept without loss, refuses what is broken, and gives members and near misses of a concept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hubel.tools.dissection import Lexicon, TextView
from hubel.tools.errors import CorruptError, UsageError


def test_a_saved_lexicon_loads_unchanged(language: Lexicon, tmp_path: Path) -> None:
    language.save(tmp_path)
    again = Lexicon.load(tmp_path)
    assert again.strings == language.strings
    np.testing.assert_array_equal(again.vectors, language.vectors)
    np.testing.assert_array_equal(again.map, language.map)


@pytest.mark.parametrize("name", ["lexicon.json.gz", "lexicon.safetensors"])
def test_a_file_cut_short_or_missing_is_named(name: str, language: Lexicon, tmp_path: Path) -> None:
    language.save(tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptError, match="delete that folder"):
        Lexicon.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(CorruptError, match="delete that folder"):
        Lexicon.load(tmp_path)


def test_casing_and_space_make_one_word_whose_token_is_the_plainest() -> None:
    lexicon = Lexicon(["Said", "said", " Said", " said", "x"])
    assert lexicon.words == ["said", "x"]
    assert lexicon.strings[lexicon.token_of_word[0]] == " said"


def test_vectors_must_match_the_vocabulary() -> None:
    with pytest.raises(UsageError, match="3 for 2 tokens"):
        Lexicon(["a", "b"], np.zeros((3, 4)))


def test_tokens_outside_the_vocabulary_are_refused() -> None:
    with pytest.raises(UsageError, match="outside a vocabulary of 2"):
        TextView(np.array([[0, 2]]), np.array([2]), Lexicon(["a", "b"]))
