"""A quantised GGUF file as a subject: the weights of the file, and its quantisation in every name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hubel.agent.cli.targets_table import subject_line
from hubel.tests.support.gguf_files import write_gguf
from hubel.tools.errors import UsageError
from hubel.tools.subject import load_subject
from hubel.tools.subject.architectures import matrix
from hubel.tools.subject.gguf_file import quantisation


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_the_weights_are_those_of_the_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"tiny.{kind}.gguf"
    matrices = write_gguf(path, kind)
    lines: list[str] = []
    subject = load_subject(str(path), progress=lines.append)
    assert subject.title == f"tiny.{kind}, dequantised from {kind}"
    assert any(f"dequantising tiny.{kind}.gguf from {kind}" in line for line in lines)
    for layer, parts in enumerate(subject.parts.layers):
        held = matrix(parts.mlp_down).numpy()
        np.testing.assert_array_equal(held, matrices[f"blk.{layer}.ffn_down"])
    assert subject.tokenize("cat dog").ids == [
        subject.token_strings().index("cat"),
        subject.token_strings().index(" dog"),
    ]


def test_another_quantisation_is_another_revision(tmp_path: Path) -> None:
    revisions = set()
    for kind in ("Q8_0", "Q4_0"):
        write_gguf(tmp_path / f"{kind}.gguf", kind)
        revisions.add(load_subject(str(tmp_path / f"{kind}.gguf")).revision)
    assert len(revisions) == 2


def test_what_is_no_gguf_file_is_refused_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_gguf(path)
    assert quantisation(path) == "Q8_0"
    content = path.read_bytes()
    for damaged in (b"GGUF", b"", content[:300], content[:-5000]):
        path.write_bytes(damaged)
        with pytest.raises(UsageError, match="GGUF") as error:
            load_subject(str(path))
        assert "\n" not in str(error.value)


def test_a_report_line_says_what_the_name_does_not() -> None:
    tiny = {"name": "a.gguf", "title": "a, dequantised from Q4_0", "revision": "1f"}
    assert subject_line(tiny) == "subject: a, dequantised from Q4_0 (1f)"
    assert subject_line({"name": "a", "title": "a"}) == subject_line({}) == ""
