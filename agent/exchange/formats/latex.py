r"""A LaTeX table of a run, with booktabs; written, not read.

A row for each unit: address, explanation, held-out r with its interval, the best trivial prediction,
and the verdict; below, what the columns are. Every character that LaTeX would obey is escaped, and
those that its fonts may not have are named by their code point. Needs `\usepackage{booktabs}`, and
`longtable` for more than 40 units.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

from ....tools.files.untrusted_text import show_hidden
from ..losses import HEADLINE_SCORE
from ..records import ExplainedUnit, ExplanationSet
from ..registry import ExchangeFormat
from ..run_texts import RunTexts

LONG = 40
"""Rows that fit one page; more of them need a longtable."""
_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}", "‹": r"\guilsinglleft{}", "›": r"\guilsinglright{}", "…": r"\dots{}",
    "–": "--", "—": "---", "\u201c": "``", "\u201d": "''", "\u2018": "`", "\u2019": "'",
    "⏎": r"\textbackslash{}n", "⇥": r"\textbackslash{}t", "-": "-{}",
}  # fmt: skip
"""`-{}` keeps two hyphens two. T1 fonts have all of these."""
_LATIN = range(0xA1, 0x180)
_NOT_IN_T1 = frozenset("ĦħĸĿŀŉŦŧſ")
"""Letters of that range at which pdfLaTeX stops (TeX Live 2022)."""


def escape(text: str) -> str:
    """A text as LaTeX prints it, whatever it holds."""
    escaped = "".join(map(_escaped, show_hidden(" ".join(text.split()))))
    return escaped.replace(",,", ",{},{}")  # which T1 fonts join to one low quotation mark


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isascii() or (
        ord(character) in _LATIN
        and character not in _NOT_IN_T1
        and unicodedata.category(character)[0] == "L"
    ):
        return character
    return rf"\texttt{{U+{ord(character):04X}}}"


def write_latex(explanations: ExplanationSet, out: Path, _texts: RunTexts | None) -> list[str]:
    """Write a table to be included with \\input."""
    rows = [_row(unit) for unit in explanations]
    is_long = len(rows) > LONG
    columns = "@{}lp{0.5\\linewidth}rlrl@{}"
    heads = ("Unit", "Explanation", "$r$", r"95\,\%", "Trivial", "Verdict")
    head = " & ".join(heads) + r" \\"
    environment = "longtable" if is_long else "tabular"
    lines = [
        "% for pdfLaTeX; needs \\usepackage[T1]{fontenc}, {textcomp} and {booktabs}"
        + (", {longtable}" if is_long else ""),
        f"\\begin{{{environment}}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *([r"\endhead"] if is_long else []),
        *rows,
        r"\bottomrule",
        f"\\end{{{environment}}}",
        f"% {escape(_caption(explanations))}",
    ]
    out.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")
    return []


def _caption(explanations: ExplanationSet) -> str:
    origin = explanations.origin
    return (
        f"{explanations.name}: {origin.subject} on {origin.corpus}, explained by {origin.explainer}; r is the "
        "correlation of predicted and true activations on held-out text, Trivial that of the best of "
        "constant, frequency and position"
    )


def _row(unit: ExplainedUnit) -> str:
    score = unit.score(*HEADLINE_SCORE)
    value = interval = trivial = "--"
    if score is not None:
        value = _number(score.value)
        if score.low is not None and score.high is not None:
            interval = f"[{_number(score.low)}, {_number(score.high)}]"
        floor = score.floors.get("trivial")
        trivial = "--" if floor is None else _number(floor)
    words = (
        escape(unit.words)
        or rf"\emph{{{escape(unit.status)}: {escape(unit.error or unit.reason)}}}"
    )
    cells = (
        rf"\texttt{{{escape(unit.unit)}}}",
        words,
        value,
        interval,
        trivial,
        escape(unit.verdict) or "--",
    )
    return " & ".join(cells) + r" \\"


def _number(value: float) -> str:
    return f"${value:.2f}$"


FORMATS = (
    ExchangeFormat(
        "latex",
        "the table",
        {"held-out r", "failures", "verdicts", "directions", "model's words"},
        (".tex",),
        write_latex,
    ),
)
