"""Screenshots of the review page for `docs/`, taken of the example runs and of studies:

    python -m tests.support.screenshots --out docs [--runs RUNS] [--live] [NAME ...]

`RUNS` holds `example`, `example-model` and `example-circuit` (those of the repository by default).
Studies of `STUDIES` that it does not hold are run now, minutes each. With `--live` the subject is
loaded, so that texts can be tried: `review-try` needs it.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hubel.agent.runlog.layout import STUDY
from hubel.agent.studies.run import run_study, study_config
from tests.agent.review.browser.conftest import CHROMIUM, FLAGS, ReviewSite, serving, visiting
from tests.support.study_run import make_trajectory

UNIT = "/runs/example/targets/mlp.20.977"
MODEL = "/runs/example-model/targets/mlp.20.977"
TRIED = "text=He was surprised and disappointed .&other=He was pleased and happy ."
SHOWN = "main:not([aria-busy]) h1"
SUBJECT = "smollm2-135m"
STUDIES: dict[str, dict[str, str]] = {
    "attention": {},
    "similarity": {},
    "minimal-pairs": {},
    "fairness": {"family": "religion"},
    "trajectory": {},
}
"""Runs of the default subject, named like their study, with options; the trajectory is of a trained model."""


class Shot(NamedTuple):
    """A screenshot: a view, its scroll position, and the window."""

    path: str
    height: int
    width: int = 1280
    scheme: str = "light"
    until: str = SHOWN
    """Selector to wait for."""
    top: str = ""
    """Selector of the part at the top of the window; "" for the head of the page."""


SHOTS = {
    "review-study": Shot(
        "/runs/attention?pick=layer:16,head:0", 1000, until="figure svg.plot", top=".chosen-bar"
    ),
    "studies/study-representation": Shot("/runs/similarity", 900, until="figure svg.plot"),
    "studies/study-behaviour": Shot(
        "/runs/minimal-pairs", 480, until="figure svg.plot", top=".study-figures"
    ),
    "studies/study-audits": Shot("/runs/fairness", 840, until="figure svg.plot"),
    "studies/study-training": Shot(
        "/runs/trajectory", 550, until="figure svg.plot", top="#figure-readings"
    ),
    "review-runs": Shot("/", 460),
    "review-targets": Shot("/runs/example", 1000, until="table.targets tbody tr:not(.gap)"),
    "review-search": Shot("/runs/example?q=police&in=exemplars", 700, until=".hits li"),
    "review-target": Shot(UNIT, 1500, until="#predicted li.pair"),
    "review-target-dark": Shot(UNIT, 1500, scheme="dark", until="#predicted li.pair"),
    "review-evidence": Shot(MODEL, 1300, until="#hypotheses .hypothesis", top="#hypotheses"),
    "review-nearest": Shot(UNIT, 900, until="#nearest .near", top="#writes"),
    "review-transcript": Shot(
        "/runs/example-model/targets/mlp.20.977/transcript", 1000, until="article.turn"
    ),
    "review-circuit": Shot("/runs/example-circuit/circuit", 900, until="svg.graph path.edge"),
    "review-circuit-dark": Shot(
        "/runs/example-circuit/circuit", 900, scheme="dark", until="svg.graph path.edge"
    ),
    "review-compare": Shot(
        "/compare?a=example&b=example-model", 640, until="table.both tbody tr:not(.gap)"
    ),
    "review-try": Shot(
        f"/try?run=example&target=mlp.10.1352-&{TRIED}", 1150, until=".tried >> nth=1"
    ),
    "review-narrow": Shot("/runs/example", 860, 400, until="table.targets tbody tr:not(.gap)"),
    "review-narrow-target": Shot(UNIT, 860, 400, "dark", until="#predicted li.pair"),
    "review-narrow-circuit": Shot(
        "/runs/example-circuit/circuit", 860, 400, until="svg.graph path.edge"
    ),
}


def take(site: ReviewSite, shot: Shot, out: Path) -> None:
    """Open the view and write the screenshot."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        with visiting(browser, site, color_scheme=shot.scheme) as context:
            page = context.new_page()
            page.set_viewport_size({"width": shot.width, "height": shot.height})
            site.open(page, shot.path)
            page.wait_for_selector(shot.until, timeout=60_000, state="attached")
            if shot.top:
                page.locator(shot.top).evaluate(
                    "part => scrollTo(0, part.getBoundingClientRect().top + scrollY - 60)"
                )
            page.wait_for_timeout(300)  # for what is drawn after the first frame
            page.screenshot(path=out)
        browser.close()


def main() -> None:
    """Take all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--live", action="store_true", help="load the subject")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("names", nargs="*", choices=[*SHOTS, []], help="which; all by default")
    args = parser.parse_args()
    options = ["--live"] if args.live else []
    names = args.names or [name for name in SHOTS if args.live or name != "review-try"]
    shown = {
        SHOTS[name].path.split("/")[2].split("?")[0]
        for name in names
        if "/runs/" in SHOTS[name].path
    }
    with (
        TemporaryDirectory() as folder,
        serving(_copied(args.runs, Path(folder) / "runs", shown), *options) as site,
    ):
        for name in names:
            take(site, SHOTS[name], args.out / f"{name}.png")


def _copied(runs: Path, to: Path, shown: Collection[str]) -> Path:
    """Copy the example runs, since a visit leaves traces, and the studies that are shown."""
    for name in ("example", "example-model", "example-circuit"):
        shutil.copytree(runs / name, to / name)
    for name in STUDIES.keys() & shown:
        if (runs / name / STUDY).exists():
            shutil.copytree(runs / name, to / name)
        elif name == "trajectory":
            make_trajectory(to / name)
        else:
            run_study(to / name, study_config(name, STUDIES[name], [SUBJECT]))
    return to


if __name__ == "__main__":
    main()
