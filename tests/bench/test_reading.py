"""Blind reading on the example run: order hidden, marks true, grades counted for whose sentence it was."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import hubel
from hubel.agent.cli.main import run_command_line
from hubel.agent.rescoring.sources import open_source
from hubel.agent.runlog.lexicon import stored_lexicon
from hubel.bench.reading import draw_pairs, read_grades, write_reading
from hubel.tools.errors import UsageError
from hubel.tools.index import Collected
from hubel.tools.subject.address import Unit

RUNS = Path(hubel.__file__).parent / "runs"
RUN = RUNS / "example"


@pytest.fixture
def rival(tmp_path: Path) -> Path:
    """Another system's sentences about the run's targets."""
    source = open_source("example", RUNS)
    path = tmp_path / "rival.csv"
    with path.open("w", newline="") as file:
        rows = [(e.target, f"Rival words on {e.target}.") for e in source.explanations]
        csv.writer(file).writerows([("target", "text"), *rows])
    return path


def grade(folder: Path, grades: dict[str, int]) -> None:
    """Fill in the table: a grade for each system, whatever the order."""
    key = {row["target"]: row["systems"] for row in json.loads((folder / "key.json").read_text())}
    with (folder / "grades.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("target", "sentence", "meaning", "readability"))
        for target, systems in key.items():
            for number, system in enumerate(systems, 1):
                writer.writerow((target, number, grades[system], 3))


def test_a_reading_from_the_page_to_the_table(
    rival: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "reading"
    arguments = ["bench", "reading", "--out", str(out), "--runs", str(RUNS)]
    systems = ["example", str(rival), "--run", "example", "--targets", "5", "--seed", "3"]
    assert run_command_line([*arguments, *systems]) == 0
    page = (out / "page.txt").read_text()
    assert page.count("Rival words on") == 5
    assert "«" in page
    assert "example" not in page
    assert "rival.csv" not in page
    grade(out, {"example": 4, "rival.csv": 2})
    capsys.readouterr()
    assert run_command_line([*arguments, "--json"]) == 0
    meaning, readability = map(json.loads, capsys.readouterr().out.splitlines())
    assert meaning["means"]["example"]["value"] == 4
    assert meaning["means"]["rival.csv"]["value"] == 2
    assert meaning["difference"]["value"] == 2
    assert readability["difference"]["value"] == 0
    assert run_command_line(arguments) == 0
    assert "readability" in capsys.readouterr().out


def test_the_order_is_hidden_and_follows_from_the_seed(rival: Path) -> None:
    sources = open_source("example", RUNS), open_source(str(rival), RUNS, run="example")
    pairs = draw_pairs(*sources, 40, seed=0)
    assert pairs == draw_pairs(*sources, 40, seed=0)
    assert {pair.systems for pair in pairs} == {("example", "rival.csv"), ("rival.csv", "example")}
    assert {pair.target for pair in pairs} == {e.target for e in sources[0].explanations}
    for pair in pairs:
        for sentence, system in zip(pair.sentences, pair.systems, strict=True):
            assert sentence.startswith("Rival words") == (system == "rival.csv")


def test_the_strongest_token_of_the_target_is_marked(rival: Path, tmp_path: Path) -> None:
    sources = open_source("example", RUNS), open_source(str(rival), RUNS, run="example")
    (pair,) = draw_pairs(*sources, 1, seed=0)
    write_reading([pair], tmp_path / "reading", RUN, 0)
    explore = Collected.open(RUN / "collected", "explore")
    signal = np.where(explore.mask, explore.signal(Unit.parse(pair.target)), 0)
    row, at = np.unravel_index(signal.argmax(), signal.shape)
    token = stored_lexicon(RUN).strings[explore.tokens[row, at]].strip()
    page = (tmp_path / "reading" / "page.txt").read_text()
    first = page.partition("tive:\n  ")[2].partition("\n")[0]  # "positive" or "active"
    assert f"«{token}»" in first


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [(",2,", ",7,", "not in key.json"), (",3\n", ",9\n", "expected a grade from 1 to 5")],
)
def test_a_grade_that_cannot_be_read_is_named(
    rival: Path, tmp_path: Path, old: str, new: str, problem: str
) -> None:
    sources = open_source("example", RUNS), open_source(str(rival), RUNS, run="example")
    pairs = draw_pairs(*sources, 2, seed=0)
    write_reading(pairs, tmp_path / "reading", RUN, 0)
    grade(tmp_path / "reading", {"example": 5, "rival.csv": 5})
    path = tmp_path / "reading" / "grades.csv"
    path.write_text(path.read_text().replace("\r\n", "\n").replace(old, new, 1))
    with pytest.raises(UsageError, match=problem):
        read_grades(tmp_path / "reading")


def test_what_cannot_be_compared_is_refused(rival: Path, tmp_path: Path) -> None:
    source = open_source("example", RUNS)
    with pytest.raises(UsageError, match="both systems are called"):
        draw_pairs(source, source, 5, 0)
    with pytest.raises(UsageError, match="has no reading"):
        read_grades(tmp_path)
    pairs = draw_pairs(source, open_source(str(rival), RUNS, run="example"), 1, 0)
    write_reading(pairs, tmp_path / "reading", RUN, 0)
    with pytest.raises(UsageError, match="give another --out"):
        write_reading(pairs, tmp_path / "reading", RUN, 0)
