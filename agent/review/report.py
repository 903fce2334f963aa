"""`hubel report`: the review page's views of one run as a single file that can be mailed, or as a folder.

1. The functions that answer the server's requests are called here, and their answers go into the
   page as JSON that no browser executes.
2. The page's own modules and styles go into the file. A policy in its head lets those run, by their
   hashes, and nothing else, and forbids all requests.
3. With many targets each is shown in less detail. In a folder each target has its own files,
   and nothing is left out.

A report has no held-out text: writing one must not be the event after which reviews are marked as
made after viewing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from ...tools.errors import CorruptError
from ...tools.files import atomic_file
from ...tools.files.regular_file import make_inside
from ...tools.subject.address import Unit
from ..circuits.result import read_circuit
from ..runlog.layout import CIRCUIT
from ..studies.result import read_study
from . import token_maps
from .inline_assets import bundle, styles
from .json_response import plain_json
from .run_catalog import RunCatalog, StoredRun
from .run_page import run_page
from .run_rows import run_rows
from .server import STATIC
from .store.decisions import store_decisions
from .store.fill import fill
from .target_list import TargetQuery, list_targets, with_reviews
from .target_page import target_page
from .transcript_page import transcript_page

MAX_IN_ONE_FILE = 400
"""Targets up to which a single file stays small enough to be mailed."""


class Detail(NamedTuple):
    """How much of each target is shown."""

    exemplars: int
    """Contexts of each side."""
    maps: int
    """Contexts with predictions."""
    turns: int
    """Of the transcript."""
    result: int
    """Characters of an instrument's result."""


FULL_DETAIL = Detail(20, 12, 10_000, 20_000)
_DETAIL_BY_TARGETS = (
    (12, Detail(8, 8, 200, 2000)),
    (60, Detail(6, 4, 40, 300)),
    (MAX_IN_ONE_FILE, Detail(4, 3, 0, 0)),
)


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write a run's report as one HTML file (by default `report.html` in its folder); returns its path.

    Raises:
        CorruptError: the log cannot be read.
    """
    out = out or folder / "report.html"
    report = _Report(folder)
    targets = report.targets()
    responses = dict(report.run_responses())
    # with more than MAX_IN_ONE_FILE targets, only the list of them
    detail = next((d for limit, d in _DETAIL_BY_TARGETS if len(targets) <= limit), None)
    if detail is not None:
        for target in targets:
            responses |= report.target_responses(target, detail)
    page = _page(report.run.name, {"responses": responses}, connect="'none'")
    with atomic_file(out) as partial:
        partial.write_text(page, encoding="utf-8")
    return out


def write_folder(folder: Path, out: Path | None = None) -> Path:
    """Write a run's report as a folder for any web server, with files for each target; returns the page's path.

    Args:
        out: by default `report` in the run's folder.
    """
    inside = folder if out is None else out  # a link in --out is followed
    out = out or folder / "report"
    report = _Report(folder)
    make_inside(out / "data", inside)
    files: dict[str, str] = {}
    for number, target in enumerate(report.targets()):
        responses = report.target_responses(target, FULL_DETAIL)
        for part, (path, response) in enumerate(responses.items()):
            files[path] = f"data/{number:06d}-{part}.json"
            with atomic_file(out / files[path]) as partial:  # it replaces a link, and follows none
                partial.write_bytes(plain_json(response))
    embedded = {"responses": dict(report.run_responses()), "files": files}
    page = out / "index.html"
    with atomic_file(page) as partial:
        partial.write_text(_page(report.run.name, embedded, connect="'self'"), encoding="utf-8")
    return page


class _Report:
    """What the server would answer about one run."""

    def __init__(self, folder: Path) -> None:
        self.catalog = RunCatalog(folder.resolve().parent)
        self.run: StoredRun = self.catalog.run(folder.resolve().name, fresh=False)
        if self.run.is_unit_run:
            fill(self.run.store)
            store_decisions(self.run.reviews, self.run.store)

    def targets(self) -> list[str]:
        if self.run.kind == "study":
            return []
        with self.run.store.reading() as db:
            return [row[0] for row in db.execute("select target from targets order by position")]

    def run_responses(self) -> Iterator[tuple[str, Any]]:
        """Path and response of everything that is not about one target."""
        # all rows are needed, since false keeps come from runs of nulls
        row = next((row for row in run_rows(self.catalog) if row.name == self.run.name), None)
        self.catalog.close()
        if row is None or row.state == "unreadable":
            raise CorruptError(str(row.notice) if row else f"{self.run.folder} cannot be read")
        base = f"/api/runs/{self.run.name}"
        yield "/api/runs", {"runs": [vars(row)]}
        yield base, run_page(self.run, row, [row.notice] if row.notice else [])
        if self.run.kind == "study":
            yield f"{base}/study", read_study(self.run.folder)
            return
        with self.run.store.reading() as db:
            listed = list_targets(db, TargetQuery(limit=10**9))
        yield f"{base}/targets", listed._asdict() | {"rows": with_reviews(self.run, listed.rows)}
        reason = "a report has no subject to try texts on"
        yield "/api/live", {"live": False, "subject": None, "reason": reason}
        if (self.run.folder / CIRCUIT).is_file():
            yield f"{base}/circuit", read_circuit(self.run.folder)

    def target_responses(self, target: str, detail: Detail) -> dict[str, Any]:
        """Path to response of one target's views."""
        base = f"/api/runs/{self.run.name}/targets/{target}"
        page = target_page(self.run, target)
        for side, maps in page["exemplars"].items():
            page["exemplars"][side] = maps[: detail.exemplars]
        responses: dict[str, Any] = {
            base: page,
            f"{base}/predicted": self._predicted(page, target, detail),
        }
        if detail.turns:
            transcript = transcript_page(self.run, target, 0, detail.turns)
            for turn in transcript["turns"]:
                for call in turn["calls"]:
                    call["result"] = _cut(call["result"], detail.result)
            responses[f"{base}/transcript"] = transcript
        return responses

    def _predicted(self, page: dict[str, Any], target: str, detail: Detail) -> dict[str, Any]:
        data, predicate = token_maps.collected_data(self.run.folder), page["row"]["predicate"]
        maps = token_maps.no_maps("select")
        if data is not None and predicate is not None:
            maps = token_maps.worst_errors(
                Unit.parse(target), predicate, data.select, data.lexicon, "select", detail.maps
            )
        scores = (
            s for s in page["scores"] if (s.get("split"), s.get("text")) == ("select", "random")
        )
        score = next(scores, None)
        measure = score and {"r": score["value"], "low": score["low"], "high": score["high"]}
        return {**maps, "measure": measure}


def _cut(text: str | None, limit: int) -> str | None:
    return f"{text[:limit]} … (cut)" if text is not None and len(text) > limit else text


def _page(name: str, data: dict[str, Any], *, connect: str) -> str:
    """The page with everything in it."""
    script, style = bundle(STATIC), styles(STATIC)
    embedded = plain_json({"format": 1, "run": name} | data).decode().replace("<", "\\u003c")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )
    shell = (STATIC / "index.html").read_text(encoding="utf-8")
    body = shell[shell.index("<body>") : shell.index("</html>")].replace("</body>", "").strip()
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="content-security-policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>hubel: {escape(_printable(name))}</title>
<style>{style}</style>
</head>
{body}
<script type="application/json" id="report">{embedded}</script>
<script>{script}</script>
</body>
</html>
"""


def _printable(text: str) -> str:
    return re.sub(r"[^\x20-\x7e\u00a0-\u024f]", "?", text)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
