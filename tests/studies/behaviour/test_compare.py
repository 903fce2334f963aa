"""The study that compares two subjects, by slices of a table of texts of many lengths."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from hubel.studies import StudyContext, find_study
from hubel.tools.errors import UsageError
from hubel.tools.subject import Subject
from tests.support.tiny import WORDS

SOURCES = ["press"] * 12 + ["books"] * 12 + ["letters"] * 3


@pytest.fixture(scope="module")
def changed(tiny: Subject) -> Subject:
    """The tiny subject with other weights in the MLP of layer 1."""
    subject = Subject(deepcopy(tiny.model), tiny.tokenizer, name="changed", revision="1" * 16)
    with torch.no_grad():
        subject.model.model.layers[1].mlp.gate_proj.weight[3] *= -1.5
    return subject


@pytest.fixture
def texts() -> list[str]:
    """Random words, 6 to 11 of them."""
    draw, words = np.random.default_rng(0), WORDS.split()
    return [" ".join(draw.choice(words, 6 + row % 6)) for row in range(len(SOURCES))]


def table(folder: Path, texts: list[str]) -> str:
    """The texts with two labels, their sources, and a column that is the label again."""
    lines = [f"{text},{row % 2},{SOURCES[row]},{'ab'[row % 2]}" for row, text in enumerate(texts)]
    path = folder / "data.csv"
    path.write_text("\n".join(["text,label,source,given", *lines]))
    return f"{path}::slices=source+given"


def test_slices_of_a_table_are_compared(
    tiny: Subject, changed: Subject, texts: list[str], tmp_path: Path
) -> None:
    options = {"data": table(tmp_path, texts)}
    result = find_study("compare")(StudyContext([tiny, changed]), options)
    rows = {row["name"]: row for row in result.rows if row["what"] == "slice"}
    assert set(rows) == {"label 0", "label 1", "source books", "source press"}
    claimed = [claim.claim for claim in result.claims]
    assert all(any(f"in texts of {name} changed" in claim for claim in claimed) for name in rows)

    kl = [each for row in range(12) for each in _kl(tiny, changed, texts[row])]
    assert rows["source press"]["n"] == len(kl)
    assert rows["source press"]["change"] == pytest.approx(np.mean(kl), rel=1e-4)
    left_out = next(row for row in result.rows if row["what"] == "slices left out")
    assert left_out["name"].startswith("1 of fewer than 8 groups")
    assert left_out["n"] == sum(len(_kl(tiny, changed, text)) for text in texts[-3:])
    assert "layer 1 (" in claimed[-1]


def test_a_subject_and_itself_have_nothing_to_compare(
    tiny: Subject, texts: list[str], tmp_path: Path
) -> None:
    options = {"data": table(tmp_path, texts)}
    result = find_study("compare")(StudyContext([tiny, tiny]), options)
    assert {claim.verdict for claim in result.claims} == {"cannot say"}
    assert all("predict the same at every token" in claim.claim for claim in result.claims)


def test_too_few_texts_are_refused(tiny: Subject, texts: list[str], tmp_path: Path) -> None:
    few = {"data": table(tmp_path, texts[:10])}
    with pytest.raises(
        UsageError, match="10 texts of 4 tokens or more; give others with at least 16"
    ):
        find_study("compare")(StudyContext([tiny, tiny]), few)


def test_texts_of_too_few_groups_are_refused(
    tiny: Subject, texts: list[str], tmp_path: Path
) -> None:
    options = {"data": f"{table(tmp_path, texts)},group=source"}
    with pytest.raises(UsageError, match=r"27 texts drawn from .* are of 3 groups; give others"):
        find_study("compare")(StudyContext([tiny, tiny]), options)


def _kl(first: Subject, second: Subject, text: str) -> list[float]:
    """At each token but the first and the last."""
    ids = torch.tensor([first.tokenize(text).ids])
    p, q = (s.model(ids).logits[0].double().log_softmax(-1) for s in (first, second))
    return (p.exp() * (p - q)).sum(-1)[1:-1].tolist()
