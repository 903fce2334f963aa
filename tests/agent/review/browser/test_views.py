"""The views of the review page, clicked in a browser against a server over real runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from hubel.agent.review.opening_file import open_page
from tests.agent.review.browser.conftest import ReviewSite, settled

pytestmark = pytest.mark.browser

expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed").expect

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

TARGET = "/runs/formulas/targets/mlp.0.0"


def named(page: Page, name: str = "Ada") -> None:
    """Give a name to the dialog that asks for one."""
    page.get_by_label("Your name").fill(name)
    page.locator("dialog button.main").click()


def test_run_list_opens_a_run(site: ReviewSite, page: Page) -> None:
    site.open(page, "/")
    assert {*page.locator("tbody th a").all_text_contents()} == {"formulas", "model", "wires"}
    row = page.locator("tr", has_text="formulas")
    assert row.locator(".stack").get_attribute("aria-label")
    page.keyboard.press("j")
    assert page.locator("tr[aria-current]").count() == 1
    row.get_by_role("link", name="formulas").click()
    page.wait_for_url("**/runs/formulas")
    settled(page)
    assert page.locator("h1").inner_text() == "formulas"


def test_sorting_and_filtering_targets_is_in_the_url_and_survives_back_and_reload(
    site: ReviewSite, page: Page
) -> None:
    site.open(page, "/runs/formulas")
    rows = page.locator("table.targets tbody tr:not(.gap)")
    assert rows.count() == 5
    page.get_by_role("button", name="held-out r").click()
    page.wait_for_url("**sort=r*")
    page.wait_for_selector("th[aria-sort=descending]")
    best = rows.first.locator("a").inner_text()
    page.get_by_role("button", name="held-out r").click()
    page.wait_for_selector("th[aria-sort=ascending]")
    page.go_back()
    page.wait_for_selector("th[aria-sort=descending]")
    assert rows.first.locator("a").inner_text() == best
    page.get_by_label("Side", exact=True).select_option("-")
    page.wait_for_url("**side=-*")
    expect(rows).to_have_count(1)
    page.reload()
    settled(page)
    page.wait_for_selector("table.targets tbody tr:not(.gap)")
    assert rows.locator("a").all_inner_texts() == ["mlp.2.3-"]


def test_filters_without_a_match_can_be_cleared(site: ReviewSite, page: Page) -> None:
    site.open(page, "/runs/formulas?r_min=0.99")
    rows = page.locator("table.targets tbody tr:not(.gap)")
    expect(page.get_by_role("button", name="Clear the filters")).to_be_visible()
    expect(rows).to_have_count(0)
    page.get_by_role("button", name="Clear the filters").click()
    expect(rows).to_have_count(5)


def test_search_in_transcripts_and_exemplars(site: ReviewSite, page: Page) -> None:
    site.open(page, "/runs/model")
    page.keyboard.press("/")
    page.keyboard.type("the")
    page.wait_for_url("**q=the*")
    page.get_by_label("Where to search").select_option("transcripts")
    expect(page.locator(".hits li mark").first).to_have_text(re.compile("^the$", re.IGNORECASE))
    page.locator(".hits li a").first.click()
    page.wait_for_url(re.compile(r"/transcript\?at=turn-\d+$"))
    page.go_back()
    expect(page.locator("article.turn")).to_have_count(0)
    page.get_by_label("Where to search").select_option("exemplars")
    page.wait_for_url("**exemplars*")
    expect(page.locator(".hits li mark").first).to_have_text(re.compile("^the$", re.IGNORECASE))


def test_keyboard_moves_opens_and_reviews_targets(site: ReviewSite, page: Page) -> None:
    site.open(page, "/runs/formulas")
    page.wait_for_selector("table.targets tbody tr:not(.gap)")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.locator("tr[aria-current] a").inner_text() == "mlp.0.0"
    page.keyboard.press("a")
    named(page)
    page.wait_for_selector("tr[aria-current] .review.approve")
    page.keyboard.press("u")
    page.wait_for_selector("tr[aria-current] .review.approve", state="detached")
    page.keyboard.press("r")
    page.wait_for_selector("tr[aria-current] .review.reject")
    page.keyboard.press("u")
    page.wait_for_selector("tr[aria-current] .review.reject", state="detached")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/targets/mlp\.0\.0$"))
    settled(page)
    page.keyboard.press("j")
    page.wait_for_url(re.compile(r"/targets/mlp\.0\.1$"))
    page.keyboard.press("?")
    assert page.locator("dialog th").all_inner_texts()[:2] == ["j", "k"]
    page.keyboard.press("Escape")


def test_target_page_shows_all_evidence(site: ReviewSite, page: Page) -> None:
    site.open(page, TARGET)
    for part in (
        "exemplars",
        "predicted",
        "scores",
        "histogram",
        "statistics",
        "cost",
        "hypotheses",
    ):
        assert page.locator(f"#{part} h2").is_visible(), part
    assert page.locator("#exemplars .heat i.k").count() > 0
    assert page.locator("#predicted li.pair").count() > 0
    assert page.locator("#histogram rect.column").count() > 3
    assert page.locator("#histogram .band").count() > 0
    page.locator("#scores summary").click()
    assert "holdout" in page.locator("#scores table").inner_text()
    assert page.locator("#hypotheses .hypothesis.chosen").count() == 1
    assert page.locator("#hypotheses .experiments tbody tr").count() > 0
    assert page.locator("#writes li").count() > 0
    assert page.locator("#nearest .near").count() == 2
    assert page.locator("#effects").count() == 0  # the formula search changes nothing in the model


def test_similar_unit_of_the_run_is_a_link(site: ReviewSite, page: Page) -> None:
    site.open(page, TARGET)
    link = page.locator("#nearest a").first
    address = link.inner_text()
    link.click()
    page.wait_for_url(f"**/targets/{address}")
    expect(page.locator("h1")).to_have_text(address)


def test_target_page_shows_interventions(site: ReviewSite, page: Page) -> None:
    site.open(page, "/runs/model/targets/mlp.0.0")
    effect = page.locator("#effects details", has_text="ablate").first
    assert "KL" in effect.locator("pre").inner_text()


def test_token_value_is_shown_to_mouse_and_keyboard(site: ReviewSite, page: Page) -> None:
    site.open(page, TARGET)
    page.locator("#exemplars .heat i.k").first.hover()
    assert re.fullmatch(r"[+−][\d.e−]+, predicted [+−]?[\d.e−]+", page.locator("#tip").inner_text())
    page.locator("#exemplars .heat").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("#exemplars .heat i.lit").count() == 1
    assert page.locator("#tip").inner_text() in page.locator("#said").inner_text()


def test_opening_held_out_text_asks_for_a_name_and_marks_later_reviews(
    site: ReviewSite, page: Page
) -> None:
    site.open(page, "/runs/formulas/targets/mlp.0.2")
    page.get_by_role("button", name="held-out (closed)").click()
    assert "after viewing" in page.locator(".door").inner_text()
    page.get_by_role("button", name="Open held-out text").click()
    named(page, "Ada")
    page.wait_for_selector("#predicted li.pair")
    page.reload()
    settled(page)
    assert "opened by Ada" in page.locator("#predicted").inner_text()
    page.get_by_role("button", name=re.compile("^Edit")).click()
    page.get_by_label("Sentence").fill("Fires on the.")
    page.get_by_label("Predicate").fill('strongly words("the")')
    page.locator("dialog button.main").click()
    page.wait_for_selector(".said .badge.warn")
    assert "after viewing" in page.locator(".said").inner_text()


def test_transcript_folds_calls_and_shows_costs(site: ReviewSite, page: Page) -> None:
    site.open(page, "/runs/model/targets/mlp.0.0/transcript")
    assert page.locator("article.turn.model").count() >= 3
    assert "100 in" in page.locator("article.turn.model header").first.inner_text()
    assert re.search(
        r"@\d+#[0-9a-f]+", page.locator("article.turn.model header").first.inner_text()
    )
    call = page.locator("details.call").first
    assert not call.evaluate("e => e.open")
    call.locator("summary").click()
    assert call.locator("h3").first.inner_text() == "arguments"


def test_claim_links_to_its_experiment(site: ReviewSite, page: Page) -> None:
    site.open(page, "/runs/model/targets/mlp.0.0")
    link = page.locator("#findings sup a").first
    experiment = link.inner_text()
    link.click()
    page.wait_for_url(f"**at={experiment}")
    expect(page.locator(".found")).to_have_count(1)


def test_circuit_graph_can_be_thresholded_and_its_nodes_opened(
    site: ReviewSite, page: Page
) -> None:
    site.open(page, "/runs/wires/circuit")
    edges = page.locator("svg.graph path.edge")
    before = edges.count()
    page.locator("#threshold").focus()
    page.keyboard.press("Home")
    assert edges.count() < before
    page.keyboard.press("End")
    assert "faithfulness 1.00" in page.locator("output").inner_text()
    page.wait_for_url("**share=1*")
    page.locator("[data-node='head.2.0']").click()
    assert "name mover" in page.locator(".node-box").inner_text()
    assert page.locator(".attention rect.cell").count() == 45
    page.locator(".attention rect.cell").last.click()
    page.reload()
    settled(page)
    assert "name mover" in page.locator(".node-box").inner_text()


def test_two_runs_are_compared_side_by_side(site: ReviewSite, page: Page) -> None:
    site.open(page, "/compare")
    page.get_by_label("Run A").select_option("formulas")
    page.get_by_label("Run B").select_option("model")
    page.locator("form.choose button").click()
    page.wait_for_selector("table.both tbody tr:not(.gap)")
    assert page.locator("table.both tbody tr:not(.gap)").count() == 2
    assert "McNemar" in page.locator(".figures").inner_text()
    page.get_by_role("button", name="r of A").click()
    page.wait_for_selector("th[aria-sort]:has-text('r of A')")
    expect(page.locator("table.both tbody tr:not(.gap)")).to_have_count(2)


def test_review_is_shown_and_agreement_counted(site: ReviewSite, page: Page) -> None:
    site.open(page, "/runs/formulas/targets/mlp.0.1")
    page.get_by_role("button", name=re.compile("^Approve")).click()
    named(page, "Grace")
    page.wait_for_selector(".said li")
    page.get_by_role("button", name=re.compile("^Note")).click()
    page.locator("dialog textarea").fill("Looks right.")
    page.locator("dialog button.main").click()
    expect(page.locator(".said li")).to_have_count(2)
    reviews = page.locator(".said").inner_text()
    assert "Grace approved" in reviews
    assert "Looks right." in reviews
    site.open(page, "/runs/formulas")
    assert "reviewed" in page.locator(".figures").inner_text()


def test_edit_that_is_refused_keeps_its_dialog_and_what_was_typed(
    site: ReviewSite, page: Page
) -> None:
    site.open(page, "/runs/formulas/targets/mlp.0.0")
    page.evaluate("localStorage.setItem('hubel-name', 'Ada')")
    page.keyboard.press("e")
    dialog = page.locator("dialog")
    dialog.get_by_label("Sentence").fill("Fires on Mondays.")
    dialog.get_by_label("Predicate").fill('strongly words("monday"')
    dialog.get_by_role("button", name="Save the edit").click()
    message = dialog.get_by_role("alert")
    expect(message).to_contain_text("`,` or `)` is missing at the end")
    assert (
        message.evaluate("it => it.nextElementSibling.querySelector('textarea')?.name")
        == "predicate"
    )
    assert dialog.get_by_label("Sentence").input_value() == "Fires on Mondays."
    dialog.get_by_label("Predicate").fill('strongly words("monday")')
    dialog.get_by_role("button", name="Save the edit").click()
    expect(dialog).to_have_count(0)
    assert "Fires on Mondays." in page.locator(".said").inner_text()


def test_unknown_run_and_target_show_an_error(site: ReviewSite, page: Page) -> None:
    for path in ("/runs/nowhere", "/runs/formulas/targets/mlp.9.9"):
        site.open(page, path)
        assert page.get_by_role("alert").inner_text()


def test_local_file_with_the_token_leads_to_the_page(
    browser: Browser, site: ReviewSite, tmp_path: Path
) -> None:
    addresses: list[str] = []
    remove = open_page(f"{site.address}/?token={site.token}", tmp_path, addresses.append)
    context = browser.new_context()
    page = context.new_page()
    page.goto(addresses[0])
    page.wait_for_selector("main:not([aria-busy]) table")
    assert page.url == f"{site.address}/"
    context.close()
    remove()
