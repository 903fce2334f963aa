"""Documents from files: what is read, and what a person is told when it cannot be."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hubel.tools.corpus import corpus_from_documents, first_documents, read_corpus
from hubel.tools.errors import UnavailableError, UsageError


def texts(path: Path, limit: int | None = None) -> list[str]:
    return [document.text for document in read_corpus(str(path), limit).documents]


def test_blank_lines_separate_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\nmore of one\r\n\n \ntwo ü\n\n".encode())
    assert texts(path) == ["one\nmore of one", "two ü"]
    assert [document.id for document in read_corpus(str(path)).documents] == ["a.txt:1", "a.txt:5"]


def test_without_blank_lines_each_line_is_a_document(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\nthree")
    assert texts(path) == ["one", "two", "three"]
    assert texts(path, limit=2) == ["one", "two"]


def test_documents_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo")
    corpus = read_corpus(str(path))
    assert list(corpus.documents) == list(corpus.documents)
    assert [d.text for d in first_documents(corpus, 1).documents] == ["one"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_jsonl_file_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    data = "\n".join(
        [json.dumps({"text": "one", "id": 7}), "", json.dumps({"text": "two"})]
    ).encode()
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    documents = list(read_corpus(str(path)).documents)
    assert [tuple(document) for document in documents] == [("7", "one"), (f"{name}:3", "two")]


def test_a_parquet_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["x", None, "z"], "text": ["one", None, "two"]}), path)
    assert [tuple(document) for document in read_corpus(str(path)).documents] == [
        ("x", "one"),
        ("z", "two"),
    ]


BAD: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.txt", b"", "is empty"),
    "blank": ("a.txt", b" \n\n\t\n", "no document with any text"),
    "binary": ("a.txt", b"fine\n\x7fELF\0\0", r"a\.txt:2: a NUL byte"),
    "utf-16": ("a.txt", "text".encode("utf-16"), r"a\.txt:1: the text is UTF-16"),
    "latin-1": ("a.txt", b"fine\nfine\nna\xefve", r"a\.txt:3: byte 0xef at column 3 is not UTF-8"),
    "gigantic line": ("a.txt", b"fine\n" + b"x" * (1 << 21), r"a\.txt:2: a line of more than 1 MB"),
    "no JSON": ("a.jsonl", b'{"text": "a"}\n{"text": ', r"a\.jsonl:2: not a JSON object"),
    "deep JSON": ("a.jsonl", b"[" * 100_000, r"a\.jsonl:1: not a JSON object"),
    "no text": (
        "a.jsonl",
        b'{"text": "a"}\n{"body": "b"}',
        r"a\.jsonl:2: a string under 'text'.*body",
    ),
    "text is a number": ("a.jsonl", b'{"text": 1}', r"a\.jsonl:1: a string under 'text'"),
    "a list": ("a.jsonl", b'["text"]', r"a\.jsonl:1: .* the line has list"),
    "cut gzip": ("a.jsonl.gz", gzip.compress(b'{"text": "abc"}' * 99)[:-20], "cannot be read"),
    "no gzip": ("a.jsonl.gz", b'{"text": "a"}', "cannot be read"),
    "no Parquet": ("a.parquet", b"PAR1 and nothing", "cannot be read as Parquet"),
    "kind": ("a.docx", b"PK", "of no kind that is read"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_told_apart(tmp_path: Path, case: str) -> None:
    name, data, message = BAD[case]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=message):
        texts(tmp_path / name)


def test_a_parquet_file_without_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": ["a"], "n": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="columns body, n; a column 'text'"):
        texts(tmp_path / "a.parquet")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file .*nowhere"):
        read_corpus(str(tmp_path / "nowhere.txt"))
    with pytest.raises(UsageError, match="is a folder"):
        read_corpus(str(tmp_path))


def test_a_hub_name_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(
        UnavailableError, match=r"no embedded corpus \(lee-news, wiki-sample\).*pip install"
    ):
        read_corpus("someone/something")


def test_a_hub_that_is_not_reachable(fake_hub: Callable[..., None]) -> None:
    fake_hub(ConnectionError("no route\nto anywhere"))
    with pytest.raises(UnavailableError, match=r"cannot be had: no route$"):
        read_corpus("someone/something")


def test_a_hub_data_set(fake_hub: Callable[..., None]) -> None:
    fake_hub([{"text": "one"}, {"text": "two", "id": "b"}])
    assert [tuple(d) for d in read_corpus("a/b:test").documents] == [("0", "one"), ("b", "two")]
    fake_hub([{"body": "one"}])
    with pytest.raises(UsageError, match="columns body"):
        list(read_corpus("a/b").documents)


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def install(outcome: Exception | list[dict[str, str]]) -> None:
        def load_dataset(name: str, *, split: str, streaming: bool) -> list[dict[str, str]]:
            assert streaming
            assert split == (
                "test"
                if name == "a/b" and isinstance(outcome, list) and len(outcome) == 2
                else "train"
            )
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        module = type(pytest)("datasets")
        module.__dict__["load_dataset"] = load_dataset
        monkeypatch.setitem(__import__("sys").modules, "datasets", module)

    return install


def test_an_empty_corpus_at_hand() -> None:
    with pytest.raises(UsageError, match="no document with any text"):
        list(corpus_from_documents("mine", []).documents)
    with pytest.raises(UsageError, match="at least one document"):
        read_corpus("lee-news", limit_documents=0)
