"""What the tests of exchange read: the example runs, and one with judged scores and a failed target."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import hubel
from hubel.agent.exchange.records import (
    ExplainedUnit,
    ExplanationSet,
    RecordedScore,
    SaidTurn,
    SeenText,
    SetOrigin,
    TokenLogit,
)

EXAMPLES = Path(hubel.__file__).parent / "runs"
HOSTILE = 'He said "50 % & {more}" of $5_000 #1 ~ \\ ^ <b> ‹x› — “é” 中 Ħ ,, \x1b[31m'
"""An explanation with everything that some format obeys."""


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the example run."""
    return Path(shutil.copytree(EXAMPLES / "example", tmp_path / "runs" / "example"))


@pytest.fixture
def hostile_set() -> ExplanationSet:
    """A set with a hostile explanation, both sides of a neuron, a head, a latent, a direction, a failure."""
    texts = tuple(
        SeenText((" the", f" cat{n}", "\n"), (0.0, float(n + 1), -0.5), "prompt" if n % 4 == 0 else "shown", group)
        for group in ("top+", "random")
        for n in range(24)
    )  # fmt: skip
    judged = SeenText((" a", " b"), (0.0, 2.0), "scored", "quantile 3", "detection", True, False)
    scores = (
        RecordedScore(
            "simulation", 1 / 3, "holdout", "random", 0.1, 0.5, {"trivial": 0.05, "list": 0.2}
        ),
        RecordedScore(
            "detection", 0.7, "holdout", "top_and_random", None, None, {"chance": 0.5}, "openai:m"
        ),
    )
    first = ExplainedUnit(
        "mlp.1.5", "", HOSTILE, 'strongly words("the")', "", "a headline", "openai:m", "done", "", "kept",
        "because", "clear", 1e-9, (*texts, judged), scores, (TokenLogit(" up", 2.5),), (TokenLogit(" dn", -1.0),),
        {"density": 0.25, "max": 24.0, "mean": 0.1, "std": 2.0, "n": 1000.0},
        (SaidTurn("user", "look"), SaidTurn("assistant", "looked")),
    )  # fmt: skip
    others = [
        ExplainedUnit(
            unit, "", f"About {unit}.", explainer="openai:m", texts=texts, scores=scores[:1]
        )
        for unit in ("mlp.1.5-", "head.2.3", "sae.my-sae.77", "resid.2@truth")
    ]
    others[0] = replace(others[0], gist="In other words, mlp.1.5-.")
    failed = ExplainedUnit("mlp.1.6", status="failed", error="the model refused")
    origin = SetOrigin("run", "made", "hubel 1", "tiny", "abc", "a corpus", "openai:m", 3)
    return ExplanationSet("made", origin, (first, *others, failed))


def write_json(path: Path, value: object) -> Path:
    """A JSON file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path
