"""No serious finding of axe-core on any view; nothing runs out of a narrow page.

Every view is looked at light and wide. Dark and narrow are those that have colours and layouts of
their own there: the rest is made of the same parts.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.review.browser.conftest import ReviewSite, visiting

pytestmark = pytest.mark.browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

VIEWS = {
    "runs": "/",
    "targets": "/runs/model",
    "search": "/runs/model?q=the&in=exemplars",
    "target": "/runs/model/targets/mlp.0.0",
    "transcript": "/runs/model/targets/mlp.0.0/transcript",
    "circuit": "/runs/wires/circuit?node=head.2.0",
    "compare": "/compare?a=formulas&b=model",
    "try": "/try?run=formulas&target=mlp.0.0",
    "not there": "/runs/nowhere",
}
OWN_LOOK = ("targets", "target", "circuit")
"""Views with colours or a layout of their own in the dark or on a narrow window."""


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core, as the package that brings it has it."""
    package = pytest.importorskip(
        "axe_playwright_python", reason="axe-playwright-python is not installed"
    )
    return resources.files(package).joinpath("axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def light(browser: Browser, site: ReviewSite) -> Iterator[Page]:
    """A page in daylight, 1280 pixels wide."""
    with visiting(browser, site, color_scheme="light") as context:
        yield context.new_page()


@pytest.fixture(scope="module")
def dark(browser: Browser, site: ReviewSite) -> Iterator[Page]:
    """A page at night, on a telephone."""
    with visiting(browser, site, color_scheme="dark") as context:
        page = context.new_page()
        page.set_viewport_size({"width": 400, "height": 800})
        yield page


@pytest.mark.parametrize("view", list(VIEWS))
def test_axe_finds_nothing_serious(view: str, light: Page, site: ReviewSite, axe: str) -> None:
    site.open(light, VIEWS[view])
    assert _serious(light, axe) == []


@pytest.mark.parametrize("view", list(VIEWS))
def test_narrow_page_fits_its_window(view: str, dark: Page, site: ReviewSite, axe: str) -> None:
    site.open(dark, VIEWS[view])
    assert dark.evaluate("document.documentElement.scrollWidth") <= 400
    if view in OWN_LOOK:
        assert _serious(dark, axe) == []


def _serious(page: Page, axe: str) -> list[Any]:
    """Rule, its help, and where it is broken."""
    page.evaluate(axe + "\n; undefined")
    report = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (rule["id"], rule["help"], [node["html"][:160] for node in rule["nodes"][:4]])
        for rule in report["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


def test_keyboard_alone_reaches_a_review_with_visible_focus(site: ReviewSite, light: Page) -> None:
    page = light
    site.open(page, "/runs/formulas/targets/mlp.0.3")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").startswith("Approve"):
            break
    assert page.evaluate("document.activeElement.textContent").startswith("Approve")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.name") == "name"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent").startswith("Approve")
