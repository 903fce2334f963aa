"""A lexicon that cannot be loaded is left out, which is said once."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.tools.errors import CorruptError
from hubel.tools.files import file_sha256
from hubel.tools.lexica import Lexica, valence, wordnet_cache
from hubel.tools.lexica.valence import read_valence
from tests.support.small_wordnet import write_archive


def test_without_a_registry_both_are_none_and_each_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")  # no npm
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    said: list[str] = []
    lexica = Lexica(said.append)
    for _ in range(2):
        assert lexica.wordnet is None
        assert lexica.valence is None
    problems = [line for line in said if line.startswith("without ")]
    assert problems == lexica.missing
    assert [("WordNet" in p, "feeling" in p) for p in problems] == [(True, False), (False, True)]


def test_a_damaged_file_of_the_cache_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lexica"
    folder.mkdir()
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path))
    archive = write_archive(folder / f"{wordnet_cache.PACKAGE}-{wordnet_cache.VERSION}.tgz")
    monkeypatch.setattr(wordnet_cache, "SHA256", file_sha256(archive))
    said: list[str] = []
    readings = wordnet_cache.load_wordnet(said.append).readings
    assert wordnet_cache.load_wordnet(said.append).readings == readings
    assert len(said) == 1
    (parsed,) = folder.glob("wordnet-*.safetensors")
    parsed.write_bytes(b"damaged")
    assert wordnet_cache.load_wordnet(said.append).readings == readings
    assert len(said) == 2


def test_ratings_are_read_and_a_wrong_line_is_quoted(tmp_path: Path) -> None:
    path = tmp_path / "vader.txt"
    path.write_text("good\t1.9\t0.9\t[2, 2]\n:-(\t-1.5\t0.5\t[-1]\n")
    assert read_valence(path) == {"good": 1.9, ":-(": -1.5}
    path.write_text("good\tmuch\t\n")
    with pytest.raises(CorruptError, match="good"):
        read_valence(path)
    assert set(valence.VALENCES) == {"positive", "negative", "very positive", "very negative"}
