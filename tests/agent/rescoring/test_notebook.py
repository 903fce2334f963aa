"""The Python API: what is promised is there, and a score of one's own is the score of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

import hubel
from hubel.agent.runlog.views import target_rows
from hubel.tools.errors import UsageError


@pytest.mark.parametrize("name", hubel.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    score = getattr(hubel, name)
    assert name == "__version__" or score.__doc__


def test_scoring_the_runs_own_predicate_gives_the_runs_own_score(finished: Path) -> None:
    row = next(r for r in target_rows(finished) if r["scores"])
    own = next(s for s in row["scores"] if (s["split"], s["text"]) == ("select", "random"))
    score = hubel.score_explanation(finished, row["target"], row["predicate"])
    assert score.value == pytest.approx(own["value"], abs=1e-12)
    assert score.floors.token_lookup == pytest.approx(own["floors"]["token_lookup"], abs=1e-12)
    assert score.split == "select", "holdout is not for trying things out"


def test_a_predicate_that_cannot_be_read_says_where(finished: Path) -> None:
    target = target_rows(finished)[0]["target"]
    with pytest.raises(UsageError, match="zzz"):
        hubel.score_explanation(finished, target, "strongly zzz(1)")
