"""Tiers, headlines and the parts of explanations as the page shows them, on a run that records them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hubel.bench.synthetic_run import make_run
from hubel.tools.dissection.predicate import GRADES
from tests.agent.review.browser.conftest import ReviewSite, serving

pytestmark = pytest.mark.browser

expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed").expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

ROWS = "table.targets tbody tr:not(.gap)"
HEADINGS = "table.targets thead th"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewSite]:
    """A made run with parts, and one as older versions wrote it."""
    runs = tmp_path_factory.mktemp("parts") / "runs"
    make_run(runs / "made", 40)
    make_run(runs / "older", 5, parts=False)
    with serving(runs) as served:
        yield served


def test_tier_and_headline_come_before_the_scores(site: ReviewSite, page: Page) -> None:
    site.open(page, "/runs/made")
    page.wait_for_selector(ROWS)
    names = [name.split(" ↑")[0] for name in page.locator(HEADINGS).all_inner_texts()]
    parts = ["r@3", "meaning", "list"]
    assert names[:5] == ["target", "tier", "headline", "held-out r", "interval and floors"]
    assert names[5:8] == parts
    assert page.locator(ROWS).first.locator("td.sentence").inner_text().startswith('After "')


def test_targets_are_sorted_and_filtered_by_tier(site: ReviewSite, page: Page) -> None:
    site.open(page, "/runs/made")
    page.get_by_role("button", name="tier").click()
    page.wait_for_selector("th.tier-cell[aria-sort=ascending]")
    order = ["clear", "composite", "list", "diffuse"]
    tiers = page.locator(f"{ROWS} .tier").all_inner_texts()
    assert len(set(tiers)) > 2
    assert tiers == sorted(tiers, key=order.index)
    page.get_by_label("Tier").select_option("composite")
    page.wait_for_url("**tier=composite*")
    expect(page.locator(f"{ROWS} .tier:not(.composite)")).to_have_count(0)
    expect(page.locator(f"{ROWS} .tier.composite")).not_to_have_count(0)


def test_older_run_has_neither_column_nor_filter_for_what_it_lacks(
    site: ReviewSite, page: Page
) -> None:
    site.open(page, "/runs/older")
    page.wait_for_selector(ROWS)
    names = page.locator(HEADINGS).all_inner_texts()
    assert "explanation" in names
    assert not {"tier", "headline", "r@3", "meaning", "list"} & set(names)
    assert page.get_by_label("Tier").count() == 0


def test_target_page_begins_with_headline_parts_and_their_scores(
    site: ReviewSite, page: Page
) -> None:
    site.open(page, "/runs/made/targets/mlp.0.5")
    headline = page.locator(".target-head .headline")
    word = headline.inner_text().split('"')[1]
    size = "node => parseFloat(getComputedStyle(node).fontSize)"
    assert headline.evaluate(size) > page.locator(".target-head .claim").evaluate(size)
    expect(page.locator("#explanation .terms li")).to_have_count(1)
    expect(page.locator("#explanation .terms b")).to_have_text(f'words after "{word}"')
    expect(page.locator("#explanation .residue li")).to_have_count(1)
    labels = page.locator("#explanation svg text.label").all_text_contents()
    assert [label.rsplit(" ", 1)[0] for label in labels] == [
        "whole formula",
        "named concepts alone",
        "headline alone",
    ]
    floors = page.locator("#explanation .floor-key").all_inner_texts()
    assert floors == ["24 listed tokens", "rotated direction", "token lookup"]


def test_degrees_are_explained_next_to_the_formula(site: ReviewSite, page: Page) -> None:
    site.open(page, "/runs/older/targets/mlp.0.1")
    page.locator("#explanation summary").last.click()
    note = page.locator("#explanation details .note")
    degrees = ", ".join(f"{word} {steps}" for word, steps in GRADES.items())
    expect(note).to_contain_text(f"{degrees}. One step is 1 of activation")
    assert page.locator("#explanation figure").count() == 0  # only the whole has a score


def test_artefact_is_said_on_page_and_in_table(site: ReviewSite, page: Page) -> None:
    site.open(page, "/runs/made")
    page.wait_for_selector(ROWS)
    row = page.locator(ROWS, has=page.locator(".artefact")).first
    reason = row.locator(".artefact").get_attribute("title") or "-"
    row.locator("a").click()
    page.wait_for_url("**/targets/**")
    expect(page.locator(".target-head")).to_contain_text(f"Artefact. {reason}")
