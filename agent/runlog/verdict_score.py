"""The held-out score that a verdict rests on, among all scores of a target's row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def random_text_scores(row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Scores on random held-out text by scorer, of a row of `views.rows`."""
    return {
        score["scorer"]: score
        for score in row["scores"]
        if (score["split"], score["text"]) == ("holdout", "random")
    }


def verdict_score(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The score that the verdict rests on: simulation by the predicate or, without one, the sentence."""
    return random_text_scores(row).get("simulation" if row["predicate"] else "llm_simulation")
