"""`hubel report`: the review page's views of one run as a single file that can be mailed, or as a
folder.

1. What the page would ask the server for is asked here, of the same functions, and put into the
   page as JSON that no browser executes.
2. The page's own modules and styles stand in the file; a policy in its head lets those run, by
   their hashes, and nothing else, and forbids all requests.
3. With many targets each is shown with less. In a folder each target is a file of its own, and
   nothing is left out.

No held-out text is in a report: making one must not be the event after which explanations are
marked as made after viewing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from ...tools.errors import CorruptError
from ...tools.files import atomic_file
from ..runlog.layout import CIRCUIT
from . import tables, target_page, token_maps
from .inline_assets import bundle, styles
from .json_response import plain_json
from .rows import with_reviews
from .run_catalog import RunCatalog, StoredRun, safe_path
from .run_page import run_page
from .run_rows import run_rows
from .server import STATIC
from .store.decisions import store_decisions
from .store.fill import fill

MOST_IN_A_FILE = 400
"""Targets up to which a single file stays something that can be mailed."""


class Detail(NamedTuple):
    """How much of each target is shown."""

    exemplars: int
    """Contexts a side."""
    maps: int
    """Contexts with predictions."""
    turns: int
    """Of the transcript."""
    answer: int
    """Characters of an instrument's answer."""


WHOLE = Detail(20, 12, 10_000, 20_000)
_BY_TARGETS = (
    (12, Detail(8, 8, 200, 2000)),
    (60, Detail(6, 4, 40, 300)),
    (MOST_IN_A_FILE, Detail(4, 3, 0, 0)),
)


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write a run's report as one HTML file (by default `report.html` in its folder); returns its
    path.

    Raises:
        CorruptError: the log cannot be read.
    """
    out = out or folder / "report.html"
    report = _Report(folder)
    count = report.count()
    detail = next((detail for most, detail in _BY_TARGETS if count <= most), None)
    responses = dict(report.head())
    for name in report.targets() if detail else ():
        responses |= report.of_target(name, detail or WHOLE)
    with atomic_file(out) as partial:
        partial.write_text(
            _page(report.run.name, {"responses": responses}, "'none'"), encoding="utf-8"
        )
    return out


def write_folder(folder: Path, out: Path) -> Path:
    """Write a run's report as a folder to put on any web server, one file a target; returns the path of its page."""
    report = _Report(folder)
    data = out / "data"
    data.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    for number, name in enumerate(report.targets()):
        for part, (path, response) in enumerate(report.of_target(name, WHOLE).items()):
            file = f"data/{number:06d}-{part}.json"
            (out / file).write_bytes(plain_json(response))
            files[path] = file
    page = out / "index.html"
    with atomic_file(page) as partial:
        embedded = {"responses": dict(report.head()), "files": files}
        partial.write_text(_page(report.run.name, embedded, "'self'"), encoding="utf-8")
    return page


class _Report:
    """What the page would be answered about one run."""

    def __init__(self, folder: Path) -> None:
        self.library = RunCatalog(folder.resolve().parent)
        self.run: StoredRun = self.library.run(folder.resolve().name, fresh=False)
        if self.run.has_log:
            fill(self.run.store)
            store_decisions(self.run.reviews, self.run.store)

    def count(self) -> int:
        with self.run.store.reading() as db:
            return db.execute("select count(*) from targets").fetchone()[0]

    def targets(self) -> list[str]:
        with self.run.store.reading() as db:
            return [row[0] for row in db.execute("select target from targets order by position")]

    def head(self) -> Iterator[tuple[str, Any]]:
        """Path to answer of all that is not one target's."""
        row = next(
            (row for row in run_rows(self.library) if row.name == self.run.name),
            None,
        )
        self.library.close()
        if row is None or row.state == "unreadable":
            raise CorruptError(row.notice if row else f"{self.run.folder} cannot be read")
        base = f"/api/runs/{self.run.name}"
        yield "/api/runs", {"runs": [vars(row)]}
        yield base, run_page(self.run, row, [row.notice] if row.notice else [])
        with self.run.store.reading() as db:
            found = tables.list_targets(db, tables.TargetQuery(limit=10**9))
        yield f"{base}/targets", found._asdict() | {"rows": with_reviews(self.run, found.rows)}
        yield (
            "/api/live",
            {"live": False, "subject": None, "reason": "a report has no subject to try texts on"},
        )
        if (self.run.folder / CIRCUIT).is_file():
            yield (
                f"{base}/circuit",
                json.loads(safe_path(self.run, CIRCUIT).read_text(encoding="utf-8")),
            )

    def of_target(self, name: str, detail: Detail) -> dict[str, Any]:
        """Path to answer of one target's views."""
        base = f"/api/runs/{self.run.name}/targets/{name}"
        page = target_page.target_page(self.run, name)
        page["exemplars"] = {
            side: maps[: detail.exemplars] for side, maps in page["exemplars"].items()
        }
        found: dict[str, Any] = {
            base: page,
            f"{base}/predicted": self._predicted(page, name, detail),
        }
        if detail.turns:
            told = target_page.transcript(self.run, name, 0, detail.turns)
            found[f"{base}/transcript"] = told | {
                "turns": [_cut(turn, detail.answer) for turn in told["turns"]]
            }
        return found

    def _predicted(self, page: dict[str, Any], name: str, detail: Detail) -> dict[str, Any]:
        data, predicate = token_maps.data_of(self.run.folder), page["row"]["predicate"]
        score = next(
            (s for s in page["scores"] if (s.get("split"), s.get("text")) == ("select", "random")),
            None,
        )
        measure = score and {"r": score["value"], "low": score["low"], "high": score["high"]}
        if data is None or predicate is None:
            return token_maps.NO_MAPS | {"split": "select", "measure": measure}
        found = token_maps.misses(name, predicate, data.select, data.lexicon, "select", detail.maps)
        return found | {"measure": measure}


def _cut(turn: dict[str, Any], most: int) -> dict[str, Any]:
    """A turn whose instruments' answers are cut to a length."""
    calls = [
        call | {"result": f"{call['result'][:most]} … (cut)"}
        if len(call["result"] or "") > most
        else call
        for call in turn["calls"]
    ]
    return turn | {"calls": calls}


def _page(name: str, data: dict[str, Any], connect: str) -> str:
    """The shell with everything in it."""
    script, style = bundle(STATIC), styles(STATIC)
    embedded = plain_json({"format": 1, "run": name} | data).decode().replace("<", "\\u003c")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )
    shell = (STATIC / "index.html").read_text(encoding="utf-8")
    body = shell[shell.index("<body>") : shell.index("</html>")].replace("</body>", "").strip()
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="content-security-policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>hubel: {escape(_printable(name))}</title>",
            f"<style>{style}</style>",
            "</head>",
            body,
            f'<script type="application/json" id="report">{embedded}</script>',
            f"<script>{script}</script>",
            "</body>",
            "</html>\n",
        ]
    )


def _printable(text: str) -> str:
    return re.sub(r"[^\x20-\x7e\u00a0-\u024f]", "?", text)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
