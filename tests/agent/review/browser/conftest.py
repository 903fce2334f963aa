"""A real `hubel review` process over real runs, and the system's Chromium to read it with.

The browser is one of a module: while Playwright's synchronous interface is open no other test of
the process may run an event loop.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hubel.agent.circuits.config import CircuitConfig
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config
from tests.support.made_circuit import circuit
from tests.support.processes import checkout_environment
from tests.support.scripted_model import ScriptedModel, diligent

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Dialog, Page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
PATIENCE = 10_000  # ms; never waited for when all is well


@dataclass(frozen=True)
class ReviewSite:
    """A server that listens, and the runs that it shows."""

    address: str
    token: str
    runs: Path

    def open(self, page: Page, path: str) -> None:
        """Go to a page and wait until it is shown."""
        page.goto(self.address + path)
        settled(page)


def settled(page: Page) -> None:
    """Wait until the view that the address says is there."""
    page.wait_for_selector("main:not([aria-busy]) h1")


@pytest.fixture(scope="session")
def runs(
    finished: Path, tiny: Subject, tiny_index: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run of the formula search, one of a language model on some of the same targets, and a circuit."""
    folder = tmp_path_factory.mktemp("browser") / "runs"
    shutil.copytree(finished, folder / "formulas")
    config = run_config(
        index=str(tiny_index), targets=["mlp.0.0-1"], explainer="openai:test", max_contexts=300
    )
    make_run(folder / "model", resolve(config))
    execute_run(folder / "model", subject=tiny, model=ScriptedModel(diligent))
    (folder / "wires").mkdir()
    CircuitConfig("names").save(folder / "wires")
    (folder / "wires" / "circuit.json").write_text(json.dumps(circuit()))
    return folder


@pytest.fixture(scope="module")
def site(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewSite]:
    """`hubel review` over a copy of the runs that the tests of a module may write to."""
    copy = Path(shutil.copytree(runs, tmp_path_factory.mktemp("site") / "runs"))
    with serving(copy) as served:
        yield served


@contextmanager
def serving(runs: Path, *options: str) -> Iterator[ReviewSite]:
    """A `hubel review` process over a folder of runs."""
    command = [
        sys.executable,
        "-m",
        "hubel",
        "review",
        "--runs",
        str(runs),
        "--no-browser",
        "--port",
        "0",
        "--json",
    ]
    log = runs.parent / "stderr.txt"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=checkout_environment(),
        ) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        address, token = json.loads(line)["review"].split("/?token=")
        yield ReviewSite(address, token, runs)
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; on Debian and Ubuntu: apt install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def context(browser: Browser, site: ReviewSite) -> Iterator[BrowserContext]:
    """A visitor who has opened the printed address once; everything that goes wrong on a page fails the test."""
    with visiting(browser, site) as visit:
        yield visit


@contextmanager
def visiting(browser: Browser, site: ReviewSite, **options: Any) -> Iterator[BrowserContext]:
    """A browser context with the site's cookie; script errors, dialogs, violations of the content
    security policy and requests to elsewhere are failures."""
    problems: list[str] = []

    def dismissed(dialog: Dialog) -> None:
        problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, reduced_motion="reduce", **options
    )
    context.set_default_timeout(PATIENCE)
    context.on("weberror", lambda error: problems.append(f"script error: {error.error}"))
    context.on("dialog", dismissed)
    context.on(
        "console",
        lambda message: problems.extend(
            [message.text] if "Security Policy" in message.text else []
        ),
    )
    context.on(
        "request",
        lambda request: problems.extend([] if _inside(request.url, site) else [request.url]),
    )
    first = context.new_page()
    first.goto(f"{site.address}/?token={site.token}")
    first.close()
    yield context
    context.close()
    assert not problems, problems


def _inside(url: str, site: ReviewSite) -> bool:
    return url.startswith((site.address + "/", "data:", "about:"))


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page of that visitor."""
    return context.new_page()
