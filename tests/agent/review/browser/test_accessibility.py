"""No serious finding of axe-core on any view, light and wide or dark and narrow; nothing runs out of a narrow page."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.review.browser.conftest import Site, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

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
LOOKS = {"light": {"color_scheme": "light"}, "dark, narrow": {"color_scheme": "dark"}}


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core, as the package that brings it has it."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    return resources.files(package).joinpath("axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=list(LOOKS))
def look(request: pytest.FixtureRequest, browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """A visitor in each look; the dark one has a narrow window."""
    with visiting(browser, site, **LOOKS[request.param]) as context:
        context.narrow = "narrow" in request.param  # type: ignore[attr-defined]
        yield context


@pytest.mark.parametrize("view", list(VIEWS))
def test_axe_finds_nothing_serious(view: str, look: BrowserContext, site: Site, axe: str) -> None:
    page = look.new_page()
    if look.narrow:  # type: ignore[attr-defined]
        page.set_viewport_size({"width": 400, "height": 800})
    site.open(page, VIEWS[view])
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
    assert _serious(page, axe) == []
    page.close()


def _serious(page: Page, axe: str) -> list[Any]:
    """Rule, its help, and where it is broken."""
    page.evaluate(axe + "\n; undefined")
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (rule["id"], rule["help"], [node["html"][:160] for node in rule["nodes"][:4]])
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


def test_a_keyboard_alone_gets_from_the_list_to_a_verdict_and_the_focus_is_seen(
    site: Site, look: BrowserContext
) -> None:
    page = look.new_page()
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
    page.close()
