"""Texts, instruments and questions of one's own, typed into the page over a subject that `--live` loads."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.bench.loopback import Loopback
from hubel.bench.loopback.demo_model import DemoModel
from hubel.tools.index import Index
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.subject import load_subject
from hubel.tools.subject.address import Unit
from tests.agent.review.browser.conftest import ReviewSite, serving, settled
from tests.support.configs import run_config

pytestmark = pytest.mark.browser

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

TARGET = "mlp.0.0"


@pytest.fixture(scope="module", autouse=True)
def runs_to_try(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of the formula search, and one of a language model that still answers; made before a browser is there."""
    folder = tmp_path_factory.mktemp("trying") / "runs"
    shutil.copytree(place / "runs" / "run", folder / "run")
    with Loopback(DemoModel()) as model:
        config = run_config(
            index=str(place / "index"), targets=[TARGET], explainer="openai:beginner", base_url=model.url("openai"),
            competitor=False,
        )  # fmt: skip
        make_run(folder / "asked", resolve(config))
        execute_run(folder / "asked", subject=load_subject(str(place / "subject")))
        yield folder


@pytest.fixture(scope="module")
def site(runs_to_try: Path) -> Iterator[ReviewSite]:
    """`hubel review --live`."""
    with serving(runs_to_try, "--live") as served:
        yield served


@pytest.fixture(scope="module")
def truth(place: Path) -> dict[str, list[float]]:
    """What the unit does on the texts that are typed, by an instrument without a page."""
    texts = ["the cat said Monday", "the cat said Friday"]
    context = InstrumentContext(load_subject(str(place / "subject")))
    result = call("activations.on_text", {"texts": texts, "units": [TARGET]}, context).to_json()
    return {text["text"]: text["activations"][TARGET] for text in result["texts"]}


def values(heat: Locator) -> list[float]:
    """What the tokens of a heat map say when they are pointed at, the first left out."""
    tips = heat.locator("i").evaluate_all("all => all.map(token => token.dataset.tip)")
    return [
        float(tip.split(",")[0].replace("−", "-")) for tip in tips[1:]
    ]  # "+0.0123, predicted 0"


def test_trying_two_texts_shows_activations_and_their_difference(
    site: ReviewSite, page: Page, truth: dict[str, list[float]]
) -> None:
    first, second = truth
    site.open(page, f"/try?run=run&target={TARGET}")
    page.get_by_label("Text", exact=True).fill(first)
    page.get_by_role("button", name="Run it").click()
    page.wait_for_selector(
        ".tried .heat", timeout=60_000
    )  # the server imports torch and loads the subject first
    first_map = page.get_by_label("text 1, true")
    assert values(first_map) == pytest.approx(
        truth[first][1:], rel=6e-3, abs=1e-9
    )  # three digits are first_map
    assert page.locator(".tried").count() == 1

    first_map.locator("i").last.click()
    page.get_by_label(re.compile("in the place of token")).fill(" Friday")
    page.get_by_role("button", name="Compare").click()
    page.wait_for_selector(".tried >> nth=1")
    assert page.get_by_label("Compared with").input_value() == second
    assert values(page.get_by_label("text 2, true")) == pytest.approx(
        truth[second][1:], rel=6e-3, abs=1e-9
    )
    assert "B minus A" in page.locator("#texts").inner_text()
    address = page.url
    page.goto(address)  # the address holds both texts
    page.wait_for_selector(".tried >> nth=1")


def test_instrument_is_called_from_a_form_of_its_schema(
    site: ReviewSite, page: Page, place: Path
) -> None:
    site.open(page, f"/try?run=run&target={TARGET}&tool=activations.statistics")
    assert page.locator("#argument-unit").input_value() == TARGET
    page.get_by_role("button", name="Call activations.statistics").click()
    rendered = page.locator("#instruments pre.rendered")
    rendered.wait_for()
    maximum = Index.open(place / "index").statistics(Unit.parse(TARGET)).max
    page.get_by_text("Result as data").click()
    data = page.locator("#instruments details").inner_text()
    assert any(
        float(number) == pytest.approx(maximum, rel=6e-3)
        for number in re.findall(r"\d+\.\d+", data)
    ), data
    page.locator("#argument-unit").fill("mlp.99.0")
    page.get_by_role("button", name="Call activations.statistics").click()
    alert = page.locator("#instruments [role=alert]")
    alert.wait_for()
    assert "99" in alert.inner_text()


def test_explaining_again_with_a_note(site: ReviewSite, page: Page) -> None:
    site.open(page, f"/try?run=asked&target={TARGET}")
    page.get_by_label("Note to the explainer").fill("Look at weekdays.")
    page.get_by_role("button", name="Explain again").click()
    page.get_by_label("Your name").fill("Ada")
    page.locator("dialog button.main").click()
    page.get_by_role("link", name="asked-again-1").click(timeout=60_000)
    page.wait_for_url(f"**/runs/asked-again-1/targets/{TARGET}")
    settled(page)
    assert page.locator("h1").inner_text() == TARGET
    site.open(page, f"/runs/asked-again-1/targets/{TARGET}/transcript")
    page.get_by_role("button", name=re.compile(r"^all [\d,]+ characters")).first.click()
    assert "Look at weekdays." in page.locator("article.turn.program").first.inner_text()
