"""Documents from files: what is read, and what a person is told when it cannot be."""

from __future__ import annotations

import gzip
import json
import os
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
    "text is a number": (
        "a.jsonl",
        b'{"text": 1}',
        r"a\.jsonl:1: column 'text' holds the number 1",
    ),
    "surrogate": (
        "a.jsonl",
        b'{"text": "a"}\n{"text": "\\ud800"}',
        r"a\.jsonl:2: .*half of a surrogate",
    ),
    "a list": ("a.jsonl", b'["text"]', r"a\.jsonl:1: .* the line has a list"),
    "cut gzip": ("a.jsonl.gz", gzip.compress(b'{"text": "abc"}' * 99)[:-20], "cannot be read"),
    "no gzip": ("a.jsonl.gz", b'{"text": "a"}', "cannot be read"),
    "no Parquet": ("a.parquet", b"PAR1 and nothing", "cannot be read as Parquet"),
    "kind": ("a.docx", b"PK", "not of a kind that is read"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_told_apart(tmp_path: Path, case: str) -> None:
    name, data, message = BAD[case]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=message):
        texts(tmp_path / name)


def test_which_column_is_the_text(tmp_path: Path) -> None:
    """`text`; else the only column of texts but `id`; else it is asked for."""
    path = tmp_path / "a.parquet"
    columns = {"body": ["a"], "n": [1], "id": ["7"]}
    pq.write_table(pa.table(columns), path)
    assert [tuple(d) for d in read_corpus(str(path)).documents] == [("7", "a")]
    pq.write_table(pa.table(columns | {"title": ["b"]}), path)
    with pytest.raises(
        UsageError, match=r"columns body, n, id, title; .*--text-column .*a\.parquet::"
    ):
        read_corpus(str(path))
    assert texts(Path(f"{path}::title")) == ["b"]
    pq.write_table(pa.table(columns | {"text": ["c"]}), path)
    assert texts(path) == ["c"]
    assert texts(Path(f"{path}::body")) == ["a"]
    with pytest.raises(UsageError, match="no column 'nothing'; it has body, n, id, text"):
        read_corpus(f"{path}::nothing")
    with pytest.raises(UsageError, match="column 'n' holds the number 1; expected text"):
        texts(Path(f"{path}::n"))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", 'id,body\n7,one\n,"two,\n2"\n'),
        ("a.csv", '\ufeffid;body\r\n7;one\r\n;"two,\n2"\r\n'),
        ("a.tsv", 'id\tbody\r7\tone\r\t"two,\n2"\r'),
        ("a.json", '[{"id": 7, "body": "one"}, {"body": "two,\\n2"}]'),
        ("a.ndjson", '{"id": 7, "body": "one"}\r\n{"body": "two,\\n2"}'),
    ],
)
def test_a_table_is_read(tmp_path: Path, name: str, data: str) -> None:
    (tmp_path / name).write_bytes(data.encode())
    documents = list(read_corpus(str(tmp_path / name)).documents)
    assert [document.text for document in documents] == ["one", "two,\n2"]
    assert documents[0].id == "7"
    assert documents[1].id.startswith(name)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_line_end_ends_a_line(tmp_path: Path, line_end: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(line_end.join(["one", "more of one", "", "two"]).encode())
    assert texts(path) == ["one\nmore of one", "two"]
    path.write_bytes(line_end.join(["one", "two", "three"]).encode())
    assert texts(path) == ["one", "two", "three"]


def test_a_folder_is_its_text_files(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "b").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "b" / "c.txt").write_bytes(b"three\r\n\r\nmore")
    (folder / "a.txt").write_bytes(b"\xef\xbb\xbfone\n\ntwo")
    (folder / "d.txt.gz").write_bytes(gzip.compress(b"four"))
    (folder / "empty.txt").write_bytes(b"")
    (folder / ".git" / "e.txt").write_bytes(b"hidden")
    (folder / "notes.md").write_bytes(b"# no")
    corpus = read_corpus(str(folder))
    assert [tuple(document) for document in corpus.documents] == [
        ("a.txt", "one\n\ntwo"),
        ("b/c.txt", "three\n\nmore"),
        ("d.txt.gz", "four"),
    ]
    assert corpus.documents.left_out == 1
    assert corpus.title == "texts (4 files)"
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    assert read_corpus(str(moved)).sha256 == corpus.sha256
    (moved / "a.txt").rename(moved / "z.txt")
    assert read_corpus(str(moved)).sha256 != corpus.sha256


