"""The corpus `mixed`, from small files of the same form as its sources."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hubel.tools.corpus import mixed, read_corpus

KINDS = {"news", "encyclopaedia", "reviews", "questions", "code", "dialogue"}
RNG = np.random.default_rng(0)
WORDS = ["".join(RNG.choice(list("aeioulmnrst"), 6)) for _ in range(3_000)]
HEADER = "/* Copyright\n * Permission is hereby granted, free of charge, to any person.\n */\n"


def prose(n_words: int) -> str:
    """Sentences of five words."""
    words = [*RNG.choice(WORDS, n_words)]
    return " ".join(f"{' '.join(words[at : at + 5])}." for at in range(0, n_words, 5))


def table(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def questions(n: int) -> list[dict[str, Any]]:
    return [
        {"question": f"{prose(10)[:-1]}?", "options": "A. one\nB. two", "answer": "A. one"}
        for _ in range(n)
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sources")
    repeated = prose(100)
    silent = {"question": prose(10), "answer": ["I have no comment"]}
    code = [
        {"prompt": HEADER + prose(300), "target": "1"},
        {"prompt": prose(300), "target": "1"},  # states no licence
        {"prompt": HEADER + prose(300), "target": "0"},  # another language
    ]
    python = [{"prompt": HEADER.replace("\n", "\n# ") + "\n" + prose(300), "target": "1"}]
    contents: dict[str, bytes] = {
        "lee": "\n".join([prose(100), repeated, prose(900), f" {repeated} "]).encode(),
        "boolq": lines([{"title": t, "passage": prose(90)} for t in ("A", "B", "B")]),
        "imdb": table([{"text": f"{prose(50)}<br /><br />{prose(60)}", "label": 1}]),
        "mmlu": lines(questions(40)),
        "commonsense": lines(questions(40)),
        "truthful": lines([silent, *questions(40)]),
        "aci": json.dumps([{"src": f"[doctor] {prose(400)}"}]).encode(),
        "mts": table([{"dialogue": f"Doctor: {prose(30)}"} for _ in range(20)]),
        "c": table(code),
        "python": table(python),
        "html": table(
            [{"prompt": f"<!-- MIT License: the MIT License -->{prose(300)}", "target": "1"}]
        ),
        "sms": table([{"prompt": prose(10), "target": str(n % 2)} for n in range(100)]),
    }
    paths = {}
    for name, content in contents.items():
        compressed = name in ("c", "python", "html", "sms")
        paths[name] = folder / f"{name}.csv{'.zst' if compressed else ''}"
        data = pa.compress(content, codec="zstd", asbytes=True) if compressed else content
        paths[name].write_bytes(data)
    return paths


def test_every_kind_has_documents_of_readable_length(files: dict[str, Path]) -> None:
    documents = list(mixed.documents(files))
    assert {document.id.split("/")[0] for document in documents} == KINDS
    assert max(len(document.text) for document in documents) <= mixed.LONGEST + 100
    joined = [d for d in documents if "questions" in d.id or "sms" in d.id]
    assert min(len(document.text) for document in joined) >= mixed.SHORTEST


def test_near_duplicates_and_second_passages_are_left_out(files: dict[str, Path]) -> None:
    origins = Counter(d.id.split(":")[0] for d in mixed.documents(files))
    assert origins["news/lee"] == 3
    assert origins["encyclopaedia/boolq"] == 2


def test_code_is_taken_only_with_a_permissive_header_which_is_left_out(
    files: dict[str, Path],
) -> None:
    code = [d for d in mixed.documents(files) if d.id.startswith("code/")]
    assert sorted(d.id for d in code) == ["code/c:1", "code/html:1", "code/python:1"]
    assert not any("granted" in d.text or "License" in d.text for d in code)


def test_long_texts_end_with_a_sentence(files: dict[str, Path]) -> None:
    texts = {d.id: d.text for d in mixed.documents(files)}
    assert 1_400 < len(texts["news/lee:3"]) <= mixed.LONGEST
    assert texts["news/lee:3"].endswith(".")
    assert "I have no comment" not in "".join(texts.values())
    assert "<br" not in "".join(texts.values())


def test_documents_are_the_same_each_time(files: dict[str, Path]) -> None:
    assert list(mixed.documents(files)) == list(mixed.documents(files))


@pytest.mark.subject
def test_the_fetched_corpus_is_balanced_and_free_of_duplicates() -> None:
    corpus = read_corpus("mixed")
    characters: Counter[str] = Counter()
    for document in corpus.documents:
        characters[document.id.split("/")[0]] += len(document.text)
    assert set(characters) == KINDS
    assert all(150_000 < n < 165_000 for n in characters.values())
