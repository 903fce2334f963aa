"""The study of evaluation on the tiny subject, and its arithmetic against naive loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.studies import StudyContext, find_study
from hubel.studies.behaviour.crossed_facets import cross_facets
from hubel.studies.behaviour.evaluate import calibration_error
from hubel.studies.figures import HeatMap
from hubel.tools.behaviour.failure_slices import choose_slices, words_of_texts
from hubel.tools.errors import UsageError
from hubel.tools.subject import Subject
from tests.support.tiny import WORDS


def table(folder: Path, rows: int = 60) -> Path:
    """Random words with two labels and a slice."""
    draw, words = np.random.default_rng(0), WORDS.split()
    lines = [f"{' '.join(draw.choice(words, 6))},{words[row % 2]},{row % 3}" for row in range(rows)]
    path = folder / "data.csv"
    path.write_text("text,label,third\n" + "\n".join(lines))
    return path


def test_a_table_is_evaluated_by_slice(tiny: Subject, tmp_path: Path) -> None:
    options = {"data": f"{table(tmp_path)}::slices=third", "template": "{text} is", "words": ""}
    result = find_study("evaluate")(StudyContext([tiny]), options)
    slices = {row["slice"]: row for row in result.rows if row["kind"] != "failure slice"}
    assert {"all", "third 0", "third 1", "third 2"} <= set(slices)
    assert slices["all"]["texts"] == sum(slices[f"third {third}"]["texts"] for third in range(3))
    for column in ("label", "length", "answer", "confidence"):
        own = [row["texts"] for name, row in slices.items() if name.startswith(f"{column} ")]
        assert sum(own) == 60
    assert not any(claim.verdict == "supported" for claim in result.claims[:1])


def test_two_crossed_facets_give_every_large_cell_a_claim(tiny: Subject, tmp_path: Path) -> None:
    options = {"data": f"{table(tmp_path)}::slices=third", "template": "{text} is", "words": ""}
    result = find_study("evaluate")(StudyContext([tiny]), {**options, "cross": ["label", "third"]})
    cells = {row["slice"]: row for row in result.rows if row["kind"] == "cell"}
    assert len(cells) == 6
    assert all(row["texts"] == 10 for row in cells.values())
    claimed = {claim.claim.split(": ")[-1] for claim in result.claims}
    assert set(cells) <= claimed
    grid = result.figures[-1]
    assert isinstance(grid, HeatMap)
    at = grid.rows.index(WORDS.split()[1]), grid.columns.index("2")
    assert grid.values[at[0]][at[1]] == cells[f"label {WORDS.split()[1]} and third 2"]["accuracy"]


def test_small_cells_are_left_out_and_counted() -> None:
    columns = {"year": np.array(["1"] * 20 + ["2"] * 20 + ["3"] * 5), "kind": np.array(["a"] * 45)}
    crossed = cross_facets(("year", "kind"), columns, np.arange(45))
    assert list(crossed.cells) == [("1", "a"), ("2", "a")]
    assert (crossed.n_left_out, int(crossed.left_out.sum())) == (1, 5)
    by_group = cross_facets(("year", "kind"), columns, np.arange(45) // 10)
    assert not by_group.cells
    assert by_group.n_left_out == 3


def test_few_texts_cannot_say(tiny: Subject, tmp_path: Path) -> None:
    options = {"data": str(table(tmp_path, rows=4)), "template": "{text} is", "words": ""}
    result = find_study("evaluate")(StudyContext([tiny]), options)
    assert {claim.verdict for claim in result.claims} == {"cannot say"}
    assert "4 groups, and an interval needs 8" in result.claims[0].claim


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": "yes"}, "words 'yes' given; expected 2 different ones"),
        ({"words": "yes,yes"}, "expected 2 different ones"),
        ({"words": "", "template": "nothing"}, r"it needs \{text\} where the text goes"),
        ({"words": "", "cross": ["label"]}, "expected two different columns"),
        (
            {"words": "", "cross": ["label", "year"]},
            "there is no 'year', but label, length, answer",
        ),
        ({"words": "", "cross": ["label", "answer"]}, "follows from these two"),
    ],
)
def test_bad_options_are_one_line(
    tiny: Subject, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        find_study("evaluate")(StudyContext([tiny]), {"data": str(table(tmp_path)), **options})


def test_one_class_only_is_refused(tiny: Subject, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("text,label\na b,x\nc d,x\n")
    with pytest.raises(UsageError, match="all 2 labels are 'x'"):
        find_study("evaluate")(StudyContext([tiny]), {"data": str(tmp_path / "one.csv")})


def test_calibration_error_is_a_naive_loop() -> None:
    draw = np.random.default_rng(0)
    confidence = draw.uniform(0.1, 1.0, 500)
    confidence[0] = 1.0
    right = (draw.random(500) < confidence**2) * 1.0
    total = 0.0
    for number in range(10):
        low, high = number / 10, (number + 1) / 10
        chosen = [
            i for i, c in enumerate(confidence) if low <= c < high or (c == 1.0 and number == 9)
        ]
        if chosen:
            gap = np.mean(confidence[chosen]) - np.mean(right[chosen])
            total += len(chosen) / 500 * abs(gap)
    assert calibration_error(right, confidence) == pytest.approx(total)


def test_a_slice_is_chosen_by_its_z_and_needs_groups() -> None:
    texts = ["red cat"] * 30 + ["blue cat"] * 30 + ["green dog"] * 40
    held = words_of_texts(texts)
    assert held.words.tolist() == ["blue", "dog", "green", "red"]  # cat is in most of them
    error = np.array([1.0] * 30 + [0.0] * 70)
    rows = np.arange(100)
    (first, *_) = choose_slices(error, np.arange(100), {}, held, rows, 3)
    assert first.name == 'the word "red"'
    shares = 1.0 - 0.0
    spread = np.sqrt(0.3 * 0.7 * (1 / 30 + 1 / 70))
    assert first.z == pytest.approx(shares / spread)
    assert choose_slices(error, rows // 20, {}, held, rows, 3) == []


def test_of_slices_with_the_same_texts_one_is_chosen() -> None:
    columns = {"label": np.array(["a", "b"] * 30), "given": np.array(["x", "y"] * 30)}
    error, rows = np.array([1.0, 0.0] * 30), np.arange(60)
    chosen = choose_slices(error, rows, columns, words_of_texts(["red cat"] * 60), rows, 3)
    assert [each.name for each in chosen] == ["label a"]
