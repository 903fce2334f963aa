"""A run of which every text tries to be obeyed, and a report that stands alone: looked at in every view."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from hubel.agent.review.report import write_folder, write_report
from tests.agent.review.browser.conftest import PATIENCE, ReviewSite, serving, settled
from tests.support.hostile_run import TARGETS, make_hostile_run

pytestmark = pytest.mark.browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAME = "<b>run"
RUN = f"/runs/{quote(NAME)}"
ONE = f"{RUN}/targets/{quote(TARGETS[0], safe='')}"
VIEWS = {
    "runs": "/",
    "targets": RUN,
    "exemplars searched": f"{RUN}?q=script&in=exemplars",
    "transcripts searched": f"{RUN}?q=script&in=transcripts",
    "compare": f"/compare?a={quote(NAME)}&b={quote(NAME)}",
    "target": ONE,
    "another target": f"{RUN}/targets/{quote(TARGETS[2], safe='')}",
    "transcript": f"{ONE}/transcript",
    "try": f"/try?run={quote(NAME)}&target={quote(TARGETS[0], safe='')}",
    "an address": f"/runs/{quote('<img src=x onerror=window.hacked=9>', safe='')}",
}
UNSEEN = r"/[\u0000\u001b\u202e\u2066\u200b]/"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewSite]:
    folder = tmp_path_factory.mktemp("hostile") / "runs"
    make_hostile_run(folder / NAME, 6)
    with serving(folder) as served:
        yield served


def assert_harmless(page: Page) -> None:
    """Nothing ran, nothing became an element, and what is not seen is shown as a sign."""
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert page.evaluate("window.hacked") is None
    injected = (
        "#main script",
        "#main img",
        "#main iframe",
        "#main style",
        "base",
        "[onerror], [onload], [onmouseover]",
    )
    assert page.locator(", ".join(injected)).count() == 0
    assert page.evaluate(
        "[...document.querySelectorAll('a[href]')].every(a => !/^javascript:/i.test(a.href))"
    )
    assert not page.evaluate(f"{UNSEEN}.test(document.getElementById('main').innerText)")


@pytest.mark.parametrize("view", list(VIEWS))
def test_hostile_run_is_not_executed(view: str, site: ReviewSite, page: Page) -> None:
    site.open(page, VIEWS[view])
    assert_harmless(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.fixture(scope="module")
def alone(browser: Browser) -> Iterator[Page]:
    """A visitor without a server, offline; whatever goes wrong or is asked for beyond the disk is a failure."""
    problems: list[Any] = []
    context = browser.new_context(offline=True)
    context.set_default_timeout(PATIENCE)
    context.on("weberror", lambda error: problems.append(f"script error: {error.error}"))
    context.on("dialog", lambda dialog: problems.append(dialog.message))
    context.on(
        "console",
        lambda message: problems.extend([message.text] if message.type == "error" else []),
    )
    context.on(
        "request",
        lambda request: problems.extend(
            [] if request.url.startswith(("file:", "data:")) else [request.url]
        ),
    )
    yield context.new_page()
    context.close()
    assert not problems, problems


@pytest.fixture(scope="module")
def reports(
    runs: Path, site: ReviewSite, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Reports of an honest and of the hostile run, as a person would keep them."""
    out = tmp_path_factory.mktemp("reports")
    kept = {"formulas": runs / "formulas", NAME: site.runs / NAME, "wires": runs / "wires"}
    return {
        name: write_report(folder, out / f"{i}.html")
        for i, (name, folder) in enumerate(kept.items())
    }


def test_report_file_works_offline(alone: Page, reports: dict[str, Path]) -> None:
    alone.goto(reports["formulas"].as_uri())
    settled(alone)
    rows = alone.locator("table.targets tbody tr:not(.gap)")
    assert rows.count() == 5
    alone.get_by_role("button", name="held-out r").click()
    alone.wait_for_selector("th[aria-sort=descending]")
    best = rows.first.locator("a").inner_text()
    rows.first.locator("a").click()
    alone.wait_for_selector("#exemplars .heat i.k")
    assert alone.locator("h1").inner_text() == best
    assert alone.locator("#predicted li.pair").count() > 0
    assert (
        alone.get_by_role("button", name="held-out (closed)").count() == 0
    )  # nobody opens held-out text in a report
    alone.reload()  # the address holds the view here too
    alone.wait_for_selector("#exemplars .heat i.k")


def test_circuit_report_file_works_offline(alone: Page, reports: dict[str, Path]) -> None:
    alone.goto(f"{reports['wires'].as_uri()}#/runs/wires/circuit?node=head.2.0")
    alone.wait_for_selector("svg.graph path.edge")
    assert "name mover" in alone.locator(".node-box").inner_text()


@pytest.mark.parametrize("view", ["targets", "target", "transcript"])
def test_hostile_run_is_not_executed_in_a_report(
    view: str, alone: Page, reports: dict[str, Path]
) -> None:
    alone.goto(f"{reports[NAME].as_uri()}#{VIEWS[view]}")
    settled(alone)
    assert_harmless(alone)


def test_report_folder_works_on_a_web_server(runs: Path, browser: Browser, tmp_path: Path) -> None:
    import threading
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    write_folder(runs / "formulas", tmp_path / "report")
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "report"))
    ) as server:
        threading.Thread(target=server.serve_forever).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/#/runs/formulas/targets/mlp.0.0")
        page.wait_for_selector("#exemplars .heat i.k")
        assert page.locator("h1").inner_text() == "mlp.0.0"
        page.goto(
            f"http://127.0.0.1:{server.server_port}/#/runs/formulas/targets/mlp.0.0/transcript"
        )
        page.wait_for_selector("article.turn")
        assert page.locator("article.turn").count() > 1
        page.close()
        server.shutdown()
