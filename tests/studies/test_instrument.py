"""Small studies as an instrument: listed, run on a subject, and refused where they take long."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hubel.studies import studies
from hubel.tools.errors import ArgumentError
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.subject.subject import Subject


def test_without_a_name_small_studies_are_listed_with_their_options(tiny: Subject) -> None:
    listed = call("study", {}, InstrumentContext(tiny)).to_json()["rows"]
    assert [row["study"] for row in listed] == [s.name for s in studies().values() if s.small]
    massive = next(row for row in listed if row["study"] == "massive-dimensions")
    assert "documents=60" in massive["options"]


def test_a_study_runs_and_says_its_verdicts(tiny: Subject, tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    words = np.random.default_rng(0).choice(["the", "cat", "dog", "said", "Monday"], (10, 80))
    path.write_text("\n\n".join(" ".join(row) for row in words))
    arguments = {"name": "massive-dimensions", "options": {"corpus": str(path)}}
    answer = call("study", arguments, InstrumentContext(tiny))
    assert [claim["verdict"] for claim in answer.to_json()["claims"]] == ["refuted"]
    assert answer.render().startswith("massive-dimensions:\n  refuted: after layer")


def test_what_cannot_be_called_says_what_to_do(tiny: Subject) -> None:
    context = InstrumentContext(tiny)
    with pytest.raises(ArgumentError, match=r"no study is called 'nonsense'"):
        call("study", {"name": "nonsense"}, context)
    with pytest.raises(ArgumentError, match=r"documents: .*given 'x'"):
        call("study", {"name": "massive-dimensions", "options": {"documents": "x"}}, context)
    large = next((s.name for s in studies().values() if not s.small), None)
    if large is not None:
        with pytest.raises(ArgumentError, match=f"run `hubel study {large}`"):
            call("study", {"name": large}, context)
