"""The page of a study in a browser: claims, figures, and a choice that holds in all of them and in the address."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from hubel.agent.review.report import write_report
from tests.agent.review.browser.conftest import ReviewSite, serving, visiting
from tests.agent.review.browser.test_accessibility import _serious
from tests.agent.review.browser.test_accessibility import axe as axe
from tests.support.study_run import make_study

pytestmark = pytest.mark.browser

expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed").expect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from hubel.tools.subject.subject import Subject

ON_TILES, ON_POINTS = ".tile.on", ".point.on"


@pytest.fixture(scope="module")
def site(tiny: Subject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewSite]:
    """A server with one study."""
    runs = tmp_path_factory.mktemp("study") / "runs"
    make_study(runs / "heads", tiny)
    with serving(runs) as served:
        yield served


def test_the_list_leads_to_question_claims_and_figures(site: ReviewSite, page: Page) -> None:
    site.open(page, "/")
    expect(page.locator("table.runs tbody tr")).to_contain_text("attention")
    page.get_by_role("link", name="heads").click()
    expect(page.locator("h1")).to_have_text(
        "Where do heads attend: to a sink, to the token before, or everywhere?"
    )
    document = json.loads((site.runs / "heads" / "study.json").read_text())
    rows = page.locator("table.claims tbody tr")
    expect(rows).to_have_count(3)
    for row, claim in zip(rows.all(), document["claims"], strict=True):
        assert row.locator(".verdict").inner_text() == claim["verdict"]
        assert claim["claim"] in row.inner_text()
        assert row.locator("td").last.inner_text() == str(claim["n"])
    expect(page.locator("figure svg.plot")).to_have_count(6)
    expect(page.locator("#figure-heads .point[data-tip]")).to_have_count(12)
    expect(page.locator("#figure-sink-map .tile")).to_have_count(12)


def test_a_cell_is_marked_in_every_figure_and_in_the_address(site: ReviewSite, page: Page) -> None:
    site.open(page, "/runs/heads")
    page.locator("#figure-sink-map .tile").nth(5).click()  # layer 1, head 1
    page.wait_for_url("**pick=layer%3A1%2Chead%3A1")
    expect(page.locator(ON_TILES)).to_have_count(3)
    expect(page.locator(ON_POINTS)).to_have_count(1)
    expect(page.locator(ON_POINTS)).to_have_attribute("data-tip", re.compile(r"^head\.1\.1 "))
    expect(page.locator("#figure-by-layer .step.on")).to_have_count(1)
    expect(page.locator("#rows tr.on")).to_have_count(1)
    expect(page.locator("#figure-previous-token-heads .bar.on")).to_have_count(1)
    page.reload()
    expect(page.locator(ON_TILES)).to_have_count(3)
    expect(page.locator(".chosen")).to_contain_text("layer 1, head 1")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".on")).to_have_count(0)
    assert "pick" not in page.url


def test_a_bar_and_a_group_choose_too(site: ReviewSite, page: Page) -> None:
    site.open(page, "/runs/heads")
    bar = page.locator("#figure-previous-token-heads .bar").first
    name = (bar.get_attribute("data-tip") or "").split(":")[0]
    bar.click()
    expect(page.locator(".chosen")).to_contain_text(name)
    expect(page.locator(ON_TILES)).to_have_count(3)
    expect(page.locator(ON_POINTS)).to_have_count(1)
    page.locator("#rows tbody button").first.click()
    expect(page.locator(".chosen")).to_contain_text("layer 0, head 0")


def test_points_are_swept_with_the_pointer_and_stay_in_the_address(
    site: ReviewSite, page: Page
) -> None:
    site.open(page, "/runs/heads")
    plot = page.locator("#figure-heads svg.plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.02, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    page.mouse.move(box["x"] + box["width"] * 0.999, box["y"] + box["height"] * 0.93)
    page.mouse.up()
    page.wait_for_url("**brush=heads*")
    expect(page.locator(ON_POINTS)).to_have_count(12)
    expect(page.locator("#rows tr.on")).to_have_count(12)
    page.reload()
    expect(page.locator(ON_POINTS)).to_have_count(12)
    expect(page.locator(".swept")).to_have_attribute("visibility", "visible")


def test_the_keyboard_alone_chooses_a_cell(site: ReviewSite, page: Page) -> None:
    site.open(page, "/runs/heads")
    page.locator("#figure-sink-map .figure-box").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url("**pick=layer%3A1%2Chead%3A1")
    assert "Selected: layer 1, head 1" in page.locator("#said").inner_text()
    page.keyboard.press("Escape")
    expect(page.locator(".on")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_a_narrow_page_fits(
    scheme: str, browser: Browser, site: ReviewSite, axe: str
) -> None:
    with visiting(browser, site, color_scheme=scheme) as context:
        page = context.new_page()
        if scheme == "dark":
            page.set_viewport_size({"width": 400, "height": 800})
        site.open(page, "/runs/heads?pick=layer:1")
        assert _serious(page, axe) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= (
            400 if scheme == "dark" else 1280
        )


def test_a_report_shows_the_same_without_a_server(
    site: ReviewSite, browser: Browser, tmp_path: Path
) -> None:
    report = write_report(site.runs / "heads", tmp_path / "report.html")
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri() + "#/runs/heads?pick=layer:1,head:1")
    expect(page.locator("figure svg.plot")).to_have_count(6)
    expect(page.locator(ON_TILES)).to_have_count(3)
    assert all(url.startswith(("file:", "data:")) for url in asked)
    page.close()
