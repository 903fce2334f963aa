"""`hubel dictionary check` and `list`, on a tiny subject."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hubel.agent.cli.main import run_command_line
from hubel.tools.dictionaries.activations import Relu
from hubel.tools.dictionaries.dictionary import Dictionary
from hubel.tools.dictionaries.placed import vectors_at
from hubel.tools.dictionaries.write import write_dictionary
from hubel.tools.subject.address import Site
from tests.support.dictionary_files import (
    saelens_case,
    sparsify_case,
    write_saelens,
    write_sparsify,
)
from tests.support.tiny import tiny_subject

LINES = ["the cat sat on the river bank on Monday", "a red dog is not in the city 1999"] * 8
COMMAND = "dictionary check --subject tiny --quiet --corpus"


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus; the subject is the tiny one whatever it is called."""
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(LINES))
    subject: Any = tiny_subject()
    monkeypatch.setattr("hubel.tools.subject.load_subject", lambda *_args, **_options: subject)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Principal components of stream.1, in SAELens' form."""
    subject, place = tiny_subject(), Site("stream", 1)
    vectors = vectors_at(subject, [place], LINES, 400)[place]
    mean = vectors.mean(dim=0)
    rows = torch.linalg.svd(vectors - mean, full_matrices=False).Vh[:6]
    rows = torch.cat([rows, -rows])
    encoder = rows.T.contiguous()
    made = Dictionary("a", place, place, encoder, torch.zeros(12), rows, mean, Relu(), model="tiny")
    return write_dictionary(made, tmp_path / "pca", "saelens")


def test_a_dictionary_that_fits(
    text: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line([*COMMAND.split(), str(text), str(folder), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["reads"], row["best_reads"], row["fits"], row["latents"]) == (
        "stream.1",
        "stream.1",
        True,
        12,
    )
    assert row["explained"] > 0.5 > row["shuffled"]
    assert run_command_line([*COMMAND.split(), str(text), str(folder)]) == 0
    assert "it fits" in capsys.readouterr().out


def test_one_that_does_not_says_where_it_would(
    text: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run_command_line(
        [*COMMAND.split(), str(text), str(folder), "--at", "stream.2", "--json"]
    )
    output = capsys.readouterr()
    assert status == 2
    assert json.loads(output.out)["fits"] is False
    assert "stream.1 would fit" in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--at", "resid.12"], "place 'resid.12' given; expected stream"),
        (["--at", "stream.-2"], "place 'stream.-2' given"),
        (["--at", "stream.9"], "has 3 layers"),
        (["--tokens", "3"], "--tokens 3: give at least 64"),
    ],
)
def test_wrong_use(
    options: list[str], message: str, text: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line([*COMMAND.split(), str(text), str(folder), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_list_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_saelens(tmp_path / "d" / "a", saelens_case("jumprelu"))
    write_sparsify(tmp_path / "d" / "b", sparsify_case(), "layers.10.mlp")
    write_sparsify(tmp_path / "d" / "b", sparsify_case(), "layers.2.mlp")
    save_file({"W_enc": torch.zeros(3, 2)}, tmp_path / "d" / "layer_0.safetensors")
    assert run_command_line(["dictionary", "list", str(tmp_path / "d"), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["reads"] for row in rows] == ["stream.1", "mlp_out.2", "mlp_out.10", None]
    assert [row["format"] for row in rows] == ["SAELens", "sparsify", "sparsify", "circuit-tracer"]
    assert "does not say where" in rows[3]["error"]
    assert run_command_line(["dictionary", "list", str(tmp_path / "d")]) == 0
    assert "mlp_out.10" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    for path in ("empty", "nothing"):
        assert run_command_line(["dictionary", "list", str(tmp_path / path)]) == 2
