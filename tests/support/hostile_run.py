"""A synthetic run in which everything that comes from a corpus, a model or a person is an attack.

Tokens, explanations, predicates, transcripts, the names of targets, subject, corpus, explainer and
reviewers, and their notes are full of scripts, markup, terminal sequences, direction changes and
null bytes. Everything that shows a run is tested on it: nothing may run, move or vanish.

    python -m tests.support.hostile_run FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from hubel.agent.runlog.reviews import Reviews
from hubel.bench.synthetic_run import make_run

HOSTILE = (
    "<script>window.hacked=1</script>",
    "</script><script>window.hacked=2</script>",
    '"><img src=x onerror="window.hacked=3">',
    "<svg onload=window.hacked=4>",
    "javascript:window.hacked=5",
    "<iframe srcdoc='<script>parent.hacked=6</script>'>",
    "<style>*{display:none}</style>",
    "<!-- ",
    "]]>",
    "&lt;b&gt;&amp;",
    "{{7*7}}${7*7}<%=7*7%>",
    "' onmouseover='window.hacked=7",
    "\x1b[2J\x1b[31mred\x07",
    "\x00null\x00",
    "\u202egnp.exe\u2066",
    "\u200b\u200d\ufeff",
    "e\u0301" * 40,
    "\U000e0041\U0001f469\u200d\U0001f4bb",
    "<base href=//evil.example/>",
    "__proto__",
    "constructor",
    "a" * 5000,
    "\r\n\r\nHTTP/1.1 200 OK",
    "=cmd|' /C calc'!A0",
    "\\u003cscript\\u003e",
)
TARGETS = (
    "resid.0@<img/src=x/onerror=window.hacked=8>",
    "resid.1@__proto__",
    "resid.2@\"'&?#%2e%2e/..",
)
NAME = "<b onclick=window.hacked=9>Ada"


def make_hostile_run(folder: Path, targets: int = 30) -> None:
    """Write a finished run, and reviews of its first target."""
    make_run(folder, targets, hostile=HOSTILE, first=TARGETS)
    reviews = Reviews(folder)
    for number, text in enumerate(HOSTILE):
        verdict = ("approve", "reject", "edit", "note")[number % 4]
        data = {
            "verdict": verdict,
            "text": text,
            "predicate": text,
            "note": text,
            "name": f"{NAME}{text[:40]}",
        }
        reviews.write("review", TARGETS[0], data | {"after_viewing": True, "score": None})
    reviews.write("holdout_opened", TARGETS[0], {"name": NAME})


if __name__ == "__main__":
    make_hostile_run(Path(sys.argv[1]))
