"""What was tagged is kept by content, and a damaged file is made again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.tools.annotation import Annotations, SpacyAnnotator, annotator
from hubel.tools.annotation.annotator import cached_path, tag_contexts
from hubel.tools.annotation.stored import load_annotations, save_annotations
from hubel.tools.errors import CorruptError

STRINGS = [" The", " dogs", " barked", " loudly", "."]
TOKENS = np.array([[0, 1, 2, 3, 4], [0, 1, 2, 4, 0]])
LENGTH = np.array([5, 4])


def same(one: Annotations, other: Annotations) -> bool:
    if one.layers.keys() != other.layers.keys():
        return False
    parts = ("word", "piece", "previous", "head")
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in parts) and all(
        one.layers[name].values == other.layers[name].values
        and np.array_equal(one.layers[name].codes, other.layers[name].codes)
        for name in one.layers
    )


@pytest.fixture
def cache(tagger: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for texts; the model is loaded from the real one."""
    monkeypatch.setattr(annotator, "load_tagger", lambda say: tagger)
    monkeypatch.setattr(annotator, "SLOW_TOKENS", 1)
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.tagger
def test_a_long_text_is_tagged_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    first = SpacyAnnotator(STRINGS, said.append)
    annotations = first.annotate(TOKENS, LENGTH)
    assert first.annotate(TOKENS, LENGTH) is annotations
    assert said == ["tagging the words of 9 tokens, about 2 s; kept for next time"]
    monkeypatch.setattr(annotator, "tag_contexts", None)
    assert same(SpacyAnnotator(STRINGS).annotate(TOKENS, LENGTH), annotations)


@pytest.mark.tagger
def test_other_lengths_or_strings_are_another_text(cache: Path) -> None:
    SpacyAnnotator(STRINGS).annotate(TOKENS, LENGTH)
    SpacyAnnotator(STRINGS).annotate(TOKENS, np.array([4, 4]))
    SpacyAnnotator([*STRINGS[:4], "!"]).annotate(TOKENS, LENGTH)
    assert len(list((cache / "annotations").glob("*.safetensors"))) == 3


@pytest.mark.tagger
@pytest.mark.parametrize("damage", ["cut", "flipped", "another"])
def test_a_damaged_file_is_made_again(cache: Path, damage: str) -> None:
    expected = SpacyAnnotator(STRINGS).annotate(TOKENS, LENGTH)
    (path,) = (cache / "annotations").glob("*.safetensors")
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[-3] ^= 1
    path.write_bytes({"cut": content[:-9], "flipped": content, "another": b"text"}[damage])
    with pytest.raises(CorruptError, match="cannot be read"):
        load_annotations(path)
    assert same(SpacyAnnotator(STRINGS).annotate(TOKENS, LENGTH), expected)
    assert same(load_annotations(path), expected)


@pytest.mark.tagger
def test_only_some_layers_can_be_kept(tagger: Any, tmp_path: Path) -> None:
    annotations = tag_contexts(tagger, STRINGS, TOKENS, LENGTH)
    save_annotations(annotations, tmp_path / "a.safetensors", only=["lemma"])
    loaded = load_annotations(tmp_path / "a.safetensors")
    assert list(loaded.layers) == ["lemma"]
    codes, values = loaded.layer("head_lemma")
    assert values[codes[0, 1]] == "bark"


def test_spacy_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys; from hubel.tools.annotation import SpacyAnnotator; "
        "from hubel.tools.dissection import Lexicon, Predicate; SpacyAnnotator(['a']); "
        "sys.exit('spacy' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_cache_is_named_by_the_key() -> None:
    assert cached_path("ab" * 32).name == "ab" * 16 + ".safetensors"
