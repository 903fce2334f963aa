"""Readable prose out of MediaWiki markup.

1. Drop what is not prose: comments, references, tables, templates, files, categories, galleries,
   mathematics.
2. Keep the words of links, headings, and lists, without their markup.
3. Cut the sections that only list things (references, external links, see also).
4. Decode entities and tidy whitespace; paragraphs stay separated by one blank line.

It reads English Wikipedia well enough to study a model on it; it is not a full parser.
"""

from __future__ import annotations

import html
import re

_DROPPED_TAGS = "ref|math|gallery|timeline|code|pre|source|syntaxhighlight|score|imagemap|table"
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_SELF_CLOSED = re.compile(rf"<(?:{_DROPPED_TAGS})\b[^<>]*/>", re.I)
_DROPPED = re.compile(rf"<({_DROPPED_TAGS})\b[^<>]*>.*?</\1\s*>", re.S | re.I)
_TAG = re.compile(r"</?[a-z][^<>]*>", re.I)
_INNER_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}|\{\|(?:[^{}]|\{(?!\|)|\}(?!\}))*?\|\}", re.S)
_LIST_SECTIONS = re.compile(
    r"^==+\s*(?:(?:notes and )?references|notes|footnotes|citations|external links|see also|further reading|"
    r"bibliography|sources|works cited|gallery)\s*==+\s*$",
    re.I | re.M,
)
_HEADING = re.compile(r"^(=+)\s*(.*?)\s*=+\s*$", re.M)
_INNER_LINK = re.compile(r"\[\[([^\[\]]*)\]\]")
_NAMESPACE = re.compile(r"\s*:?(?:file|image|category|media|[a-z]{2,3}|[a-z-]+wiki)\s*:", re.I)
_OUTER_LINK = re.compile(r"\[(?:https?:|ftp:)?//[^\s\]]*\s*([^\]]*)\]", re.I)
_BARE_LINK = re.compile(r"https?://\S+")
_EMPHASIS = re.compile(r"'{2,}")
_MAGIC = re.compile(r"__[A-Z]+__")
_LIST_ITEM = re.compile(r"^[*#:;]+\s*", re.M)
_LOST_START = re.compile(r"\(\s*[;,][;,\s]*")  # a bracket that a pronunciation opened
_EMPTY_BRACKETS = re.compile(r"\(\s*\)")


def wikitext_to_prose(markup: str) -> str:
    """The article's text, paragraphs separated by a blank line."""
    text = _COMMENT.sub("", markup)
    text = _DROPPED.sub("", _SELF_CLOSED.sub("", text))
    text = _without_nested(text, _INNER_TEMPLATE)
    text = _without_list_sections(text)
    text = _with_link_words(text)
    text = _OUTER_LINK.sub(r"\1", text)
    text = _BARE_LINK.sub("", text)
    text = _MAGIC.sub("", _EMPHASIS.sub("", _TAG.sub("", text)))
    text = _LIST_ITEM.sub("", _HEADING.sub(r"\n\2\n", text))
    return _tidy(html.unescape(html.unescape(text)))


def _without_nested(text: str, innermost: re.Pattern[str]) -> str:
    """Remove brackets from the inside out; the bound keeps hostile nesting from taking forever."""
    for _ in range(40):
        text, n = innermost.subn("", text)
        if not n:
            break
    return text


def _with_link_words(text: str) -> str:
    for _ in range(10):
        text, n = _INNER_LINK.subn(_link_words, text)
        if not n:
            break
    return text


def _link_words(link: re.Match[str]) -> str:
    target, *labels = link[1].split("|")
    if _NAMESPACE.match(target) and not target.startswith(":"):
        return ""
    return labels[-1] if labels and labels[-1] else target.lstrip(":")


def _without_list_sections(text: str) -> str:
    """Cut each section that lists things, up to the next heading of the same or a higher level."""
    while match := _LIST_SECTIONS.search(text):
        level = len(match[0]) - len(match[0].lstrip("="))
        following = re.compile(rf"^={{1,{level}}}[^=].*$", re.M).search(text, match.end())
        text = text[: match.start()] + (text[following.start() :] if following else "")
    return text


def _tidy(text: str) -> str:
    text = _EMPTY_BRACKETS.sub("", _LOST_START.sub("(", text.replace("\xa0", " ")))
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" +([,.;:)])", r"\1", text)
    lines = (line.strip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
