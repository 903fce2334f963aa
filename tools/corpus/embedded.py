"""The two corpora that need no hub: files of gensim's own tests.

Both are in the archive of gensim 4.4.0 on PyPI (wheel or sdist, whichever PyPI has for this
platform), are checked by hash, and stay in the cache.
"""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ..files import cache_dir
from ..files.pypi import fetch_from_pypi
from .document import Document, DocumentSource
from .wikitext import wikitext_to_prose

_REQUIREMENT = "gensim==4.4.0"
_FOLDER = "gensim/test/test_data/"
_LEE = "lee_background.cor", "5d78d6dafd953bbf65797bef09a9ffb9ec430583381be705f8fd460000f370fb"
_WIKI = (
    "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
    "a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d",
)


def lee_news() -> DocumentSource:
    """The Lee corpus (Lee et al. 2005): 300 Australian news reports, 60,000 words."""
    path = _fetch(*_LEE)
    return DocumentSource("Lee news (300 reports)", _LEE[1], lambda: _lines(path))


def wiki_sample() -> DocumentSource:
    """About a hundred English Wikipedia articles as prose, mostly long ones."""
    path = _fetch(*_WIKI)
    title = "English Wikipedia sample (about 100 articles)"
    return DocumentSource(title, _WIKI[1], lambda: _articles(path))


def _fetch(file: str, sha256: str) -> Path:
    return fetch_from_pypi(
        _REQUIREMENT, _FOLDER + file, sha256, cache_dir() / "corpora", sdist_ok=True
    )


def _lines(path: Path) -> Iterator[Document]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            yield Document(f"lee-news:{number}", line.strip())


def _articles(path: Path) -> Iterator[Document]:
    """Pages of the main namespace that are not redirects; `id` is the title."""
    with bz2.open(path) as file:
        for _, element in ElementTree.iterparse(file):
            if not element.tag.endswith("}page"):
                continue
            xml = element.tag[: -len("page")]  # the namespace of the tags
            is_article = element.findtext(f"{xml}ns", "0") == "0"
            if is_article and element.find(f"{xml}redirect") is None:
                text = wikitext_to_prose(element.findtext(f"{xml}revision/{xml}text") or "")
                yield Document(element.findtext(f"{xml}title") or "", text)
            element.clear()