def test_a_glob_is_its_files(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("one\ntwo")
    (tmp_path / "a.jsonl").write_text('{"body": "three"}\n{"body": null}\n')
    corpus = read_corpus(str(tmp_path / "*"))
    assert [tuple(document) for document in corpus.documents] == [
        ("a.jsonl:1", "three"),
        ("b.txt", "one\ntwo"),
    ]
    (tmp_path / "c.pdf").write_bytes(b"%PDF")
    with pytest.raises(UsageError, match=r"c\.pdf' is not of a kind that is read"):
        read_corpus(str(tmp_path / "*"))
    with pytest.raises(UsageError, match="no file matches"):
        read_corpus(str(tmp_path / "*.csv"))
    assert texts(tmp_path / "[ab].*") == ["three", "one\ntwo"]


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file .*nowhere"):
        read_corpus(str(tmp_path / "nowhere.txt"))
    with pytest.raises(UsageError, match=r"has no \.txt file; give its files by a glob"):
        read_corpus(str(tmp_path))
    (tmp_path / "a.txt").write_text("one")
    with pytest.raises(UsageError, match=r"column 'body' given, but .* is not a table"):
        read_corpus(f"{tmp_path / 'a.txt'}::body")
    with pytest.raises(UsageError, match=r"column 'body' given, but .* is a folder"):
        read_corpus(f"{tmp_path}::body")


def test_links_out_of_a_folder_and_fifos_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(UsageError, match=r"link\.txt' is a link that leads out"):
        read_corpus(str(folder))
    (folder / "link.txt").unlink()
    os.mkfifo(folder / "pipe.txt")
    for spec in (folder, folder / "pipe.txt", folder / "*.txt"):
        with pytest.raises(UsageError, match=r"pipe\.txt' is a FIFO"):
            read_corpus(str(spec))


def test_rows_without_text_are_left_out_and_counted(tmp_path: Path) -> None:
    """Null, empty and blank mean the same in every format."""
    rows = [{"text": "one", "n": 1}, {"text": None, "n": 2}, {"text": "", "n": 3}]
    rows += [{"text": " \n", "n": 4}, {"text": "two", "n": 5}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "a.csv").write_text('text,n\none,1\n,2\n"",3\n" \n",4\ntwo,5\n')
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for path in tmp_path.iterdir():
        documents = read_corpus(str(path)).documents
        assert [document.text for document in documents] == ["one", "two"], path
        assert documents.left_out == 3, path


def test_a_hub_name_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(
        UnavailableError,
        match=r"neither an embedded corpus \(lee-news, mixed, wiki-sample\).*pip install",
    ):
        read_corpus("someone/something")


def test_a_hub_that_is_not_reachable(fake_hub: Callable[..., None]) -> None:
    fake_hub(ConnectionError("no route\nto anywhere"))
    with pytest.raises(UnavailableError, match=r"does not give it: no route$"):
        read_corpus("someone/something")


def test_a_hub_data_set(fake_hub: Callable[..., None]) -> None:
    fake_hub([{"text": "one"}, {"text": "two", "id": "b"}])
    assert [tuple(d) for d in read_corpus("a/b:test").documents] == [("0", "one"), ("b", "two")]
    fake_hub([{"body": "one"}])
    with pytest.raises(UsageError, match=r"a/b, row 1: .*'text' is needed; the row has body"):
        list(read_corpus("a/b").documents)
    assert [d.text for d in read_corpus("a/b::body").documents] == ["one"]
    fake_hub([{"text": "one", "id": 0}, {"text": None}])  # type: ignore[list-item]
    documents = read_corpus("a/b:test").documents
    assert ([tuple(d) for d in documents], documents.left_out) == ([("0", "one")], 1)


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
