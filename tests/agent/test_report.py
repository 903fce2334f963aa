from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from hubel.agent.report import (
    ExperimentReport,
    HypothesisReport,
    ReportData,
    RunReport,
    TargetReport,
    TokenMap,
    TokenWeight,
    interval,
    number,
    prediction,
    probability,
    render_report,
)
from hubel.agent.report_summary import summarise
from hubel.evals.discoveries import wilson
from hubel.evals.score import Floors, Score

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}\x00\x1b[31m\u202eevil\ud800"
RUN = RunReport(
    "first",
    "SmolLM2-135M-Instruct, dequantised from Q4_1",
    "b179c9523d0e6a0f",
    "Lee news",
    "4e1243bd22c66e76",
    "compositional",
    "2026-11-23 17:40",
    {"run": 3},
    {"hubel": "0.1.0"},
    {"Tokens": "80,783"},
)


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of scripts and styles; fails where tags do not close."""

    VOID = frozenset({"meta", "br", "input", "img", "link"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("script", "style"):
            self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def scores(value: float, select: float | None = None) -> tuple[Score, ...]:
    floors = Floors(0.0, 0.01, 0.02, 0.5, 0.1)
    holdout = Score("simulation", "holdout", "random", value, value - 0.05, value + 0.05, floors)
    mixed = Score("simulation", "holdout", "top_and_random", value + 0.1, value, value + 0.2, floors)
    chosen_on = Score("simulation", "select", "random", select if select is not None else value, None, None, floors)
    return holdout, mixed, chosen_on


def target(i: int = 0, contexts: int = 8, **change) -> TargetReport:
    rng = np.random.default_rng(i)
    words = [" alpha", " beta", " gamma", "\n", " delta", ","]

    def maps(count: int, predicted: bool = False) -> list[TokenMap]:
        return [
            TokenMap(
                [words[k] for k in rng.integers(0, 6, 64)],
                rng.standard_normal(64).tolist(),
                rng.standard_normal(64).tolist() if predicted else None,
                source=f"document {rng.integers(300)}",
            )
            for _ in range(count)
        ]

    experiments = [
        ExperimentReport("fires", "It was late again.", (7, 11), observed=1.5, compared=0.4, outcome="for"),
        ExperimentReport("greater", "text A", other="text B", side="-", observed=0.1, compared=0.3, outcome="against"),
    ]
    sentence = f"Fires on greek letters, number {i}"
    base = TargetReport(
        target=f"mlp.{i % 4}.{i}",
        side="both",
        layer=i % 4,
        explanation=sentence,
        predicate=f"0.5 * word in {{alpha, beta}} # {i}",
        verdict="kept",
        reason="Held-out r 0.40 [0.35, 0.45], better than frequency.",
        p=1e-20,
        scores=scores(0.4, 0.44),
        over_trivial=(0.2, 0.35),
        trivial="frequency",
        active_documents=90,
        positive=maps(contexts),
        negative=maps(contexts),
        compared=maps(contexts, predicted=True),
        hypotheses=[
            HypothesisReport("h1", sentence, "p1", "full", None, 0.5, 0.44, True, experiments),
            HypothesisReport("h2", "Fires on gamma", "p2", "tokens only", "h1", None, 0.1, False, ()),
        ],
        promoted=[TokenWeight(" omega", 0.31)],
        suppressed=[TokenWeight(" Omega", -0.27)],
        statistics={"mean": 0.01, "q90": 1.2},
    )
    return replace(base, **change)


@pytest.fixture(scope="module")
def page() -> str:
    failed = target(2, status="failed", verdict=None, explanation=None, reason="Failed: cut short", scores=(), p=None)
    rejected = target(1, verdict="rejected", scores=scores(0.1))
    return render_report(ReportData(RUN, [target(0), rejected, failed, target(3, verdict="inconclusive")]))


def test_nothing_is_fetched(page):
    parsed = Page(page)
    assert not re.search(r"https?:|//[a-z]|url\(|@import", page)
    assert parsed.count("link") == parsed.count("img") == parsed.count("iframe") == 0
    for tag, attributes in parsed.tags:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#"), tag


def test_links_lead_to_targets_on_the_page(page):
    parsed = Page(page)
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for t, a in parsed.tags if t == "a" and a["href"]} <= set(ids)
    assert {"t1", "t2", "t3", "t4"} <= set(ids)


def test_the_header_says_what_was_run(page):
    text = Page(page).text
    for words in (RUN.subject, RUN.subject_revision, "Lee news", "compositional", "run 3", "hubel 0.1.0", "80,783"):
        assert words in text


def test_the_page_reads_without_its_script(page):
    text = Page(page).text
    for words in (
        "Fires on greek letters, number 0",
        "0.5 * word in {alpha, beta} # 0",
        "0.40 [0.35, 0.45]",
        "Failed: cut short",
        "Strongest positive activation reaches the 90th percentile of explore",
        "observed 1.50, held against 0.40",
        " omega",
        "h2, tokens only, revises h1; r on select 0.10",
    ):
        assert words in text
    assert text.count("Predicted beside true") == 4


def test_summary_counts_everything_that_was_asked_for(page):
    text = Page(page).text
    assert "1 of 4" in text
    assert "3 of 4, 1 failed" in text
    assert "0.30 [0.10, 0.40]" in text  # mean of 0.4, 0.1, 0.4


def test_predicted_stands_beside_true_with_values_on_hover():
    shown = TokenMap(["x", " one", " two"], [0, 2, -1], [0, 0, 0.5])
    page = render_report(ReportData(RUN, [target(0, compared=[shown], compared_split="holdout")]))
    pair = page[page.index("Predicted beside true") :]
    assert "holdout split" in pair
    assert pair.index("title=+2>one") < pair.index("title=-1>two") < pair.index("title=+0.5>two")


def test_hostile_text_is_text_everywhere():
    run = RunReport(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, {EVIL: 1}, {EVIL: EVIL}, {EVIL: EVIL})
    tokens = TokenMap([EVIL] * 3, [0, 1, 2], [0, 1, 2], source=EVIL)
    experiment = ExperimentReport("greater", EVIL, (2, 5), other=EVIL, reason=EVIL)
    hypothesis = HypothesisReport(EVIL, EVIL, EVIL, EVIL, EVIL, experiments=[experiment])
    hostile = target(
        target=EVIL,
        explanation=EVIL,
        predicate=EVIL,
        reason=EVIL,
        trivial=EVIL,
        positive=[tokens],
        negative=[tokens],
        compared=[tokens],
        hypotheses=[hypothesis],
        promoted=[TokenWeight(EVIL, 1.0)],
        suppressed=[TokenWeight(EVIL, 1.0)],
        statistics={EVIL: 1.0},
    )
    page = render_report(ReportData(run, [hostile]))
    parsed = Page(page)
    assert parsed.count("script") == 1
    assert parsed.count("img") == 0
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    assert "49" not in parsed.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", page)
    page.encode()


def test_two_hundred_targets_stay_under_five_megabytes():
    page = render_report(ReportData(RUN, [target(i, contexts=4) for i in range(200)]))
    assert len(page.encode()) < 5e6
    assert page.count("Fires on greek letters, number 199") >= 2


def test_a_run_without_any_result_still_has_a_page():
    assert "0 of 0" in Page(render_report(ReportData(RUN, []))).text
    bare = TargetReport("mlp.0.0", "+", 0, status="pending")
    assert "pending" in Page(render_report(ReportData(RUN, [bare]))).text


def test_nulls_and_controls_stand_beside_the_run_and_not_in_it():
    null = target(8, kind="null", verdict="rejected", scores=scores(0.0))
    control = target(9, kind="control", verdict="kept", scores=scores(0.2))
    text = Page(render_report(ReportData(RUN, [target(0), null, control]))).text
    assert "1 of 1" in text
    rate = wilson(1, 1)
    assert f"100 % [{100 * rate.low:.3g} %, 100 %]" in text
    assert "Nulls and controls" in text


def test_summary_is_arithmetic():
    rows = [target(i, scores=scores(v, v + 0.1)) for i, v in enumerate([0.1, 0.2, 0.6])]
    found = summarise([*rows, target(7, status="failed", verdict=None, scores=())])
    assert found.r is not None
    assert found.drop is not None
    assert found.r.value == pytest.approx(0.3)
    assert found.drop == pytest.approx((0.1, 0.1, 0.1))
    assert (found.scored, found.targets, found.coverage) == (3, 4, 0.75)
    assert found.kept_rate == wilson(3, 4)
    assert found.floors.token_lookup == pytest.approx(0.5)
    assert summarise([]).r is None


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "–"), (0.414, "0.41"), (-0.414, "−0.41"), (-0.001, "0.00"), (1.0, "1.00")]
)
def test_numbers(value, expected):
    assert number(value) == expected


@pytest.mark.parametrize(
    ("p", "expected"), [(None, "–"), (0.04321, "0.043"), (4.4e-5, "4e−05"), (1e-40, "< 1e−12"), (1.0, "1.000")]
)
def test_probabilities(p, expected):
    assert probability(p) == expected


def test_an_interval_that_is_not_known_is_not_shown():
    assert interval(Score("simulation", "holdout", "random", 0.5)) == "0.50"


def test_predictions_read_as_sentences():
    assert prediction(ExperimentReport("silent", "t", side="-", quantity="mean")) == (
        "Mean negative activation stays below the median of explore"
    )
    assert prediction(ExperimentReport("within", "t", bounds=(-0.1, 2))) == (
        "Strongest positive activation lies in [−0.10, 2.00]"
    )


def test_looking_at_results_never_imports_torch():
    code = "import sys, hubel.agent.report; sys.exit(sorted({'torch', 'scipy', 'sklearn'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
