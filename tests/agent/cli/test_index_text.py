"""`hubel index` on a user's own text: a folder, a glob, a table, and what is printed about it."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest

from hubel.agent.cli.main import run_command_line
from tests.support.tiny import WORDS, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def small_subject(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("subject")
    tokenizer = tiny_tokenizer()
    tiny_model(vocab_size=len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty short texts as a folder and as a table, with two empty ones."""
    place = tmp_path_factory.mktemp("texts")
    (place / "folder").mkdir()
    words, rng = WORDS.split(), random.Random(0)
    bodies = [f"{n}: {' '.join(rng.choices(words, k=25))}" for n in range(30)] + ["", " "]
    for number, body in enumerate(bodies):
        (place / "folder" / f"{number:02}.txt").write_text(body)
    with (place / "table.csv").open("w", newline="") as file:
        table = csv.writer(file, delimiter=";")
        table.writerow(["title", "body"])
        table.writerows([f"title {number}", body] for number, body in enumerate(bodies))
    return place


def index(subject: str, out: Path, *corpus: str) -> int:
    argv = ["index", "--subject", subject, "--out", str(out), "--sites", "mlp", "--layers", "0"]
    return run_command_line([*argv, "--json", "--corpus", *corpus])


@pytest.mark.parametrize(
    "corpus",
    [["folder"], ["folder/*.txt"], ["table.csv::body"], ["table.csv", "--text-column", "body"]],
)
def test_a_users_text_in_every_form(
    small_subject: str, texts: Path, corpus: list[str], tmp_path: Path, capsys
) -> None:
    assert index(small_subject, tmp_path / "i", str(texts / corpus[0]), *corpus[1:]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["tokens"] > 30 * 25
    assert "2 rows or files of the corpus have no text and are left out" in output.err
    assert output.err.count("a small corpus, documents by split: explore ") == 1


def test_the_column_is_asked_for(small_subject: str, texts: Path, tmp_path: Path, capsys) -> None:
    assert index(small_subject, tmp_path / "i", str(texts / "table.csv")) == 2
    error = capsys.readouterr().err
    assert "has the columns title, body; say which one is the text" in error
    assert "--text-column NAME" in error
    assert not (tmp_path / "i").exists()


def test_a_column_needs_a_corpus(capsys) -> None:
    assert run_command_line(["eval", "run", "--text-column", "body"]) == 2
    assert "--text-column 'body' given without --corpus" in capsys.readouterr().err
